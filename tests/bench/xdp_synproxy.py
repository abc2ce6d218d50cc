"""XDP in front of the kernel's SYNPROXY: xdp_synproxy.c, built for the lab and put on its proxy.

It is native XDP.  What it sends by XDP_TX is seen at a veth's other end only where that has XDP,
too (the kernel's drivers/net/veth.c, veth_xdp_flush): there all passes.
"""

import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.lab.compare.contestants import MSS_IPV4, WSCALE
from appliance.lab.namespace import run_tool
from appliance.lab.topology import Lab

SOURCE = Path(__file__).with_suffix(".c")


def built(folder: Path, port: int) -> Path:
    """An object for that port, in the folder."""
    made = folder / "xdp_synproxy.o"
    run_tool([
        "clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf",
        # Where Debian has asm/.
        "-I", f"/usr/include/{sysconfig.get_config_var('MULTIARCH')}",
        f"-DPORT={port}", f"-DMSS={MSS_IPV4}", f"-DWSCALE={WSCALE}",
        "-c", str(SOURCE), "-o", str(made)])
    return made


@contextmanager
def answering(lab: Lab, port: int) -> Iterator[None]:
    """On the proxy's interface toward its client."""
    made = built(lab.directory, port)
    ends = ((lab.client, "eth0", "receives"), (lab.proxy, "client", "synproxy"))
    for place, interface, program in ends:
        place.ip([f"link set dev {interface} xdpdrv object {made} program {program}"])
    try:
        yield
    finally:
        for place, interface, _ in ends:
            place.ip([f"link set dev {interface} xdpdrv off"])
