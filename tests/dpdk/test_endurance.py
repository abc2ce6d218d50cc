"""A flood that doesn't end: nothing leaks, and options change beneath it."""

import pytest

from ..proxy.segments import Segment, replace
from .conftest import WEB, pcap_write

SYN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="S", mss=1460, wscale=7,
              sack_permitted=True, tsval=1000)
ACK = replace(SYN, flags="A", mss=None, wscale=None, sack_permitted=False, ack=9, tsecr=9)
FRAMES = 1_000_000
UPDATES = 200
BUFFERS_IN_FLIGHT = 256     # a burst or two at the moment of looking


@pytest.fixture
def flood(tmp_path) -> dict[str, str]:
    """SYNs, ACKs that prove nothing, and frames to bridge; over and over, as fast as may be."""
    source, empty = tmp_path / "flood.pcap", tmp_path / "empty.pcap"
    segments = [replace(kind, sport=1024 + port, dport=dport, seq=port)
                for port in range(100) for kind in (SYN, ACK) for dport in (80, 81)]
    pcap_write(source, [segment.frame() for segment in segments])
    pcap_write(empty, [])
    return {"client_port": f"net_pcap0,rx_pcap={source},infinite_rx=1",
            "server_port": f"net_pcap1,rx_pcap={empty}"}


def test_a_million_frames_leave_every_buffer_where_it_was(plane, flood):
    told = plane(received=FRAMES, **flood)
    before, resting, stopped = told.in_use
    assert abs(resting - before) <= BUFFERS_IN_FLIGHT
    assert stopped < before                 # the worker's spare frames are back as well
    assert told.counters.received >= FRAMES
    assert told.counters.unknown_rate > 0           # so many ACKs are no old connections'
    assert told.counters.bridged > 0


def test_a_flood_leaves_no_state_and_time_is_accounted_for(plane, flood):
    (worker,) = plane(received=FRAMES, **flood).workers
    assert worker["connections"] == worker["half_open"] == 0
    assert 0 < worker["busy_turns"] <= worker["turns"]
    assert 0 < worker["busy_cycles"] <= worker["cycles"]


def test_every_update_is_acknowledged_while_the_flood_goes_on(plane, flood):
    updates = [[{**WEB, "options": {"mss": 1000 + n, "wscale": n % 15}}] for n in range(UPDATES)]
    told = plane(services=([WEB], *updates), received=FRAMES, **flood)
    assert len(told.latencies_s) == UPDATES
    assert told.workers[0]["generation"] == UPDATES + 1
    assert told.counters.tx_full == 0


def test_a_service_that_is_gone_protects_no_longer(plane, flood):
    told = plane(services=([WEB], []), received=FRAMES, **flood)
    assert told.counters.bridged > told.counters.synack_sent
