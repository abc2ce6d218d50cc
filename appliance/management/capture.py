"""synproxy.v1.CaptureService."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.metadata import version

import grpc
from synproxy.v1 import capture_service_pb2 as api
from synproxy.v1.capture_service_pb2_grpc import CaptureServiceServicer

from appliance.config.constraints import constraint_violations
from appliance.config.duration import NS_PER_S, duration_ns
from appliance.config.violation import Violation
from appliance.management.addresses import prefix_packed
from appliance.management.catalogue import Catalogue
from appliance.management.change_errors import UnknownServiceError
from appliance.management.errors import abort_invalid
from appliance.management.pcapng import file_begin, file_end, packet
from cython_core.dataplane import DROP_REASONS, CaptureFilter, Dataplane, DataplaneError

PACKETS_DEFAULT = 10_000
TIME_DEFAULT_NS = 60 * NS_PER_S
SNAP_BYTES_DEFAULT = 256
POLL_S = 0.02           # a worker's 1024 frames last as long at 50,000 a second
BEGIN_S = 1.0           # for the workers to have ended the capture before

_ANY, _RECEIVED, _SENT = (
    api.CaptureRequest.DIRECTION_UNSPECIFIED, api.CaptureRequest.DIRECTION_RECEIVED,
    api.CaptureRequest.DIRECTION_SENT,
)


class CaptureServicer(CaptureServiceServicer):
    def __init__(self, catalogue: Catalogue, dataplane: Dataplane) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._busy = False

    async def Capture(
        self, request: api.CaptureRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[api.CaptureResponse]:
        if violations := list(_violations(request)):
            await abort_invalid(context, violations)
        try:
            wanted = self._filter(request)
        except UnknownServiceError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        if self._busy:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "somebody captures already")
        try:
            with self._captures():
                await self._begin(wanted)
                async for answer in self._answers(request, wanted.snap_bytes):
                    yield answer
        except (DataplaneError, TimeoutError) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

    @contextmanager
    def _captures(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            self._dataplane.capture_end()

    async def _begin(self, wanted: CaptureFilter) -> None:
        """Raises DataplaneError and TimeoutError."""
        deadline_s = time.monotonic() + BEGIN_S
        while not self._dataplane.capture_begin(wanted):
            if time.monotonic() > deadline_s:
                raise TimeoutError("a worker has not ended the capture before")
            await asyncio.sleep(POLL_S)

    async def _answers(
        self, request: api.CaptureRequest, snap_bytes: int
    ) -> AsyncIterator[api.CaptureResponse]:
        """A reader that is slow takes nothing meanwhile, so that the workers' rings fill."""
        ports = self._dataplane.port_stats()
        _, lost_before = self._dataplane.captured()
        left = request.packets or PACKETS_DEFAULT
        deadline_s = time.monotonic() + (duration_ns(request.time) or TIME_DEFAULT_NS) / NS_PER_S
        answer = api.CaptureResponse(pcapng=file_begin(
            f"synproxyd {version('synproxy-appliance')}", [port.role for port in ports],
            snap_bytes))
        over = False
        while True:
            yield answer
            if over:
                return
            await asyncio.sleep(min(POLL_S, max(deadline_s - time.monotonic(), 0)))
            frames, lost = self._dataplane.captured()
            frames = frames[:left]
            left -= len(frames)
            answer.pcapng = b"".join(
                packet(side, time_ns, sent, frame_bytes, frame,
                       f"dropped: {reason}" if reason else "")
                for time_ns, side, sent, reason, frame_bytes, frame in frames
            )
            answer.packets += len(frames)
            answer.lost = lost - lost_before
            over = left == 0 or time.monotonic() >= deadline_s
            if over:
                answer.pcapng += file_end(0, time.time_ns(), answer.lost)

    def _filter(self, request: api.CaptureRequest) -> CaptureFilter:
        """Raises UnknownServiceError."""
        return CaptureFilter(
            received=request.direction in (_ANY, _RECEIVED),
            sent=request.direction in (_ANY, _SENT),
            reasons=frozenset(request.reasons),
            slot=self._catalogue.slot(request.service) if request.service else None,
            prefix=prefix_packed(request.prefix),
            port=request.port,
            snap_bytes=request.snap_bytes or SNAP_BYTES_DEFAULT,
        )


def _violations(request: api.CaptureRequest) -> Iterator[Violation]:
    yield from constraint_violations(request)
    for at, reason in enumerate(request.reasons):
        if reason not in DROP_REASONS:
            yield Violation(f"reasons[{at}]", f"{reason[:63]} is no drop reason")
    if request.reasons and request.direction == _SENT:
        yield Violation("direction", "what is dropped is not sent")
