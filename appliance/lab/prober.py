"""A real client that measures: `python -m appliance.lab.prober --help`.

Each request is a connection of its own: connect, GET, read to the end, compare.  The latency
is that of the whole.  Bounded by a count or a time, or ended by SIGINT once what is under way has
been answered; the result is one JSON object.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import signal
import time

from appliance.lab.program import within
from appliance.lab.report import Report, Tally


class Prober:
    """Asks for `/one` again and again, `concurrency` requests at a time."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s
        self._tally = Tally()
        self._attempted = 0

    async def run(self, concurrency: int, count: int | None, seconds: float | None,
                  pause_s: float) -> Report:
        deadline = time.monotonic() + seconds if seconds else float("inf")
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)

        def goes_on() -> bool:
            more = count is None or self._attempted < count
            return more and time.monotonic() < deadline and not stopped.is_set()

        async def ask_repeatedly() -> None:
            while goes_on():
                self._attempted += 1
                await self._ask()
                await asyncio.sleep(pause_s)

        await asyncio.gather(*(ask_repeatedly() for _ in range(concurrency)))
        return self._tally.report(self._attempted)

    async def _ask(self) -> None:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._converse()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._tally.failures[type(error).__name__] += 1
            return
        if answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n1"):
            self._tally.latencies_ms.append((time.perf_counter() - started) * 1e3)
        else:
            self._tally.failures["wrong answer"] += 1

    async def _converse(self) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(b"GET /one HTTP/1.0\r\nHost: lab\r\n\r\n")
            return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m appliance.lab.prober",
                                     description="Request one byte, many times, and measure.")
    parser.add_argument("host")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--concurrency", type=within(1, 1000), default=8, help="default 8")
    parser.add_argument("--timeout", type=float, default=5, help="seconds a request may take")
    parser.add_argument("--pause", type=float, default=0, help="seconds between two requests")
    bound = parser.add_mutually_exclusive_group(required=True)
    bound.add_argument("--count", type=int, help="requests in all")
    bound.add_argument("--seconds", type=float, help="time to go on")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    prober = Prober(given.host, given.port, given.timeout)
    report = asyncio.run(prober.run(given.concurrency, given.count, given.seconds, given.pause))
    print(json.dumps(dataclasses.asdict(report)))


if __name__ == "__main__":
    main()
