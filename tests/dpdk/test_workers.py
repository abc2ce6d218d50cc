"""Workers and queues in any numbers: each flow is at its owner, and no frame is lost or doubled."""

from ipaddress import ip_address

import pytest
from cython_core._testing_rss import KEY, toeplitz

from ..proxy.icmp import error_about
from ..proxy.segments import Segment, replace
from .conftest import lcores, queues, queues_sent

# Cookies are off: what either side says tells of a connection that passes.
WEB = {"slot": 0, "name": "web", "prefixes": ["10.0.0.0/24", "fd00::/64"], "ports": [[80, 80]],
       "options": {"activation": "off"}}
FLOWS = 60
BUCKETS = 128
FROM_CLIENT = [
    Segment(f"10.1.0.{at}" if at & 1 else f"fd01::{at}", "10.0.0.2" if at & 1 else "fd00::2",
            40000 + at * 37, 80, flags="A", seq=7000, ack=1000) for at in range(1, FLOWS + 1)]
FROM_SERVER = [
    replace(one, source=one.destination, destination=one.source, sport=one.dport, dport=one.sport,
            seq=one.ack, ack=one.seq) for one in FROM_CLIENT]
SAID = {"client": FROM_CLIENT, "server": FROM_SERVER}


def in_turn(segments, count):
    """Over so many queues, without regard to flows."""
    return [[one.frame() for one in segments[at::count]] for at in range(count)]


def by_hash(segments, count):
    """As a NIC spreads them that has our key and our table."""
    placed = [[] for _ in range(count)]
    for one in segments:
        placed[toeplitz(KEY, hashed(one)) % BUCKETS % count].append(one.frame())
    return placed


def hashed(segment):
    return (ip_address(segment.source).packed + ip_address(segment.destination).packed
            + segment.sport.to_bytes(2, "big") + segment.dport.to_bytes(2, "big"))


def handed_over(told):
    return sum(state["handed_out"] for state in told.states)


def all_arrived(folder, told):
    assert told.counters.received == 2 * FLOWS
    assert told.counters.tx_full == told.counters.no_buffer == 0
    assert sum(worker["connections"] for worker in told.workers) == FLOWS
    for side, other in (("client", "server"), ("server", "client")):
        assert (sorted(queues_sent(folder, side)) == sorted(one.frame() for one in SAID[other]))


@pytest.mark.parametrize(("workers", "received", "ways_out"), [
    (1, 3, 1), (2, 3, 3), (2, 5, 2), (2, 1, 2), (2, 1, 1), (3, 2, 1), (4, 1, 1), (5, 2, 3)])
def test_more_queues_than_workers_and_more_workers_than_queues(plane, tmp_path, workers, received,
                                                              ways_out):
    told = plane(services=((WEB,),), received=2 * FLOWS, **lcores(workers), **{
        f"{side}_port": queues(tmp_path, side, in_turn(said, received), ways_out)
        for side, said in SAID.items()})
    all_arrived(tmp_path, told)
    assert all(worker["connections"] > 0 for worker in told.workers)
    assert (handed_over(told) > 0) == (workers > 1)
    assert handed_over(told) == sum(state["handed_in"] for state in told.states)


def test_a_syn_that_is_handed_over_is_noted_once(plane, tmp_path):
    """Each of two workers receives half of them, and has half of the mark."""
    syns = [Segment("10.1.0.9", "10.0.0.2", 2000 + at, 80, flags="S") for at in range(200)]
    monitored = WEB | {"options": {"activation": "monitor", "syn_rate_mark": 250}}
    told = plane(services=((monitored,),), received=len(syns), **lcores(2),
                 client_port=queues(tmp_path, "client", in_turn(syns, 2)),
                 server_port=queues(tmp_path, "server", [[], []]))
    assert told.counters.syn_passed == len(syns)
    assert 0 < handed_over(told) < len(syns)
    assert told.counters.cookies_on == 0


@pytest.mark.parametrize("workers", [2, 3])
def test_nothing_is_handed_over_where_both_ports_spread_by_the_hash(plane, tmp_path, workers):
    told = plane(services=((WEB,),), received=2 * FLOWS, rss=(BUCKETS, workers), **lcores(workers),
                 **{f"{side}_port": queues(tmp_path, side, by_hash(said, workers), workers)
                    for side, said in SAID.items()})
    all_arrived(tmp_path, told)
    assert handed_over(told) == 0
    assert all(worker["connections"] > 0 for worker in told.workers)


def test_what_a_nic_spreads_otherwise_than_told_is_handed_over(plane, tmp_path):
    told = plane(services=((WEB,),), received=2 * FLOWS, rss=(BUCKETS, 2), **lcores(2),
                 **{f"{side}_port": queues(tmp_path, side, by_hash(said, 2)[::-1], 2)
                    for side, said in SAID.items()})
    all_arrived(tmp_path, told)
    assert handed_over(told) == 2 * FLOWS


def test_an_error_finds_the_owner_of_the_segment_that_it_quotes(plane, tmp_path):
    """It has a router's address, so that a NIC spreads it otherwise."""
    other = next(one for one in FROM_SERVER
                 if one.family == 4 and toeplitz(KEY, hashed(one)) % BUCKETS % 2 == 1)
    error = error_about(other, "too-big")
    told = plane(services=((WEB,),), received=1, rss=(BUCKETS, 2), **lcores(2),
                 client_port=queues(tmp_path, "client", [[error], []], 2),
                 server_port=queues(tmp_path, "server", [[], []], 2))
    assert [state["handed_out"] for state in told.states] == [1, 0]
    assert [state["handed_in"] for state in told.states] == [0, 1]
    assert queues_sent(tmp_path, "server") == [error]


@pytest.mark.parametrize(("ports", "workers", "symmetric"), [
    (("net_null0,no-rx=1", "net_null1,no-rx=1"), 2, True),
    (("net_null0,no-rx=1", "net_null1,no-rx=1"), 1, False),
    (("net_null0,no-rx=1", "net_ring1"), 2, False)])
def test_ports_that_can_are_given_the_symmetric_key(plane, ports, workers, symmetric):
    """net_null has the calls of a NIC for it, and asks for its key and its table."""
    client, server = ports
    told = plane(client_port=client, server_port=server, **lcores(workers))
    assert [state["symmetric_rss"] for state in told.port_states] == [symmetric] * 2
