"""What workers, ports and pools tell of themselves, and what the control plane tells workers."""

import time

import pytest

from cython_core.dataplane import CYTHON_VERSION, DPDK_VERSION, VECTORS

from ..proxy.segments import Segment, replace
from .conftest import WEB, pcap_write

SYN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="S", mss=1460, wscale=7,
              sack_permitted=True, tsval=1000)
FRAMES = 300_000
RECEIVE_FRAMES = 32     # what a worker takes at once
EPOCH_S = 60


@pytest.fixture
def flood(tmp_path) -> dict[str, str]:
    """SYNs over and over, as fast as may be."""
    source, empty = tmp_path / "flood.pcap", tmp_path / "empty.pcap"
    pcap_write(source, [replace(SYN, sport=1024 + port).frame() for port in range(200)])
    pcap_write(empty, [])
    return {"client_port": f"net_pcap0,rx_pcap={source},infinite_rx=1",
            "server_port": f"net_pcap1,rx_pcap={empty}"}


def busy_share(state):
    return state["busy_cycles"] / state["cycles"]


def test_a_worker_that_only_polls_is_not_busy(plane):
    (state,) = plane(seconds=0.5).states
    assert state["turns"] > 10_000
    assert busy_share(state) < 0.001
    assert state["frames"] == state["bursts"] == state["busy_turns"] == 0
    assert state["cycles"] / state["hz"] > 0.4


def test_one_that_is_never_out_of_work_is_busy_all_the_time(plane, flood):
    told = plane(received=FRAMES, **flood)
    (state,) = told.states
    assert busy_share(state) > 0.9
    assert state["frames"] == told.counters.received
    assert state["frames"] / state["bursts"] > 0.99 * RECEIVE_FRAMES


def test_a_workers_thread_is_told_by_its_number(plane):
    (state,) = plane().states
    assert state["thread_id"] > 1
    assert (state["lcore"], state["generation"]) == (1, 1)


@pytest.mark.parametrize(("wanted", "picked"), [
    ("auto", VECTORS[-1]), *((name, name) for name in VECTORS)])
def test_a_worker_tells_the_vectors_that_were_picked_for_it(plane, flood, wanted, picked):
    told = plane(received=1, vector=wanted, **flood)
    assert [state["vector"] for state in told.states] == [picked]
    assert told.counters.synack_sent == told.counters.received


def test_an_empty_tables_fill(plane):
    (state,) = plane().states
    fill = state["fill"]
    assert (fill["connections"], fill["connections_max"]) == (0, 4096)
    assert (fill["half_open"], fill["half_open_max"]) == (0, 1024)
    assert (fill["early_segments"], fill["early_segments_max"]) == (0, 1024)
    assert 1 <= fill["look"] <= state["sweep"]


def test_a_port_tells_what_it_is_and_its_driver_what_it_counts(plane, flood):
    told = plane(received=FRAMES, rx_descriptors=512, **flood)
    for role, state, stats in zip(("client", "server"), told.port_states, told.ports, strict=True):
        assert (state["role"], state["driver"]) == (role, "net_pcap")
        assert (state["rx_queues"], state["tx_queues"]) == (1, 1)
        assert state["rx_descriptors"] == 512
        assert state["mtu_bytes"] >= 1500
        assert state["nic_counters"]["rx_good_packets"] == stats["rx_packets"]
        assert state["mac"] == stats["mac"]
    assert told.port_states[0]["nic_counters"]["rx_good_packets"] >= FRAMES


def test_a_pool_tells_its_size_and_its_caches(plane):
    (state,) = plane(mbufs=4095).mempool_states
    assert state["size"] == 4095
    assert 0 < state["cache"] <= 256
    assert state["buffer_bytes"] > 2048


def test_eal_tells_what_it_was_given(plane):
    arguments = plane(extra_eal_args=["--iova-mode=va"]).eal_arguments
    assert arguments[0] == "synproxyd"
    assert arguments[-1] == "--iova-mode=va"
    assert arguments[arguments.index("-l") + 1] == "0,1"


def test_the_versions_are_versions():
    for version in (DPDK_VERSION, CYTHON_VERSION):
        assert [int(part) for part in version.split(".")[:2]] >= [3, 0]


@pytest.mark.parametrize("policy", ["bridge", "drop"])
def test_a_drain_reaches_the_workers_with_the_next_snapshot(plane, flood, policy):
    told = plane(services=([WEB], [WEB]), drain=policy, received=FRAMES, **flood)
    counters = told.counters
    turned_away = {"bridge": counters.syn_passed, "drop": counters.draining}
    assert turned_away.pop(policy) > 0
    assert list(turned_away.values()) == [0]
    assert counters.synack_sent > 0         # of the time before


def test_a_secret_counts_from_the_next_epoch_on(plane, flood):
    began_s = time.time()
    told = plane(services=([WEB], [WEB]), rotate=2, received=FRAMES, **flood)
    first, second = told.rotations
    for rotation in (first, second):
        assert rotation["since_s"] % EPOCH_S == 0
        assert 0 < rotation["since_s"] - began_s <= EPOCH_S + 10
        assert rotation["former_until_s"] == rotation["since_s"] + EPOCH_S
    assert told.states[0]["generation"] == 2
    # Nothing else has changed: each SYN of the run got its answer.
    assert told.counters.synack_sent == told.counters.syn_received == told.counters.received
