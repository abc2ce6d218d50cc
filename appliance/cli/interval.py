"""--interval, of the commands that look again and again."""

from collections.abc import Callable
from math import isnan
from typing import Any

import click


def interval_option(words: str) -> Callable[[Any], Any]:
    return click.option(
        "--interval", type=click.FloatRange(min=0.1, max=3600), default=1.0, show_default=True,
        callback=_seconds, help=words,
    )


def _seconds(ctx: click.Context, parameter: click.Parameter, value: float) -> float:
    if isnan(value):
        raise click.BadParameter("nan is no number of seconds")
    return value
