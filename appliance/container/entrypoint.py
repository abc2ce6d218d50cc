"""synproxy-entrypoint: the command that a container runs."""

import os
import sys
from pathlib import Path

import click

from appliance.cli import HELP
from appliance.config.constraints import constraint_violations
from appliance.config.rules import config_violations
from appliance.config.settings import settings_of
from appliance.config_given import config_given
from appliance.container.choices import config_surrounded
from appliance.container.surroundings import surroundings_read
from appliance.daemon import daemon_begin, refused
from appliance.exit_codes import ExitCode
from appliance.notify import say
from appliance.refusal import Refusal
from appliance.signals import signals_hold

CONFIG = Path("/etc/synproxy/synproxy.yaml")
# Where EAL makes its folder, which it takes from there as a service of systemd does.
RUNTIME = ("RUNTIME_DIRECTORY", "/run/synproxy")


@click.command(context_settings=HELP)
@click.option(
    "--config", "path", envvar="SYNPROXY_CONFIG", default=CONFIG, show_default=True,
    show_envvar=True, metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, readable=False, path_type=Path),
    help="The configuration, in YAML.",
)
@click.version_option(package_name="synproxy-appliance", prog_name="synproxyd")
def main(path: Path) -> None:
    """Run synproxyd with what its container has, where the configuration doesn't say.

    Each choice is shown with where it comes from.
    """
    # The first process of a container has no other way to hear of a signal that comes this early.
    signals_hold()
    os.environ.setdefault(*RUNTIME)
    config = config_given(path, "synproxyd")
    try:
        chosen, lines = config_surrounded(config, surroundings_read())
    except Refusal as refusal:
        refused([refusal])
    for line in lines:
        say(f"synproxyd: {line}", sys.stderr)
    violations = [*constraint_violations(chosen), *config_violations(chosen)]
    if violations:
        refused([Refusal(f"{one.path}: {one.reason}", ExitCode.INVALID) for one in violations])
    daemon_begin(config, path, settings_of(chosen))


if __name__ == "__main__":
    main()
