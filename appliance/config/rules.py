"""What fields of a configuration forbid each other.

Takes configurations in which single fields may be missing or empty, since all errors are to be
told at once; what is missing is another check's to tell.
"""

from collections.abc import Iterator, Sequence

from synproxy.v1.config_pb2 import Config, Ports
from synproxy.v1.service_pb2 import Service

from appliance.config.attachment import attachment_of, port_device
from appliance.config.listening import management_violations
from appliance.config.options import complete
from appliance.config.overlap import overlap_violations
from appliance.config.violation import Violation
from cython_core.dataplane import PORT_RANGES_MAX, RULES_MAX

# What the tables and buffers take at the least: an entry of the connection table is one cache
# line, an mbuf is its header (128), headroom (128) and a frame's room (2048); so long is an early
# segment's, behind its own header.
CONNECTION_BYTES = 64
BUFFER_BYTES = 2304
EARLY_SEGMENT_BYTES = 2084
SERVER_BYTES = 34
SERVICE_BYTES = 1280        # of each worker: counters, and again for what leaves the service
MIB = 1 << 20


def config_violations(config: Config) -> Iterator[Violation]:
    whole = Config()
    whole.CopyFrom(config)
    complete(whole)
    yield from _port_violations(config.ports)
    yield from _lcore_violations(whole)
    yield from _memory_violations(whole)
    yield from _buffer_violations(whole)
    yield from management_violations(whole.management)
    yield from service_violations(config.services, whole.limits.services)


def _port_violations(ports: Ports) -> Iterator[Violation]:
    held: set[str] = set()
    for index, role in enumerate(("client", "server")):
        port = getattr(ports, role)
        attachment = port.WhichOneof("attachment")
        if attachment is None:
            continue
        if port.HasField("driver") and attachment != "interface":
            yield Violation(f"ports.{role}.driver", "goes with interface only")
        holds = attachment_of(port_device(port, index)).holds()
        for both in sorted(held & holds):
            yield Violation(f"ports.{role}.{attachment}", f"{both} is the client port already")
        held |= holds


def _lcore_violations(config: Config) -> Iterator[Violation]:
    seen: set[int] = set()
    for index, lcore in enumerate(config.workers.lcores):
        where = f"workers.lcores[{index}]"
        if lcore == config.workers.control_lcore:
            yield Violation(where, f"{lcore} is the control core; a worker needs one of its own")
        if lcore in seen:
            yield Violation(where, f"{lcore} stands twice")
        seen.add(lcore)


def _memory_violations(config: Config) -> Iterator[Violation]:
    memory, limits = config.memory, config.limits
    if limits.half_open > limits.connections:
        yield Violation(
            "limits.half_open", f"must not exceed limits.connections, {limits.connections}"
        )
    needs = _memory_needs(config)
    total_mib = memory_least_mib(config)
    if total_mib > memory.size_mib:
        yield Violation(
            max(needs, key=lambda path: needs[path]),
            "connections, buffers, early segments, servers and services take at least"
            f" {total_mib} MiB; memory.size_mib is {memory.size_mib}",
        )


def memory_least_mib(whole: Config) -> int:
    """What tables and buffers take at the least.  Every field of `whole` is set."""
    return -(-sum(_memory_needs(whole).values()) // MIB)


def _memory_needs(config: Config) -> dict[str, int]:
    """In bytes, by the field that says how many."""
    limits = config.limits
    return {
        "limits.connections": limits.connections * CONNECTION_BYTES,
        "memory.buffers": config.memory.buffers * BUFFER_BYTES,
        "limits.early_segments": limits.early_segments * EARLY_SEGMENT_BYTES,
        "limits.servers": limits.servers * SERVER_BYTES,
        "limits.services": limits.services * SERVICE_BYTES * len(config.workers.lcores),
    }


def _buffer_violations(config: Config) -> Iterator[Violation]:
    need = buffers_least(config)
    if config.memory.buffers < need:
        yield Violation(
            "memory.buffers", f"must be {need} at least, which the queues' descriptors can hold"
        )


def buffers_least(whole: Config) -> int:
    """What the queues' descriptors can hold.  Every field of `whole` is set."""
    # As many queues as workers, on both ports; what a device has more of, only it knows.
    rings = whole.ports.rx_descriptors + whole.ports.tx_descriptors
    return 2 * len(whole.workers.lcores) * rings


def service_violations(services: Sequence[Service], limit: int) -> Iterator[Violation]:
    if len(services) > limit:
        yield Violation("services", f"{len(services)} services; limits.services is {limit}")
    names: dict[str, int] = {}
    for index, service in enumerate(services):
        first = names.setdefault(service.name, index)
        if service.name and first != index:
            yield Violation(
                f"services[{index}].name", f"{service.name} is the name of services[{first}], too"
            )
        if len(service.ports) > PORT_RANGES_MAX:
            yield Violation(
                f"services[{index}].ports",
                f"{len(service.ports)} port ranges; {PORT_RANGES_MAX} are the most",
            )
    rules = sum(len(service.prefixes) * len(service.ports) for service in services)
    if rules > RULES_MAX:
        yield Violation(
            "services", f"{rules} pairs of a prefix and a port range; {RULES_MAX} are the most"
        )
    yield from overlap_violations(services)
