"""synproxy stats."""

from collections import defaultdict

import click
from synproxy.v1 import stats_service_pb2 as api
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.cli.complete import service_names
from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.interrupt import until_ctrl_c
from appliance.cli.output import format_option, message_text, table_text
from appliance.cli.watch import screen_clear, watch_options
from appliance.config.duration import NS_PER_S, duration_text


@click.command("stats")
@watch_options("Show again and again, with rates, until Ctrl-C.")
@click.option("--service", "services", multiple=True, metavar="NAME", shell_complete=service_names,
              help="Of the services, only this one.  May be given again.")
@click.option("--all", "zeros", is_flag=True, help="Show what was never counted, too.")
@format_option
@click.pass_obj
def command(
    address: str | None, watch: bool, interval: float, services: tuple[str, ...], zeros: bool,
    output: str,
) -> None:
    """Show what the workers count: frames by fate, and the drops by their reason.

    What was never counted is left out.  The drops stand with the most frequent first.  With
    --watch, json and yaml are a message for each look, and tell of the services whose numbers have
    changed, or that have gone.
    """
    with connected(address) as channel:
        stub = StatsServiceStub(channel)
        if not watch:
            stats = stub.GetStats(
                api.GetStatsRequest(meanings=output == "table", services=services),
                timeout=TIMEOUT_S)
            click.echo(_text(stats, zeros) if output == "table" else message_text(stats, output))
            return
        request = api.WatchStatsRequest(services=services)
        request.interval.FromMilliseconds(round(interval * 1000))
        with until_ctrl_c(channel):
            if output == "table":
                _watch(stub, request, zeros)
            else:
                for sample in stub.WatchStats(request):
                    click.echo(message_text(sample, output))


def _watch(stub: StatsServiceStub, request: api.WatchStatsRequest, zeros: bool) -> None:
    meanings = stub.GetStats(api.GetStatsRequest(meanings=True), timeout=TIMEOUT_S).meanings
    known: dict[str, api.ServiceStats] = {}
    for sample in stub.WatchStats(request):
        for service in known.values():
            service.rates.clear()       # a service that rests isn't told of
        for name in sample.gone:
            known.pop(name, None)
        known.update((service.name, service) for service in sample.stats.services)
        stats = api.GetStatsResponse()
        stats.CopyFrom(sample.stats)
        stats.ClearField("services")
        stats.services.extend(known.values())
        stats.meanings.extend(meanings)
        click.echo(screen_clear() + _text(stats, zeros, sample.HasField("period")))
        if sample.lost:
            click.echo(f"\n{sample.lost} samples were lost: this reader is too slow")


def _text(stats: api.GetStatsResponse, zeros: bool, rates: bool = False) -> str:
    uptime = duration_text(stats.uptime.seconds * NS_PER_S)
    tables = (
        _totals(stats, zeros, rates, "counters"), _totals(stats, zeros, rates, "drops"),
        _workers(stats, rates), _ports(stats), _mempools(stats), _cookies(stats),
        _services(stats, rates),
    )
    return "\n\n".join((f"generation {stats.generation}, up {uptime}", *filter(None, tables)))


def _totals(stats: api.GetStatsResponse, zeros: bool, rates: bool, kind: str) -> str:
    """Over all workers: the counters in the daemon's order, or the drops by their number."""
    now = _sums(stats, kind)
    growing = _sums(stats, "rates")
    meanings = {one.name: one.meaning for one in stats.meanings}
    order = {name: at for at, name in enumerate(meanings)}
    names = sorted(
        (name for name in now if now[name] or zeros),
        key=lambda name: (-now[name] if kind == "drops" else 0, order.get(name, len(order)), name),
    )
    if not names:
        return "nothing was dropped" if kind == "drops" else "no frame has come yet"
    rows = [
        (
            name, f"{now[name]:.0f}", *([f"{growing[name]:.0f}"] if rates else []),
            meanings.get(name, ""),
        )
        for name in names
    ]
    head = ("COUNTER" if kind == "counters" else "DROPPED", "TOTAL",
            *(["PER SECOND"] if rates else []), "MEANING")
    return table_text(head, rows, numbers=range(1, len(head) - 1), prose=True)


def _sums(stats: api.GetStatsResponse, kind: str) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for worker in stats.workers:
        for name, count in getattr(worker, kind).items():
            sums[name] += count
    return sums


def _workers(stats: api.GetStatsResponse, rates: bool) -> str:
    rows = [
        (
            worker.lcore, worker.generation,
            f"{worker.connections}/{worker.connections_max}",
            f"{worker.half_open}/{worker.half_open_max}",
            f"{100 * _busy(worker, rates):.1f}%",
        )
        for worker in stats.workers
    ]
    head = ("WORKER", "GENERATION", "CONNECTIONS", "HALF OPEN", "BUSY")
    return table_text(head, rows, numbers=range(len(head) - 4, len(head)))


def _busy(worker: api.WorkerStats, rates: bool) -> float:
    """Since the sample before, or since the start."""
    return worker.busy_share if rates else worker.busy_cycles / max(worker.cycles, 1)


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


def _services(stats: api.GetStatsResponse, rates: bool) -> str:
    rows = [
        (
            service.name, name, total,
            *([f"{service.rates.get(name, 0):.0f}"] if rates else []),
        )
        for service in stats.services
        for name, total in sorted(service.counters.items())
        if total
    ]
    head = ("SERVICE", "COUNTER", "TOTAL", *(["PER SECOND"] if rates else []))
    return table_text(head, rows, numbers=range(2, len(head))) if rows else ""
