"""--interval, of the commands that look again and again."""

from collections.abc import Callable
from math import isnan
from typing import Any

import click
from synproxy.v1.stats_service_pb2 import WatchStatsRequest

from appliance.config.duration import NS_PER_S, duration_ns, duration_parse
from appliance.config.schema import rule_of

_RULE = rule_of(WatchStatsRequest.DESCRIPTOR.fields_by_name["interval"])
_MS_PER_S = 1000


def interval_option(words: str) -> Callable[[Any], Any]:
    """In seconds."""
    return click.option(
        "--interval", type=click.FloatRange(_RULE.min / _MS_PER_S, _RULE.max / _MS_PER_S),
        default=duration_ns(duration_parse(_RULE.default)) / NS_PER_S, show_default=True,
        callback=_seconds, help=words,
    )


def _seconds(ctx: click.Context, parameter: click.Parameter, value: float) -> float:
    if isnan(value):
        raise click.BadParameter("nan is no number of seconds")
    return value
