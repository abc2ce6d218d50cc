"""What the daemon may call of the kernel: in a container by its seccomp profile, as a service by
its unit, which is told here in the profile's form."""

import json
import re
import subprocess
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX
from typing import Any

DOCKER = Path(__file__).parents[2] / "docker"
PROFILE = DOCKER / "seccomp/synproxyd.json"
UNIT = DOCKER / "systemd/synproxyd.service"
AF_XDP = 44                 # <linux/socket.h>; Python's socket has none
FAMILIES = {"AF_UNIX": AF_UNIX, "AF_INET": AF_INET, "AF_INET6": AF_INET6,
            "AF_NETLINK": AF_NETLINK, "AF_PACKET": AF_PACKET, "AF_XDP": AF_XDP}
# By driver, as a container is given them (docs/container.md).
CAPABILITIES = {"AF_PACKET": ["NET_RAW", "NET_ADMIN"],
                "AF_XDP": ["NET_RAW", "NET_ADMIN", "SYS_ADMIN", "IPC_LOCK"]}


def container_profile() -> dict[str, Any]:
    return dict(json.loads(PROFILE.read_text()))


def allowed(profile: dict[str, Any]) -> set[str]:
    """Whatever the arguments, and whoever asks."""
    return {name for entry in profile["syscalls"] if entry["action"] == "SCMP_ACT_ALLOW"
            for name in entry["names"]}


def unit_words(setting: str) -> list[str]:
    lines = re.findall(rf"^{setting}=(.*)$", UNIT.read_text(), re.MULTILINE)
    return [word for line in lines for word in line.split()]


def group(name: str) -> set[str]:
    """Of systemd's, with the groups in it."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name],
                            capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    words = {line.strip() for line in listed if line.strip() and not line.strip().startswith("#")}
    return {one for word in words for one in (group(word) if word[0] == "@" else {word})}


def unit_profile() -> dict[str, Any]:
    """systemd allows execve(2) and what ends a process in any case: they are in @default."""
    names = {one for word in unit_words("SystemCallFilter")
             for one in (group(word) if word[0] == "@" else {word})}
    allow: dict[str, Any] = {"names": sorted(names - {"socket"}), "action": "SCMP_ACT_ALLOW"}
    return {
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "syscalls": [allow, *(
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": FAMILIES[word], "op": "SCMP_CMP_EQ"}]}
            for word in unit_words("RestrictAddressFamilies"))],
    }
