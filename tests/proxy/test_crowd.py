"""The crowd of the benchmarks: its connections are real ones to the proxy, its frames theirs."""

import pytest
from cython_core._testing_crowd import Crowd

from .harness import START_MS, Proxy, service

STEPS = ("SYN", "ACK", "SYN-ACK", "request", "response", "client's FIN", "server's FIN", "last ACK")
COUNT = 100


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def crowd(request):
    proxy = Proxy(service(early_data=True), half_open=2 * COUNT)
    return proxy, Crowd(proxy.box, COUNT, request.param)


def test_a_crowd_opens_connections_of_its_own_each(crowd):
    proxy, crowd = crowd
    crowd.open(START_MS)
    assert [conn["state"] for conn in proxy.box.connections()] == ["established"] * COUNT
    assert len({conn["client"] for conn in proxy.box.connections()}) == COUNT
    assert proxy.counters.options_differ == 0


def test_what_an_open_connection_says_is_translated_both_ways(crowd):
    proxy, crowd = crowd
    crowd.open(START_MS)
    verdicts, sent = proxy.box.run(crowd.frames_of(range(60), "client's ACK"), True)
    assert set(verdicts) == {"translate"}
    assert all(to_server for to_server, _ in sent)
    verdicts, sent = proxy.box.run(crowd.frames_of(range(60), "server's ACK"), False)
    assert set(verdicts) == {"translate"}
    assert not any(to_server for to_server, _ in sent)


def test_only_those_asked_for_are_opened_and_the_same_ones_again(crowd):
    proxy, crowd = crowd
    crowd.open(START_MS, range(0, COUNT, 10))
    assert proxy.gauges.connections == 10
    again = Crowd(Proxy(service(early_data=True)).box, COUNT, 4 if crowd.family == 4 else 6)
    again.open(START_MS)
    assert (again.frames_of([30], "client's ACK") == crowd.frames_of([30], "client's ACK"))


def test_a_connection_that_has_conversed_is_over(crowd):
    proxy, crowd = crowd
    spent = crowd.converse(COUNT, 1)
    assert [(step, frames) for step, frames, _ in spent] == [(step, COUNT) for step in STEPS]
    assert {conn["state"] for conn in proxy.box.connections()} == {"time_wait"}
    assert proxy.counters.cookie_valid == proxy.counters.conn_closed == COUNT


def test_a_frame_that_meets_another_fate_is_told_with_its_connection():
    proxy = Proxy(service(), connections=50)
    with pytest.raises(RuntimeError, match=r"the ACK of connection \d+ met table_full"):
        Crowd(proxy.box, COUNT, 4).open(START_MS)
