"""What may stand at a place of the command line, for the shells' completion.

Nothing here may speak up: a shell that is waiting for a word has no place for messages.
"""

import click
from click.shell_completion import CompletionItem
from google.protobuf.descriptor import FieldDescriptor
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.cli import TLS_FILES
from appliance.cli.connection import connected
from appliance.cli.options import RESET, option_fields
from appliance.config.schema import enum_words, field_words

# Whoever has pressed Tab waits for it.
DEADLINE_S = 0.25


def service_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem[str]]":
    """As the daemon has them; none where it doesn't answer in time."""
    # Of the commands on the line none has run, main neither.
    root = ctx.find_root().params
    ctx.meta[TLS_FILES] = tuple(root.get(name) for name in ("tls_ca", "tls_cert", "tls_key"))
    try:
        with ctx.scope(cleanup=False), connected(root.get("address")) as channel:
            listed = ServicesServiceStub(channel).ListServices(
                api.ListServicesRequest(), timeout=DEADLINE_S)
    except (click.UsageError, SystemExit):
        return []
    return [
        CompletionItem(service.name, help=" ".join(service.prefixes[:1]))
        for service in listed.services if service.name.startswith(incomplete)
    ]


def assignments(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem[str]]":
    """ "mss=" for "m", "sack=true" for "sack=t"; no option that is on the line already."""
    path, equals, text = incomplete.partition("=")
    fields = dict(option_fields())
    if equals:
        words = _value_words(fields[path]) if path in fields else []
        return [CompletionItem(f"{path}={word}") for word in words if word.startswith(text)]
    given = {one.partition("=")[0] for one in ctx.params.get("assignments") or ()}
    return [
        CompletionItem(f"{name}=", help=field_words(field))
        for name, field in fields.items() if name.startswith(path) and name not in given
    ]


def _value_words(field: FieldDescriptor) -> list[str]:
    """Those that can be listed."""
    if field.enum_type is not None:
        return [*enum_words(field.enum_type), RESET]
    if field.type == FieldDescriptor.TYPE_BOOL:
        return ["true", "false", RESET]
    return [RESET]
