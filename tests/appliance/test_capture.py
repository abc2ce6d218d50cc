"""CaptureService: a pcapng file that tshark reads, bounds, and what a slow reader loses."""

import subprocess
import time
from ipaddress import ip_address

import grpc
import pytest
from click.testing import CliRunner
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import capture_service_pb2 as api
from synproxy.v1.capture_service_pb2_grpc import CaptureServiceStub
from synproxy.v1.rule_pb2 import ROLE_OPERATOR

from appliance.cli.main import main
from appliance.exit_codes import ExitCode
from appliance.lab.waiting import until
from appliance.management import recording
from appliance.management.roles import method_role
from cython_core.dataplane import DROP_REASONS, CaptureFilter, DataplaneError

from .segment_frames import to_client, to_server

CALL_S = 10
CLIENT, SERVER = 0, 1
TIME_NS = 1_700_000_000_123_456_789
SOON = Duration(nanos=100_000_000)
LONG = Duration(seconds=60)
FRAMES = [
    (TIME_NS, CLIENT, False, None, 60, to_server()),
    (TIME_NS + 1, SERVER, True, None, 1500, to_server(b"x" * 100)),
    (TIME_NS + 2, CLIENT, False, "cookie_invalid", 60, to_server(flags="A")),
    (TIME_NS + 3, SERVER, False, None, 60, to_client()),
    (TIME_NS + 4, CLIENT, True, "tx_full", 60, to_client()),
]
FIELDS = ("frame.time_epoch", "frame.interface_name", "frame.packet_flags_direction", "frame.len",
          "frame.comment")


@pytest.fixture
def capture(daemon):
    """Capture, once it has begun; the calls end with the test."""
    calls = []

    def begin(**request):
        calls.append(CaptureServiceStub(daemon.channel).Capture(
            api.CaptureRequest(**{"time": LONG} | request)))
        return calls[-1], next(calls[-1])

    yield begin
    for call in calls:
        call.cancel()
    until(lambda: daemon.plane.capturing is None, seconds=CALL_S, what="the capture to end")


def failure(daemon, **request):
    with pytest.raises(grpc.RpcError) as error:
        next(CaptureServiceStub(daemon.channel).Capture(api.CaptureRequest(**request)))
    return error.value.code(), error.value.details()


