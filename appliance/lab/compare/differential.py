"""All scripts through the kernel and through ours, and what the rules say of the differences."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.table import Table

from appliance.lab.compare.raw import RawHosts
from appliance.lab.compare.rules import Judgement, Rule, with_later
from appliance.lab.compare.script import Performance, Script, play

SHOWN = 20          # differences that are printed at most


def compare(kernel: RawHosts, ours: RawHosts, scripts: Sequence[Script],
            rules: Sequence[Rule]) -> Judgement:
    with ThreadPoolExecutor(2) as pool:
        by_kernel, by_ours = pool.map(lambda raw: _perform(raw, scripts), (kernel, ours))
    judgement = Judgement()
    for script in scripts:
        judgement.judge(script, by_kernel[script.name].heard, by_ours[script.name].heard, rules)
    return judgement


def _perform(raw: RawHosts, scripts: Sequence[Script]) -> dict[str, Performance]:
    """What straddled an epoch is played once more: epochs are a minute long."""
    played = play(raw, scripts)
    again = [script for script in scripts if played[script.name].straddled]
    return played | play(raw, again)


def summary(judgement: Judgement) -> str:
    unexplained = {difference.script.name for difference in judgement.unexplained}
    intended = judgement.scripts - judgement.alike - len(unexplained)
    return (f"{judgement.scripts} scripts of raw segments, compared field by field with the "
            f"kernel's, each to its end: {judgement.alike} alike, {intended} unlike as "
            f"{len(judgement.applied)} rules intend, {len(unexplained)} unlike without a rule")


def show(console: Console, judgement: Judgement, rules: Sequence[Rule]) -> None:
    table = Table(title="Intended differences from the kernel", title_justify="left")
    for heading in ("rule", "scripts", "reason", "reference"):
        table.add_column(heading)
    for rule in with_later(rules):
        table.add_row(rule.name, str(judgement.applied[rule.name]), rule.reason, rule.reference)
    console.print(table)
    for rule in judgement.idle(rules):
        console.print(f"[yellow]never applied: {rule.name}[/]")
    for difference in judgement.unexplained[:SHOWN]:
        console.print(f"unexplained: {difference}", style="red", markup=False)
    console.print(f"{summary(judgement)}.")
