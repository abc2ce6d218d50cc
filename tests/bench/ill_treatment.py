"""How the management side is ill-treated: each way in a process of its own, on the control core.

Every one goes on until it is told to stop, and counts what it has done.
"""

import argparse
import multiprocessing
import os
import queue
import random
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import grpc
from contestants import MAIN_LCORE
from google.protobuf import descriptor_pool
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.capture_service_pb2 import CaptureRequest
from synproxy.v1.capture_service_pb2_grpc import CaptureServiceStub
from synproxy.v1.events_service_pb2 import WatchEventsRequest
from synproxy.v1.events_service_pb2_grpc import EventsServiceStub
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.api import SERVICE_NAMES
from appliance.management.bounds import APPLY_BYTES_MAX

SERVICES = 500          # so that a stream of them fills what a stopped reader leaves unread
DROPS = ("cookie_invalid", "flags_invalid", "tcp_checksum")     # of rates.MIX
READERS = 48            # stopped ones; a listener takes 128 calls at a time
BEGIN_S = 180           # all of them share a core, and Python takes a second of it to start
END_S = 180
CALL_S = 5
OVERSIZED_BYTES = APPLY_BYTES_MAX + 1        # more than any listener takes
PACKETS_MAX = 10_000_000
CAPTURE = "/synproxy.v1.CaptureService/Capture"


def stopped_readers(address: str, end: Event, done: Any) -> None:
    """Calls of every method that streams, none of whose answers is read."""
    with grpc.insecure_channel(address, [("grpc.http2.lookahead_bytes", 1)]) as channel:
        # One captures at a time, as drop_captures does.
        streams = [path for path, streaming in methods() if streaming and path != CAPTURE]
        calls = [channel.unary_stream(streams[at % len(streams)])(b"") for at in range(READERS)]
        stub = ServicesServiceStub(channel)
        while not end.is_set():
            for at in range(SERVICES):
                request = api.UpdateServiceRequest()
                request.service.name = f"other-{at}"
                request.service.options.mss = random.randrange(536, 1461)
                with suppress(grpc.RpcError):
                    stub.UpdateService(request, timeout=CALL_S)
                    done["updates beside stopped readers"] += 1
                if end.is_set():
                    break
        for call in calls:
            call.cancel()


