"""synproxyd: the daemon's command line."""

import sys
from pathlib import Path
from typing import NoReturn

import click
from synproxy.v1.config_pb2 import Config

from appliance.cli import HELP
from appliance.config.listening import listening_of
from appliance.config.settings import settings_of
from appliance.config_given import config_given, config_summary
from appliance.host.capabilities import capabilities_take
from appliance.lifecycle import daemon_run
from appliance.preflight import preflight_refusals
from appliance.refusal import Refusal
from cython_core.dataplane import Settings

_CONFIG = click.option(
    "--config", "path", required=True, metavar="FILE",
    type=click.Path(readable=False, path_type=Path),
    help="The configuration, in YAML.",
)


@click.group(context_settings=HELP)
@click.version_option(package_name="synproxy-appliance", prog_name="synproxyd")
def main() -> None:
    """A transparent TCP SYN proxy on DPDK."""


@main.command()
@_CONFIG
def check(path: Path) -> None:
    """Check a configuration; start nothing.  Exit code 5 where anything in it is wrong."""
    click.echo(config_summary(path, config_given(path, "synproxyd")))


@main.command()
@_CONFIG
def run(path: Path) -> None:
    """Run until SIGTERM or SIGINT.

    The configuration is taken again on SIGHUP, and when its file changes.
    """
    config = config_given(path, "synproxyd")
    daemon_begin(config, path, settings_of(config))


def daemon_begin(config: Config, path: Path, settings: Settings) -> None:
    """`path` is where `config` was read, `settings` are its, or those of a container with it.
    Ends the program where the host can't run it."""
    capabilities_take()
    refusals = list(preflight_refusals(settings, listening_of(config)))
    if refusals:
        refused(refusals)
    try:
        daemon_run(config, path, settings)
    except Refusal as refusal:
        refused([refusal])


def refused(refusals: list[Refusal]) -> NoReturn:
    for refusal in refusals:
        click.echo(f"synproxyd: {refusal}", err=True)
    # Where rights are missing, the rest may look different with them.
    sys.exit(max(refusal.code for refusal in refusals))


if __name__ == "__main__":
    main()
