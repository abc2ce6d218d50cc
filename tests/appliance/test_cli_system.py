"""synproxy system, port, worker, mempool, drain, undrain, secret and log-level."""

import json
import logging
import re
from dataclasses import replace

import pytest
import yaml
from click.testing import CliRunner

from appliance.cli.drain import LOOK_S
from appliance.cli.main import main
from appliance.exit_codes import ExitCode
from cython_core.dataplane import Beginning

from .plane import HZ, worker_state

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(autouse=True)
def _levels():
    former = logging.getLogger().level
    yield
    logging.getLogger().setLevel(former)


def lines(result):
    assert result.exit_code == ExitCode.OK, result.output
    return result.stdout.splitlines()


def properties(synproxy):
    """What `system show` says before its tables."""
    rows = lines(synproxy("system", "show"))
    return dict(re.split(r"  +", row, maxsplit=1) for row in rows[1:rows.index("")])


def test_system_shows_versions_arguments_and_fill(daemon, synproxy):
    daemon.plane.states = [
        worker_state(connections=256, half_open=3, opening=3, open=200, tombstones=53)]
    told = lines(synproxy("system", "show"))
    shown = properties(synproxy)
    assert re.fullmatch(r"\d+\.\d+\.\d+", shown["dpdk"])
    assert shown["eal"] == "synproxyd -l 0,1,2"
    assert shown["secret"] == "number 1, from the start"
    assert shown["drain"] == "no"
    assert re.fullmatch(rf"\d+s, since {MOMENT}", shown["uptime"])
    tables = told[told.index("") + 1:]
    assert tables == [
        "TABLE           IN USE  SIZE   FILL",
        "connections        256  1024  25.0%",
        "half open            3    64   4.7%",
        "early segments       0    32   0.0%",
        "",
        "ENTRIES     COUNT",
        "opening         3",
        "open          200",
        "passing         0",
        "time wait       0",
        "tombstones     53",
    ]


@pytest.mark.parametrize(("beginning", "words"), [
    (Beginning(False, cold="/dev/shm/s: there was none yet"),
     "cold: /dev/shm/s: there was none yet"),
    (Beginning(True, adopted=9, gap_s=0.9134), "warm: 9 entries go on, after 913ms"),
    (Beginning(True, unkept="/dev/shm/s: no room for 9 MiB", adopted=9, torn=1, without_room=2,
               gap_s=1.5),
     "warm: 9 entries go on, after 1.5s; 1 torn; 2 without room;"
     " not kept: /dev/shm/s: no room for 9 MiB"),
    (Beginning(True, adopted=9, gap_s=3, stall="the worker on core 1 made no turn"),
     "warm: 9 entries go on, after 3s;"
     " the one before was ended: the worker on core 1 made no turn"),
    (Beginning(False, cold="/dev/shm/s: is damaged", stall="the worker on core 1 made no turn"),
     "cold: /dev/shm/s: is damaged; the one before was ended: the worker on core 1 made no turn"),
])
def test_how_it_began_is_a_line(daemon, synproxy, beginning, words):
    daemon.plane.beginning = beginning
    assert properties(synproxy)["beginning"] == words


def test_ports_are_a_table_and_the_nics_counters_another(synproxy):
    ports = [
        "PORT    DEVICE     DRIVER    LINK  SPEED  MAC                 MTU  QUEUES  DESCRIPTORS"
        "  RSS        OFFLOADS",
        "client  net_ring0  net_ring  up    10000  02:00:00:00:00:01  1500  1/2     1024/512   "
        "  symmetric  MBUF_FAST_FREE",
        "server  net_ring0  net_ring  down      -  02:00:00:00:00:01  1500  1/2     1024/512   "
        "  -          MBUF_FAST_FREE",
    ]
    assert lines(synproxy("port", "list")) == ports
    assert lines(synproxy("port", "list", "--counters")) == [
        *ports, "",
        "PORT    COUNTER          TOTAL",
        "client  rx_good_packets      5",
        "server  rx_good_packets      5",
    ]


