"""Services drawn at random, and who among them has an address and a port, by plain dicts.

Their prefixes lie in each other, and several share one by their ports.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from synproxy.v1.service_pb2 import Service

LENGTHS = {4: (16, 20, 24, 28, 30, 32), 6: (32, 48, 56, 64, 96, 128)}
BASES = {4: ip_network("11.0.0.0/8"), 6: ip_network("2001:db8::/29")}
FAMILIES = (4, 4, 4, 6)     # in these shares a request takes 100,000 services (bounds.py)
PORTS_OF_RANGE = 100
RANGES = 20             # by which a prefix may be shared
TRIES = 100             # at an address that no longer prefix has

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Probe:
    """A SYN's destination; `service` is None where nobody has it."""

    address: Address
    port: int
    service: str | None


class Oracle:
    """From the longest prefix on, the first that has the port."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._names: dict[tuple[int, int, int, int], str] = {}
        for one in services:
            network, low = place(one)
            self._names[key(network.network_address, network.prefixlen, low)] = one.name

    def find(self, address: Address, port: int) -> str | None:
        low = port // PORTS_OF_RANGE * PORTS_OF_RANGE
        for bits in reversed(LENGTHS[address.version]):
            if name := self._names.get(key(address, bits, low)):
                return name
        return None


def key(address: Address, bits: int, low: int) -> tuple[int, int, int, int]:
    return address.version, bits, int(address) >> address.max_prefixlen - bits, low


def place(service: Service) -> tuple[Network, int]:
    """Its prefix, and the first of its ports."""
    return ip_network(service.prefixes[0]), int(service.ports[0].split("-")[0])


def services_drawn(count: int) -> list[Service]:
    """The same each time."""
    draw, taken = random.Random(1), {}
    while len(taken) < count:
        address = address_in(draw, BASES[draw.choice(FAMILIES)])
        network = ip_network((address, draw.choice(LENGTHS[address.version])), strict=False)
        low = PORTS_OF_RANGE * draw.randrange(1, RANGES + 1)
        taken.setdefault((network, low), f"s{len(taken)}")
    return [Service(name=name, prefixes=[str(network)],
                    ports=[f"{low}-{low + PORTS_OF_RANGE - 1}"])
            for (network, low), name in taken.items()]


def probes(services: Sequence[Service], oracle: Oracle) -> list[Probe]:
    """One to each service, and as many at random."""
    draw = random.Random(2)
    return [made for one in services for made in (own(draw, one, oracle), stray(draw, oracle))]


def own(draw: random.Random, service: Service, oracle: Oracle) -> Probe:
    network, low = place(service)
    for _ in range(TRIES):
        address, port = address_in(draw, network), low + draw.randrange(PORTS_OF_RANGE)
        if oracle.find(address, port) == service.name:
            return Probe(address, port, service.name)
    raise RuntimeError(f"longer prefixes hide {service.name}")


def stray(draw: random.Random, oracle: Oracle) -> Probe:
    address = address_in(draw, BASES[draw.choice((4, 6))])
    port = draw.randrange(1, PORTS_OF_RANGE * (RANGES + 2))
    return Probe(address, port, oracle.find(address, port))


def address_in(draw: random.Random, network: Network) -> Address:
    return network[draw.randrange(network.num_addresses)]
