"""The services that run, and the only way to change them.

A change is made to a copy, checked, compiled and published by the data plane, and counts once
every worker has acknowledged the snapshot's generation.  One change at a time.

A service has a slot of the data plane as long as it is there, and behind its end as long as it has
connections: it leaves.
"""

import asyncio
import hashlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.constraints import constraint_violations
from appliance.config.options import effective_options
from appliance.config.rules import service_violations
from appliance.config.settings import service_spec
from appliance.config.violation import Violation
from appliance.management.changes import change_note
from appliance.management.claims import Claims
from appliance.management.watchers import Kind, Watchers
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


class UnknownServiceError(Exception):
    """No service has this name."""


class ServiceExistsError(Exception):
    """A service has this name already."""


class NoSlotError(Exception):
    """There are as many services as the data plane has been told at start."""


class StaleEtagError(Exception):
    """The service has changed since the caller read it."""


class InvalidServiceError(Exception):
    """The change would break rules; nothing was changed."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.path}: {v.reason}" for v in violations))
        self.violations = violations


class NotAcknowledgedError(Exception):
    """The snapshot is published, but a worker hasn't run it in time."""


@dataclass(frozen=True)
class Change:
    """`before` is None of a new service, `after` of a deleted one.  `generation` is 0 where the
    change was only checked."""

    before: Service | None
    after: Service | None
    generation: int
    elapsed_ns: int


class Catalogue:
    def __init__(
        self, services: Sequence[Service], defaults: ServiceOptions, plane: Plane,
        slots: int = 4096,
    ) -> None:
        """Publishes the first snapshot.  `slots` is how many services there may be."""
        self._services = {service.name: service for service in services}
        self._slots = {service.name: slot for slot, service in enumerate(services)}
        self._left: dict[int, str] = {}     # slots that are being left, by whom
        self._limit = slots
        self._defaults = defaults
        self._plane = plane
        self._changing = asyncio.Lock()
        self._claims = Claims()
        for service in services:
            self._claims.add(service)
        self._specs = {
            service.name: service_spec(slot, service, defaults)
            for slot, service in enumerate(services)
        }
        self.watchers = Watchers()
        self.generation = plane.publish(list(self._specs.values()))

    def names(self) -> dict[int, str]:
        """By slot, in the order in which the services came."""
        return {slot: name for name, slot in self._slots.items()}

    def specs(self) -> list[ServiceSpec]:
        """What the data plane runs, likewise."""
        return list(self._specs.values())

    def services(self) -> list[Service]:
        return [self._shown(service) for service in self._services.values()]

    def service(self, name: str) -> Service:
        """A copy, with its effective options.  Raises UnknownServiceError."""
        return self._shown(self._known(name))

    def slot(self, name: str) -> int:
        """The service's place in the data plane.  Raises UnknownServiceError."""
        self._known(name)
        return self._slots[name]

    def leaving(self) -> list[tuple[str, int]]:
        """Name and connections of what has left, wholly or in part."""
        return [(self._name_of(slot), connections)
                for slot, connections in self._plane.leaving().items()]

    async def create(self, wanted: Service, validate_only: bool = False) -> Change:
        """Raises what this module defines, and DataplaneError."""
        began_ns = time.monotonic_ns()
        async with self._changing:
            if wanted.name in self._services:
                raise ServiceExistsError(f"{wanted.name} exists already")
            service = _own(wanted)
            self._check(service)
            slot = self._free_slot()
            if validate_only:
                return Change(None, self._shown(service), 0, 0)
            self._publish({**self._specs, service.name: self._spec(slot, service)})
            self._services[service.name] = service
            self._slots[service.name] = slot
            self._claims.add(service)
            return await self._made(Kind.CREATED, None, service, began_ns)

    async def update(
        self, name: str, edit: Callable[[Service], None], validate_only: bool = False,
        etag: str = "",
    ) -> Change:
        """`edit` changes a copy.  Raises what this module defines, and DataplaneError."""
        began_ns = time.monotonic_ns()
        async with self._changing:
            before = self._known(name)
            _check_etag(before, etag)
            wanted = _own(before)
            edit(wanted)
            self._check(wanted)
            if validate_only:
                return Change(self._shown(before), self._shown(wanted), 0, 0)
            self._publish({**self._specs, name: self._spec(self._slots[name], wanted)})
            self._services[name] = wanted
            self._claims.remove(before)
            self._claims.add(wanted)
            return await self._made(Kind.UPDATED, before, wanted, began_ns)

    async def delete(self, name: str, validate_only: bool = False, etag: str = "") -> Change:
        """Raises what this module defines, and DataplaneError."""
        began_ns = time.monotonic_ns()
        async with self._changing:
            before = self._known(name)
            _check_etag(before, etag)
            if validate_only:
                return Change(self._shown(before), None, 0, 0)
            self._publish({kept: spec for kept, spec in self._specs.items() if kept != name})
            del self._services[name]
            self._left[self._slots.pop(name)] = name
            self._claims.remove(before)
            return await self._made(Kind.DELETED, before, None, began_ns)

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

    async def _made(
        self, kind: Kind, before: Service | None, after: Service | None, began_ns: int
    ) -> Change:
        """The change is published; tell of it, and wait for the workers."""
        shown = [None if service is None else self._shown(service) for service in (before, after)]
        generation = self.generation
        told = shown[1] or shown[0]
        assert told is not None
        change_note(f"services/{told.name}", before, after)
        self.watchers.tell(kind, told, generation)
        await self.acknowledged()
        return Change(shown[0], shown[1], generation, time.monotonic_ns() - began_ns)

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
        if name not in self._services:
            shown = name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}..."
            raise UnknownServiceError(f"no service is called {shown}")
        return self._services[name]

    def _free_slot(self) -> int:
        taken = {*self._slots.values(), *self._plane.leaving()}
        if len(taken) >= self._limit:
            raise NoSlotError(
                f"limits.services is {self._limit}: {len(self._slots)} services and"
                f" {len(taken) - len(self._slots)} whose connections go on"
            )
        return next(slot for slot in itertools.count() if slot not in taken)

    def _name_of(self, slot: int) -> str:
        return self._left.get(slot) or self.names()[slot]

    def _spec(self, slot: int, service: Service) -> ServiceSpec:
        return service_spec(slot, service, self._defaults)

    def _publish(self, specs: dict[str, ServiceSpec]) -> None:
        """Nothing is awaited between this and what remembers it: a caller that goes away can't
        part the two, and neither can a data plane that refuses."""
        self.generation = self._plane.publish(list(specs.values()))
        self._specs = specs
        leaving = self._plane.leaving()
        self._left = {slot: name for slot, name in self._left.items() if slot in leaving}

    def _shown(self, service: Service) -> Service:
        shown = _own(service)
        effective = effective_options(self._defaults, service.options)
        shown.effective_options.CopyFrom(effective)
        shown.etag = _etag(service)
        return shown


def _own(service: Service) -> Service:
    """What is set, without what the daemon says of it."""
    own = Service()
    own.CopyFrom(service)
    own.ClearField("effective_options")
    own.ClearField("etag")
    return own


def _etag(service: Service) -> str:
    said = _own(service).SerializeToString(deterministic=True)
    return hashlib.sha256(said).hexdigest()[:2 * ETAG_BYTES]


def _check_etag(service: Service, etag: str) -> None:
    if etag and etag != _etag(service):
        raise StaleEtagError(
            f"{service.name} has changed since it had the etag {etag[:NAME_SHOWN]}; read it again"
        )
