"""A capture of a flood: what the filter lets through, as far as there is room; the rest is lost,
and no frame waits for it."""

import pytest

from ..proxy.segments import Segment, replace
from .conftest import WEB, pcap_write

RING = 1024
CLIENT, SERVER = 0, 1
SYN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="S", seq=7, mss=1460, tsval=1000)
FRAMES = [
    SYN.frame(), replace(SYN, flags="FS").frame(), replace(SYN, dport=81).frame(),
    replace(SYN, flags="SA", payload=b"x" * 500).frame(),
]


@pytest.fixture
def captured(plane, tmp_path):
    """What came of captures, while these frames come as fast as they are taken."""
    def run(*captures, **differences):
        source, empty = tmp_path / "flood.pcap", tmp_path / "empty.pcap"
        pcap_write(source, FRAMES)
        pcap_write(empty, [])
        told = plane(received=100, captures=captures, **{
            "client_port": f"net_pcap0,rx_pcap={source},infinite_rx=1",
            "server_port": f"net_pcap1,rx_pcap={empty}", **differences})
        assert told.counters.received > 10 * RING
        return told.captured

    return run


def kinds(capture):
    return {(side, sent, reason) for side, sent, reason, _, _ in capture["frames"]}


def test_a_captures_room_is_bounded_and_what_finds_none_is_counted(captured):
    (told,) = captured({})
    assert len(told["frames"]) == RING
    assert told["lost"] > RING
    assert kinds(told) == {
        (CLIENT, False, None), (CLIENT, False, "flags_invalid"), (CLIENT, True, None),
        (SERVER, True, None)}


@pytest.mark.parametrize(("fields", "seen"), [
    ({"reasons": ["flags_invalid"]}, {(CLIENT, False, "flags_invalid")}),
    ({"reasons": ["martian"]}, set()),
    ({"sent": False}, {(CLIENT, False, None), (CLIENT, False, "flags_invalid")}),
    ({"received": False}, {(CLIENT, True, None), (SERVER, True, None)}),
    ({"received": False, "slot": 0}, {(CLIENT, True, None)}),
    ({"port": 81}, {(CLIENT, False, None), (SERVER, True, None)}),
    ({"port": 82}, set()), ({"slot": 1}, set()),
])
def test_only_what_is_asked_for(captured, fields, seen):
    (told,) = captured(fields)
    assert kinds(told) == seen


@pytest.mark.parametrize(("fields", "seen"), [
    ({}, {(CLIENT, False, None), (CLIENT, False, "flags_invalid"), (CLIENT, True, None),
          (SERVER, True, "tx_full")}),
    ({"reasons": ["tx_full"]}, {(SERVER, True, "tx_full")}),
    ({"reasons": ["tx_full"], "slot": 0}, set()),
    ({"reasons": ["tx_full", "flags_invalid"], "port": 80}, {(CLIENT, False, "flags_invalid")}),
])
def test_what_a_port_would_not_take_is_dropped(captured, tmp_path, fields, seen):
    """One of shared memory, to which nobody has come."""
    (told,) = captured(
        fields, server_port=f"net_memif0,role=server,socket={tmp_path}/memif,socket-abstract=no")
    assert kinds(told) == seen


def test_a_service_that_is_leaving_has_its_frames(captured):
    (told,) = captured({"slot": 0}, services=((WEB,), ()))
    assert kinds(told) >= {(CLIENT, False, None), (SERVER, True, None)}


def test_one_follows_the_other_and_each_has_its_own_snap_length(captured):
    told = captured({"snap_bytes": 100}, {"snap_bytes": 14}, {})
    for capture, snap_bytes in zip(told, (100, 14, 2016), strict=True):
        assert capture["frames"]
        assert all(length == min(frame_bytes, snap_bytes)
                   for _, _, _, frame_bytes, length in capture["frames"])
    assert {frame_bytes for _, _, _, frame_bytes, _ in told[2]["frames"]} >= {
        len(FRAMES[2]), len(FRAMES[3])}
