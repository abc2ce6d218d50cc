"""synproxy event watch, or events -f."""

from datetime import UTC

import click
from synproxy.v1 import events_service_pb2 as api
from synproxy.v1.events_service_pb2_grpc import EventsServiceStub

from appliance.cli.complete import event_reasons, service_names
from appliance.cli.connection import connected
from appliance.cli.interrupt import until_ctrl_c
from appliance.cli.output import format_option, message_text
from appliance.ends import end_text
from appliance.worker_events import WORKER_EVENTS

_FLAGS = "FSRPAUEC"     # RFC 9293 §3.1, from the lowest bit on


@click.group("event")
def command() -> None:
    """Watch what happens on the workers."""


@command.command("watch")
@click.option("-f", "--follow", is_flag=True, expose_value=False, default=True, hidden=True)
@click.option("--service", default="", metavar="NAME", shell_complete=service_names,
              help="Only those of this service.")
@click.option("--reason", "reasons", multiple=True, metavar="NAME", shell_complete=event_reasons,
              help="Only this drop reason, or other event.  May be given again.")
@click.option("--client", "client_prefix", default="", metavar="PREFIX",
              help="Only clients in this prefix.")
@click.option("--server", "server_prefix", default="", metavar="PREFIX",
              help="Only servers in this prefix.")
@format_option
@click.pass_obj
def watch_events(
    address: str | None, service: str, reasons: tuple[str, ...], client_prefix: str,
    server_prefix: str, output: str,
) -> None:
    """Show drops, refusals and more as they happen.

    Until Ctrl-C; switches of cookies are among them, and workers that stall or go on.  They are
    samples: of each reason a worker tells 100 a second at most; "+7" is how many more of it there
    were since the line before.  `synproxy events -f` is short for it.
    """
    request = api.WatchEventsRequest(
        service=service, reasons=reasons, client_prefix=client_prefix,
        server_prefix=server_prefix)
    with connected(address) as channel, until_ctrl_c(channel):
        for told in EventsServiceStub(channel).WatchEvents(request):
            if output != "table":
                click.echo(message_text(told, output))
                continue
            for event in told.events:
                click.echo(_line(event))
            if told.lost:
                click.echo(f"{told.lost} events were lost: this reader is too slow", err=True)
            if told.overrun:
                click.echo(f"{told.overrun} events were lost: the workers had no room", err=True)


def _line(event: api.Event) -> str:
    time = event.time.ToDatetime(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    words = [time, f"{event.reason:<18}", event.service or "-"]
    if event.client_address:
        client = end_text(event.client_address, event.client_port)
        server = end_text(event.server_address, event.server_port)
        way = ">" if event.from_client or not event.tcp_flags else "<"
        words.append(f"{client} {way} {server}")
    if event.reason in WORKER_EVENTS:
        words.append(f"worker on core {event.lcore}")
    if event.tcp_flags:
        words.append("".join(
            letter for bit, letter in enumerate(_FLAGS) if event.tcp_flags >> bit & 1))
    if event.passed_over:
        words.append(f"+{event.passed_over}")
    return "  ".join(words)
