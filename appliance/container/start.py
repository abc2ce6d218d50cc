"""synproxyd's start with what its container has, each choice shown before it."""

import os
import sys
from pathlib import Path

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

# Where EAL makes its folder, which it takes from there as a service of systemd does.
RUNTIME = ("RUNTIME_DIRECTORY", "/run/synproxy")


def start_contained(path: Path) -> None:
    """`path` is the configuration.  Ends the program where something stands in its way."""
    os.environ.setdefault(*RUNTIME)
    config = config_given(
        path, "synproxyd", "mount its folder there, or name another by SYNPROXY_CONFIG")
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
