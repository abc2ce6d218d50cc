"""synproxy top; what it shows is made in appliance.top."""

import io
import os
import sys

import click
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.interval import interval_option
from appliance.top.asking import RECONNECTING, REQUEST
from appliance.top.loop import top_run


@click.command("top")
@interval_option("Seconds between two looks.")
@click.pass_obj
def command(address: str | None, interval: float) -> None:
    """Watch the proxy at work, on the whole screen.

    What is going on, rates with their history, services by load, drops and what they mean, workers,
    ports and buffers.  "h" shows the keys, "q" quits.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("top needs a terminal; `synproxy stats` writes to anything")
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        raise click.UsageError("top needs a terminal that can do more than $TERM says")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")    # what its character set lacks
    with connected(address, RECONNECTING) as channel:
        first = StatsServiceStub(channel).GetStats(REQUEST, timeout=TIMEOUT_S)
        top_run(channel, first, interval)
