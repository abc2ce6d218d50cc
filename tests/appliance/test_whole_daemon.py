"""SystemService and its commands on a daemon as it runs, with a data plane of its own."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from cython_core.dataplane import VECTORS

from .daemon_process import LCORES, two_cores

pytestmark = two_cores

# What DPDK's driver for rings says when it lets go of one, at debug.
WORDS_AT_THE_END = "Un-Initializing pmd_ring"


@pytest.fixture
def daemon(configure, start):
    return start(configure())


def told(daemon, *arguments):
    return json.loads(daemon.synproxy(*arguments, "-o", "json"))


def test_it_tells_what_it_runs_on(daemon):
    system = told(daemon, "system", "show")
    arguments = system["eal_arguments"]
    assert arguments[arguments.index("-l") + 1] == f"{LCORES[0]},{LCORES[-1]}"
    assert system["pid"] == daemon.process.pid
    assert system["versions"]["kernel"] == os.uname().release
    assert system["tables"]["connections_max"] == "65536"


def test_a_worker_is_a_thread_of_it_that_only_polls(daemon):
    time.sleep(1.2)
    (worker,) = told(daemon, "worker", "list")["workers"]
    task = Path(f"/proc/{daemon.process.pid}/task/{worker['thread_id']}")
    assert f"Cpus_allowed_list:\t{LCORES[-1]}\n" in (task / "status").read_text()
    assert worker["vector"] == VECTORS[-1]
    last = worker["loads"][0]
    assert last["busy"] < 0.01
    assert last["turns_per_second"] > 10_000
    assert (last["frames_per_second"], last["frames_per_burst"]) == (0, 0)


def test_pools_and_ports(daemon):
    (pool,) = told(daemon, "mempool", "list")["mempools"]
    assert int(pool["size"]) == int(pool["in_use"]) + int(pool["free"])
    assert 0 < int(pool["free_min"]) <= int(pool["free"])
    for role, port in zip(("client", "server"), told(daemon, "port", "list")["ports"], strict=True):
        assert (port["role"], port["driver"], port["link_up"]) == (role, "net_ring", True)


def test_an_empty_appliance_is_soon_drained(daemon):
    assert re.match(r"drained: bridge since \S+: 0 of 0 connections left, SYNs 0\n",
                    daemon.synproxy("drain", "--wait", "--timeout", "15s"))
    assert told(daemon, "system", "show")["drain"]["done"] is True
    assert "was: bridge since" in daemon.synproxy("undrain")


def test_a_secret_counts_within_61_seconds(daemon):
    before = time.time()
    secret = told(daemon, "secret", "rotate")["secret"]
    began = time.strptime(secret["effective_time"], "%Y-%m-%dT%H:%M:%SZ")
    assert began.tm_sec == 0
    assert 0 < time.mktime(began) - time.mktime(time.gmtime(before)) <= 62


def test_dpdk_says_as_much_as_its_level_lets_it(daemon):
    daemon.synproxy("log-level", "--dpdk", "debug")
    assert "EAL: " not in daemon.said()
    assert daemon.stop() == 0
    assert WORDS_AT_THE_END in daemon.said()


def test_dpdk_says_nothing_unasked(daemon):
    daemon.synproxy("log-level", "--dpdk", "debug")
    daemon.synproxy("log-level", "--dpdk", "warning")
    assert daemon.stop() == 0
    assert WORDS_AT_THE_END not in daemon.said()


def test_the_daemon_says_as_much_as_its_level_lets_it(daemon):
    daemon.synproxy("secret", "rotate")
    daemon.synproxy("log-level", "--daemon", "info")
    daemon.synproxy("secret", "rotate")
    lines = [line for line in daemon.said().splitlines() if not line.startswith("{")]
    assert lines[-1] == "synproxyd: info: secret 3 drawn"
    assert "secret 2" not in daemon.said()
    daemon.synproxy("log-level", "--daemon", "debug")
    daemon.synproxy("health")
    assert re.search(r"^synproxyd: debug: /grpc.health.v1.Health/List by unix:\S+ took",
                     daemon.said(), re.MULTILINE)
    assert "cygrpc" not in daemon.said()
