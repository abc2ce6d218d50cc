"""The services that run, and the only way to change them.

A change is made to a copy, checked, compiled and published by the data plane, and counts once
every worker has acknowledged the snapshot's generation.  One change at a time.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.constraints import constraint_violations
from appliance.config.options import effective_options
from appliance.config.settings import service_spec
from appliance.config.violation import Violation
from cython_core.dataplane import ServiceSpec

# A worker's turn takes microseconds; one that takes seconds is stuck.
ACKNOWLEDGE_TIMEOUT_S = 5.0
_POLL_S = 0.0005
NAME_SHOWN = 63      # characters, as many as a name may have (rule.proto, FORMAT_NAME)


class Plane(Protocol):
    """What of the data plane this module uses."""

    def publish(self, services: Sequence[ServiceSpec]) -> int: ...
    def generation_seen(self) -> int: ...


class UnknownServiceError(Exception):
    """No service has this name."""


class InvalidServiceError(Exception):
    """The change would break rules; nothing was changed."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.path}: {v.reason}" for v in violations))
        self.violations = violations


class NotAcknowledgedError(Exception):
    """The snapshot is published, but a worker hasn't run it in time."""


@dataclass(frozen=True)
class Change:
    """`generation` is 0 where the change was only checked."""

    before: Service
    after: Service
    generation: int
    elapsed_ns: int


class Catalogue:
    def __init__(
        self, services: Sequence[Service], defaults: ServiceOptions, plane: Plane
    ) -> None:
        """Publishes the first snapshot.  A service's slot is its place in `services`."""
        self._services = list(services)
        self._slots = {service.name: slot for slot, service in enumerate(services)}
        self._defaults = defaults
        self._plane = plane
        self._changing = asyncio.Lock()
        self._specs = [
            service_spec(slot, service, defaults) for slot, service in enumerate(services)
        ]
        self.generation = plane.publish(self._specs)

    def names(self) -> list[str]:
        """In the order of the data plane's slots."""
        return list(self._slots)

    def services(self) -> list[Service]:
        return [self._shown(service) for service in self._services]

    def service(self, name: str) -> Service:
        """A copy, with its effective options.  Raises UnknownServiceError."""
        return self._shown(self._services[self.slot(name)])

    async def update(
        self, name: str, edit: Callable[[Service], None], validate_only: bool = False
    ) -> Change:
        """`edit` changes a copy.  Raises what this module defines, and DataplaneError."""
        async with self._changing:
            began_ns = time.monotonic_ns()
            slot = self.slot(name)
            wanted = Service()
            wanted.CopyFrom(self._services[slot])
            edit(wanted)
            violations = list(constraint_violations(wanted, "service"))
            if violations:
                raise InvalidServiceError(violations)
            before, after = self._shown(self._services[slot]), self._shown(wanted)
            if validate_only:
                return Change(before, after, 0, 0)
            self._replace(slot, wanted)
            generation = self.generation
            await self.acknowledged()
            return Change(before, after, generation, time.monotonic_ns() - began_ns)

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

    def slot(self, name: str) -> int:
        """The data plane's index of a service.  Raises UnknownServiceError."""
        if name not in self._slots:
            shown = name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}..."
            raise UnknownServiceError(f"no service is called {shown}")
        return self._slots[name]

    def _replace(self, slot: int, service: Service) -> None:
        """Nothing is awaited here: a caller that goes away can't part what is published from
        what is remembered, and neither can a data plane that refuses."""
        specs = list(self._specs)
        specs[slot] = service_spec(slot, service, self._defaults)
        self.generation = self._plane.publish(specs)
        self._specs = specs
        self._services[slot] = service

    def _shown(self, service: Service) -> Service:
        shown = Service()
        shown.CopyFrom(service)
        effective = effective_options(self._defaults, service.options)
        shown.effective_options.CopyFrom(effective)
        return shown
