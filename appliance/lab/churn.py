"""A client that turns connections over: `python -m appliance.lab.churn --help`.

Each connection is opened, used once and closed.  Requests and answers are those of
appliance.lab.responder; every answer is compared byte by byte, and every second connection is
closed by the server first.  The result is one JSON object.

A source address is bound without a port, so that connect(2) picks one: then a port serves one
connection for each pair of source and destination, not one in all.

Reading list: connect(2) on EINPROGRESS; ip(7) on IP_BIND_ADDRESS_NO_PORT.
"""

import argparse
import collections
import dataclasses
import errno
import itertools
import json
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from appliance.lab.conversations import (
    READABLE,
    WRITABLE,
    Conversation,
    Conversations,
    received,
)
from appliance.lab.namespace import python_module
from appliance.lab.responder import ANSWER_BYTES, PORTS, answer_to, request_make
from appliance.lab.topology import CLIENT_IPV4, CLIENT_IPV6, SERVER_IPV4, SERVER_IPV6, Lab

IP_BIND_ADDRESS_NO_PORT = 24        # <linux/in.h>; the socket module lacks it
# The client's further addresses, for the length of `more_sources`.
MORE_IPV4 = "10.71.0.11"
MORE_IPV6 = "fd00:71::11"
ROUTES = (
    (CLIENT_IPV4, SERVER_IPV4), (CLIENT_IPV6, SERVER_IPV6),
    (MORE_IPV4, SERVER_IPV4), (MORE_IPV6, SERVER_IPV6),
)
SILENCE_S = 10      # without progress until what is left is given up


@dataclasses.dataclass
class Report:
    """What the connections met.  Latencies are from connect to the end of the answer, in
    milliseconds, of those that succeeded."""

    attempted: int
    succeeded: int
    seconds: float
    per_second: float
    median_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    failures: dict[str, int]    # how often by reason


class Churn:
    """Connections over all routes in turn; a route is a source and a destination address."""

    def __init__(self, routes: Sequence[tuple[str, str]], timeout_s: float) -> None:
        self._routes = itertools.cycle(
            [(*route, port) for port in PORTS for route in routes])
        self._timeout_s = timeout_s
        self._conversations = Conversations(self._fail)
        self._latencies_ms: list[float] = []
        self._failures: collections.Counter[str] = collections.Counter()

    def run(self, count: int, concurrency: int) -> Report:
        started = time.perf_counter()
        numbers = iter(range(count))
        under_way = self._conversations
        while True:
            for number in itertools.islice(numbers, concurrency - len(under_way)):
                self._begin(number)
            if not under_way:
                break
            if not under_way.turn(self._timeout_s):
                self._failures["timeout"] += len(under_way)
                under_way.abandon()
        return self._report(count, time.perf_counter() - started)

    def _begin(self, number: int) -> None:
        source, destination, port = next(self._routes)
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((source, 0))
        self._conversations.begin(
            connection, self._converse(connection, (destination, port), number))

    def _converse(self, connection: socket.socket, server: tuple[str, int],
                  number: int) -> Conversation:
        server_closes = number % 2 == 1
        request = request_make(number, server_closes=server_closes)
        started = time.perf_counter()
        error = connection.connect_ex(server)
        if error != errno.EINPROGRESS:
            raise OSError(error, "connect")
        yield WRITABLE
        connection.send(request)
        answer = yield from received(connection, ANSWER_BYTES)
        took_ms = (time.perf_counter() - started) * 1e3
        if answer != answer_to(request):
            self._failures["wrong answer"] += 1
            return
        if server_closes:
            yield READABLE
            if connection.recv(1):
                self._failures["more than the answer"] += 1
                return
        self._latencies_ms.append(took_ms)

    def _fail(self, error: OSError) -> None:
        self._failures[errno.errorcode.get(error.errno or 0, "unknown")] += 1

    def _report(self, attempted: int, seconds: float) -> Report:
        taken = sorted(self._latencies_ms)
        return Report(
            attempted=attempted,
            succeeded=len(taken),
            seconds=round(seconds, 2),
            per_second=round(len(taken) / seconds),
            median_ms=round(statistics.median(taken), 2) if taken else None,
            p99_ms=round(taken[len(taken) * 99 // 100], 2) if taken else None,
            max_ms=round(taken[-1], 2) if taken else None,
            failures=dict(self._failures),
        )


@contextmanager
def more_sources(lab: Lab) -> Iterator[None]:
    """Lend the client namespace the further addresses of ROUTES."""
    addresses = [f"{MORE_IPV4}/24 dev eth0", f"{MORE_IPV6}/64 dev eth0"]
    # nodad: bound at once, without duplicate address detection (RFC 4862 §5.4).
    lab.client.ip([f"address add {address} nodad" for address in addresses])
    try:
        yield
    finally:
        lab.client.ip([f"address delete {address}" for address in addresses])


def turn_over(lab: Lab, count: int) -> Report:
    """Run the client in its namespace, against the responder, over all ROUTES."""
    with more_sources(lab):
        done = lab.client.run(python_module(
            "appliance.lab.churn", *map(",".join, ROUTES), "--count", str(count)), seconds=300)
    return Report(**json.loads(done.stdout))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m appliance.lab.churn",
                                     description="Open, use and close connections, and measure.")
    parser.add_argument("routes", nargs="+", metavar="SOURCE,DESTINATION",
                        help="addresses to connect from and to; all are used in turn")
    parser.add_argument("--count", type=int, required=True, help="connections in all")
    parser.add_argument("--concurrency", type=int, default=64, help="open at once; default 64")
    parser.add_argument("--timeout", type=float, default=SILENCE_S,
                        help="seconds without progress until those left are given up")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    routes = [route.split(",") for route in given.routes]
    churn = Churn([(source, destination) for source, destination in routes], given.timeout)
    print(json.dumps(dataclasses.asdict(churn.run(given.count, given.concurrency))))


if __name__ == "__main__":
    main()
