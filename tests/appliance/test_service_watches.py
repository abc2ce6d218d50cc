"""WatchServices: what a watch costs others, and what a slow one loses."""

import asyncio
from typing import Any, cast

import grpc
import pytest
from click.testing import CliRunner
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service, ServiceOptions
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.cli.main import main
from appliance.management.catalogue import STEP, Catalogue
from appliance.management.services import ServicesServicer
from appliance.management.shown import service_show
from appliance.management.watchers import Happening, Kind, Watchers
from cython_core.dataplane import Dataplane

from .plane import Plane

MANY = 8 * STEP
Event = api.WatchServicesResponse
NO_CONTEXT = cast(grpc.aio.ServicerContext, None)


def happening(generation):
    return Happening(Kind.UPDATED, Service(name="web"), ServiceOptions(), generation)


async def read(changes, count):
    return [(await anext(changes)).generation for _ in range(count)]


def test_each_watcher_reads_the_one_log_at_its_own_pace():
    async def run():
        watchers = Watchers(log_max=4)
        with watchers.watcher() as first, watchers.watcher() as second:
            quick, slow = first.changes(), second.changes()
            watchers.tell([happening(1), happening(2)])
            assert await read(quick, 2) == [1, 2]
            waiting = asyncio.create_task(read(quick, 2))
            await asyncio.sleep(0)
            watchers.tell([happening(3), happening(4)])
            assert await waiting == [3, 4]
            assert await read(slow, 4) == [1, 2, 3, 4]

    asyncio.run(run())


def test_who_falls_out_of_the_log_is_told_how_many_are_lost_and_goes_on_from_there():
    async def run():
        watchers = Watchers(log_max=4)
        with watchers.watcher() as watcher:
            watchers.tell(map(happening, range(1, 6)))
            assert [one async for one in watcher.changes()] == []
            assert watcher.skip() == 5
            watchers.tell([happening(6)])
            assert await read(watcher.changes(), 1) == [6]

    asyncio.run(run())


def test_the_log_is_kept_for_those_who_watch_alone():
    watchers = Watchers(log_max=4)
    watchers.tell([happening(1)])
    assert len(watchers._log) == 0
    with watchers.watcher():
        watchers.tell(map(happening, range(100)))
        assert len(watchers._log) == 4
    assert len(watchers._log) == 0


@pytest.fixture
def many():
    """A catalogue of MANY services."""
    return Catalogue(
        [Service(name=f"s{n}", prefixes=[f"10.0.{n >> 8}.{n & 255}"], ports=["80"])
         for n in range(MANY)],
        ServiceOptions(), cast(Dataplane, Plane()), MANY + 1)


def watched(servicer: ServicesServicer) -> Any:
    """WatchServices, as no transport would read it: at once, and to the end."""
    return servicer.WatchServices(api.WatchServicesRequest(), NO_CONTEXT)


async def until_the_mark(watch):
    """How many services it tells before."""
    told = 0
    async for answer in watch:
        if answer.kind == Event.KIND_END_OF_EXISTING:
            break
        told += 1
    await watch.aclose()
    return told


def test_a_watchs_services_are_made_as_it_reads_them(many, monkeypatch):
    made = []

    def show(service, *given):
        made.append(service.name)
        service_show(service, *given)

    monkeypatch.setattr("appliance.management.services.service_show", show)

    async def run():
        watch = watched(ServicesServicer(many))
        await anext(watch)
        assert made == ["s0"]
        await watch.aclose()

    asyncio.run(run())


def test_others_are_served_between_the_steps_of_sixteen_watches(many):
    servicer = ServicesServicer(many)
    served = 0

    async def another():
        nonlocal served
        while True:
            await servicer.GetService(api.GetServiceRequest(name="s7"), NO_CONTEXT)
            served += 1
            await asyncio.sleep(0)

    async def run():
        other = asyncio.create_task(another())
        told = await asyncio.gather(*(
            until_the_mark(watched(servicer)) for _ in range(16)))
        other.cancel()
        assert told == [MANY] * 16

    asyncio.run(run())
    assert served >= MANY // STEP


def test_a_change_made_while_the_first_are_told_is_told_behind_the_mark(many):
    async def run():
        watch = watched(ServicesServicer(many))
        await anext(watch)
        await many.delete("s1")
        kinds = [(await anext(watch)).kind for _ in range(MANY - 1)]
        assert set(kinds) == {Event.KIND_EXISTING}
        assert (await anext(watch)).kind == Event.KIND_END_OF_EXISTING
        gone = await anext(watch)
        assert (gone.kind, gone.service.name) == (Event.KIND_DELETED, "s1")
        await watch.aclose()

    asyncio.run(run())


def test_a_watch_that_has_lost_changes_begins_anew_with_what_is_there(daemon):
    async def shrink():
        daemon.catalogue.watchers = Watchers(log_max=1)

    async def update():
        await daemon.catalogue.update("web", lambda web: setattr(web.options, "mss", 1100))

    async def both():
        """Within one turn of the loop, in which no watcher reads."""
        daemon.catalogue.watchers.tell([happening(2), happening(3)])

    daemon.call(shrink())
    stream = ServicesServiceStub(daemon.channel).WatchServices(api.WatchServicesRequest())
    assert [next(stream).kind for _ in range(3)][-1] == Event.KIND_END_OF_EXISTING
    daemon.call(both())
    lost = next(stream)
    assert (lost.kind, lost.lost) == (Event.KIND_LOST, 2)
    assert [next(stream).kind for _ in range(3)] == [
        Event.KIND_EXISTING, Event.KIND_EXISTING, Event.KIND_END_OF_EXISTING]
    daemon.call(update())
    changed = next(stream)
    assert (changed.kind, changed.service.effective_options.mss) == (Event.KIND_UPDATED, 1100)
    stream.cancel()


def test_synproxy_says_that_changes_are_lost(daemon, monkeypatch):
    def watch(self, request):
        yield api.WatchServicesResponse(kind=Event.KIND_LOST, lost=7)

    monkeypatch.setattr(
        "appliance.cli.service.ServicesServiceStub",
        lambda channel: type("Stub", (), {"WatchServices": watch})())
    said = CliRunner().invoke(main, ["--address", daemon.address, "service", "watch"])
    assert said.stderr == "7 changes are lost; all services follow anew\n"
