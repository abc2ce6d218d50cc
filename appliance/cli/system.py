"""synproxy system show."""

import click
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.output import format_option, moment_text, table_text
from appliance.cli.watch import look, watch_options
from appliance.config.duration import NS_PER_MS, NS_PER_S, duration_text

_LEFT = ("torn", "unserved", "without_room", "unsound")     # entries that don't go on
_KINDS = ("opening", "open", "passing", "time_wait", "tombstones")


@click.group("system")
def command() -> None:
    """Show what the daemon runs on."""


@command.command("show")
@watch_options()
@format_option
@click.pass_obj
def show_system(address: str | None, watch: bool, interval: float, output: str) -> None:
    """Show versions, what is set, and how full the tables are.

    EAL's arguments stand with the versions.  ENTRIES are those of the connection table: `opening`
    and `open` need the proxy, `passing` were opened without it, `tombstones` have ended.
    """
    with connected(address) as channel:
        stub = SystemServiceStub(channel)
        look(
            channel, lambda: stub.GetSystem(api.GetSystemRequest(), timeout=TIMEOUT_S), _text,
            output, interval if watch else None)


def _text(system: api.GetSystemResponse) -> str:
    return "\n\n".join((_properties(system), _tables(system.tables), _kinds(system.tables)))


def _properties(system: api.GetSystemResponse) -> str:
    rows = [(field.name, version) for field, version in system.versions.ListFields()]
    uptime = duration_text(system.uptime.seconds * NS_PER_S)
    rows += [
        ("uptime", f"{uptime}, since {moment_text(system.start_time)}"),
        ("pid", str(system.pid)),
        ("generation", str(system.generation)),
        ("log levels", f"daemon {system.log_levels.daemon}, dpdk {system.log_levels.dpdk}"),
        ("beginning", beginning_text(system.beginning)),
        ("secret", secret_text(system.secret)),
        ("drain", drain_text(system.drain)),
        ("eal", " ".join(system.eal_arguments)),
    ]
    return table_text(("PROPERTY", "VALUE"), rows)


def _tables(fill: api.TableFill) -> str:
    rows = [
        (name.replace("_", " "), used, size, f"{100 * used / size:.1f}%" if size else "-")
        for name in ("connections", "half_open", "early_segments")
        for used, size in [(getattr(fill, name), getattr(fill, f"{name}_max"))]
    ]
    return table_text(("TABLE", "IN USE", "SIZE", "FILL"), rows, numbers=(1, 2, 3))


def _kinds(fill: api.TableFill) -> str:
    rows = [(kind.replace("_", " "), getattr(fill, kind)) for kind in _KINDS]
    return table_text(("ENTRIES", "COUNT"), rows, numbers=(1,))


def beginning_text(beginning: api.Beginning) -> str:
    """What goes on of the daemon before, and whether anything will of this one."""
    parts = [f"cold: {beginning.cold_reason}"]
    if beginning.warm:
        gap = duration_text(beginning.gap.ToMilliseconds() * NS_PER_MS)
        parts = [f"warm: {beginning.adopted} entries go on, after {gap}"]
        parts += [f"{count} {fate.replace('_', ' ')}" for fate in _LEFT
                  if (count := getattr(beginning, fate))]
        if beginning.unkept_reason:
            parts.append(f"not kept: {beginning.unkept_reason}")
    if beginning.stall:
        parts.append(f"the one before was ended: {beginning.stall}")
    return "; ".join(parts)


def secret_text(secret: api.SecretState) -> str:
    if not secret.HasField("effective_time"):
        return f"number {secret.number}, from the start"
    return (f"number {secret.number}, from {moment_text(secret.effective_time)};"
            f" cookies of the former one until {moment_text(secret.former_expire_time)}")


def drain_text(drain: api.DrainState) -> str:
    """How far it is, in a line."""
    if not drain.draining:
        return "no"
    policy = api.DrainPolicy.Name(drain.policy).removeprefix("DRAIN_POLICY_").lower()
    return (f"{policy} since {moment_text(drain.start_time)}: {_left(drain)}, SYNs {drain.syns}")


def _left(drain: api.DrainState) -> str:
    """More than at its start may be left: a handshake that had begun may end."""
    start = drain.connections_at_start
    if not drain.HasField("connections"):
        return f"connections are being counted, {start} before it began"
    if drain.connections > start:
        return f"{drain.connections} connections left, {start} before it began"
    return f"{drain.connections} of {start} connections left"
