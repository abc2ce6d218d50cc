"""What a daemon that has ended could leave on its host."""

import json
import re
from pathlib import Path
from typing import Any

from appliance.lab.topology import Lab

# (name, flags, how many want it promiscuous, XDP's program) of each interface; huge pages in use
Left = tuple[list[tuple[str, list[str], int, Any]], list[str]]


def left_behind(lab: Lab) -> Left:
    shown = json.loads(lab.proxy.run(["ip", "-json", "-details", "link"]).stdout)
    interfaces = [(one["ifname"], sorted(one["flags"]), one["promiscuity"], one.get("xdp"))
                  for one in shown]
    return interfaces, re.findall(r"HugePages_\w+: .*", Path("/proc/meminfo").read_text())


def files_below(folder: Path) -> list[Path]:
    """Sockets among them."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())
