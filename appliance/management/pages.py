"""The pages of a list (AIP-158): how long they are, how tokens lead from one to the next, and of
servers which.

A token says behind which server of which list the next page begins.  So it stays good whatever
is learned between two calls, and no page is kept for a caller who may never come back.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from appliance.config.violation import Violation

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1000        # a few milliseconds in which no other call is answered


def page_size(asked: int) -> int:
    """`asked` is the request's page_size, and has no violations."""
    return min(asked or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)


def page_size_violations(asked: int) -> Iterator[Violation]:
    if asked < 0:
        yield Violation("page_size", f"must not be negative, as {asked} is")


def token_join(*words: object) -> str:
    return urlsafe_b64encode(" ".join(map(str, words)).encode()).decode()


def token_split(token: str) -> list[str]:
    """Raises ValueError where it can be none."""
    return urlsafe_b64decode(token).decode().split(" ")


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
    return token_join(address, place.port, service)


def token_read(token: str, service: str) -> Place:
    """Raises ValueError unless it is a token of that list, letter for letter."""
    try:
        address, port, _ = token_split(token)
        place = place_of(ip_address(address), int(port))
    except ValueError:
        raise ValueError("is no token of a page") from None
    if token_write(place, service) != token:
        raise ValueError("is the token of another list")
    return place
