"""The services that run, and the only way to change them.

A change is made to a copy, checked, compiled, kept as a revision and published by the data plane,
and counts once every worker has acknowledged the snapshot's generation.  One change at a time; of
those that wait for it, all that change one service come next, together.  What can't be kept isn't
published, and what can't be published isn't kept.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from synproxy.v1.revision_pb2 import Revision
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.live import Live, live_make, live_shared, service_own
from appliance.config.settings import service_spec
from appliance.management.apply_times import ApplyTimes
from appliance.management.change import Change, Replacement, Wanted
from appliance.management.change_errors import NotAcknowledgedError, StaleEtagError
from appliance.management.changes import change_note, changes_now
from appliance.management.differences import (
    changed_resources,
    differences_of,
    service_resource,
)
from appliance.management.draft import (
    NAME_SHOWN,
    Draft,
    Made,
    claims_of,
    service_known,
)
from appliance.management.shown import service_show
from appliance.management.slots import Slots, Tenant
from appliance.management.watchers import Happening, Kind, Watchers, happenings
from appliance.management.whole import Whole, whole_compiled
from appliance.management.wishes import Wish, Wishes
from appliance.state.history import History, Origin, Stepped, Waiting, unconfirmed
from appliance.state.record import Record, Step
from appliance.uncut import uncut
from cython_core.dataplane import ServiceSpec, WorkerState

# A worker's turn takes microseconds, for which to leave the core isn't worth it; one that takes
# seconds is stuck.
_ACKNOWLEDGE_S = 200e-6
ACKNOWLEDGE_TIMEOUT_S = 5.0
TIDY_S = 4.0            # a whole look through the tables takes as long
STEP = 256              # services between two turns of the event loop
_POLL_S = 0.0005


class Plane(Protocol):
    """What of the data plane this module uses."""

    def publish(self, services: Sequence[ServiceSpec]) -> int: ...
    def generation_seen(self) -> int: ...
    def leaving(self) -> list[int]: ...
    def leaving_connections(self, slot: int) -> int: ...
    def drained(self) -> list[int]: ...
    def worker_states(self) -> list[WorkerState]: ...


class Catalogue:
    def __init__(
        self, services: Sequence[Service], defaults: ServiceOptions, plane: Plane,
        slots: int = 4096, history: History | None = None,
    ) -> None:
        """Publishes the first snapshot.  `slots` is how many services there may be."""
        live = live_make(defaults, services)
        self._slots = Slots(live.services, slots)
        self._live = live
        self._plane = plane
        self._changing = asyncio.Lock()
        self._wishes = Wishes()
        self._claims = claims_of(live)
        self._specs: Mapping[str, ServiceSpec] = {
            name: service_spec(self._slots[name], service, defaults)
            for name, service in live.services.items()
        }
        self.watchers = Watchers()
        self.apply_times = ApplyTimes()
        self.history = history or History(Record(Revision(), live, live))
        self.generation = plane.publish(list(self._specs.values()))
        self._published_s = time.monotonic()

    def names(self) -> Mapping[int, str]:
        """By slot, in the order in which the services came."""
        return self._slots.names()

    def tenants(self) -> Mapping[int, Tenant]:
        """Likewise; who comes anew is another one, whatever its name and slot."""
        return self._slots.tenants()

    def specs(self) -> list[ServiceSpec]:
        """What the data plane runs, likewise."""
        return list(self._specs.values())

    def behind(self, number: int, count: int) -> list[tuple[int, Service]]:
        """The first `count` services that came later than the one that has, or had, this number (0:
        of all), each with its own, and as it is set; not to be changed."""
        return [(tenant.number, self._live.services[tenant.name])
                for tenant in self._slots.behind(number, count)]

    def service(self, name: str) -> Service:
        """A copy, with its effective options.  Raises UnknownServiceError."""
        return self._shown(service_known(self._live, name))

    def slot(self, name: str) -> int:
        """The service's place in the data plane.  Raises UnknownServiceError."""
        service_known(self._live, name)
        return self._slots[name]

    def slot_held(self, name: str) -> int:
        """Likewise, or that which it is leaving."""
        slot = self._slots.slot_of(name)
        return self.slot(name) if slot is None else slot

    def name_of(self, slot: int) -> str:
        """Of the service that has the slot, or is leaving it; "" where there is none."""
        return self._slots.name_of(slot)

    async def leaving(self) -> list[tuple[str, int]]:
        """Name and connections of what has left, wholly or in part; counted in steps, between which
        others are served."""
        left: list[tuple[str, int]] = []
        # Between two steps a slot may be forgotten, and given to another one.
        named = [(self.name_of(slot), slot) for slot in self._plane.leaving()]
        for first in range(0, len(named), STEP):
            left += ((name, self._plane.leaving_connections(slot))
                     for name, slot in named[first:first + STEP])
            await asyncio.sleep(0)
        return left

    @property
    def live(self) -> Live:
        return self._live

    async def begin(self, file: Live, origin: Origin) -> None:
        """A revision of what was published first, unless the newest is just that."""
        newest, live = self.history.newest, self._live
        file = await asyncio.to_thread(live_shared, file, live)
        changed = await asyncio.to_thread(changed_resources, newest.live, live)
        if newest.revision.number and not changed and not unconfirmed(newest.revision):
            self.history.file_taken(file)
            return
        differences = await asyncio.to_thread(differences_of, changed)
        await self.history.add(live, file, origin, differences, must_be_kept=False)
        changes_now().note_all(changed)
        await self.history.prune()

    async def create(self, wanted: Service, validate_only: bool = False) -> Change:
        """Raises what change_errors and the history define, and DataplaneError."""
        wish = Wish(Kind.CREATED, wanted.name, lambda new: new.CopyFrom(service_own(wanted)))
        return await self._change(wish, validate_only)

    async def update(
        self, name: str, edit: Callable[[Service], None], validate_only: bool = False,
        etag: str = "",
    ) -> Change:
        """`edit` changes a copy, and may be called more than once.  Raises what change_errors and
        the history define, and DataplaneError."""
        return await self._change(Wish(Kind.UPDATED, name, edit, etag), validate_only)

    async def delete(self, name: str, validate_only: bool = False, etag: str = "") -> Change:
        """Raises what change_errors and the history define, and DataplaneError."""
        return await self._change(Wish(Kind.DELETED, name, lambda _: None, etag), validate_only)

    async def replace(
        self, edit: Callable[[Record], Wanted], validate_only: bool = False, etag: str = "",
    ) -> Replacement:
        """All services and the defaults at once; `edit` is given the newest revision, in a thread.
        Raises what this module and the history define, what `edit` does, and DataplaneError."""
        began_ns = time.monotonic_ns()
        async with self._changing:
            self._check_revision(etag)
            # For thousands of services it takes a while, which others needn't wait for.
            wanted = await asyncio.to_thread(edit, self.history.newest)
            if not wanted.ends_wait:
                self.history.check_confirmed()
            leaving = self._plane.leaving()
            whole = await asyncio.to_thread(
                whole_compiled, wanted, self._live, self._specs, self._slots, leaving)
            if validate_only or not (whole.changed or self.history.waiting):
                if whole.file is not None and not validate_only:
                    self.history.file_taken(whole.file)
                return Replacement(whole.differences, None, 0, 0)
            revision = await uncut(self._replace(whole, wanted))
            generation = self.generation
            await self.acknowledged()
            return Replacement(whole.differences, revision, generation, self._applied(began_ns))

    async def confirm(self, number: int, by: str) -> Revision:
        """Raises what the history defines."""
        async with self._changing:
            revision = await uncut(self.history.confirm(number, by))
            change_note(f"revisions/{revision.number}", {"confirmed_by": (None, by)})
            return revision

    async def republish(self, change: Callable[[], Callable[[], None]]) -> None:
        """The same services in another snapshot, for what else it carries: `change` asks the data
        plane for it and returns what remembers it, which is called once it is published.  Returns
        once every worker runs it; raises NotAcknowledgedError, and DataplaneError, after which
        nothing has changed."""
        async with self._changing:
            remember = change()
            self._publish(self._specs)
            remember()
            await self.acknowledged()

    async def acknowledged(self, since_s: float | None = None, generation: int = 0) -> None:
        """Returns once every worker runs the snapshot of this generation, or the newest, which was
        published at `since_s`, or is from now on waited for.  Raises NotAcknowledgedError."""
        wanted = generation or self.generation
        began_s = time.monotonic() if since_s is None else since_s
        deadline_s = began_s + ACKNOWLEDGE_TIMEOUT_S
        soon_s = time.monotonic() + _ACKNOWLEDGE_S
        while self._plane.generation_seen() < wanted:
            if (now_s := time.monotonic()) < soon_s:
                continue
            if now_s > deadline_s:
                raise NotAcknowledgedError(
                    f"generation {wanted} is published, but a worker hasn't run it"
                    f" after {ACKNOWLEDGE_TIMEOUT_S:g} s: on core"
                    f" {', '.join(map(str, self._behind()))}"
                )
            await asyncio.sleep(_POLL_S)

    def late(self) -> Sequence[int]:
        """The lcores of workers that haven't run the newest snapshot in time."""
        late = time.monotonic() - self._published_s > ACKNOWLEDGE_TIMEOUT_S
        return self._behind() if late else ()

    def _behind(self) -> list[int]:
        return [worker.lcore for worker in self._plane.worker_states()
                if worker.generation < self.generation]

    async def tidy(self) -> None:
        """Without end: what has left and has no connection any more is forgotten."""
        while True:
            await asyncio.sleep(TIDY_S)
            if self._plane.drained():
                async with self._changing:
                    self._publish(self._specs)

    async def _change(self, wish: Wish, validate_only: bool) -> Change:
        """Of one service; returns once the workers run it."""
        if validate_only:
            async with self._changing:
                made = self._draft().made(wish)
                self.history.check_confirmed()
                return self._changed(wish, made.before, made.after, 0)
        self._wishes.add(wish)
        # Who is answered in the turn of another one needn't wait for its own.
        turn = asyncio.create_task(self._turn(wish))
        try:
            await asyncio.wait((turn, wish.answer), return_when=asyncio.FIRST_COMPLETED)
            if not wish.answer.done():
                await turn
            before, after, generation = wish.answer.result()
            await self.acknowledged(self._published_s, generation)
        except asyncio.CancelledError:
            if wish in self._wishes:
                self._wishes.give_up(wish)
            else:
                await uncut(wish.answered())
            raise
        return self._changed(wish, before, after, generation)

    def _changed(
        self, wish: Wish, before: Service | None, after: Service | None, generation: int
    ) -> Change:
        elapsed_ns = self._applied(wish.began_ns) if generation else 0
        return Change(before and self._shown(before), after and self._shown(after), generation,
                      elapsed_ns)

    def _applied(self, began_ns: int) -> int:
        """Nanoseconds since; every worker runs what was asked for then."""
        elapsed_ns = time.monotonic_ns() - began_ns
        self.apply_times.note(elapsed_ns)
        return elapsed_ns

    async def _turn(self, wish: Wish) -> None:
        async with self._changing:
            if wish in self._wishes:
                await self._grant(self._wishes.take())
                await self.history.prune()
                with suppress(NotAcknowledgedError):    # which who asked sees, too
                    await self.acknowledged(self._published_s)

    async def _grant(self, wishes: Sequence[Wish]) -> None:
        """All at once; where that can't be, one by one, so that each has an answer of its own."""
        try:
            await self._grant_together(wishes)
        except Exception as error:
            if len(wishes) == 1:
                wishes[0].answer.set_exception(error)
                return
            for wish in wishes:
                await self._grant([wish])

    async def _grant_together(self, wishes: Sequence[Wish]) -> None:
        """A revision each, one write to disk and one snapshot."""
        draft = self._draft()
        granted: list[tuple[Wish, Made]] = []
        refused: list[tuple[Wish, Exception]] = []
        for wish in wishes:
            try:
                made = draft.made(wish)
                self.history.check_confirmed()
                draft.take(made)
                granted.append((wish, made))
            except Exception as error:
                refused.append((wish, error))
        if granted:
            try:
                await self._run(draft, granted)
            except BaseException:
                draft.undo()
                raise
        for wish, reason in refused:
            wish.answer.set_exception(reason)

    async def _run(self, draft: Draft, granted: Sequence[tuple[Wish, Made]]) -> None:
        former, waiting, live = self.history.newest, self.history.waiting, draft.live
        await self.history.add_steps(live, [
            Stepped(Step(wish.name, made.after), Origin(wish.changes.by, wish.changes.action),
                    differences_of({service_resource(wish.name): made.fields}))
            for wish, made in granted])
        await self._publish_kept(draft.specs_of(self._specs), former, waiting)
        self._slots.take(draft.came, draft.gone)
        self._live = live
        for wish, made in granted:
            wish.changes.note(service_resource(wish.name), made.fields)
            told = made.after or made.before
            if told is not None:
                self.watchers.tell(
                    [Happening(wish.kind, told, live.defaults, self.generation)])
            wish.answer.set_result((made.before, made.after, self.generation))

    def _draft(self) -> Draft:
        return Draft(self._live, self._slots, self._claims, self._plane.leaving())

    async def _replace(self, whole: Whole, wanted: Wanted) -> Revision:
        before = self._live
        revision = await self._make(whole, wanted)
        self._claims = whole.claims
        if len(self.watchers):
            told = happenings(before, whole.live, self.generation)
            self.watchers.tell(await asyncio.to_thread(list, told))
        await self.history.prune()
        return revision

    async def _make(self, whole: Whole, wanted: Wanted) -> Revision:
        """Keep it, publish it, remember it.  The caller runs it uncut, under the lock."""
        former, waiting = self.history.newest, self.history.waiting
        changes = changes_now()
        revision = await self.history.add(
            whole.live, whole.file or former.file, Origin(changes.by, changes.action),
            whole.differences, wanted.confirm_within_s, wanted.must_be_kept)
        await self._publish_kept(whole.specs, former, waiting)
        self._slots.take(whole.came, whole.gone)
        self._live = whole.live
        changes.note_all(whole.changed)
        return revision

    def _check_revision(self, etag: str) -> None:
        if etag and etag != self.history.etag():
            raise StaleEtagError(
                f"revision {self.history.newest.revision.number} runs, which has not the etag"
                f" {etag[:NAME_SHOWN]}; read it again")

    async def _publish_kept(
        self, specs: Mapping[str, ServiceSpec], former: Record, waiting: Waiting | None
    ) -> None:
        """What is kept; `former` is what was before."""
        try:
            self._publish(specs)
        except BaseException:
            await self.history.take_back(former, waiting)
            raise

    def _publish(self, specs: Mapping[str, ServiceSpec]) -> None:
        """Nothing is awaited between this and what remembers it, so that nobody meets one without
        the other."""
        self.generation = self._plane.publish(list(specs.values()))
        self._published_s = time.monotonic()
        self._specs = specs
        self._slots.forget_all_but(self._plane.leaving())

    def _shown(self, service: Service) -> Service:
        shown = Service()
        service_show(service, self._live.defaults, shown)
        return shown
