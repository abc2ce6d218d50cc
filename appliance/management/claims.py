"""Which service has which ports of which prefix: what a new one is held against.

Kept up to date with each change, so that a check costs what the changed service has, and not what
all others have.
"""

from collections import defaultdict
from collections.abc import Iterator

from synproxy.v1.service_pb2 import Service

from appliance.config.formats import Network, port_range_parse, prefix_parse
from appliance.config.violation import Violation


class Claims:
    def __init__(self) -> None:
        self._claims: defaultdict[Network, list[tuple[int, int, str]]] = defaultdict(list)

    def add(self, service: Service) -> None:
        ranges = [(*port_range_parse(ports), service.name) for ports in service.ports]
        for prefix in service.prefixes:
            self._claims[prefix_parse(prefix)] += ranges

    def remove(self, service: Service) -> None:
        for network in map(prefix_parse, service.prefixes):
            left = [claim for claim in self._claims[network] if claim[2] != service.name]
            if left:
                self._claims[network] = left
            else:
                del self._claims[network]

    def violations(self, service: Service) -> Iterator[Violation]:
        """Where `service`, whose own fields are in order, claims what another one has."""
        ranges = [port_range_parse(ports) for ports in service.ports]
        for at, network in enumerate(map(prefix_parse, service.prefixes)):
            for low, high, owner in self._claims.get(network, ()):
                shared = [(max(low, first), min(high, last)) for first, last in ranges
                          if first <= high and low <= last]
                if shared and owner != service.name:
                    first, last = shared[0]
                    ports = str(first) if first == last else f"{first}-{last}"
                    yield Violation(
                        f"service.prefixes[{at}]",
                        f"{network} with port {ports} belongs to {owner} already",
                    )
