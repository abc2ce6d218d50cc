"""synproxy doctor: what is wrong with this host, and what to do about it."""

import sys
from pathlib import Path

import click

from appliance.cli.output import fields_text, format_option, table_text
from appliance.config.listening import listening_of
from appliance.config.settings import settings_of
from appliance.config_given import config_given
from appliance.doctor.configured import configured_findings
from appliance.doctor.finding import Finding, State
from appliance.doctor.host import host_findings


@click.command("doctor")
@click.option(
    "--config", "path", metavar="FILE",
    type=click.Path(readable=False, path_type=Path),
    help="Look at what this configuration needs, too; its daemon must not run.")
@format_option
def command(path: Path | None, output: str) -> None:
    """Find what is wrong with this host, and say what to do.

    It starts and changes nothing. Exit code 0 where nothing keeps the daemon from running, 7 where
    rights are missing, 6 where anything else is; 5 where the configuration has mistakes, 2 where
    there is none.
    """
    findings = [*host_findings(), *(_configured(path) if path else ())]
    click.echo(_text(findings, output))
    sys.exit(max(finding.code for finding in findings))


def _configured(path: Path) -> list[Finding]:
    config = config_given(path, "synproxy")
    return list(configured_findings(settings_of(config), listening_of(config)))


def _text(findings: list[Finding], output: str) -> str:
    if output == "table":
        rows = [(one.state, one.subject, one.found, one.advice) for one in findings]
        worst = sum(one.state is State.BAD for one in findings)
        notes = sum(one.state is State.NOTE for one in findings)
        last = f"{worst} bad, {notes} to note, {len(findings) - worst - notes} ok"
        return table_text(("STATE", "WHAT", "FOUND", "DO"), rows) + "\n" + last
    fields = [
        {"state": str(one.state), "subject": one.subject, "found": one.found, "advice": one.advice}
        for one in findings
    ]
    return fields_text(fields, output)
