"""What is in effect: the schema's default, overlaid by `defaults`, overlaid by the service."""

from functools import cache

from google.protobuf.message import Message
from synproxy.v1.service_pb2 import ServiceOptions

from appliance.config.schema import fields_of, is_group, rule_of
from appliance.config.values import value_parse


def complete(message: Message) -> None:
    """Set every unset field to its default, in messages below as well; repeated ones stay."""
    for field in fields_of(message.DESCRIPTOR):
        rule = rule_of(field)
        value = getattr(message, field.name)
        if is_group(field):
            if not field.is_repeated and not rule.output_only:
                value.SetInParent()
                complete(value)
        elif not rule.HasField("default"):
            continue
        elif field.is_repeated:
            if not value:
                value.append(value_parse(field, rule.default))
        elif not message.HasField(field.name):
            default = value_parse(field, rule.default)
            if field.message_type is not None:
                value.CopyFrom(default)
            else:
                setattr(message, field.name, default)


def overlay(base: Message, over: Message) -> None:
    """Set in `base` what is set in `over`.

    Unlike MergeFrom, a duration replaces the other as a whole: merged, 1.5s under 2s would be
    2.5s, since their nanoseconds are a field of their own.
    """
    for field, value in over.ListFields():
        if is_group(field):
            overlay(getattr(base, field.name), value)
        elif field.message_type is not None:
            getattr(base, field.name).CopyFrom(value)
        else:
            setattr(base, field.name, value)


def effective_options(defaults: ServiceOptions, own: ServiceOptions) -> ServiceOptions:
    """Every field is set."""
    options = ServiceOptions()
    options.CopyFrom(_of_schema())
    overlay(options, defaults)
    overlay(options, own)
    return options


@cache
def _of_schema() -> ServiceOptions:
    options = ServiceOptions()
    complete(options)
    return options


def options_set(defaults: ServiceOptions, own: ServiceOptions) -> ServiceOptions:
    """What `defaults` or the service itself says."""
    options = ServiceOptions()
    overlay(options, defaults)
    overlay(options, own)
    return options