def test_workers_are_a_table(daemon, synproxy):
    daemon.plane.states = [
        worker_state(cycles=100 * HZ, busy_cycles=25 * HZ, turns=10**6, frames=3200, bursts=200,
                     connections=5, handed_in=200, handed_out=700),
        worker_state(lcore=2, cycles=100 * HZ, frames=8200, bursts=200, handed_in=700,
                     handed_out=200)]
    daemon.server._samples._looks.clear()
    assert lines(synproxy("worker", "list")) == [
        "LCORE  THREAD  BUSY 1s  BUSY 10s  BUSY 60s  TURNS/S  FRAMES/S  BURST  SHARE  IN/S  OUT/S"
        "  CONNECTIONS  GENERATION  VECTOR",
        "    1     101    25.0%     25.0%     25.0%    10000        32   16.0  23.8%     2      7"
        "       5/1024           1  x86-64-v3",
        "    2     102     0.0%      0.0%      0.0%        0        82   41.0  76.2%     7      2"
        "       0/1024           1  x86-64-v3",
    ]


def test_mempools_are_a_table(daemon, synproxy):
    daemon.plane.in_use = 1000
    synproxy("mempool", "list")
    daemon.plane.in_use = 17
    assert lines(synproxy("mempool", "list")) == [
        "MEMPOOL   NUMA NODE  SIZE  IN USE  FREE  LEAST FREE  CACHE  BYTES",
        "frames_0          0  1023      17  1006          23    127   2304",
    ]


