"""SystemService: what it tells, and what is done to the appliance as a whole."""

import logging
import os
import re
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.services_service_pb2 import CreateServiceRequest
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.management import catalogue
from cython_core.dataplane import DPDK_VERSION, Beginning

from .plane import EPOCH_S, HZ, worker_state
from .refused import violations

CALL_S = 10


@pytest.fixture
def call(daemon):
    """A method of the service by its name, with what its request says."""
    stub = SystemServiceStub(daemon.channel)

    def make(method, **request):
        return getattr(stub, method)(getattr(api, f"{method}Request")(**request), timeout=CALL_S)

    return make


@pytest.fixture(autouse=True)
def _levels():
    former = logging.getLogger().level
    yield
    logging.getLogger().setLevel(former)


def refusal(call, method, **request):
    with pytest.raises(grpc.RpcError) as error:
        call(method, **request)
    return error.value


def table(daemon, look, **entries):
    """What the first worker's table is like, in the look of that number; the other one's is
    empty."""
    daemon.plane.states = [
        worker_state(lcore=1, look=look, sweep=look + 1, **entries),
        worker_state(lcore=2, look=look, sweep=look + 1),
    ]


class TestSystem:
    def test_it_says_what_it_is_made_of_and_started_with(self, call):
        system = call("GetSystem")
        assert system.versions.dpdk == DPDK_VERSION
        assert system.versions.kernel == os.uname().release
        for _, version in system.versions.ListFields():
            assert re.match(r"\d+\.\d+", version)
        assert len(system.versions.ListFields()) == len(api.Versions.DESCRIPTOR.fields)
        assert list(system.eal_arguments) == ["synproxyd", "-l", "0,1,2"]
        assert (system.pid, system.generation) == (os.getpid(), 1)

    def test_it_says_since_when_it_runs(self, call):
        system = call("GetSystem")
        assert 0 < system.uptime.ToTimedelta().total_seconds() < 60
        since = datetime.now(UTC) - system.start_time.ToDatetime(tzinfo=UTC)
        assert abs(since - system.uptime.ToTimedelta()) < timedelta(seconds=5)

    def test_it_says_what_goes_on_of_the_daemon_before(self, daemon, call):
        beginning = call("GetSystem").beginning
        assert not beginning.warm
        assert beginning.cold_reason == "there was none"
        assert beginning.unkept_reason == "there is none"
        assert not beginning.HasField("gap")
        daemon.plane.beginning = Beginning(
            warm=True, adopted=9, torn=1, unserved=2, without_room=3, unsound=4, gap_s=0.25,
            stall="the worker on core 1 made no turn")
        beginning = call("GetSystem").beginning
        assert beginning == api.Beginning(
            warm=True, adopted=9, torn=1, unserved=2, without_room=3, unsound=4,
            gap=Duration(nanos=250_000_000), stall="the worker on core 1 made no turn")

    def test_the_tables_are_those_of_all_workers(self, daemon, call):
        daemon.plane.states = [
            worker_state(lcore=1, connections=9, half_open=2, early_segments=3, opening=2, open=4,
                         passing=1, time_wait=1, tombstones=1),
            worker_state(lcore=2, connections=1, open=1),
        ]
        assert call("GetSystem").tables == api.TableFill(
            connections=10, connections_max=2048, half_open=2, half_open_max=128,
            early_segments=3, early_segments_max=64, opening=2, open=5, passing=1, time_wait=1,
            tombstones=1)

    def test_at_first_it_has_one_secret_and_does_not_drain(self, call):
        system = call("GetSystem")
        assert system.secret == api.SecretState(number=1)
        assert system.drain == api.DrainState()
        assert system.log_levels == api.LogLevels(daemon="warning", dpdk="warning")


def test_ports_have_link_driver_queues_and_the_nics_counters(call):
    client, server = call("ListPorts").ports
    assert (client.role, client.driver, client.link_up, client.speed_mbps) == (
        "client", "net_ring", True, 10_000)
    assert (client.rx_queues, client.tx_queues) == (1, 2)
    assert (client.rx_descriptors, client.tx_descriptors) == (1024, 512)
    assert list(client.tx_offloads) == ["MBUF_FAST_FREE"]
    assert (client.symmetric_rss, server.symmetric_rss) == (True, False)
    assert dict(client.nic_counters) == {"rx_good_packets": 5, "rx_missed_errors": 0}
    assert (server.link_up, server.HasField("speed_mbps")) == (False, False)


