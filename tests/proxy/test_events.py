"""Events: who is told what, how often, and what is lost."""

import pytest

from .connection import SYN_IPV4, Connection
from .harness import START_MS, Proxy, mapped, service
from .segments import replace

A_SECOND = 100
RING = 4096


@pytest.fixture
def watched(proxy):
    proxy.box.watch_events(True)
    return proxy


def reasons(proxy):
    return [event["reason"] for event in proxy.box.events()]


def bad_ack(at=0):
    return replace(SYN_IPV4, flags="A", ack=1, sport=1024 + at, mss=None, wscale=None,
                   sack_permitted=False)


def test_nothing_is_written_while_nobody_watches(proxy):
    proxy.from_client(bad_ack())
    assert proxy.box.events() == []


def test_a_drop_is_told_with_its_segment(watched):
    watched.from_client(bad_ack())
    (event,) = watched.box.events()
    assert event == {
        "time_ms": START_MS, "reason": "cookie_invalid", "row": 1, "from_client": True,
        "flags": 0x10, "passed_over": 0,
        "client": (mapped(SYN_IPV4.source), 1024), "server": (mapped(SYN_IPV4.destination), 80),
    }


def test_a_frame_too_broken_to_tell_has_no_ports(watched):
    watched.from_client(SYN_IPV4.frame()[:20])
    (event,) = watched.box.events()
    assert (event["reason"], event["server"][1]) == ("frame_truncated", 0)


def test_what_becomes_of_connections_is_told(watched):
    Connection(watched).bring_to("refused")
    Connection(watched, replace(SYN_IPV4, sport=9), sack_permitted=False).establish().delete()
    assert reasons(watched) == [
        "server_refused", "options_learned", "options_differ", "conn_deleted"]


def test_a_silent_server_is_told(watched):
    Connection(watched).prove()
    watched.clock.advance(seconds=100)
    assert reasons(watched) == ["server_timeout"]


def test_cookies_going_on_and_off_are_told_once_each():
    proxy = Proxy(service(activation="auto", syn_rate_mark=2, hold_ms=1000))
    proxy.box.watch_events(True)
    proxy.box.tend(8)
    for at in range(3):
        proxy.from_client(replace(SYN_IPV4, sport=3000 + at))
    proxy.box.tend(8)
    assert reasons(proxy) == ["cookies_on"]
    proxy.clock.advance(seconds=5)
    assert reasons(proxy) == ["cookies_off"]


def test_a_flood_of_one_reason_hides_no_other(watched):
    for at in range(A_SECOND + 50):
        watched.from_client(bad_ack(at))
    watched.from_client(replace(SYN_IPV4, flags="FS"))
    told = reasons(watched)
    assert told == ["cookie_invalid"] * A_SECOND + ["flags_invalid"]
    watched.clock.advance(seconds=1)
    watched.from_client(bad_ack())
    (event,) = watched.box.events()
    assert (event["reason"], event["passed_over"]) == ("cookie_invalid", 50)


def test_what_is_passed_over_is_counted_of_all_times(watched):
    for beyond in (50, 7):
        for at in range(A_SECOND + beyond):
            watched.from_client(bad_ack(at))
        watched.clock.advance(seconds=1)
    watched.box.watch_events(True)
    watched.from_client(bad_ack())
    (event,) = watched.box.events()
    assert event["passed_over"] == 57


def test_what_finds_the_ring_full_is_lost_and_counted(watched):
    seconds = RING // A_SECOND + 1
    for _ in range(seconds):
        for at in range(0, A_SECOND, 50):
            watched.from_client(*(bad_ack(at + n) for n in range(50)))
        watched.clock.advance(seconds=1)
    events = watched.box.events()
    assert len(events) == RING
    assert watched.box.events_lost() == seconds * A_SECOND - RING
    watched.from_client(bad_ack())
    assert reasons(watched) == ["cookie_invalid"]


def test_who_begins_to_watch_hears_nothing_older(watched):
    watched.from_client(bad_ack())
    watched.box.watch_events(True)
    assert watched.box.events() == []
