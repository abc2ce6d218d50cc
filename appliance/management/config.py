"""synproxy.v1.ConfigService."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from synproxy.v1 import config_service_pb2 as api
from synproxy.v1.config_pb2 import Config
from synproxy.v1.config_service_pb2_grpc import ConfigServiceServicer
from synproxy.v1.revision_pb2 import Difference

from appliance.config.duration import NS_PER_S, duration_ns, duration_of
from appliance.config.live import (
    LIVE_FIELDS,
    Live,
    live_of,
    restart_own,
    restart_part,
)
from appliance.config.violation import Violation
from appliance.config_file import ConfigFile, FileRefusedError, FileState, restart_reason
from appliance.management.bounds import DIFFERENCES_BYTES_MAX
from appliance.management.catalogue import STEP, Catalogue
from appliance.management.change import Replacement, Wanted
from appliance.management.changes import changes_now
from appliance.management.differences import (
    changed_resources,
    differences_of,
    restart_differences,
)
from appliance.management.errors import abort_invalid
from appliance.management.pages import page_size, page_size_violations
from appliance.management.refusals import answered
from appliance.uncollected import uncollected
from appliance.uncut import Aside

CONFIRM_S_MAX = 24 * 3600

Answer = TypeVar(
    "Answer", api.ApplyConfigResponse, api.DiffConfigResponse, api.RollbackConfigResponse)


class ConfigServicer(ConfigServiceServicer):
    def __init__(self, catalogue: Catalogue, file: ConfigFile) -> None:
        self._catalogue = catalogue
        self._history = catalogue.history
        self._file = file
        self._aside = Aside()

    async def GetConfig(
        self, request: api.GetConfigRequest, context: grpc.aio.ServicerContext
    ) -> api.GetConfigResponse:
        record = self._history.newest
        if request.revision:
            record = await answered(self._history.record(request.revision), context)
        answer = api.GetConfigResponse(
            config=None if request.revision else restart_own(self._file.started),
            revision=record.revision, etag=self._history.etag(),
            file=_file_state(self._file.state), state_folder=self._state_folder(),
            late_workers=self._catalogue.late(),
        )
        answer.config.defaults.CopyFrom(record.live.defaults)
        services = list(record.live.services.values())
        for first in range(0, len(services), STEP):
            answer.config.services.extend(services[first:first + STEP])
            await asyncio.sleep(0)
        return answer

    async def DiffConfig(
        self, request: api.DiffConfigRequest, context: grpc.aio.ServicerContext
    ) -> api.DiffConfigResponse:
        if request.revision:
            record = await answered(self._history.record(request.revision), context)
            return await self._differing(record.live)
        other, restart = await answered(self._aside.run(self._read_file), context)
        return await self._differing(other, restart)

    async def ApplyConfig(
        self, request: api.ApplyConfigRequest, context: grpc.aio.ServicerContext
    ) -> api.ApplyConfigResponse:
        within_s = await _confirm_within_s(request, context)
        await answered(self._check_restart(request.config), context)
        wanted = await asyncio.to_thread(live_of, request.config)
        if len(wanted.services) < len(request.config.services):
            await abort_invalid(
                context, await asyncio.to_thread(lambda: list(_doubles(request.config))))
        done = await answered(self._catalogue.replace(
            lambda newest: Wanted(wanted, confirm_within_s=within_s),
            request.validate_only, request.etag,
        ), context)
        return await _told(api.ApplyConfigResponse(**_answer(done)), done.differences)

    async def ConfirmConfig(
        self, request: api.ConfirmConfigRequest, context: grpc.aio.ServicerContext
    ) -> api.ConfirmConfigResponse:
        revision = await answered(
            self._catalogue.confirm(request.revision, changes_now().by), context)
        return api.ConfirmConfigResponse(revision=revision)

    async def ListRevisions(
        self, request: api.ListRevisionsRequest, context: grpc.aio.ServicerContext
    ) -> api.ListRevisionsResponse:
        if violations := list(_page_violations(request)):
            await abort_invalid(context, violations)
        before = int(request.page_token or "0")
        revisions = [
            revision for revision in self._history.revisions()
            if not before or revision.number < before
        ]
        page = revisions[: page_size(request.page_size)]
        more = len(revisions) > len(page)
        return api.ListRevisionsResponse(
            revisions=page, next_page_token=str(page[-1].number) if more else "")

    async def RollbackConfig(
        self, request: api.RollbackConfigRequest, context: grpc.aio.ServicerContext
    ) -> api.RollbackConfigResponse:
        within_s = await _confirm_within_s(request, context)
        if not request.revision:
            await abort_invalid(context, [Violation("revision", "is required")])
        record = await answered(self._history.record(request.revision), context)
        done = await answered(self._catalogue.replace(
            lambda newest: Wanted(record.live, confirm_within_s=within_s, ends_wait=True),
            request.validate_only, request.etag,
        ), context)
        return await _told(api.RollbackConfigResponse(**_answer(done)), done.differences)

    @uncollected()
    def _read_file(self) -> tuple[Live, list[Difference]]:
        """With what of it takes a restart.  Raises FileRefusedError."""
        config = self._file.read()
        return live_of(config), restart_differences(self._file.started, config)

    async def _differing(
        self, other: Live, restart: Sequence[Difference] = ()
    ) -> api.DiffConfigResponse:
        """Of thousands of services, while others are served."""
        running = self._catalogue.live
        differences = await self._aside.run(lambda: _differences(running, other))
        return await _told(api.DiffConfigResponse(restart_differences=restart), differences)

    async def _check_restart(self, config: Config) -> None:
        """Raises FileRefusedError where a section that is there isn't as it runs."""
        started = self._file.started
        asked = restart_own(started)
        for field, value in config.ListFields():
            if field.name not in LIVE_FIELDS:
                getattr(asked, field.name).CopyFrom(value)
        if restart_part(asked) != restart_part(started):
            raise FileRefusedError(restart_reason(restart_differences(started, asked)))

    def _state_folder(self) -> api.StateFolder:
        history = self._history
        return api.StateFolder(
            path=self._file.started.management.state_folder, persistent=history.persistent,
            notices=[*filter(None, (history.unusable, history.write_error)), *history.notices],
        )


