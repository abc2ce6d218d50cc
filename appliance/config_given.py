"""A configuration file that the command line names, for both commands."""

import os
import sys
from pathlib import Path

import click
from synproxy.v1.config_pb2 import Config

from appliance.config.load import ConfigError, config_load
from appliance.config.settings import settings_of
from appliance.exit_codes import ExitCode


def config_summary(path: Path, config: Config) -> str:
    prefixes = sum(len(service.prefixes) for service in config.services)
    workers = len(settings_of(config).worker_lcores)
    return f"{path}: ok: services {len(config.services)}, prefixes {prefixes}, workers {workers}"


def config_given(path: Path, program: str, instead: str = "name another") -> Config:
    """Ends the program, with all that is wrong on stderr, where it is no configuration or can't be
    read.  `instead` is what to do where there is no such file."""
    try:
        return config_load(path)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.INVALID)
    except OSError as error:
        code, remedy = _ending(error, instead)
        click.echo(f"{program}: {path}: can't be read: {error.strerror}{remedy}", err=True)
        sys.exit(code)


def _ending(error: OSError, instead: str) -> tuple[ExitCode, str]:
    """The exit code, and what to do, where something is known."""
    match error:
        case FileNotFoundError() | IsADirectoryError() | NotADirectoryError():
            return ExitCode.USAGE, f"; {instead}"
        case PermissionError():
            return ExitCode.DENIED, f"; let user {os.geteuid()} read it, and enter its folder"
    return ExitCode.FAILED, ""
