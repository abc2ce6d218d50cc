"""synproxy-entrypoint: the command that a container runs."""

from pathlib import Path

import click

from appliance.cli import HELP
from appliance.signals import signals_hold

CONFIG = Path("/etc/synproxy/synproxy.yaml")


@click.command(context_settings=HELP)
@click.option(
    "--config", "path", envvar="SYNPROXY_CONFIG", default=CONFIG, show_default=True,
    show_envvar=True, metavar="FILE",
    type=click.Path(readable=False, path_type=Path),
    help="The configuration, in YAML.",
)
@click.version_option(package_name="synproxy-appliance", prog_name="synproxyd")
def main(path: Path) -> None:
    """Run synproxyd with what its container has, where the configuration doesn't say.

    Each choice is shown with where it comes from.
    """
    # To the first process of a container a signal is lost that nobody has asked for yet, so that
    # the rest is imported behind it.
    signals_hold()
    from appliance.container.start import start_contained

    start_contained(path)


if __name__ == "__main__":
    main()
