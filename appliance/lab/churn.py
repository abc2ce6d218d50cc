"""A client that turns connections over: `python -m appliance.lab.churn --help`.

Each connection is opened, used once and closed.  Requests and answers are those of
appliance.lab.responder; every answer is compared byte by byte, and every second connection is
closed by the server first.  The result is one JSON object.

A source address is bound without a port, so that connect(2) picks one: then a port serves one
connection for each pair of source and destination, not one in all.

Reading list: connect(2) on EINPROGRESS; ip(7) on IP_BIND_ADDRESS_NO_PORT.
"""

import argparse
import dataclasses
import errno
import itertools
import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address

from appliance.lab.conversations import (
    READABLE,
    WRITABLE,
    Conversation,
    Conversations,
    received,
)
from appliance.lab.namespace import python_module
from appliance.lab.program import within
from appliance.lab.report import Report, Tally
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


class Churn:
    """Connections over all routes in turn; a route is a source and a destination address.
    Latencies are from connect to the end of the answer."""

    def __init__(self, routes: Sequence[tuple[str, str]], timeout_s: float) -> None:
        self._routes = itertools.cycle(
            [(*route, port) for port in PORTS for route in routes])
        self._timeout_s = timeout_s
        self._conversations = Conversations(self._fail)
        self._tally = Tally()

    def run(self, count: int, concurrency: int) -> Report:
        begun, under_way = 0, self._conversations
        while begun < count or under_way:
            if begun < count and len(under_way) < concurrency:
                self._begin(begun)
                begun += 1
            elif not under_way.turn(self._timeout_s):
                self._tally.failures["timeout"] += len(under_way)
                under_way.abandon()
        return self._tally.report(count)

    def _begin(self, number: int) -> None:
        source, destination, port = next(self._routes)
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._conversations.begin(
            connection, self._converse(connection, source, (destination, port), number))

    def _converse(self, connection: socket.socket, source: str, server: tuple[str, int],
                  number: int) -> Conversation:
        connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((source, 0))
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
            self._tally.failures["wrong answer"] += 1
            return
        if server_closes:
            yield READABLE
            if connection.recv(1):
                self._tally.failures["more than the answer"] += 1
                return
        self._tally.latencies_ms.append(took_ms)

    def _fail(self, error: OSError) -> None:
        self._tally.failures[errno.errorcode.get(error.errno or 0, "unknown")] += 1


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
    parser.add_argument("routes", nargs="+", type=route, metavar="SOURCE,DESTINATION",
                        help="addresses to connect from and to; all are used in turn")
    parser.add_argument("--count", type=within(1, 10_000_000), required=True,
                        help="connections in all")
    parser.add_argument("--concurrency", type=within(1, 1000), default=64,
                        help="open at once; default %(default)s")
    parser.add_argument("--timeout", type=within(0.1, 3600.0), default=SILENCE_S,
                        help="seconds without progress until those left are given up")
    return parser.parse_args()


def route(text: str) -> tuple[str, str]:
    source, _, destination = text.partition(",")
    with suppress(ValueError):
        if ip_address(source).version == ip_address(destination).version:
            return source, destination
    raise argparse.ArgumentTypeError(f"two addresses of one family, as {','.join(ROUTES[0])}, "
                                     f"not {text!r}")


def main() -> None:
    given = arguments()
    report = Churn(given.routes, given.timeout).run(given.count, given.concurrency)
    print(json.dumps(dataclasses.asdict(report)))


if __name__ == "__main__":
    main()
