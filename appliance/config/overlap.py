"""Two services may not have the same prefix and a port in common: neither would come first.

One prefix inside another is no overlap, since the longer one wins.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from synproxy.v1.service_pb2 import Service

from appliance.config.formats import Network, port_range_parse, prefix_parse
from appliance.config.violation import Violation

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, order=True)
class _Range:
    """A port range of a service; `path` says where it stands, or the prefix that it is on."""

    low: int
    high: int
    service: int
    path: str


def overlap_violations(services: Sequence[Service]) -> Iterator[Violation]:
    on_prefix: defaultdict[Network, list[_Range]] = defaultdict(list)
    for index, service in enumerate(services):
        ranges = [
            _Range(low, high, index, f"services[{index}].ports[{at}]")
            for at, (low, high) in _readable(port_range_parse, service.ports)
        ]
        for former, later in _intersections(ranges):
            yield Violation(later.path, f"{_words(later)} overlaps {_words(former)}")
        seen: set[Network] = set()
        for at, network in _readable(prefix_parse, service.prefixes):
            path = f"services[{index}].prefixes[{at}]"
            if network in seen:
                yield Violation(path, f"{network} stands twice")
                continue
            seen.add(network)
            on_prefix[network] += (_Range(r.low, r.high, index, path) for r in ranges)
    for network, ranges in on_prefix.items():
        yield from _shared(network, ranges, services)


def _shared(
    network: Network, ranges: list[_Range], services: Sequence[Service]
) -> Iterator[Violation]:
    told: set[tuple[int, int]] = set()
    for pair in _intersections(ranges):
        former, later = sorted(pair, key=lambda r: r.service)
        if former.service == later.service or (former.service, later.service) in told:
            continue
        told.add((former.service, later.service))
        low, high = max(former.low, later.low), min(former.high, later.high)
        owner = services[former.service].name or f"services[{former.service}]"
        ports = _words(_Range(low, high, 0, ""))
        yield Violation(later.path, f"{network} with port {ports} belongs to {owner} already")


def _intersections(ranges: list[_Range]) -> Iterator[tuple[_Range, _Range]]:
    """Each range that begins inside another, behind the one that reaches furthest."""
    furthest: _Range | None = None
    for one in sorted(ranges):
        if furthest is not None and one.low <= furthest.high:
            yield furthest, one
        if furthest is None or one.high > furthest.high:
            furthest = one


def _readable(parse: Callable[[str], Parsed], texts: Sequence[str]) -> Iterator[tuple[int, Parsed]]:
    """What parses, with its index; what doesn't is told elsewhere."""
    for at, text in enumerate(texts):
        try:
            yield at, parse(text)
        except ValueError:
            continue


def _words(ports: _Range) -> str:
    return str(ports.low) if ports.low == ports.high else f"{ports.low}-{ports.high}"
