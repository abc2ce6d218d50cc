"""synproxy stats."""

import sys
import time
from collections import Counter

import click
from synproxy.v1 import stats_service_pb2 as api
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.output import format_option, message_text, table_text

_CLEAR = "\033[H\033[2J"    # ECMA-48 CUP and ED: home, erase


@click.command("stats")
@click.option("--watch", is_flag=True, help="Show again and again, with rates, until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True,
    help="Seconds between two looks of --watch.",
)
@format_option
@click.pass_obj
def command(address: str | None, watch: bool, interval: float, output: str) -> None:
    """Show what the workers count."""
    former: api.GetStatsResponse | None = None
    with connected(address) as channel:
        stub = StatsServiceStub(channel)
        while True:
            stats = stub.GetStats(api.GetStatsRequest(), timeout=TIMEOUT_S)
            text = message_text(stats, output) if output != "table" else _text(stats, former)
            clear = _CLEAR if watch and output == "table" and sys.stdout.isatty() else ""
            click.echo(clear + text)
            if not watch:
                return
            former = stats
            time.sleep(interval)


def _text(stats: api.GetStatsResponse, former: api.GetStatsResponse | None) -> str:
    uptime_s = stats.uptime.ToNanoseconds() // 1_000_000_000
    tables = (
        _totals(stats, former, "counters"), _totals(stats, former, "drops"),
        _workers(stats), _ports(stats), _mempools(stats), _services(stats),
    )
    return "\n\n".join((f"generation {stats.generation}, up {uptime_s} s", *filter(None, tables)))


def _totals(
    stats: api.GetStatsResponse, former: api.GetStatsResponse | None, kind: str
) -> str:
    """The counters that aren't zero, over all workers; with rates since `former`."""
    now, then = _sums(stats, kind), _sums(former, kind) if former else Counter[str]()
    passed_s = (
        (stats.uptime.ToNanoseconds() - former.uptime.ToNanoseconds()) / 1e9 if former else 0.0
    )
    head = ["COUNTER" if kind == "counters" else "DROPPED", "TOTAL"]
    rows = [[name, str(total)] for name, total in sorted(now.items()) if total]
    if passed_s:
        head.append("PER SECOND")
        for row in rows:
            row.append(f"{(now[row[0]] - then[row[0]]) / passed_s:.0f}")
    return table_text(head, rows, numbers=len(head) - 1) if rows else ""


def _sums(stats: api.GetStatsResponse, kind: str) -> Counter[str]:
    sums: Counter[str] = Counter()
    for worker in stats.workers:
        sums.update(getattr(worker, kind))
    return sums


def _workers(stats: api.GetStatsResponse) -> str:
    rows = [
        (
            worker.lcore, worker.generation,
            f"{worker.connections}/{worker.connections_max}",
            f"{worker.half_open}/{worker.half_open_max}",
            f"{100 * worker.busy_cycles / max(worker.cycles, 1):.1f}%",
        )
        for worker in stats.workers
    ]
    head = ("WORKER", "GENERATION", "CONNECTIONS", "HALF OPEN", "BUSY")
    return table_text(head, rows, numbers=4)


def _ports(stats: api.GetStatsResponse) -> str:
    rows = [
        (
            port.role, port.device, "up" if port.link_up else "down",
            port.rx_packets, port.tx_packets, port.rx_missed + port.rx_errors + port.rx_nombuf,
            port.tx_errors,
        )
        for port in stats.ports
    ]
    head = ("PORT", "DEVICE", "LINK", "RECEIVED", "SENT", "RX LOST", "TX LOST")
    return table_text(head, rows, numbers=4)


def _mempools(stats: api.GetStatsResponse) -> str:
    rows = [(pool.name, f"{pool.in_use}/{pool.size}") for pool in stats.mempools]
    return table_text(("MEMPOOL", "IN USE"), rows, numbers=1)


def _services(stats: api.GetStatsResponse) -> str:
    rows = [
        (service.name, name, total)
        for service in stats.services
        for name, total in sorted(service.counters.items())
        if total
    ]
    return table_text(("SERVICE", "COUNTER", "TOTAL"), rows, numbers=1) if rows else ""
