"""synproxyd: the daemon's command line."""

import sys
from pathlib import Path

import click

from appliance.cli import HELP
from appliance.config.listening import listening_of
from appliance.config.settings import settings_of
from appliance.config_given import config_given, config_summary
from appliance.lifecycle import daemon_run
from appliance.preflight import preflight_refusals
from appliance.refusal import Refusal

_CONFIG = click.option(
    "--config", "path", required=True, metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, readable=False, path_type=Path),
    help="The configuration, in YAML.",
)


@click.group(context_settings=HELP)
@click.version_option(package_name="synproxy-appliance", prog_name="synproxyd")
def main() -> None:
    """A transparent TCP SYN proxy on DPDK."""


@main.command()
@_CONFIG
def check(path: Path) -> None:
    """Check a configuration; start nothing.  Exit code 5 where anything is wrong."""
    click.echo(config_summary(path, config_given(path, "synproxyd")))


@main.command()
@_CONFIG
def run(path: Path) -> None:
    """Run until SIGTERM or SIGINT.

    The configuration is taken again on SIGHUP, and when its file changes.
    """
    config = config_given(path, "synproxyd")
    refusals = list(preflight_refusals(settings_of(config), listening_of(config)))
    if refusals:
        _exit(refusals)
    try:
        daemon_run(config, path)
    except Refusal as refusal:
        _exit([refusal])


def _exit(refusals: list[Refusal]) -> None:
    for refusal in refusals:
        click.echo(f"synproxyd: {refusal}", err=True)
    # Where rights are missing, the rest may look different with them.
    sys.exit(max(refusal.code for refusal in refusals))


if __name__ == "__main__":
    main()
