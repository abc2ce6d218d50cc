"""Options whose range and default are those of a field of the API."""

from collections.abc import Callable
from typing import Any

import click
from google.protobuf.descriptor import FieldDescriptor

from appliance.config.schema import rule_of


def number_option(*names: str, field: FieldDescriptor, words: str) -> Callable[[Any], Any]:
    rule = rule_of(field)
    default = int(rule.default) if rule.HasField("default") else None
    return click.option(
        *names, type=click.IntRange(rule.min, rule.max), default=default,
        show_default=default is not None, help=words)
