"""--watch, of the commands that show what a call has answered: the same again and again.

`stats` has a stream of the daemon's for it, with rates, and shares the options and the screen.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click
import grpc
from google.protobuf.message import Message

from appliance.cli.interrupt import until_ctrl_c
from appliance.cli.interval import interval_option
from appliance.cli.output import message_text
from appliance.pausing import PAUSE_FACTOR

_CLEAR = "\033[H\033[2J"    # ECMA-48 CUP and ED: home, erase

Answer = TypeVar("Answer", bound=Message)


def watch_options(words: str = "Show again and again, until Ctrl-C.") -> Callable[[Any], Any]:
    def options(function: Any) -> Any:
        function = interval_option("Seconds between two looks of --watch.")(function)
        return click.option("--watch", is_flag=True, help=words)(function)

    return options


def look(
    channel: grpc.Channel, ask: Callable[[], Answer], table: Callable[[Answer], str],
    output: str, interval_s: float | None, *, seldom: bool = False,
    aside: Callable[[Answer], str] = lambda _: "",
) -> None:
    """Writes what is answered: once where `interval_s` is None; else until Ctrl-C, with pauses of
    so many seconds.  `seldom`, where the daemon goes through a table for it: of PAUSE_FACTOR times
    as long as it took to ask, at least.  `aside` is what people are told of it behind its table, on
    stderr."""
    pause_factor = PAUSE_FACTOR if seldom else 0

    def write(answer: Answer, before: str = "") -> None:
        if output != "table":
            click.echo(message_text(answer, output))
            return
        click.echo(before + table(answer))
        if said := aside(answer):
            click.echo(said, err=True)

    if interval_s is None:
        write(ask())
        return
    with until_ctrl_c(channel) as ended:
        while True:
            began_s = time.monotonic()
            answer = ask()
            took_s = time.monotonic() - began_s
            write(answer, screen_clear())
            if ended.wait(max(interval_s, pause_factor * took_s)):
                return


def screen_clear() -> str:
    """What a table begins with that takes the place of the one before."""
    return _CLEAR if sys.stdout.isatty() else ""