@uncollected()
def _differences(running: Live, other: Live) -> list[Difference]:
    return differences_of(changed_resources(running, other))


async def _confirm_within_s(request: Any, context: grpc.aio.ServicerContext) -> float:
    """0 where no confirmation is asked for."""
    if not request.HasField("confirm_within"):
        return 0
    within_s = duration_ns(request.confirm_within) / NS_PER_S
    if not 1 <= within_s <= CONFIRM_S_MAX:
        await abort_invalid(
            context, [Violation("confirm_within", f"must be 1s..24h, not {within_s:g}s")])
    return within_s


def _doubles(config: Config) -> Iterator[Violation]:
    first: dict[str, int] = {}
    for index, service in enumerate(config.services):
        if first.setdefault(service.name, index) != index:
            yield Violation(
                f"services[{index}].name",
                f"{service.name} is the name of services[{first[service.name]}], too")


def _page_violations(request: api.ListRevisionsRequest) -> Iterator[Violation]:
    yield from page_size_violations(request.page_size)
    token = request.page_token
    if token and not (token.isascii() and token.isdecimal() and len(token) < 20):
        yield Violation("page_token", "is no token of a page")


def _answer(done: Replacement) -> Mapping[str, Any]:
    return {
        "revision": done.revision, "generation": done.generation,
        "apply_time": duration_of(done.elapsed_ns),
    }


async def _told(answer: Answer, differences: Sequence[Difference]) -> Answer:
    """With as many of them as it has room for, put in in steps, between which others are served."""
    answer.differences_total = len(differences)
    room = DIFFERENCES_BYTES_MAX
    for at, difference in enumerate(differences):
        room -= difference.ByteSize()
        if room < 0:
            break
        answer.differences.append(difference)
        if at % STEP == 0:
            await asyncio.sleep(0)
    return answer


def _file_state(state: FileState) -> api.FileState:
    read = Timestamp()
    read.FromMilliseconds(round(state.read_s * 1000))
    return api.FileState(
        path=str(state.path), taken=state.taken, reason=state.reason, read_time=read,
        taken_total=state.taken_total, refused_total=state.refused_total,
    )
