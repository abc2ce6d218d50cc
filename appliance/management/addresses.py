"""Addresses and prefixes as the data plane has them: 16 bytes, IPv4 behind ::ffff:0:0/96."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from appliance.config.formats import prefix_parse

_MAPPED = b"\0" * 10 + b"\xff\xff"      # RFC 4291 §2.5.5.2


def address_parse(text: str) -> IPv4Address | IPv6Address:
    """Of an end of a connection.  Raises ValueError with the reason."""
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("must be an address without a zone")       # RFC 4007 §11
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        raise ValueError(f"must be written as {address.ipv4_mapped}")
    return address


def address_packed(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed if address.version == 6 else _MAPPED + address.packed


def prefix_packed(text: str) -> tuple[bytes, int] | None:
    """Address and bits; None of an empty text."""
    if not text:
        return None
    network = prefix_parse(text)
    bits = network.prefixlen + (96 if network.version == 4 else 0)
    return address_packed(network.network_address), bits
