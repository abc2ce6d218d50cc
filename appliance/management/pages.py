"""Pages of a list of servers, and the tokens that lead from one to the next (AIP-158).

A token says behind which server of which list the next page begins.  So it stays good whatever
is learned between two calls, and no page is kept for a caller who may never come back.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple


class Place(NamedTuple):
    """Where a server stands: IPv4 before IPv6, then by address, then by port."""

    version: int
    address: int
    port: int


def place_of(address: IPv4Address | IPv6Address, port: int) -> Place:
    return Place(address.version, int(address), port)


def token_write(place: Place, service: str) -> str:
    """`service` is the one that the list is of; empty: of all."""
    address = (IPv4Address if place.version == 4 else IPv6Address)(place.address)
    return urlsafe_b64encode(f"{address} {place.port} {service}".encode()).decode()


def token_read(token: str, service: str) -> Place:
    """Raises ValueError unless it is a token of that list, letter for letter."""
    try:
        address, port, _ = urlsafe_b64decode(token).decode().split(" ")
        place = place_of(ip_address(address), int(port))
    except ValueError:
        raise ValueError("is no token of a page") from None
    if token_write(place, service) != token:
        raise ValueError("is the token of another list")
    return place