def tshark(content, *arguments):
    """What it says of a file, and of nothing that is wrong with it."""
    run = subprocess.run(["tshark", "-n", "-r", "-", *arguments], input=content,
                         capture_output=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert b"appears" not in run.stderr, run.stderr
    return run.stdout.decode()


def test_who_may():
    assert method_role("/synproxy.v1.CaptureService/Capture") == ROLE_OPERATOR


def test_the_parts_are_a_file_that_tshark_reads(daemon, capture):
    parts, first = capture(packets=len(FRAMES))
    daemon.plane.frames = list(FRAMES)
    daemon.plane.frames_lost = 9
    answers = [first, *parts]
    assert (answers[-1].packets, answers[-1].lost) == (5, 9)
    said = tshark(b"".join(answer.pcapng for answer in answers), "-T", "fields", "-E",
                  "separator=|", *(word for field in FIELDS for word in ("-e", field)))
    rows = [line.split("|") for line in said.splitlines()]
    assert [row[1:] for row in rows] == [
        ["client", "0x00000001", "60", ""], ["server", "0x00000002", "1500", ""],
        ["client", "0x00000001", "60", "dropped: cookie_invalid"],
        ["server", "0x00000001", "60", ""],
        ["client", "0x00000002", "60", "dropped: tx_full"],
    ]
    assert rows[0][0].startswith("1700000000.123456789")


def test_it_ends_after_so_many_packets_or_that_time(daemon, capture):
    parts, _ = capture(packets=3)
    daemon.plane.frames = list(FRAMES)
    assert [part.packets for part in parts][-1] == 3
    parts, _ = capture(time=SOON)
    assert [part.packets for part in parts][-1] == 0
    until(lambda: daemon.plane.capturing is None, seconds=CALL_S, what="the capture to end")


def test_filters_are_the_data_planes_own(daemon, capture):
    capture(service="mail", prefix="198.51.100.0/24", port=25, snap_bytes=64,
            reasons=["martian"], direction=api.CaptureRequest.DIRECTION_RECEIVED)
    assert daemon.plane.capturing == CaptureFilter(
        received=True, sent=False, reasons=frozenset(["martian"]), slot=1,
        prefix=(b"\0" * 10 + b"\xff\xff" + ip_address("198.51.100.0").packed, 120), port=25,
        snap_bytes=64)


def test_what_a_port_would_not_take_can_be_asked_for(daemon, capture):
    capture(reasons=["tx_full"], direction=api.CaptureRequest.DIRECTION_SENT)
    assert daemon.plane.capturing.reasons == {"tx_full"}


@pytest.fixture
def flood(daemon, monkeypatch):
    """Frames that come faster than any reader takes them."""
    frames = [(TIME_NS, CLIENT, False, None, 1400, bytes(1400))] * 500
    taken = daemon.plane.captured

    def captured():
        daemon.plane.frames = list(frames)
        return taken()

    monkeypatch.setattr(daemon.plane, "captured", captured)


@pytest.mark.usefixtures("flood")
def test_of_a_reader_that_reads_nothing_a_bounded_number_is_kept(daemon, capture):
    plane = daemon.plane
    parts, _ = capture(packets=10_000_000)
    until(lambda: is_at_rest(plane), seconds=CALL_S, what="the room to be full")
    plane.frames_lost = 77
    assert any(part.lost == 77 for part in parts)


def is_at_rest(plane):
    before = plane.taken
    time.sleep(10 * recording.POLL_S)
    return plane.taken == before


@pytest.mark.usefixtures("flood")
@pytest.mark.parametrize("bound", [
    {"packets": 7_000}, {"packets": 10_000_000, "time": Duration(seconds=1)}])
def test_one_whose_reader_reads_nothing_ends_all_the_same(daemon, capture, bound):
    parts, _ = capture(**bound)
    until(lambda: daemon.plane.capturing is None, seconds=CALL_S, what="the capture to end")
    daemon.plane.frames_lost = 77
    others, first = capture(packets=500)
    later = [first, *others]
    assert (later[-1].packets, later[-1].lost) == (500, 0)
    *_, last = parts        # what was taken in time is still there
    assert 0 < last.packets <= bound["packets"]
    assert last.packets == bound["packets"] or last.packets % 500 == 0
    assert last.lost == 0


@pytest.mark.usefixtures("flood")
def test_of_captures_that_nobody_reads_to_the_end_the_latest_are_kept(
        daemon, capture, monkeypatch):
    monkeypatch.setattr("appliance.management.capture.HELD_MAX", 2)
    unread = []
    for _ in range(3):
        unread.append(capture(packets=7_000)[0])
        until(lambda: daemon.plane.capturing is None, seconds=CALL_S, what="the capture to end")
    first, *kept = [list(parts)[-1] for parts in unread]
    assert first.packets + first.lost == 7_000
    assert first.lost > 0
    assert [(last.packets, last.lost) for last in kept] == [(7_000, 0)] * 2


@pytest.fixture
def recreated(daemon):
    """Gives the slot of a service that has left to another one, of what was its own."""
    def recreate(name, another):
        service = daemon.catalogue.service(name)
        slot = daemon.catalogue.slot(name)
        daemon.call(daemon.catalogue.delete(name))
        daemon.plane.left.clear()
        service.name = another
        daemon.call(daemon.catalogue.create(service))
        assert daemon.catalogue.slot(another) == slot

    return recreate


def test_it_ends_with_its_service_and_shows_nothing_of_who_has_the_slot_next(
        daemon, capture, recreated):
    parts, _ = capture(service="mail")
    recreated("mail", "dns")
    daemon.plane.frames = list(FRAMES)
    assert [part.packets for part in parts][-1] == 0
    assert not daemon.plane.frames
    recreated("dns", "mail")        # nothing of the name is held


def test_a_service_that_is_leaving_is_captured_until_it_has_left(daemon, capture):
    daemon.plane.connections_left = 1
    daemon.call(daemon.catalogue.delete("mail"))
    parts, _ = capture(service="mail")
    daemon.plane.frames = list(FRAMES)
    assert next(parts).packets == len(FRAMES)
    daemon.plane.left.clear()
    daemon.call(daemon.catalogue.republish(lambda: lambda: None))
    assert [part.packets for part in parts][-1] == len(FRAMES)


def test_one_at_a_time(daemon, capture):
    parts, _ = capture()
    assert failure(daemon) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "somebody captures already")
    parts.cancel()
    until(lambda: daemon.plane.capturing is None, seconds=CALL_S, what="the capture to end")
    capture()


def test_a_stuck_worker_is_unavailable(daemon, monkeypatch):
    monkeypatch.setattr(recording, "BEGIN_S", 0.1)
    daemon.plane.stuck = True
    assert failure(daemon)[0] is grpc.StatusCode.UNAVAILABLE


