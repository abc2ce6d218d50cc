"""EventsService: filters, what a slow reader loses, and that nothing is written for nobody."""

import re
import subprocess
from dataclasses import replace
from ipaddress import ip_address

import grpc
import pytest
from click.testing import CliRunner
from synproxy.v1 import events_service_pb2 as api
from synproxy.v1.events_service_pb2_grpc import EventsServiceStub
from synproxy.v1.rule_pb2 import ROLE_VIEWER

from appliance import supervision
from appliance.cli.main import main
from appliance.lab.namespace import synproxy_command
from appliance.lab.waiting import until
from appliance.management import audience
from appliance.management.audience import Reader
from appliance.management.bounds import STREAMS_MAX
from appliance.management.roles import method_role
from appliance.worker_events import WORKER_EVENTS
from cython_core.dataplane import DROP_REASONS, EVENT_REASONS, Event

CALL_S = 10
WEB, MAIL = 0, 1
ONE = Event(
    time_ns=1_700_000_000_123_000_000, reason="cookie_invalid", slot=WEB, lcore=1,
    client=ip_address("198.51.100.7"), client_port=40000, server=ip_address("192.0.2.7"),
    server_port=443, from_client=True, flags=0x10, passed_over=7)
SWITCH = Event(
    time_ns=1, reason="cookies_on", slot=MAIL, lcore=1, client=None, client_port=0, server=None,
    server_port=0, from_client=False, flags=0, passed_over=0)


STALL = replace(SWITCH, reason="worker_stalled", slot=None, lcore=2)


@pytest.fixture
def watch(daemon):
    """WatchEvents, once it has begun; the calls end with the test."""
    calls = []

    def begin(**request):
        calls.append(EventsServiceStub(daemon.channel).WatchEvents(
            api.WatchEventsRequest(**request)))
        assert next(calls[-1]) == api.WatchEventsResponse()
        return calls[-1]

    yield begin
    for call in calls:
        call.cancel()


def failure(daemon, **request):
    with pytest.raises(grpc.RpcError) as error:
        next(EventsServiceStub(daemon.channel).WatchEvents(api.WatchEventsRequest(**request)))
    return error.value.code(), error.value.details()


def test_who_may():
    assert method_role("/synproxy.v1.EventsService/WatchEvents") == ROLE_VIEWER


def test_what_the_daemon_tells_of_a_worker_is_heard_by_who_asks_for_it(daemon, watch):
    every, stalls, one_service = (
        watch(), watch(reasons=["worker_stalled"]), watch(service="mail"))
    daemon.do(daemon.server.tell, STALL)
    for events in (every, stalls):
        (told,) = next(events).events
        assert (told.reason, told.lcore, told.service, told.client_address) == (
            "worker_stalled", 2, "", "")
    daemon.plane.happened = [SWITCH]
    assert [event.reason for event in next(one_service).events] == ["cookies_on"]


def test_an_event_is_told_in_full(daemon, watch):
    events = watch()
    daemon.plane.happened = [ONE, SWITCH]
    told, switch = next(events).events
    assert told.time.ToNanoseconds() == ONE.time_ns
    assert told == api.Event(
        time=told.time, reason="cookie_invalid", service="web", client_address="198.51.100.7",
        client_port=40000, server_address="192.0.2.7", server_port=443, from_client=True,
        tcp_flags=0x10, lcore=1, passed_over=7)
    assert (switch.reason, switch.service, switch.client_address) == ("cookies_on", "mail", "")


@pytest.mark.parametrize(("request_", "told"), [
    ({"service": "mail"}, ["cookies_on"]),
    ({"reasons": ["cookie_invalid", "martian"]}, ["cookie_invalid"] * 2),
    ({"client_prefix": "198.51.100.0/24"}, ["cookie_invalid"]),
    ({"server_prefix": "2001:db8::/32"}, ["cookie_invalid"]),
])
def test_only_what_is_asked_for(daemon, watch, request_, told):
    events = watch(**request_)
    other = replace(ONE, client=ip_address("2001:db8::7"), server=ip_address("2001:db8::1"))
    daemon.plane.happened = [ONE, SWITCH, other]
    assert [event.reason for event in next(events).events] == told


def test_a_watch_follows_the_service_and_not_its_slot(daemon, watch):
    events = watch(service="mail")
    service = daemon.catalogue.service("mail")
    daemon.call(daemon.catalogue.delete("mail"))
    daemon.plane.left.clear()
    service.name = "dns"
    daemon.call(daemon.catalogue.create(service))
    assert daemon.catalogue.slot("dns") == MAIL
    daemon.plane.happened = [SWITCH]
    until(lambda: not daemon.plane.happened, seconds=CALL_S, what="the event to be taken")
    daemon.call(daemon.catalogue.delete("dns"))
    daemon.plane.left.clear()
    service.name = "mail"
    daemon.call(daemon.catalogue.create(service))
    daemon.plane.happened = [replace(SWITCH, reason="cookies_off")]
    assert [event.reason for event in next(events).events] == ["cookies_off"]


def test_a_watch_goes_on_after_a_mistake_of_ours(daemon, watch, monkeypatch):
    monkeypatch.setattr(supervision, "AGAIN_S", 0.01)
    events = watch()
    failures = daemon.server._supervision.failures
    daemon.plane.happened = None        # which nothing is prepared for
    until(lambda: failures["events"] == 1, seconds=CALL_S, what="it to fail")
    daemon.plane.happened = [ONE]
    assert [event.reason for event in next(events).events] == ["cookie_invalid"]


