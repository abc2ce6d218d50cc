"""Addresses and prefixes as the data plane has them: 16 bytes, IPv4 behind ::ffff:0:0/96."""

from ipaddress import IPv4Address, IPv6Address

from appliance.config.formats import prefix_parse

_MAPPED = b"\0" * 10 + b"\xff\xff"      # RFC 4291 §2.5.5.2


def address_packed(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed if address.version == 6 else _MAPPED + address.packed


def prefix_packed(text: str) -> tuple[bytes, int] | None:
    """Address and bits; None of an empty text."""
    if not text:
        return None
    network = prefix_parse(text)
    bits = network.prefixlen + (96 if network.version == 4 else 0)
    return address_packed(network.network_address), bits
