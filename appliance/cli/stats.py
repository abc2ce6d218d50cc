"""synproxy stats."""

import sys
import time
from collections import Counter
from contextlib import suppress

import click
from synproxy.v1 import stats_service_pb2 as api
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.interval import interval_option
from appliance.cli.output import format_option, message_text, table_text
from appliance.config.duration import NS_PER_S, duration_text

_CLEAR = "\033[H\033[2J"    # ECMA-48 CUP and ED: home, erase


@click.command("stats")
@click.option("--watch", is_flag=True, help="Show again and again, with rates, until Ctrl-C.")
@interval_option("Seconds between two looks of --watch.")
@click.option("--all", "zeros", is_flag=True, help="Show what was never counted, too.")
@format_option
@click.pass_obj
def command(address: str | None, watch: bool, interval: float, zeros: bool, output: str) -> None:
    """Show what the workers count: frames by fate, and the drops by their reason.

    What was never counted is left out.  The drops stand with the most frequent first.
    """
    request = api.GetStatsRequest(meanings=output == "table")
    former: api.GetStatsResponse | None = None
    with connected(address) as channel, suppress(KeyboardInterrupt):
        stub = StatsServiceStub(channel)
        while True:
            stats = stub.GetStats(request, timeout=TIMEOUT_S)
            if output == "table":
                clear = _CLEAR if watch and sys.stdout.isatty() else ""
                click.echo(clear + _text(stats, former, zeros))
            else:
                click.echo(message_text(stats, output))
            if not watch:
                return
            former = stats
            time.sleep(interval)


def _text(
    stats: api.GetStatsResponse, former: api.GetStatsResponse | None, zeros: bool
) -> str:
    uptime = duration_text(stats.uptime.seconds * NS_PER_S)
    tables = (
        _totals(stats, former, zeros, "counters"), _totals(stats, former, zeros, "drops"),
        _workers(stats), _ports(stats), _mempools(stats), _cookies(stats),
        _services(stats),
    )
    return "\n\n".join((f"generation {stats.generation}, up {uptime}", *filter(None, tables)))


def _totals(
    stats: api.GetStatsResponse, former: api.GetStatsResponse | None, zeros: bool, kind: str
) -> str:
    """Over all workers: the counters in the daemon's order, or the drops by their number; with
    rates since `former`."""
    now, then = _sums(stats, kind), _sums(former, kind) if former else Counter[str]()
    meanings = {one.name: one.meaning for one in stats.meanings}
    order = {name: at for at, name in enumerate(meanings)}
    names = sorted(
        (name for name in now if now[name] or zeros),
        key=lambda name: (-now[name] if kind == "drops" else 0, order.get(name, len(order)), name),
    )
    if not names:
        return "nothing was dropped" if kind == "drops" else "no frame has come yet"
    passed_s = _passed_s(stats, former)
    rows = [
        (
            name, now[name],
            *([f"{(now[name] - then[name]) / passed_s:.0f}"] if passed_s else []),
            meanings.get(name, ""),
        )
        for name in names
    ]
    head = ("COUNTER" if kind == "counters" else "DROPPED", "TOTAL",
            *(["PER SECOND"] if passed_s else []), "MEANING")
    return table_text(head, rows, numbers=range(1, len(head) - 1), prose=True)


def _passed_s(stats: api.GetStatsResponse, former: api.GetStatsResponse | None) -> float:
    """Seconds between the two; 0 where there are no two of one daemon's life."""
    if former is None:
        return 0.0
    return max(stats.uptime.ToNanoseconds() - former.uptime.ToNanoseconds(), 0) / 1e9


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
    return table_text(head, rows, numbers=range(len(head) - 4, len(head)))


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
    return table_text(head, rows, numbers=range(len(head) - 4, len(head)))


def _mempools(stats: api.GetStatsResponse) -> str:
    rows = [(pool.name, f"{pool.in_use}/{pool.size}") for pool in stats.mempools]
    return table_text(("MEMPOOL", "IN USE"), rows, numbers=(1,))


def _cookies(stats: api.GetStatsResponse) -> str:
    rows = [
        (
            service.name, "on" if service.cookies else "off",
            f"{duration_text(service.cookies_age.seconds * NS_PER_S)} ago"
            if service.HasField("cookies_age") else "start",
        )
        for service in stats.services
    ]
    return table_text(("SERVICE", "COOKIES", "SINCE"), rows) if rows else ""


def _services(stats: api.GetStatsResponse) -> str:
    rows = [
        (service.name, name, total)
        for service in stats.services
        for name, total in sorted(service.counters.items())
        if total
    ]
    return table_text(("SERVICE", "COUNTER", "TOTAL"), rows, numbers=(2,)) if rows else ""