def watch_forever(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        for _ in ServicesServiceStub(channel).WatchServices(api.WatchServicesRequest()):
            pass


def killed_clients(address: str, end: Event, done: Any) -> None:
    while not end.is_set():
        child = os.fork()
        if child == 0:
            os.execv(sys.executable, [
                sys.executable, "-c", f"import sys; sys.path[0] = {str(Path(__file__).parent)!r}; "
                f"import ill_treatment; ill_treatment.watch_forever({address!r})"])
        end.wait(random.uniform(0.3, 1.0))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        done["clients killed"] += 1


def bad_requests(address: str, end: Event, done: Any) -> None:
    """No message, and more than the bound, to each method in turn."""
    with grpc.insecure_channel(address) as channel:
        while not end.is_set():
            for path, streaming in methods():
                for body in (random.randbytes(64), b"\x0a" * 99, bytes(OVERSIZED_BYTES)):
                    call = (channel.unary_stream if streaming else channel.unary_unary)(path)
                    try:
                        answer = call(body, timeout=1)
                        if streaming:
                            next(answer)
                            answer.cancel()
                        done["bad requests: OK"] += 1
                    except (grpc.RpcError, StopIteration) as error:
                        code = error.code().name if isinstance(error, grpc.RpcError) else "OK"
                        done[f"bad requests: {code}"] += 1
                if end.is_set():
                    return


def strangers(address: str, end: Event, done: Any) -> None:
    """Connections that speak no gRPC, or break off in the middle of it."""
    openings = (
        b"", b"GET / HTTP/1.1\r\n\r\n", random.randbytes(4096), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00" + random.randbytes(4096))
    while not end.is_set():
        with socket.socket(socket.AF_UNIX) as stranger, suppress(OSError):
            stranger.connect(address.removeprefix("unix:"))
            stranger.sendall(random.choice(openings))
            done["strangers"] += 1
        end.wait(0.005)


@contextmanager
def cut_at(end: Event) -> Iterator[list[Any]]:
    """Which streams are cut at the end: who reads what nothing comes of doesn't see it."""
    streams: list[Any] = []

    def cut() -> None:
        end.wait()
        for stream in streams:
            stream.cancel()

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield streams
    finally:
        thread.join()


def drop_events(address: str, end: Event, done: Any) -> None:
    """Samples of all that is dropped, read as they come."""
    with grpc.insecure_channel(address) as channel, cut_at(end) as streams:
        stream = EventsServiceStub(channel).WatchEvents(WatchEventsRequest(reasons=DROPS))
        streams.append(stream)
        with suppress(grpc.RpcError):
            while not end.is_set():
                answer = next(stream)
                done["drops in events"] += sum(1 + event.passed_over for event in answer.events)
        if not end.is_set():
            raise SystemExit(f"the events ended: {stream.details()}")


def drop_captures(address: str, end: Event, done: Any) -> None:
    """All that is dropped, read for a second and left unread for another."""
    with grpc.insecure_channel(address) as channel, cut_at(end) as streams:
        while not end.is_set():
            stream = CaptureServiceStub(channel).Capture(
                CaptureRequest(reasons=DROPS, packets=PACKETS_MAX))
            streams[:] = [stream]
            until_s, packets = time.monotonic() + 1, 0
            # The one before may still be on its way out.
            with suppress(grpc.RpcError):
                while not end.is_set() and time.monotonic() < until_s:
                    packets = next(stream).packets
                end.wait(1)
            stream.cancel()
            done["drops captured"] += packets


@dataclass(frozen=True)
class Way:
    run: Callable[[str, Event, Any], None]
    done: tuple[str, ...]       # what it counts: each must have happened


WAYS = {way.run.__name__: way for way in (
    Way(stopped_readers, ("updates beside stopped readers",)),
    Way(killed_clients, ("clients killed",)),
    # No message, and beyond the bound.
    Way(bad_requests, ("bad requests: INVALID_ARGUMENT", "bad requests: RESOURCE_EXHAUSTED")),
    Way(strangers, ("strangers",)),
    Way(drop_events, ("drops in events",)),
    Way(drop_captures, ("drops captured",)),
)}


def methods() -> list[tuple[str, bool]]:
    """Of ours: path, and whether it streams."""
    pool: Any = descriptor_pool.Default()
    return [(f"/{name}/{method.name}", method.server_streaming)
            for name in SERVICE_NAMES for method in pool.FindServiceByName(name).methods]


def disturb(way: str, address: str, begun: Barrier, end: Event, sums: Any) -> None:
    os.sched_setaffinity(0, {MAIN_LCORE})
    begun.wait(BEGIN_S)
    done: Counter[str] = Counter()
    try:
        WAYS[way].run(address, end, done)
    finally:
        sums.put((way, done))


def way_add(parser: argparse.ArgumentParser) -> None:
    """Of a program that ill-treats a daemon."""
    parser.add_argument("--way", choices=list(WAYS), nargs="+", default=list(WAYS),
                        help="to ill-treat it; default all")


@contextmanager
def disturbed(address: str, ways: Sequence[str], total: Counter[str]) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    begun, end, sums = context.Barrier(len(ways) + 1), context.Event(), context.Queue()
    processes = [context.Process(target=disturb, args=(way, address, begun, end, sums))
                 for way in ways]
    for process in processes:
        process.start()
    try:
        begun.wait(BEGIN_S)
        yield
    finally:
        end.set()
        under_way = set(ways)
        while under_way:
            try:
                way, done = sums.get(timeout=END_S)
            except queue.Empty:
                raise SystemExit(f"no end of {', '.join(sorted(under_way))}") from None
            under_way.remove(way)
            total.update(done)
        for process in processes:
            process.join()
