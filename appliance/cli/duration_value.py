"""An option's duration, as people write it."""

import click
from google.protobuf.duration_pb2 import Duration

from appliance.config.duration import duration_parse


def duration_value(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> Duration | None:
    """click's callback; None where the option isn't given."""
    try:
        return duration_parse(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
