"""synproxy mempool list."""

import click
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.output import format_option, table_text
from appliance.cli.watch import look, watch_options


@click.group("mempool")
def command() -> None:
    """Show the pools of packet buffers."""


@command.command("list")
@watch_options()
@format_option
@click.pass_obj
def list_mempools(address: str | None, watch: bool, interval: float, output: str) -> None:
    """List the pools of packet buffers.

    LEAST FREE is the fewest buffers that were free since the start, of one look a second; CACHE is
    how many of the free ones each core may keep to itself; BYTES are those of a buffer.
    """
    with connected(address) as channel:
        stub = SystemServiceStub(channel)
        look(
            channel, lambda: stub.ListMempools(api.ListMempoolsRequest(), timeout=TIMEOUT_S),
            _text, output, interval if watch else None)


def _text(listed: api.ListMempoolsResponse) -> str:
    rows = [
        (pool.name, pool.numa_node, pool.size, pool.in_use, pool.free, pool.free_min, pool.cache,
         pool.buffer_bytes)
        for pool in listed.mempools
    ]
    head = ("MEMPOOL", "NUMA NODE", "SIZE", "IN USE", "FREE", "LEAST FREE", "CACHE", "BYTES")
    return table_text(head, rows, numbers=range(1, len(head)))