def test_what_is_leaving_can_be_watched(daemon, watch):
    daemon.plane.connections_left = 1
    daemon.call(daemon.catalogue.delete("mail"))
    events = watch(service="mail")
    daemon.plane.happened = [SWITCH]
    assert [event.service for event in next(events).events] == ["mail"]


def test_events_are_written_while_somebody_watches(daemon, watch):
    calls = [watch(), watch()]
    assert daemon.plane.watched
    calls[0].cancel()
    calls[1].cancel()
    until(lambda: not daemon.plane.watched, seconds=CALL_S, what="the watch to end")
    watch()
    assert daemon.plane.watched


def test_what_workers_lose_is_told(daemon, watch):
    daemon.plane.events_lost = 5
    events = watch()
    daemon.plane.events_lost = 12
    assert next(events) == api.WatchEventsResponse(overrun=7)


def passed_over(answer):
    return [event.passed_over for event in answer.events]


def test_what_was_passed_over_is_told_from_the_watchs_own_beginning_on(daemon, watch):
    daemon.plane.passed_over = {(ONE.lcore, ONE.reason): 5, (ONE.lcore, SWITCH.reason): 3}
    first = watch()
    other = replace(ONE, lcore=2)
    daemon.plane.happened = [ONE, other]
    assert passed_over(next(first)) == [2, 7]
    daemon.plane.passed_over = {(ONE.lcore, ONE.reason): 20, (other.lcore, ONE.reason): 7}
    second = watch(service="web")
    daemon.plane.happened = [replace(ONE, passed_over=count) for count in (18, 24, 31)]
    assert passed_over(next(first)) == [11, 6, 7]
    assert passed_over(next(second)) == [0, 4, 7]


def test_who_begins_to_watch_hears_nothing_older(daemon, watch):
    first = watch()
    daemon.plane.happened, daemon.plane.events_lost = [ONE], 4
    second = watch()
    daemon.plane.happened = [SWITCH]
    heard: list[str] = []
    while len(heard) < 2:
        heard += [event.reason for event in next(first).events]
    assert heard == [ONE.reason, SWITCH.reason]
    answer = next(second)
    assert ([event.reason for event in answer.events], answer.overrun) == ([SWITCH.reason], 0)


def test_a_slow_reader_loses_the_newest_and_is_told(daemon, monkeypatch):
    monkeypatch.setattr(audience, "UNREAD_MAX", 3)
    reader = Reader(lambda event: True, {})
    numbered = [replace(ONE, client_port=port) for port in range(1, 6)]
    reader.tell(numbered[:2], 0)
    reader.tell(numbered[2:], 1)
    told = daemon.call(reader.read())
    assert [event for event, _ in told.events] == numbered[:3]
    assert (told.lost, told.overrun) == (2, 1)
    reader.tell(numbered[:1], 0)
    assert daemon.call(reader.read()).lost == 0


def test_what_is_wrong_is_named(daemon):
    code, details = failure(daemon, reasons=["martian", "cookie_on"], client_prefix="127.0.0.0/8")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "client_prefix: 127.0.0.0/8 can be no host's: " in details
    assert details.endswith(
        "reasons[1]: cookie_on is none that is told; did you mean cookies_on?"
        " `synproxy explain WatchEventsRequest.reasons` lists them")
    assert failure(daemon, service="nope")[0] is grpc.StatusCode.NOT_FOUND


def test_its_reasons_stand_where_they_are_said_to(daemon):
    said = CliRunner().invoke(main, ["explain", "WatchEventsRequest.reasons"]).stdout
    told = {*EVENT_REASONS, *WORKER_EVENTS}
    assert told - set(DROP_REASONS) <= set(re.findall(r"\w+", said))


def test_names_that_are_none_are_all_answered_at_once(daemon):
    """As many as a request has room for."""
    _, details = failure(daemon, reasons=[f"cookie_invalid_{at}" for at in range(100_000)])
    assert "reasons[14]: cookie_invalid_14 is none that is told" in details
    assert "99985 more violations are not shown" in details


def test_there_is_a_bound_on_watches(daemon, watch, monkeypatch):
    monkeypatch.setitem(STREAMS_MAX, "/synproxy.v1.EventsService/WatchEvents", 1)
    watch()
    code, details = failure(daemon)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details == "all 1 places for such a stream at this listener are taken"


def test_the_schema_names_what_is_no_drop():
    said = api.DESCRIPTOR.message_types_by_name["WatchEventsRequest"].fields_by_name["reasons"]
    assert said is not None
    assert {"cookie_invalid", "cookies_on", "conn_deleted"} < set(EVENT_REASONS)


@pytest.mark.parametrize("words", [("event", "watch"), ("events", "-f")])
def test_synproxy_shows_a_line_each(daemon, words):
    watching = subprocess.Popen(
        synproxy_command(*words, address=daemon.address), stdout=subprocess.PIPE, text=True)
    until(lambda: daemon.plane.watched, seconds=CALL_S, what="the watch to begin")
    daemon.plane.happened = [ONE, SWITCH]
    assert watching.stdout is not None
    lines = [watching.stdout.readline().split() for _ in range(2)]
    daemon.do(daemon.server.tell, STALL)
    assert [*lines, watching.stdout.readline().split()] == [
        ["2023-11-14T22:13:20.123Z", "cookie_invalid", "web", "198.51.100.7:40000", ">",
         "192.0.2.7:443", "A", "+7"],
        ["1970-01-01T00:00:00.000Z", "cookies_on", "mail"],
        ["1970-01-01T00:00:00.000Z", "worker_stalled", "-", "worker", "on", "core", "2"],
    ]
    watching.kill()
    watching.wait()
