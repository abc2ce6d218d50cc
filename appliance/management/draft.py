"""What is to run once the changes of several calls are made, one behind the other.

Each is held against what those before it make.  Nobody else meets a draft until it is published.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from synproxy.v1.service_pb2 import Service

from appliance.config.constraints import constraint_violations
from appliance.config.live import Live, service_own
from appliance.config.rules import service_violations
from appliance.config.settings import service_spec
from appliance.config.violation import Violation
from appliance.management.change_errors import (
    InvalidServiceError,
    ServiceExistsError,
    StaleEtagError,
    UnknownServiceError,
)
from appliance.management.changes import Fields, fields_changed
from appliance.management.claims import Claims
from appliance.management.slots import Slots
from appliance.management.watchers import Kind
from appliance.management.wishes import Wish
from cython_core.dataplane import ServiceSpec

NAME_SHOWN = 63      # characters, as many as a name may have (rule.proto, FORMAT_NAME)
ETAG_BYTES = 12


@dataclass(frozen=True)
class Made:
    """What a wish comes to."""

    before: Service | None
    after: Service | None
    slot: int
    fields: Fields


class Draft:
    def __init__(
        self, live: Live, slots: Slots, claims: Claims, leaving: Collection[int],
    ) -> None:
        """`claims` are kept up to date; the rest is left as it is.  `leaving` are the slots that
        are being left."""
        self._former = live
        # Of thousands of services one copy is enough, once there is another one.
        self._services: dict[str, Service] | None = None
        self._slots = slots
        self._claims = claims
        self._leaving = leaving
        self._taken: list[Made] = []
        self.specs: dict[str, ServiceSpec] = {}     # of those that are other ones, or new
        self.came: dict[str, int] = {}              # by name: the slot
        self.gone: list[str] = []

    @property
    def live(self) -> Live:
        """As long as nothing more is taken."""
        if self._services is None:
            return self._former
        return Live(self._former.defaults, self._services)

    def specs_of(self, former: Mapping[str, ServiceSpec]) -> dict[str, ServiceSpec]:
        """Of all services, in their order."""
        specs = dict(former)
        specs.update(self.specs)
        for name in self.gone:
            del specs[name]
        return specs

    def made(self, wish: Wish) -> Made:
        """Changes nothing.  Raises what change_errors has of services."""
        live = self.live
        before = live.services.get(wish.name)
        if wish.kind is Kind.CREATED:
            if before is not None:
                raise ServiceExistsError(f"{wish.name} exists already")
            new = self._edited(wish, Service())
            given = self._slots.given((wish.name,), self._leaving, self.came)
            return Made(None, new, given[wish.name], fields_changed(None, new))
        before = service_known(live, wish.name)
        etag_check(before, wish.etag)
        after = None if wish.kind is Kind.DELETED else self._edited(wish, before)
        slot = self.came[wish.name] if wish.name in self.came else self._slots[wish.name]
        return Made(before, after, slot, fields_changed(before, after))

    def take(self, made: Made) -> None:
        before, after = made.before, made.after
        if self._services is None:
            self._services = dict(self._former.services)
        if after is not None:
            self._services[after.name] = after
            self.specs[after.name] = service_spec(made.slot, after, self._former.defaults)
            if before is None:
                self.came[after.name] = made.slot
        elif before is not None:
            del self._services[before.name]
            self.specs.pop(before.name, None)
            if self.came.pop(before.name, None) is None:
                self.gone.append(before.name)
        self._claim(before, after)
        self._taken.append(made)

    def undo(self) -> None:
        """What it has done to the claims.  It is of no use any more."""
        for made in reversed(self._taken):
            self._claim(made.after, made.before)

    def _edited(self, wish: Wish, service: Service) -> Service:
        wanted = service_own(service)
        wish.edit(wanted)
        violations = list(constraint_violations(wanted, "service"))
        if not violations:
            violations = [
                Violation(violation.path.replace("services[0]", "service", 1), violation.reason)
                for violation in service_violations([wanted], self._slots.limit)
            ]
            violations += self._claims.violations(wanted)
        if violations:
            raise InvalidServiceError(violations)
        return wanted

    def _claim(self, before: Service | None, after: Service | None) -> None:
        if before and after and (before.prefixes, before.ports) == (after.prefixes, after.ports):
            return
        if before is not None:
            self._claims.remove(before)
        if after is not None:
            self._claims.add(after)


def claims_of(live: Live) -> Claims:
    claims = Claims()
    for service in live.services.values():
        claims.add(service)
    return claims


def service_known(live: Live, name: str) -> Service:
    """Raises UnknownServiceError."""
    if name not in live.services:
        shown = name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}..."
        raise UnknownServiceError(f"no service is called {shown}")
    return live.services[name]


def etag_of(service: Service) -> str:
    said = service.SerializeToString(deterministic=True)
    return hashlib.sha256(said).hexdigest()[:2 * ETAG_BYTES]


def etag_check(service: Service, etag: str) -> None:
    """Raises StaleEtagError."""
    if etag and etag != etag_of(service):
        raise StaleEtagError(
            f"{service.name} has changed since it had the etag {etag[:NAME_SHOWN]}; read it again"
        )