@pytest.mark.parametrize(("output", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_the_messages_with_the_schemas_names(synproxy, output, load):
    def told(*arguments):
        return load(synproxy(*arguments, "-o", output).stdout)

    assert told("system", "show")["tables"]["connections_max"] == "2048"
    assert told("port", "list")["ports"][0]["nic_counters"]["rx_good_packets"] == "5"
    assert [load["window"] for load in told("worker", "list")["workers"][0]["loads"]] == [
        "1s", "10s", "60s"]
    assert told("mempool", "list")["mempools"][0]["size"] == "1023"
    assert told("drain")["drain"]["policy"] == "DRAIN_POLICY_BRIDGE"
    assert told("undrain")["previous"]["draining"] is True
    assert told("secret", "rotate")["secret"]["number"] == 2
    assert told("log-level", "--dpdk", "info")["levels"] == {"daemon": "warning", "dpdk": "info"}


class TestDrain:
    def test_it_shows_how_far_it_is(self, daemon, synproxy):
        daemon.plane.states = [worker_state(look=7, sweep=7, open=2)]
        (line,) = lines(synproxy("drain", "--policy", "drop"))
        assert re.fullmatch(
            rf"drop since {MOMENT}: connections are being counted, 2 before it began, SYNs 0;"
            r" all workers run generation 2 after \d+\.\d ms", line)
        assert daemon.plane.drains == ["drop"]
        daemon.plane.states = [worker_state(look=8, sweep=8, open=1)]
        assert re.fullmatch(
            rf"drop since {MOMENT}: 1 of 2 connections left, SYNs 0", properties(synproxy)["drain"])
        (line,) = lines(synproxy("undrain"))
        assert re.match(rf"was: drop since {MOMENT}: 1 of 2 connections left", line)
        assert properties(synproxy)["drain"] == "no"

    def test_none_at_its_start_is_no_bound(self, daemon, synproxy):
        """A handshake that had begun before may end."""
        daemon.plane.states = [worker_state(look=7, sweep=7)]
        (line,) = lines(synproxy("drain"))
        assert "connections are being counted, 0 before it began, SYNs 0;" in line
        daemon.plane.states = [worker_state(look=8, sweep=8, open=1)]
        assert properties(synproxy)["drain"].endswith(
            ": 1 connections left, 0 before it began, SYNs 0")
        daemon.plane.states = [worker_state(look=9, sweep=9)]
        assert properties(synproxy)["drain"].endswith(": 0 of 0 connections left, SYNs 0")

    def test_syns_pass_unless_told_otherwise(self, daemon, synproxy):
        synproxy("drain")
        assert daemon.plane.drains == ["bridge"]

    def test_waiting_shows_each_step_and_ends_with_the_last_connection(
            self, daemon, synproxy, monkeypatch):
        ahead = [{"look": 7}, {"look": 8, "open": 1}, {"look": 9}]

        def pass_on(seconds):
            assert seconds == LOOK_S
            daemon.plane.states = [worker_state(sweep=10, **ahead.pop(0))]

        monkeypatch.setattr("appliance.cli.drain.time.sleep", pass_on)
        daemon.plane.states = [worker_state(look=7, sweep=7, open=2)]
        result = synproxy("drain", "--wait")
        assert ahead == []
        (line,) = lines(result)
        assert re.fullmatch(rf"drained: bridge since {MOMENT}: 0 of 2 connections left, SYNs 0",
                            line)
        assert re.findall(r": (connections are being counted|. of 2)", result.stderr) == [
            "connections are being counted", "1 of 2"]

    def test_waiting_no_longer_than_told(self, daemon, synproxy):
        daemon.plane.states = [worker_state(open=2)]
        result = synproxy("drain", "--wait", "--timeout", "1ms")
        assert result.exit_code == ExitCode.FAILED
        assert result.stderr.endswith("synproxy: not drained in time; it drains on\n")
        assert daemon.plane.drains == ["bridge"]

    def test_waiting_in_vain_since_somebody_else_undrains(self, daemon, synproxy, monkeypatch):
        monkeypatch.setattr("appliance.cli.drain.time.sleep", lambda seconds: synproxy("undrain"))
        daemon.plane.states = [worker_state(open=2)]
        result = synproxy("drain", "--wait")
        assert result.exit_code == ExitCode.CONFLICT
        assert result.stderr.endswith("synproxy: somebody else has ended the drain\n")

    @pytest.mark.parametrize("arguments", [
        ["--policy", "reset"], ["--timeout", "5"], ["--timeout", "soon"]])
    def test_what_it_does_not_know_is_a_usage_error(self, daemon, synproxy, arguments):
        assert synproxy("drain", *arguments).exit_code == ExitCode.USAGE
        assert daemon.plane.drains == []

    def test_undrain_where_nothing_drains(self, synproxy):
        (line,) = lines(synproxy("undrain"))
        assert line.startswith("was: it didn't drain; ")


def test_a_rotation_says_from_when_it_counts(synproxy):
    (line,) = lines(synproxy("secret", "rotate"))
    assert re.fullmatch(
        rf"number 2, from {MOMENT}; cookies of the former one until {MOMENT};"
        r" all workers run generation 2 after \d+\.\d ms", line)
    assert properties(synproxy)["secret"] == line.rpartition("; ")[0]


class TestLogLevel:
    def test_it_is_shown_and_set(self, daemon, synproxy):
        assert lines(synproxy("log-level")) == [
            "LOG     BEFORE   AFTER", "daemon  warning  warning", "dpdk    warning  warning"]
        assert lines(synproxy("log-level", "--dpdk", "debug", "--daemon", "error")) == [
            "LOG     BEFORE   AFTER", "daemon  warning  error", "dpdk    warning  debug"]
        assert daemon.plane.log_level == "debug"
        assert properties(synproxy)["log levels"] == "daemon error, dpdk debug"

    def test_a_level_that_is_none_is_invalid(self, daemon, synproxy):
        result = synproxy("log-level", "--daemon", "loud", "--dpdk", "louder")
        assert result.exit_code == ExitCode.INVALID
        assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
            ["synproxy", "daemon"], ["synproxy", "dpdk"]]
        assert daemon.plane.log_level == "warning"


def test_a_viewer_looks_and_does_not_touch(doors):
    from synproxy.v1.rule_pb2 import ROLE_OPERATOR, ROLE_VIEWER

    def code(role, *arguments):
        address = doors.sockets[role]
        return CliRunner().invoke(main, ["--address", address, *arguments]).exit_code

    looks = (["system", "show"], ["port", "list"], ["worker", "list"], ["mempool", "list"],
             ["log-level"])
    for arguments in looks:
        assert code(ROLE_VIEWER, *arguments) == ExitCode.OK
    for arguments in (["drain"], ["undrain"], ["log-level", "--dpdk", "error"]):
        assert code(ROLE_VIEWER, *arguments) == ExitCode.DENIED
        assert code(ROLE_OPERATOR, *arguments) == ExitCode.OK
    assert code(ROLE_OPERATOR, "secret", "rotate") == ExitCode.DENIED


def test_a_worker_that_is_stuck_is_no_answer(daemon, synproxy, monkeypatch):
    monkeypatch.setattr("appliance.management.catalogue.ACKNOWLEDGE_TIMEOUT_S", 0.05)
    daemon.plane.stuck = True
    for arguments in (["drain"], ["undrain"], ["secret", "rotate"]):
        assert synproxy(*arguments).exit_code == ExitCode.UNAVAILABLE


def test_a_table_of_no_size_is_not_divided_by(daemon, synproxy):
    state = worker_state()
    daemon.plane.states = [replace(state, fill=replace(state.fill, early_segments_max=0))]
    assert "early segments       0     0     -" in lines(synproxy("system", "show"))
