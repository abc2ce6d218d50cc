"""Requests at a constant rate, whether or not the former are answered.

    python tests/bench/open_loop.py ADDRESS [--rate 5000] [--seconds 2] [--connections 32]

They go to nginx's `/one` over connections that are kept.  A request's latency runs from when it
is due to the last byte of its answer: what waits for a free connection is counted with its wait, as
a client that comes at that moment would have it.  (Who asks again only when answered measures
least where it is slowest: coordinated omission, https://github.com/giltene/wrk2.)  With --rate 0
each connection asks again as soon as it is answered, which tells the capacity.
The result is a line of JSON; times are in microseconds.
"""

import argparse
import ctypes
import gc
import json
import select
import socket
import time
from math import ceil

from appliance.lab.program import within
from appliance.lab.webserver import PORT

REQUEST = b"GET /one HTTP/1.1\r\nHost: lab\r\n\r\n"
ANSWER_BYTES_MAX = 4096
SILENCE_S = 5               # then it has failed
PR_SET_TIMERSLACK = 29      # <linux/prctl.h>; in ns, of which 50,000 are the default
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


class Client:
    def __init__(self, address: str, connections: int) -> None:
        self._idle = [socket.create_connection((address, PORT)) for _ in range(connections)]
        self._due_s: dict[socket.socket, float] = {}
        self._heard = dict.fromkeys(self._idle, b"")
        for connection in self._idle:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def constant(self, rate: int, seconds: float) -> list[float]:
        """Latencies in seconds of all requests that are due in that time."""
        count, sent, latencies = int(rate * seconds), 0, []
        began = time.perf_counter()
        while len(latencies) < count:
            now = time.perf_counter()
            while sent < count and self._idle and (due_s := began + sent / rate) <= now:
                self._ask(due_s)
                sent += 1
            waits = sent < count and self._idle
            latencies += self._take(max(began + sent / rate - time.perf_counter(), 0)
                                    if waits else SILENCE_S)
        return latencies

    def without_rest(self, seconds: float) -> int:
        """Answers in that time."""
        answers, ends = 0, time.perf_counter() + seconds
        while (now := time.perf_counter()) < ends:
            while self._idle:
                self._ask(now)
            answers += len(self._take(SILENCE_S))
        return answers

    def _ask(self, due_s: float) -> None:
        connection = self._idle.pop()
        connection.send(REQUEST)
        self._due_s[connection] = due_s

    def _take(self, wait_s: float) -> list[float]:
        """What is answered by then."""
        readable, _, _ = select.select(self._due_s, (), (), wait_s)
        if not readable and wait_s == SILENCE_S:
            raise SystemExit(f"no answer in {SILENCE_S} s")
        latencies = []
        for connection in readable:
            if self._is_answered(connection):
                latencies.append(time.perf_counter() - self._due_s.pop(connection))
                self._idle.append(connection)
        return latencies

    def _is_answered(self, connection: socket.socket) -> bool:
        """nginx sends head and body apart."""
        piece = connection.recv(ANSWER_BYTES_MAX)
        answer = self._heard[connection] + piece
        if not piece or not answer.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"not the answer: {answer!r}")
        whole = answer.endswith(b"\r\n\r\n1")
        self._heard[connection] = b"" if whole else answer
        return whole


def quantiles_us(latencies_s: list[float]) -> dict[str, float]:
    """The least time that a share of them doesn't exceed."""
    taken = sorted(latencies_s)
    return {name: round(taken[ceil(share * len(taken)) - 1] * 1e6, 1)
            for name, share in SHARES.items()}


def main() -> None:
    given = arguments()
    # A sleep ends when a request is due, not up to 50 us later.
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)
    client = Client(given.address, given.connections)
    gc.collect()
    gc.disable()
    if given.rate:
        latencies_s = client.constant(given.rate, given.seconds)
        print(json.dumps({"requests": len(latencies_s)} | quantiles_us(latencies_s)))
    else:
        print(json.dumps({"rate": client.without_rest(given.seconds) / given.seconds}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address")
    parser.add_argument("--rate", type=within(0, 1_000_000), default=5000,
                        help="requests a second; 0: as fast as they are answered; "
                             "default %(default)s")
    parser.add_argument("--seconds", type=within(0.1, 600.0), default=2.0,
                        help="default %(default)s")
    parser.add_argument("--connections", type=within(1, 512), default=32,
                        help="default %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    main()