def test_one_whose_workers_end_meanwhile_is_unavailable(daemon, capture, monkeypatch):
    def captured():
        raise DataplaneError("the data plane is closed")

    parts, _ = capture()
    monkeypatch.setattr(daemon.plane, "captured", captured)
    with pytest.raises(grpc.RpcError) as error:
        next(parts)
    assert (error.value.code(), error.value.details()) == (
        grpc.StatusCode.UNAVAILABLE, "the data plane is closed")
    assert daemon.plane.capturing is None


@pytest.mark.parametrize(("request_", "field"), [
    ({"prefix": "x"}, "prefix"), ({"port": 65536}, "port"), ({"packets": 10_000_001}, "packets"),
    ({"time": Duration(nanos=1)}, "time"), ({"snap_bytes": 13}, "snap_bytes"),
    ({"reasons": ["nope"]}, "reasons[0]"),
    ({"reasons": ["martian"], "direction": api.CaptureRequest.DIRECTION_SENT}, "direction"),
    ({"reasons": ["tx_full"], "direction": api.CaptureRequest.DIRECTION_RECEIVED}, "direction")])
def test_what_is_wrong_is_named(daemon, request_, field):
    code, details = failure(daemon, **request_)
    assert (code, details.startswith(f"{field}: ")) == (grpc.StatusCode.INVALID_ARGUMENT, True)


@pytest.mark.parametrize(("reason", "said"), [
    ("cookie_invald", "did you mean cookie_invalid? "), ("TABLE-FULL", "did you mean table_full? "),
    ("zzzz", "")])
def test_a_reason_that_is_none_is_answered_with_the_nearest_and_where_they_stand(
        daemon, reason, said):
    assert failure(daemon, reasons=["martian", reason])[1] == (
        f"reasons[1]: {reason} is no drop reason; {said}`synproxy stats --all` lists them")


def test_all_reasons_stand_where_they_are_said_to(daemon):
    result = CliRunner().invoke(main, ["--address", daemon.address, "stats", "--all"])
    assert set(DROP_REASONS) <= set(result.stdout.split())


def test_a_prefix_of_either_end_is_told_as_that_of_a_host(daemon):
    assert failure(daemon, prefix="224.0.0.0/4")[1] == (
        "prefix: 224.0.0.0/4 can be no host's: loopback, multicast or unspecified")


def test_a_service_that_no_one_knows_is_not_found(daemon):
    assert failure(daemon, service="nope")[0] is grpc.StatusCode.NOT_FOUND


def test_synproxy_writes_the_file(daemon, tmp_path):
    path = tmp_path / "frames.pcapng"
    result = CliRunner().invoke(main, [
        "--address", daemon.address, "capture", "--time", "100ms", "--write", str(path)])
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "0 packets, 0 lost\n")
    assert tshark(path.read_bytes()) == ""


def test_synproxy_writes_to_standard_output(daemon):
    result = CliRunner().invoke(main, [
        "--address", daemon.address, "capture", "--time", "100ms", "-c", "1", "-s", "14",
        "-w", "-"])
    assert (result.exit_code, tshark(result.stdout_bytes)) == (ExitCode.OK, "")


@pytest.mark.parametrize("path", ["frames.pcapng", "new.pcapng"])
def test_a_call_that_is_refused_leaves_the_file_as_it_was(daemon, tmp_path, path):
    (tmp_path / "frames.pcapng").write_bytes(b"of yesterday")
    result = CliRunner().invoke(main, [
        "--address", daemon.address, "capture", "--service", "nope", "--write",
        str(tmp_path / path)])
    assert result.exit_code == ExitCode.NOT_FOUND
    assert [one.read_bytes() for one in tmp_path.glob("*.pcapng")] == [b"of yesterday"]


def test_a_file_that_is_there_is_written_anew(daemon, tmp_path):
    path = tmp_path / "frames.pcapng"
    path.write_bytes(b"of yesterday" * 100)
    result = CliRunner().invoke(main, [
        "--address", daemon.address, "capture", "--time", "100ms", "--write", str(path)])
    assert result.exit_code == ExitCode.OK
    assert tshark(path.read_bytes()) == ""


def test_a_file_that_cant_be_written_ends_it_with_a_line(daemon, tmp_path):
    result = CliRunner().invoke(main, [
        "--address", daemon.address, "capture", "--write", str(tmp_path)])
    assert (result.exit_code, "Is a directory" in result.stderr) == (ExitCode.FAILED, True)
    until(lambda: daemon.plane.capturing is None, seconds=CALL_S, what="the capture to end")


def test_a_time_that_is_none_is_a_usage_error(daemon):
    result = CliRunner().invoke(main, [
        "--address", daemon.address, "capture", "--time", "soon", "--write", "-"])
    assert result.exit_code == ExitCode.USAGE
