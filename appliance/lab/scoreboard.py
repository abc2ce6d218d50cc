"""What a demonstration showed, as tables: what clients met, and where the SYNs ended."""

from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from appliance.lab.flood import Score
from appliance.lab.report import Report

NOT_APPLICABLE = "-"


@dataclass
class Phase:
    """One stretch of the demonstration."""

    name: str
    proxied: bool
    client: Report
    flood: Score | None         # None where it was quiet
    server_frames: int          # that reached the server's interface
    server_answers: int         # the server's own SYN cookies
    counters: Counter[str]      # synproxyd's, gained meanwhile; empty where it didn't run
    drops: Counter[str]

    @property
    def served(self) -> bool:
        """Every request that the client made was answered."""
        return 0 < self.client.attempted == self.client.succeeded


def show(console: Console, phases: list[Phase]) -> None:
    console.print(clients_table(phases))
    console.print(floods_table([phase for phase in phases if phase.flood]))


def clients_table(phases: list[Phase]) -> Table:
    table = Table(title="What a real client met", title_justify="left")
    table.add_column("phase")
    for heading in ("requests", "served", "median ms", "p99 ms", "max ms"):
        table.add_column(heading, justify="right")
    for phase in phases:
        client = phase.client
        style = "green" if phase.served else "red"
        table.add_row(phase.name, _count(client.attempted),
                      f"[{style}]{_share(client)}[/]",
                      _ms(client.median_ms), _ms(client.p99_ms), _ms(client.max_ms))
    return table


def floods_table(phases: list[Phase]) -> Table:
    table = Table(title="Where the SYNs ended", title_justify="left")
    table.add_column("")
    for phase in phases:
        table.add_column(phase.name, justify="right")
    rows = {
        "SYNs sent": [_count(_sent(phase)) for phase in phases],
        "  a second": [_count(phase.flood.pps if phase.flood else 0) for phase in phases],
        "frames at the server": [_count(phase.server_frames) for phase in phases],
        "SYN cookies by the server": [
            NOT_APPLICABLE if phase.proxied else _count(phase.server_answers) for phase in phases],
        "SYN-ACKs by synproxyd": [_proxied(phase, "synack_sent") for phase in phases],
        "valid cookies back": [_proxied(phase, "cookie_valid") for phase in phases],
        **_drop_rows(phases),
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _drop_rows(phases: list[Phase]) -> dict[str, list[str]]:
    reasons = sorted({reason for phase in phases for reason in +phase.drops})
    if not reasons:
        return {"dropped": [_drop(phase, "") for phase in phases]}
    return {f"dropped: {reason}": [_drop(phase, reason) for phase in phases]
            for reason in reasons}


def _drop(phase: Phase, reason: str) -> str:
    return _count(phase.drops[reason]) if phase.proxied else NOT_APPLICABLE


def _proxied(phase: Phase, counter: str) -> str:
    return _count(phase.counters[counter]) if phase.proxied else NOT_APPLICABLE


def _sent(phase: Phase) -> int:
    return phase.flood.sent if phase.flood else 0


def _count(value: int) -> str:
    return f"{value:,}"


def _share(client: Report) -> str:
    return f"{client.succeeded / client.attempted:.1%}" if client.attempted else "none"


def _ms(value: float | None) -> str:
    return NOT_APPLICABLE if value is None else f"{value:.2f}"
