"""A reading as the status page's JSON: what page.js reads.

Names and numbers, and neither addresses nor prefixes: whoever can connect can read it.
"""

import json
from collections.abc import Mapping

from appliance.metrics.collector import VERSION
from appliance.metrics.reading import Reading, ServiceReading
from cython_core.dataplane import COUNTER_HELP, DPDK_VERSION, DROP_REASONS

# Of a service; its drops come besides.
_SERVICE_COUNTERS = frozenset((
    "syn_received", "cookie_valid", "server_established", "server_refused", "server_unreachable",
    "server_timeout", "syn_passed", *DROP_REASONS,
))
_PORT_FIELDS_HIDDEN = ("mac",)


def status_json(reading: Reading) -> bytes:
    return json.dumps({
        "version": VERSION,
        "dpdk": DPDK_VERSION,
        "uptime_s": reading.uptime_s,
        "generation": reading.generation,
        "ready": reading.ready,
        "draining": reading.draining,
        "workers": [
            vars(worker) | {"counters": _counted(worker.counters)} for worker in reading.workers
        ],
        "services": [_service(service) for service in reading.services],
        "leaving": [
            {"name": name, "connections": connections}
            for name, connections in reading.leaving.items()
        ],
        "ports": [
            {name: value for name, value in vars(port).items() if name not in _PORT_FIELDS_HIDDEN}
            for port in reading.ports
        ],
        "mempools": [vars(pool) for pool in reading.mempools],
    }, separators=(",", ":")).encode()


def meanings_json() -> bytes:
    """Every counter in the order of a frame's life: what it means, and whether it is a drop."""
    return json.dumps({
        name: {"meaning": meaning, "drop": name in DROP_REASONS}
        for name, meaning in COUNTER_HELP.items()
    }).encode()


def _service(service: ServiceReading) -> dict[str, object]:
    return {
        "name": service.name,
        "activation": service.activation,
        "overloaded": service.overloaded,
        "connections": service.connections,
        "counters": {
            name: count for name, count in service.counters.items() if name in _SERVICE_COUNTERS
        },
    }


def _counted(counters: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counters.items() if count}
