"""What may stand at a place of the command line, for the shells' completion.

Nothing here may speak up: a shell that is waiting for a word has no place for messages.
"""

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem
from google.protobuf.descriptor import FieldDescriptor
from synproxy.v1 import stats_service_pb2 as api
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.cli import TLS_FILES
from appliance.cli.connection import connected
from appliance.cli.options import RESET, option_fields
from appliance.config.schema import enum_words, field_words
from appliance.worker_events import WORKER_EVENTS

# Whoever has pressed Tab waits for it.
DEADLINE_S = 0.25


def service_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """As the daemon has them; none where it doesn't answer in time."""
    # Of the commands on the line none has run, main neither.
    root = ctx.find_root().params
    ctx.meta[TLS_FILES] = tuple(root.get(name) for name in ("tls_ca", "tls_cert", "tls_key"))
    try:
        with ctx.scope(cleanup=False), connected(root.get("address")) as channel:
            # Of 10,000 services this takes 0.1 s, and a list of them 0.5 s.
            stats = StatsServiceStub(channel).GetStats(api.GetStatsRequest(), timeout=DEADLINE_S)
    except (click.UsageError, SystemExit):
        return []
    return sorted(
        service.name for service in stats.services if service.name.startswith(incomplete))


def event_reasons(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem[str]]":
    """Of what `event watch` tells."""
    from cython_core.dataplane import EVENT_REASONS

    return _meant((*EVENT_REASONS, *WORKER_EVENTS), incomplete)


def drop_reasons(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem[str]]":
    """Of what `capture` asks for."""
    from cython_core.dataplane import CAPTURE_REASONS

    return _meant(CAPTURE_REASONS, incomplete)


def _meant(names: Iterable[str], incomplete: str) -> "list[CompletionItem[str]]":
    # The data plane's, which other commands start without.
    from cython_core.dataplane import COUNTER_HELP

    meanings = {**COUNTER_HELP, **WORKER_EVENTS}
    return [CompletionItem(name, help=meanings[name])
            for name in names if name.startswith(incomplete)]


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
