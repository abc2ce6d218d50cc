"""TCP segments in frames, as the tests of the wire send them."""

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

CLIENT_PORT, SERVER_PORT = 40000, 80
TAGS = {"untagged": Ether(), "VLAN": Ether() / Dot1Q(vlan=5),
        "QinQ": Ether() / Dot1AD(vlan=6) / Dot1Q(vlan=7)}


def network_layer(version: int) -> Packet:
    if version == 4:
        return IP(src="10.71.0.1", dst="10.71.0.2")
    return IPv6(src="fd00:71::1", dst="fd00:71::2")


def to_server(payload: bytes = b"", *, flags: str = "A", version: int = 4,
              client_port: int = CLIENT_PORT, tags: str = "untagged") -> bytes:
    """A client's segment."""
    return bytes(TAGS[tags] / network_layer(version)
                 / TCP(sport=client_port, dport=SERVER_PORT, flags=flags) / Raw(payload))


def to_client(payload: bytes = b"", *, flags: str = "A") -> bytes:
    """The server's segment to the same flow."""
    return bytes(Ether() / IP(src="10.71.0.2", dst="10.71.0.1")
                 / TCP(sport=SERVER_PORT, dport=CLIENT_PORT, flags=flags) / Raw(payload))


def numbered(count: int, client_port: int = CLIENT_PORT) -> list[bytes]:
    """`count` segments of a flow, each of them another.  Their checksums are the first one's."""
    first = to_server(b"%06d" % 0, client_port=client_port)
    return [first[:-6] + b"%06d" % number for number in range(count)]
