"""A template of UDP datagrams, with what varies left at zero.

Reading list: RFC 768, RFC 8200 §8.1.
"""

import struct

from appliance.lab.syn import PORT, PORT_MASK
from appliance.lab.template import UDP, Body, Template, ends_of, template

PAYLOAD = bytes(4)
HEADER_BYTES = 8
CHECKSUM = 6                # its offset


def datagram_template(destination: str, dport: int, sources: str, source_mac: str,
                      destination_mac: str) -> Template:
    """The port is drawn.  `sources` is a prefix of the destination's family."""
    octets = struct.pack("!HHHH", PORT, dport, HEADER_BYTES + len(PAYLOAD), 0) + PAYLOAD
    body = Body(UDP, octets, [(0, PORT_MASK)], CHECKSUM)
    return template(ends_of(destination, sources, source_mac, destination_mac), body)
