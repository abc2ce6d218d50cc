"""How DPDK gets at a port: the device that EAL is told, and what it stands on in the host."""

import re
from dataclasses import dataclass

from synproxy.v1.config_pb2 import DRIVER_AF_PACKET, Port

from appliance.config.formats import is_pci_variable

# The vdevs that take over an interface which exists: others (net_tap) make the one they name.
_ON_INTERFACE = ("net_af_xdp", "net_af_packet", "eth_af_packet", "net_pcap", "eth_pcap")

_GIVEN_MAP = re.compile(r"(?:^|,)use_(?:pinned_map|cni)=1(?:,|$)")


@dataclass(frozen=True)
class Attachment:
    """`name` is EAL's name of the port; `interface` and `pci` are "" where it needs none.
    `given_map` says of net_af_xdp that another's XDP program serves it, such as a device plugin's
    of Kubernetes."""

    name: str
    driver: str = ""
    interface: str = ""
    pci: str = ""
    given_map: bool = False

    def holds(self) -> set[str]:
        """What no other port may have; a variable may have several devices."""
        return set() if is_pci_variable(self.pci) else {self.name, self.interface} - {""}


def port_device(port: Port, index: int) -> str:
    """A PCI address or vdev arguments; `index` keeps two vdevs of one driver apart."""
    match port.WhichOneof("attachment"):
        case "interface":
            # AF_XDP with the driver's own arguments: they matter little where NAPI is left to the
            # worker (README, "On one veth").  Thousand answers a second, by peers.py: 688 with
            # a busy budget of 16, 696 with 64, the driver's default, and 698 with 256; with 256,
            # 710 with rings of 512 and 715 with 4096.  The spread is as wide.
            vdev = "net_af_packet" if port.driver == DRIVER_AF_PACKET else "net_af_xdp"
            return f"{vdev}{index},iface={port.interface}"
        case "pci":
            return port.pci
        case _:
            return port.device


def attachment_of(device: str) -> Attachment:
    name, _, arguments = device.partition(",")
    driver = re.sub(r"\d+$", "", name).replace("eth_", "net_", 1)
    if not name.startswith(("net_", "eth_")):
        return Attachment(name, pci=name)
    interface = ""
    if name.startswith(_ON_INTERFACE):
        named = re.search(r"(?:^|,)(?:rx_|tx_)?iface=([^,]+)", arguments)
        interface = named[1] if named else ""
    given_map = driver == "net_af_xdp" and _GIVEN_MAP.search(arguments) is not None
    return Attachment(name, driver, interface, given_map=given_map)
