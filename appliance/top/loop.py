"""The program: answers and keys come, a picture goes out."""

import os
import signal
import sys
import time
from collections import deque

import grpc
from rich.console import Console
from synproxy.v1 import stats_service_pb2 as api

from appliance.top.asking import Answer, Asker
from appliance.top.look import Looking
from appliance.top.screen import Silence, Size, picture
from appliance.top.terminal import Terminal, fatal
from appliance.top.view import View


class Top:
    """What is known and chosen, between two pictures."""

    def __init__(self, first: api.GetStatsResponse) -> None:
        self.view = View()
        self.answers: deque[Answer] = deque()       # that came and weren't looked at yet
        self._looking = Looking()
        self._newest = self._shown = self._looking.take(first)
        self._heard_s = time.time()
        self._silence: Silence | None = None

    def take_answers(self) -> None:
        while self.answers:
            answer = self.answers.popleft()
            if isinstance(answer, grpc.RpcError):
                self._silence = Silence(self._heard_s, _reason(answer))
            else:
                self._newest, self._silence = self._looking.take(answer), None
                self._heard_s = time.time()

    def draw(self, console: Console, columns: int, lines: int) -> None:
        if not self.view.paused:
            self._shown = self._newest
        size = Size(columns, lines, plain=console.options.ascii_only)
        console.size = (columns, lines)     # rich would believe $COLUMNS and $LINES
        console.update_screen(picture(self._shown, self.view, self._silence, size))


def top_run(channel: grpc.Channel, first: api.GetStatsResponse, interval_s: float) -> None:
    """Until the user or a signal ends it; by the signal, then."""
    console = Console(legacy_windows=False)
    terminal, top = Terminal(console, sys.stdin.fileno()), Top(first)

    def heard(answer: Answer) -> None:
        top.answers.append(answer)
        terminal.wake()

    last: signal.Signals | None = None
    with terminal.taken(), Asker(channel, interval_s, heard):
        while not top.view.ended and last is None:
            top.take_answers()
            with terminal.whole():
                top.draw(console, *terminal.size())
            for event in terminal.events():
                if event is signal.SIGINT:
                    top.view.ended = True
                elif isinstance(event, signal.Signals):
                    last = event if fatal(event) else last
                else:
                    top.view.press(event)
    if last is not None:
        # The parent sees what ended it.
        signal.signal(last, signal.SIG_DFL)
        os.kill(os.getpid(), last)


def _reason(error: grpc.RpcError) -> str:
    """On half a line; gRPC's own words for the first two would fill several."""
    words = {
        grpc.StatusCode.UNAVAILABLE: "it isn't there",
        grpc.StatusCode.DEADLINE_EXCEEDED: "it takes too long",
    }
    return words.get(error.code()) or str(error.details())