def test_workers_have_their_load_by_window(daemon, call):
    # A hundred times more than the daemon's own looks at it may have seen.
    daemon.plane.states = [
        worker_state(lcore=lcore, cycles=100 * HZ, busy_cycles=busy * HZ, turns=10**6, frames=3200,
                     bursts=200, connections=5, handed_in=handed_in, handed_out=handed_out)
        for lcore, busy, handed_in, handed_out in ((1, 25, 0, 1600), (2, 0, 1600, 0))
    ]
    busy, idle = call("ListWorkers").workers
    assert (busy.lcore, busy.thread_id, busy.cycles) == (1, 101, 100 * HZ)
    assert busy.vector == "x86-64-v3"
    assert [load.window for load in busy.loads] == [Duration(seconds=s) for s in (1, 10, 60)]
    for load in busy.loads:
        assert load.busy == 0.25
        assert load.frames_per_burst == 16
        assert (load.handed_in_per_second, load.handed_out_per_second) == (0, 16)
        assert load.share == 1600 / 4800
    assert (busy.handed_in, busy.handed_out) == (idle.handed_out, idle.handed_in) == (0, 1600)
    assert busy.tables.connections == 5
    assert {load.busy for load in idle.loads} == {0}


def test_mempools_have_the_fewest_free_buffers_seen(daemon, call):
    for in_use, free, least in ((100, 923, 923), (1000, 23, 23), (0, 1023, 23)):
        daemon.plane.in_use = in_use
        (pool,) = call("ListMempools").mempools
        assert (pool.free, min(pool.free_min, least)) == (free, pool.free_min)
    assert (pool.name, pool.size, pool.cache) == ("frames_0", 1023, 127)


class TestDrain:
    def test_it_is_a_part_of_the_snapshot_that_all_workers_run(self, daemon, call):
        answer = call("Drain")
        assert daemon.plane.drains == ["bridge"]
        assert (len(daemon.plane.published), answer.generation) == (2, 2)
        assert answer.apply_time.ToNanoseconds() > 0
        assert call("Undrain").generation == 3
        assert daemon.plane.drains == ["bridge", "none"]

    def test_it_shows_in_stats_until_it_ends(self, daemon, call):
        def shown():
            stub = StatsServiceStub(daemon.channel)
            return stub.GetStats(GetStatsRequest(), timeout=CALL_S).draining

        before = shown()
        call("Drain")
        assert (before, shown()) == (False, True)
        call("Undrain")
        assert not shown()

    @pytest.mark.parametrize("policy", ["BRIDGE", "DROP"])
    def test_syns_pass_or_are_dropped(self, daemon, call, policy):
        number = api.DrainPolicy.Value(f"DRAIN_POLICY_{policy}")
        assert call("Drain", policy=number).drain.policy == number
        assert daemon.plane.drains == [policy.lower()]

    @pytest.mark.parametrize("policy", [0, 3, -1])
    def test_another_policy_is_refused_and_nothing_happens(self, daemon, call, policy):
        error = refusal(call, "Drain", policy=policy)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert violations(error) == [("policy", f"has no value {policy}")]
        assert daemon.plane.drains == []

    def test_it_is_done_once_a_look_that_began_later_has_met_no_connection(self, daemon, call):
        table(daemon, look=7, opening=1, open=2, passing=5, time_wait=3, tombstones=4)
        drain = call("Drain").drain
        assert (drain.connections_at_start, drain.HasField("connections")) == (3, False)
        table(daemon, look=8)       # it had begun before
        assert not call("GetDrain").drain.HasField("connections")
        table(daemon, look=9, open=1)
        drain = call("GetDrain").drain
        assert (drain.connections, drain.HasField("connections"), drain.done) == (1, True, False)
        table(daemon, look=10, passing=5, time_wait=3, tombstones=4)
        drain = call("GetDrain").drain
        assert (drain.connections, drain.HasField("connections"), drain.done) == (0, True, True)

    def test_one_worker_that_has_not_looked_yet_holds_it_up(self, daemon, call):
        table(daemon, look=7)
        call("Drain")
        daemon.plane.states = [worker_state(look=9), worker_state(look=8)]
        assert not call("GetDrain").drain.done

    def test_syns_are_counted_since_it_began(self, daemon, call):
        daemon.plane.counters = daemon.plane.counters | {"syn_passed": 100, "draining": 10}
        assert call("Drain").drain.syns == 0
        daemon.plane.counters = daemon.plane.counters | {"syn_passed": 101, "draining": 12}
        assert call("GetDrain").drain.syns == 2 * 3     # of two workers

    def test_another_policy_changes_no_more_than_that(self, daemon, call):
        table(daemon, look=7, open=2)
        first = call("Drain").drain
        table(daemon, look=9, open=1)
        second = call("Drain", policy=api.DRAIN_POLICY_DROP).drain
        assert (second.start_time, second.connections_at_start, second.connections) == (
            first.start_time, 2, 1)

    def test_undrain_answers_how_far_it_was(self, daemon, call):
        table(daemon, look=7, open=2)
        call("Drain")
        table(daemon, look=9, open=1)
        previous = call("Undrain").previous
        assert (previous.draining, previous.connections) == (True, 1)
        assert call("GetDrain").drain == api.DrainState()

    def test_handshakes_that_have_begun_have_two_epochs_to_end(self, call):
        drain = call("Drain").drain
        given = drain.handshakes_expire_time.ToDatetime() - drain.start_time.ToDatetime()
        assert given == timedelta(seconds=2 * EPOCH_S)

    def test_a_change_of_services_drains_on(self, daemon, call):
        call("Drain")
        request = CreateServiceRequest()
        request.service.name = "dns"
        request.service.prefixes.append("192.0.2.53")
        request.service.ports.append("53")
        ServicesServiceStub(daemon.channel).CreateService(request, timeout=CALL_S)
        assert call("GetDrain").drain.draining
        assert daemon.plane.drains == ["bridge"]

    def test_a_worker_that_is_stuck_is_told(self, daemon, call, monkeypatch):
        monkeypatch.setattr(catalogue, "ACKNOWLEDGE_TIMEOUT_S", 0.05)
        daemon.plane.stuck = True
        assert refusal(call, "Drain").code() is grpc.StatusCode.UNAVAILABLE
        assert call("GetDrain").drain.draining      # it is published

    def test_a_data_plane_without_memory_is_told(self, daemon, call):
        daemon.plane.failing = True
        error = refusal(call, "Drain")
        assert (error.code(), "memory" in error.details()) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED, True)


