"""Connections of two workers are listed, and each is deleted by the one that owns it."""

from ..proxy.segments import Segment, replace
from .conftest import lcores, queues, queues_sent

# Cookies are off: what a server says tells of a connection that passes.
WEB = {"slot": 0, "name": "web", "prefixes": ["10.0.0.0/24"], "ports": [[80, 80]],
       "options": {"activation": "off"}}
SAID = Segment("10.0.0.2", "10.1.0.1", 80, 40000, flags="A", seq=1000, ack=7000)
TWO_WORKERS = lcores(2)
COUNT = 60
ROOM, ENTRY_BYTES = 1 << 20, 32     # of a list that is refused; an entry is as long, and longer


def devices(folder, from_server):
    """Two ports, each with two queues either way; frames come in by the first one's."""
    return {f"{side}_port": queues(folder, side, [frames, []], 2)
            for side, frames in (("client", []), ("server", from_server))}


def sent(folder, side):
    return [Segment.read(frame) for frame in queues_sent(folder, side)]


def test_all_are_listed_once_and_deleted_by_their_owner(plane, tmp_path):
    said = [replace(SAID, dport=40000 + at, seq=1000 + at, ack=7000 + at).frame()
            for at in range(COUNT)]
    told = plane(services=((WEB,),), received=COUNT, delete=True, **devices(tmp_path, said),
                 **TWO_WORKERS)
    before, deleted, after = told.census
    ports = [port for _, port, _, _ in before]
    assert sorted(ports) == [40000 + at for at in range(COUNT)]
    assert {lcore for _, _, _, lcore in before} == {1, 2}
    assert deleted == ["established"] * COUNT
    assert [(port, state) for _, port, state, _ in after] == [(port, "deleted") for port in ports]
    assert told.counters.conn_deleted == COUNT
    to_client = [one for one in sent(tmp_path, "client") if one.flags == "R"]
    assert {(rst.dport, rst.seq) for rst in to_client} == {
        (40000 + at, 1000 + at) for at in range(COUNT)}
    assert {(rst.flags, rst.sport, rst.seq) for rst in sent(tmp_path, "server")} == {
        ("R", 40000 + at, 7000 + at) for at in range(COUNT)}


def test_behind_the_last_worker_is_nothing(plane):
    assert plane().beyond == [[], None]


def test_a_worker_takes_as_many_deletions_again_once_they_are_given_up(plane):
    assert plane(crowd=True).crowded == [256, 256]


def test_a_list_that_is_refused_keeps_no_room(plane):
    assert plane(wrong=16).grown < 2 * ROOM * ENTRY_BYTES


def test_a_service_that_is_leaving_has_its_connections(plane, tmp_path):
    said = [replace(SAID, dport=40000 + at).frame() for at in range(3)]
    told = plane(services=((WEB,),), received=3, leave=True, **devices(tmp_path, said),
                 **TWO_WORKERS)
    assert sorted(port for _, port, _, _ in told.left) == [40000, 40001, 40002]
