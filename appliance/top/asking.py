"""Asks the daemon again and again, in a thread of its own, so that keys never wait for it."""

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

import grpc
from synproxy.v1 import stats_service_pb2 as api
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

# After which a daemon is said not to answer.
PATIENCE_S = 3.0

# Of the channel: gRPC's own waits grow to two minutes, in which a daemon that is back is not seen.
RECONNECTING = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

REQUEST = api.GetStatsRequest(meanings=True)

Answer: TypeAlias = api.GetStatsResponse | grpc.RpcError


class Asker:
    """Between `with` and its end; `heard` is called in the thread, with each answer."""

    def __init__(
        self, channel: grpc.Channel, interval_s: float, heard: Callable[[Answer], None]
    ) -> None:
        self._stub = StatsServiceStub(channel)
        self._interval_s = interval_s
        self._heard = heard
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask_again, daemon=True)

    def __enter__(self) -> "Asker":
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._ended.set()
        # A call may be under way; the channel's end is its end.

    def _ask_again(self) -> None:
        while not self._ended.is_set():
            began_s = time.monotonic()
            try:
                answer: Answer = self._stub.GetStats(REQUEST, timeout=PATIENCE_S)
            except grpc.RpcError as error:
                answer = error
            except ValueError:      # the channel is closed
                return
            if self._ended.is_set():
                return
            self._heard(answer)
            self._ended.wait(max(self._interval_s - (time.monotonic() - began_s), 0))