class TestRotation:
    def test_it_says_from_when_the_secret_counts(self, daemon, call):
        answer = call("RotateSecret")
        assert answer.generation == 2
        assert answer.secret.number == 2
        since_s = answer.secret.effective_time.seconds
        assert answer.secret.former_expire_time == Timestamp(seconds=since_s + EPOCH_S)
        assert call("GetSystem").secret == answer.secret
        assert call("RotateSecret").secret.number == 3
        assert daemon.plane.rotations == 2

    def test_the_log_has_its_number_and_nothing_else_of_it(self, daemon, call):
        call("RotateSecret")
        (line,) = daemon.lines(1)
        assert line["audit"] == "changed"
        assert line["method"] == "synproxy.v1.SystemService/RotateSecret"
        assert line["resources"] == {"system/secret": {"number": ["1", "2"]}}
        assert set(line) == {
            "audit", "time", "role", "by", "method", "resources", "code", "took_ms"}


def test_the_log_has_who_drained_and_how(daemon, call):
    call("Drain", policy=api.DRAIN_POLICY_DROP)
    call("Undrain")
    began, ended = daemon.lines(2)
    assert began["resources"] == {
        "system/drain": {"draining": [None, "true"], "policy": [None, "DROP"]}}
    assert ended["resources"] == {
        "system/drain": {"draining": ["true", None], "policy": ["DROP", None]}}


class TestLogLevel:
    def test_each_log_has_its_own(self, daemon, call):
        answer = call("SetLogLevel", daemon="debug")
        assert answer.levels == api.LogLevels(daemon="debug", dpdk="warning")
        assert answer.previous == api.LogLevels(daemon="warning", dpdk="warning")
        assert call("SetLogLevel", dpdk="info").levels == api.LogLevels(daemon="debug", dpdk="info")
        assert daemon.plane.log_level == "info"
        assert call("GetSystem").log_levels == api.LogLevels(daemon="debug", dpdk="info")
        first, second = daemon.lines(2)
        assert first["resources"] == {"system/log_levels": {"daemon": ["warning", "debug"]}}
        assert second["resources"] == {"system/log_levels": {"dpdk": ["warning", "info"]}}

    def test_calls_are_logged_at_debug_and_not_before(self, call, caplog):
        caplog.handler.setLevel(logging.DEBUG)
        call("SetLogLevel", daemon="info")
        call("GetDrain")
        assert "GetDrain" not in caplog.text
        call("SetLogLevel", daemon="debug")
        call("GetDrain")
        assert re.search(r"SystemService/GetDrain by unix:\S+ took [0-9.]+ ms", caplog.text)

    @pytest.mark.parametrize(("request_", "fields"), [
        ({}, ["daemon"]),
        ({"daemon": "loud"}, ["daemon"]),
        ({"daemon": "", "dpdk": "DEBUG"}, ["daemon", "dpdk"]),
    ])
    def test_what_is_no_level_is_refused_field_by_field(self, daemon, call, request_, fields):
        error = refusal(call, "SetLogLevel", **request_)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert [field for field, _ in violations(error)] == fields
        assert daemon.plane.log_level == "warning"


def test_a_line_of_another_library_stays_one_entry(monkeypatch):
    from appliance import log

    said: list[str] = []
    monkeypatch.setattr(log, "say", lambda text, output: said.append(text))
    handler = log._Stderr()
    handler.emit(logging.makeLogRecord(
        {"msg": 'no\n{"audit": "changed"}', "levelname": "ERROR", "levelno": logging.ERROR}))
    assert said == ['synproxyd: error: no\n    {"audit": "changed"}']
    assert [line for line in said[0].splitlines() if line.startswith("{")] == []
