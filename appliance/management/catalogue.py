"""The services that run, and the only way to change them.

A change is made to a copy, checked, compiled, kept as a revision and published by the data plane,
and counts once every worker has acknowledged the snapshot's generation.  One change at a time.
What can't be kept isn't published, and what can't be published isn't kept.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from synproxy.v1.revision_pb2 import Revision
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.constraints import constraint_violations
from appliance.config.live import Live, live_make, live_shared, live_violations, service_own
from appliance.config.options import effective_options
from appliance.config.rules import service_violations
from appliance.config.settings import service_spec
from appliance.config.violation import Violation
from appliance.management.change import Change, Replacement, Wanted
from appliance.management.change_errors import (
    InvalidServiceError,
    NotAcknowledgedError,
    ServiceExistsError,
    StaleEtagError,
    UnknownServiceError,
)
from appliance.management.changes import Fields, change_note, changes_now, fields_changed
from appliance.management.claims import Claims
from appliance.management.differences import (
    changed_resources,
    differences_of,
    service_resource,
)
from appliance.management.slots import Slots, Tenant
from appliance.management.uncut import uncut
from appliance.management.watchers import Kind, Watchers
from appliance.state.history import History, Origin, unconfirmed
from appliance.state.record import Record
from cython_core.dataplane import ServiceSpec

# A worker's turn takes microseconds; one that takes seconds is stuck.
ACKNOWLEDGE_TIMEOUT_S = 5.0
TIDY_S = 4.0            # a whole look through the tables takes as long
_POLL_S = 0.0005
NAME_SHOWN = 63      # characters, as many as a name may have (rule.proto, FORMAT_NAME)
ETAG_BYTES = 12


class Plane(Protocol):
    """What of the data plane this module uses."""

    def publish(self, services: Sequence[ServiceSpec]) -> int: ...
    def generation_seen(self) -> int: ...
    def leaving(self) -> dict[int, int]: ...
    def drained(self) -> list[int]: ...


@dataclass(frozen=True)
class _State:
    """What runs.  A change makes another one."""

    live: Live
    slots: Mapping[str, int]
    specs: Mapping[str, ServiceSpec]


class Catalogue:
    def __init__(
        self, services: Sequence[Service], defaults: ServiceOptions, plane: Plane,
        slots: int = 4096, history: History | None = None,
    ) -> None:
        """Publishes the first snapshot.  `slots` is how many services there may be."""
        live = live_make(defaults, services)
        self._slots = Slots(live.services, slots)
        self._limit = slots
        self._live = live
        self._plane = plane
        self._changing = asyncio.Lock()
        self._claims = _claims(live)
        self._specs: Mapping[str, ServiceSpec] = {
            name: service_spec(self._slots[name], service, defaults)
            for name, service in live.services.items()
        }
        self.watchers = Watchers()
        self.history = history or History(Record(Revision(), live, live))
        self.generation = plane.publish(list(self._specs.values()))

    def names(self) -> Mapping[int, str]:
        """By slot, in the order in which the services came."""
        return self._slots.names()

    def tenants(self) -> Mapping[int, Tenant]:
        """Likewise; who comes anew is another one, whatever its name and slot."""
        return self._slots.tenants()

    def specs(self) -> list[ServiceSpec]:
        """What the data plane runs, likewise."""
        return list(self._specs.values())

    def services(self) -> list[Service]:
        return [self._shown(service) for service in self._live.services.values()]

    def service(self, name: str) -> Service:
        """A copy, with its effective options.  Raises UnknownServiceError."""
        return self._shown(self._known(name))

    def slot(self, name: str) -> int:
        """The service's place in the data plane.  Raises UnknownServiceError."""
        self._known(name)
        return self._slots[name]

    def slot_held(self, name: str) -> int:
        """Likewise, or that which it is leaving."""
        slot = self._slots.slot_of(name)
        return self.slot(name) if slot is None else slot

    def name_of(self, slot: int) -> str:
        """Of the service that has the slot, or is leaving it; "" where there is none."""
        return self._slots.name_of(slot)

    def leaving(self) -> list[tuple[str, int]]:
        """Name and connections of what has left, wholly or in part."""
        return [(self.name_of(slot), connections)
                for slot, connections in self._plane.leaving().items()]

    @property
    def live(self) -> Live:
        return self._live

    async def begin(self, file: Live, origin: Origin) -> None:
        """A revision of what was published first, unless the newest is just that."""
        newest, file = self.history.newest, live_shared(file, self._live)
        changed = changed_resources(newest.live, self._live)
        if newest.revision.number and not changed and not unconfirmed(newest.revision):
            self.history.file_taken(file)
            return
        await self.history.add(
            self._live, file, origin, differences_of(changed), must_be_kept=False)
        for resource, fields in changed.items():
            change_note(resource, fields)
        await self.history.prune()

    async def create(self, wanted: Service, validate_only: bool = False) -> Change:
        """Raises what this module and the history define, and DataplaneError."""
        began_ns = time.monotonic_ns()
        async with self._changing:
            if wanted.name in self._live.services:
                raise ServiceExistsError(f"{wanted.name} exists already")
            service = service_own(wanted)
            self._check(service)
            slot = self._slots.given((service.name,), self._plane.leaving())[service.name]
            self.history.check_confirmed()
            if validate_only:
                return Change(None, self._shown(service), 0, 0)
            return await self._change(Kind.CREATED, None, service, slot, began_ns)

    async def update(
        self, name: str, edit: Callable[[Service], None], validate_only: bool = False,
        etag: str = "",
    ) -> Change:
        """`edit` changes a copy.  Raises what this module and the history define, and
        DataplaneError."""
        began_ns = time.monotonic_ns()
        async with self._changing:
            before = self._known(name)
            _check_etag(before, etag)
            wanted = service_own(before)
            edit(wanted)
            self._check(wanted)
            self.history.check_confirmed()
            if validate_only:
                return Change(self._shown(before), self._shown(wanted), 0, 0)
            return await self._change(Kind.UPDATED, before, wanted, self._slots[name], began_ns)

    async def delete(self, name: str, validate_only: bool = False, etag: str = "") -> Change:
        """Raises what this module and the history define, and DataplaneError."""
        began_ns = time.monotonic_ns()
        async with self._changing:
            before = self._known(name)
            _check_etag(before, etag)
            self.history.check_confirmed()
            if validate_only:
                return Change(self._shown(before), None, 0, 0)
            return await self._change(Kind.DELETED, before, None, self._slots[name], began_ns)

    async def replace(
        self, edit: Callable[[Record], Wanted], validate_only: bool = False, etag: str = "",
    ) -> Replacement:
        """All services and the defaults at once; `edit` is given the newest revision.  Raises what
        this module and the history define, what `edit` does, and DataplaneError."""
        began_ns = time.monotonic_ns()
        async with self._changing:
            self._check_revision(etag)
            wanted = edit(self.history.newest)
            if not wanted.ends_wait:
                self.history.check_confirmed()
            # For thousands of services it takes a while, which others needn't wait for.
            leaving = self._plane.leaving()
            state, changed = await asyncio.to_thread(self._compiled, wanted.live, leaving)
            if validate_only or not (changed or self.history.waiting):
                if wanted.file is not None and not validate_only:
                    self.history.file_taken(wanted.file)
                return Replacement(changed, None, 0, 0)
            revision = await uncut(self._replace(state, wanted, changed))
            generation = self.generation
            await self.acknowledged()
            elapsed_ns = time.monotonic_ns() - began_ns
            return Replacement(changed, revision, generation, elapsed_ns)

    async def confirm(self, number: int, by: str) -> Revision:
        """Raises what the history defines."""
        async with self._changing:
            revision = await uncut(self.history.confirm(number, by))
            change_note(f"revisions/{revision.number}", {"confirmed_by": (None, by)})
            return revision

    async def republish(self, change: Callable[[], None]) -> None:
        """The same services in another snapshot, for what else it carries: `change` is made right
        before.  Returns once every worker runs it; raises NotAcknowledgedError and DataplaneError,
        after the latter the next snapshot carries the change."""
        async with self._changing:
            change()
            self._publish(self._specs)
            await self.acknowledged()

    async def acknowledged(self) -> None:
        """Returns once every worker runs the newest snapshot.  Raises NotAcknowledgedError."""
        deadline_s = time.monotonic() + ACKNOWLEDGE_TIMEOUT_S
        while self._plane.generation_seen() < self.generation:
            if time.monotonic() > deadline_s:
                raise NotAcknowledgedError(
                    f"generation {self.generation} is published, but a worker hasn't run it"
                    f" after {ACKNOWLEDGE_TIMEOUT_S:g} s"
                )
            await asyncio.sleep(_POLL_S)

    async def tidy(self) -> None:
        """Without end: what has left and has no connection any more is forgotten."""
        while True:
            await asyncio.sleep(TIDY_S)
            if self._plane.drained():
                async with self._changing:
                    self._publish(self._specs)

    async def _change(
        self, kind: Kind, before: Service | None, after: Service | None, slot: int, began_ns: int
    ) -> Change:
        """Of one service; returns once the workers run it."""
        generation = await uncut(self._change_one(kind, before, after, slot))
        await self.acknowledged()
        shown = [service and self._shown(service) for service in (before, after)]
        return Change(shown[0], shown[1], generation, time.monotonic_ns() - began_ns)

    async def _change_one(
        self, kind: Kind, before: Service | None, after: Service | None, slot: int
    ) -> int:
        told = after or before
        assert told is not None
        name = told.name
        services, specs = dict(self._live.services), dict(self._specs)
        if after is None:
            slots = self._slots.without(name)
            del services[name], specs[name]
        else:
            slots = self._slots.with_one(name, slot)
            services[name] = after
            specs[name] = service_spec(slot, after, self._live.defaults)
        fields = fields_changed(before, after)
        state = _State(Live(self._live.defaults, services), slots, specs)
        await self._make(state, Wanted(state.live), {service_resource(name): fields})
        if before is not None:
            self._claims.remove(before)
        if after is not None:
            self._claims.add(after)
        generation = self.generation
        self.watchers.tell(kind, self._shown(told), generation)
        await self.history.prune()
        return generation

    async def _replace(
        self, state: _State, wanted: Wanted, changed: Mapping[str, Fields]
    ) -> Revision:
        before, after = self._live, state.live
        gone = [self._shown(one) for name, one in before.services.items()
                if name not in after.services]
        revision = await self._make(state, wanted, changed)
        self._claims = _claims(after)
        for service in gone:
            self.watchers.tell(Kind.DELETED, service, self.generation)
        for name, service in after.services.items():
            former = before.services.get(name)
            if former is None:
                self.watchers.tell(Kind.CREATED, self._shown(service), self.generation)
            elif former != service or before.defaults != after.defaults:
                self.watchers.tell(Kind.UPDATED, self._shown(service), self.generation)
        await self.history.prune()
        return revision

    async def _make(
        self, state: _State, wanted: Wanted, changed: Mapping[str, Fields]
    ) -> Revision:
        """Keep it, publish it, remember it.  The caller runs it uncut, under the lock."""
        former, waiting = self.history.newest, self.history.waiting
        file = live_shared(wanted.file, state.live) if wanted.file else former.file
        changes = changes_now()
        revision = await self.history.add(
            state.live, file, Origin(changes.by, changes.action),
            differences_of(changed), wanted.confirm_within_s, wanted.must_be_kept)
        try:
            self._publish(state.specs)
        except BaseException:
            await self.history.take_back(former, waiting)
            raise
        self._slots.take(state.slots)
        self._live = state.live
        for resource, fields in changed.items():
            change_note(resource, fields)
        return revision

    def _compiled(
        self, live: Live, leaving: Collection[int]
    ) -> tuple[_State, Mapping[str, Fields]]:
        """What doesn't change keeps its slot and its spec."""
        violations = live_violations(live, self._limit)
        if violations:
            raise InvalidServiceError(violations)
        changed = changed_resources(self._live, live)
        slots = self._slots.given(live.services, leaving)
        keeps = live.defaults == self._live.defaults
        specs = {
            name: self._specs[name]
            if keeps and name in self._specs and service_resource(name) not in changed
            else service_spec(slots[name], service, live.defaults)
            for name, service in live.services.items()
        }
        return _State(live, slots, specs), changed

    def _check(self, service: Service) -> None:
        violations = list(constraint_violations(service, "service"))
        if not violations:
            violations = [
                Violation(violation.path.replace("services[0]", "service", 1), violation.reason)
                for violation in service_violations([service], self._limit)
            ]
            violations += self._claims.violations(service)
        if violations:
            raise InvalidServiceError(violations)

    def _known(self, name: str) -> Service:
        if name not in self._live.services:
            shown = name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}..."
            raise UnknownServiceError(f"no service is called {shown}")
        return self._live.services[name]

    def _check_revision(self, etag: str) -> None:
        if etag and etag != self.history.etag():
            raise StaleEtagError(
                f"revision {self.history.newest.revision.number} runs, which has not the etag"
                f" {etag[:NAME_SHOWN]}; read it again")

    def _publish(self, specs: Mapping[str, ServiceSpec]) -> None:
        """Nothing is awaited between this and what remembers it, so that nobody meets one without
        the other."""
        self.generation = self._plane.publish(list(specs.values()))
        self._specs = specs
        self._slots.forget_all_but(self._plane.leaving())

    def _shown(self, service: Service) -> Service:
        """`service` is one that runs, or has run: service_own has made it."""
        shown = Service()
        shown.CopyFrom(service)
        effective = effective_options(self._live.defaults, service.options)
        shown.effective_options.CopyFrom(effective)
        shown.etag = _etag(service)
        return shown


def _claims(live: Live) -> Claims:
    claims = Claims()
    for service in live.services.values():
        claims.add(service)
    return claims


def _etag(service: Service) -> str:
    said = service.SerializeToString(deterministic=True)
    return hashlib.sha256(said).hexdigest()[:2 * ETAG_BYTES]


def _check_etag(service: Service, etag: str) -> None:
    if etag and etag != _etag(service):
        raise StaleEtagError(
            f"{service.name} has changed since it had the etag {etag[:NAME_SHOWN]}; read it again"
        )
