"""synproxy.v1.CaptureService."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
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
from appliance.management.reasons import reason_violations
from appliance.management.recording import Recording
from cython_core.dataplane import CAPTURE_REASONS, CaptureFilter, Dataplane, DataplaneError

PACKETS_DEFAULT = 10_000
TIME_DEFAULT_NS = 60 * NS_PER_S
SNAP_BYTES_DEFAULT = 256
# Captures whose readers haven't come to the end, of 8 MiB each at most.
HELD_MAX = 4
_TX_FULL = "tx_full"

_ANY, _RECEIVED, _SENT = (
    api.CaptureRequest.DIRECTION_UNSPECIFIED, api.CaptureRequest.DIRECTION_RECEIVED,
    api.CaptureRequest.DIRECTION_SENT,
)


class CaptureServicer(CaptureServiceServicer):
    def __init__(self, catalogue: Catalogue, dataplane: Dataplane) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._held: list[Recording] = []    # whose readers haven't come to the end

    async def Capture(
        self, request: api.CaptureRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[api.CaptureResponse]:
        if violations := list(_violations(request)):
            await abort_invalid(context, violations)
        try:
            wanted = self._filter(request)
        except UnknownServiceError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        if not all(one.ended for one in self._held):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "somebody captures already")
        recording = Recording(
            self._dataplane, request.packets or PACKETS_DEFAULT, self._holder(wanted.slot))
        self._hold(recording)
        try:
            await recording.begin(wanted, (duration_ns(request.time) or TIME_DEFAULT_NS) / NS_PER_S)
            async for answer in self._answers(recording, wanted.snap_bytes):
                yield answer
        except (DataplaneError, TimeoutError) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        finally:
            recording.end()
            with suppress(ValueError):      # it was given up
                self._held.remove(recording)

    def _hold(self, recording: Recording) -> None:
        """Of those that have ended and stand unread only so many are kept, the latest."""
        self._held.append(recording)
        for former in self._held[:-HELD_MAX]:
            former.give_up()
        del self._held[:-HELD_MAX]

    async def _answers(
        self, recording: Recording, snap_bytes: int
    ) -> AsyncIterator[api.CaptureResponse]:
        """Raises DataplaneError."""
        answer = api.CaptureResponse(pcapng=file_begin(
            f"synproxyd {version('synproxy-appliance')}",
            [port.role for port in self._dataplane.port_stats()], snap_bytes))
        yield answer
        last = False
        while not last:
            part = await recording.read()
            answer.pcapng = b"".join(
                packet(side, time_ns, sent, frame_bytes, frame,
                       f"dropped: {reason}" if reason else "")
                for time_ns, side, sent, reason, frame_bytes, frame in part.frames
            )
            answer.packets += len(part.frames)
            answer.lost = part.lost
            last = part.last
            if last:
                answer.pcapng += file_end(0, time.time_ns(), answer.lost)
            yield answer

    def _holder(self, slot: int | None) -> Callable[[], str]:
        """Says who has the slot."""
        return lambda: "" if slot is None else self._catalogue.name_of(slot)

    def _filter(self, request: api.CaptureRequest) -> CaptureFilter:
        """Raises UnknownServiceError."""
        return CaptureFilter(
            received=request.direction in (_ANY, _RECEIVED),
            sent=request.direction in (_ANY, _SENT),
            reasons=frozenset(request.reasons),
            slot=self._catalogue.slot_held(request.service) if request.service else None,
            prefix=prefix_packed(request.prefix),
            port=request.port,
            snap_bytes=request.snap_bytes or SNAP_BYTES_DEFAULT,
        )


def _violations(request: api.CaptureRequest) -> Iterator[Violation]:
    yield from constraint_violations(request)
    yield from reason_violations(
        request.reasons, CAPTURE_REASONS, "is no drop reason", "synproxy stats --all")
    if request.direction == _SENT and set(request.reasons) - {_TX_FULL}:
        yield Violation("direction", "what is dropped is not sent")
    if request.direction == _RECEIVED and _TX_FULL in request.reasons:
        yield Violation("direction", f"what is dropped as {_TX_FULL} was to leave")
