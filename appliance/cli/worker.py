"""synproxy worker list."""

import click
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.output import format_option, table_text
from appliance.cli.watch import look, watch_options

RATES_S = 10        # the window that rates are shown of


@click.group("worker")
def command() -> None:
    """Show the workers."""


@command.command("list")
@watch_options()
@format_option
@click.pass_obj
def list_workers(address: str | None, watch: bool, interval: float, output: str) -> None:
    """List the workers and how busy each is.

    BUSY is the share of its time in turns that had frames, or timers due, over the last 1, 10 and
    60 s; all else is polling, so that `top` shows 100 % always.  TURNS/S, FRAMES/S and BURST, the
    mean number of frames taken at once, are of the last 10 s.  So are SHARE, the worker's part of
    all frames, and IN/S and OUT/S: those that other workers handed over, since it owns their flows,
    and those that it handed over to them.  VECTOR is the set of instructions that bursts are hashed
    and verified with.
    """
    with connected(address) as channel:
        stub = SystemServiceStub(channel)
        look(
            channel, lambda: stub.ListWorkers(api.ListWorkersRequest(), timeout=TIMEOUT_S),
            _text, output, interval if watch else None)


def _text(listed: api.ListWorkersResponse) -> str:
    windows = [load.window.seconds for load in listed.workers[0].loads]
    head = ("LCORE", "THREAD", *(f"BUSY {window}s" for window in windows), "TURNS/S", "FRAMES/S",
            "BURST", "SHARE", "IN/S", "OUT/S", "CONNECTIONS", "GENERATION", "VECTOR")
    rows = [_row(worker) for worker in listed.workers]
    return table_text(head, rows, numbers=range(len(head) - 1))


def _row(worker: api.WorkerState) -> tuple[object, ...]:
    (rates,) = [load for load in worker.loads if load.window.seconds == RATES_S]
    return (
        worker.lcore, worker.thread_id, *(f"{100 * load.busy:.1f}%" for load in worker.loads),
        f"{rates.turns_per_second:.0f}", f"{rates.frames_per_second:.0f}",
        f"{rates.frames_per_burst:.1f}", f"{100 * rates.share:.1f}%",
        f"{rates.handed_in_per_second:.0f}", f"{rates.handed_out_per_second:.0f}",
        f"{worker.tables.connections}/{worker.tables.connections_max}", worker.generation,
        worker.vector,
    )
