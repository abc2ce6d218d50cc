"""synproxy explain: what a setting, message, method or counter means, in its own words."""

from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import click
from google.protobuf.descriptor_pool import Default
from synproxy.v1 import config_pb2, service_pb2

from appliance.cli.comments import PACKAGE, schema_comments, schema_files, type_word
from appliance.cli.counted import counted_lines, counted_names
from appliance.config.schema import enum_prefix, fields_of, is_group
from appliance.exit_codes import ExitCode
from appliance.management.roles import declared_role, role_word

_INDENT = "  "


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Fields of the API's messages only behind their message's name: they are hundreds."""
    dotted = incomplete.replace("/", ".")
    parts = [name.removeprefix(f"{PACKAGE}.") for name in _declared()]
    if "." in dotted:
        parts += [name.removeprefix(f"{PACKAGE}.") for name in schema_comments()
                  if name.startswith(f"{PACKAGE}.{dotted}")]
    else:
        parts = [name for name in parts if "." not in name]
    if "/" in incomplete:
        parts = [incomplete + name[len(dotted):] for name in parts if name.startswith(dotted)]
    known = (
        *dict(settings_paths()), *dict(settings_paths(service_pb2.ServiceOptions.DESCRIPTOR)),
        *counted_names(), *_methods(), *parts)
    # unknown_rate is an option, and what it drops.
    return [name for name in dict.fromkeys(known) if name.startswith(incomplete)]


@click.command("explain")
@click.argument("name", required=False, shell_complete=_names)
def command(name: str | None) -> None:
    """Say what a setting, method or counter means.

    NAME is a path of the configuration file ("limits.half_open", "services.options.mss"), the
    option of a service ("mss"), a method or message of the API ("UpdateService",
    "ServicesService/UpdateService", "ListServersRequest"), a counter or drop reason of
    `synproxy stats` ("cookie_valid", "unknown_rate"), or an event ("worker_stalled"). Without one:
    the sections of the file, and the API's services.
    """
    if name is None:
        click.echo("\n".join(_overview()))
        return
    full_name = _found(name)
    # unknown_rate is an option, and what it drops.
    parts = [list(_explained(full_name))] if full_name else []
    parts += [counted_lines(name)] if name in counted_names() else []
    if not parts:
        click.echo(f"synproxy: {name} is no setting, method or counter{_near(name)}", err=True)
        raise SystemExit(ExitCode.NOT_FOUND)
    click.echo("\n\n".join("\n".join(lines) for lines in parts))


def settings_paths(kind: Any = config_pb2.Config.DESCRIPTOR, path: str = "") -> Iterator[
    tuple[str, str]
]:
    """Each path of the configuration file, with its field's full name."""
    for field in fields_of(kind):
        where = f"{path}.{field.name}" if path else field.name
        yield where, field.full_name
        if is_group(field):
            yield from settings_paths(field.message_type, where)


def _found(name: str) -> str | None:
    """The full name that is meant."""
    paths = dict(settings_paths())
    options = dict(settings_paths(service_pb2.ServiceOptions.DESCRIPTOR))
    # The log has methods as gRPC does, "synproxy.v1.ServicesService/UpdateService".
    dotted = name.replace("/", ".")
    known = {f"{PACKAGE}.{dotted}", dotted} & {*schema_comments(), *_declared()}
    return (
        paths.get(name) or options.get(name)
        or (min(known, key=len) if known else _methods().get(name)))


def _near(name: str) -> str:
    short = [known.removeprefix(f"{PACKAGE}.") for known in (*_declared(), *schema_comments())]
    near = get_close_matches(
        name, [*dict(settings_paths()), *short, *_methods(), *counted_names()], n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else "; `synproxy explain` lists its parts"


def _declared() -> Iterator[str]:
    """Services, methods and messages, whether commented or not."""
    for file in schema_files().values():
        yield from (f"{file.package}.{message.name}" for message in file.message_type)
        for service in file.service:
            yield f"{file.package}.{service.name}"
            for method in service.method:
                yield f"{file.package}.{service.name}.{method.name}"


def _methods() -> dict[str, str]:
    """Their full names by their own: no two services have one of the same name."""
    return {
        method.name: f"{file.package}.{service.name}.{method.name}"
        for file in schema_files().values() for service in file.service
        for method in service.method
    }


def _overview() -> Iterator[str]:
    yield "The configuration file:"
    for field in fields_of(config_pb2.Config.DESCRIPTOR):
        yield f"{_INDENT}{field.name:<12}{_first_sentence(field)}".rstrip()
    yield ""
    yield "The API:"
    for file in schema_files().values():
        for service in file.service:
            methods = ", ".join(method.name for method in service.method)
            yield f"{_INDENT}{service.name}: {methods}"


def _first_sentence(field: Any) -> str:
    comments = schema_comments()
    comment = comments.get(field.full_name) or comments.get(field.message_type.full_name, "")
    text = " ".join(comment.split())
    sentence, stop, _ = text.partition(". ")
    return sentence + stop.strip()


def _explained(full_name: str) -> Iterator[str]:
    yield full_name.removeprefix(f"{PACKAGE}.")
    yield from _comment(full_name)
    pool: Any = Default()
    for find, parts in (
        (pool.FindMessageTypeByName, _of_message), (pool.FindFieldByName, _of_field),
        (pool.FindServiceByName, _of_service), (pool.FindMethodByName, _of_method),
    ):
        with suppress(KeyError):
            yield from parts(find(full_name))


def _comment(full_name: str) -> Iterator[str]:
    for line in schema_comments().get(full_name, "").splitlines():
        yield f"{_INDENT}{line}".rstrip()


def _of_message(message: Any) -> Iterator[str]:
    for field in fields_of(message):
        yield from ("", f"{field.name}: {type_word(field)}")
        yield from _comment(field.full_name)


def _of_field(field: Any) -> Iterator[str]:
    yield f"{_INDENT}Type: {type_word(field)}."
    if field.enum_type is not None:
        for value in field.enum_type.values[1:]:
            yield from ("", value.name.removeprefix(enum_prefix(field.enum_type)))
            yield from _comment(f"{field.enum_type.full_name}.{value.name}")
    elif is_group(field):
        yield from _of_message(field.message_type)


def _of_service(service: Any) -> Iterator[str]:
    for method in service.methods:
        yield ""
        yield from _explained(method.full_name)


def _of_method(method: Any) -> Iterator[str]:
    stream = "stream of " if method.server_streaming else ""
    yield f"{_INDENT}Role: {role_word(declared_role(method))}."
    yield f"{_INDENT}Request: {method.input_type.name}.  Answer: {stream}{method.output_type.name}."
