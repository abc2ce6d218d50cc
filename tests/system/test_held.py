"""A thread of the daemon is held amid traffic, again and again: a worker's ends the daemon, and its
connections go on in the next one; the control thread's ends nothing, and nobody notices.

`make holds` holds 50 of them.  A thread is held by ptrace(2) while the rest of its process goes on:
SIGSTOP stops all of it, which no process can see of itself (tests/system/test_closed.py).
"""

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from synproxy.v1.system_service_pb2 import RotateSecretRequest
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.exit_codes import ExitCode
from appliance.lab.namespace import python_module
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.traffic import Kind, Traffic
from appliance.lab.waiting import until
from appliance.lab.webserver import Website
from appliance.lab.worker_threads import worker_threads

from ..appliance.stalled_thread import stalled
from .test_flood import start_flood
from .test_killed import GO_ON, LASTING, lanes, opened, percentile

Figure = Callable[[str], None]

HOLDS = int(os.environ.get("LAB_HOLDS", "5"))       # of both kinds and drivers together, at least
WORKER_HOLDS = -(-HOLDS * 3 // 5)
CONTROL_HOLDS = -(-HOLDS // 5)                      # by each driver
APART_S = (0.3, 2)
SEEN_S = 2
ACTED_S = 3
CONTROL_S = 5
EPOCH_S = 60            # of the cookies: the long form holds the control thread beyond an edge, too
LONG_HOLDS = 50
FLOOD_PPS = 5000
FLOOD_S = 2
MISSED = 0.1            # of a flood, by an AF_PACKET ring: its kernel part has a core with all else
PATIENCE_S = 10

pytestmark = pytest.mark.usefixtures("journal")


def worker_holds(driver: str) -> int:
    """AF_XDP has the odd one."""
    return max((WORKER_HOLDS + (driver == "AF_XDP")) // 2, 1)


def worker_of(proxy: Proxy) -> int:
    (worker,) = worker_threads(proxy.process.pid)
    return worker


def test_a_worker_that_is_held_ends_the_daemon_and_its_connections_go_on(
        lab: Lab, driver: str, shard_file: Path, figure: Figure) -> None:
    seen: list[float] = []
    acted: list[float] = []
    gaps: list[float] = []
    torn = 0
    moments: list[tuple[float, float]] = []     # held, and again ready
    chance = random.Random(HOLDS)
    with Proxy(lab, driver, shard_file=str(shard_file)) as proxy:
        with Traffic(lab, lanes()) as traffic:
            opened(proxy)
            for _ in range(worker_holds(driver)):
                # Senders back off: each has tried again once as long has passed as it was in vain.
                time.sleep(chance.uniform(*APART_S) + (gaps[-1] if gaps else 0))
                with stalled(worker_of(proxy)) as held:
                    until(lambda: "is stuck" in proxy.log(), seconds=SEEN_S, what="it to be seen")
                    seen.append(time.monotonic() - held.since_s)
                    held.await_end(seconds=ACTED_S)
                    acted.append(held.ended_s or 0)
                assert proxy.process.wait(PATIENCE_S) == ExitCode.STALLED
                assert "has made no turn for 2000 ms" in proxy.log()
                proxy.start()
                beginning = proxy.beginning()
                assert beginning.warm, beginning
                assert beginning.torn <= 1
                torn += beginning.torn
                assert beginning.stall == "the worker on core 1 made no turn"
                gaps.append(beginning.gap.ToMilliseconds() / 1000)
                moments.append((held.since_s, time.monotonic()))
        transfers = traffic.transfers()
    lasting = [one for one in transfers if one.kind == Kind.TO_AND_FRO]
    failed = [one for one in transfers if one.failure]
    figure(f"{len(gaps)} holds of the worker, seen after {max(seen):.2f} s and acted on after"
           f" {max(acted):.2f} s at most, gap p50 {percentile(gaps, 50):.2f} s, at most"
           f" {max(gaps):.2f} s, {len(transfers)} connections, {len(failed)} lost, {torn} entries"
           f" torn, longest silence {max(one.silence_s for one in lasting):.1f} s")
    assert len(lasting) == LASTING, failed
    assert len(failed) <= (1 - GO_ON) * len(transfers), (moments, failed)


def missed(proxy: Proxy) -> int:
    """What found the rings full: the worker shares its host with all else here."""
    return sum(port.rx_missed for port in proxy.stats().ports)


def held_s(hold: int) -> float:
    """How long, from the first hold on."""
    return EPOCH_S + CONTROL_S if HOLDS >= LONG_HOLDS and hold == 0 else CONTROL_S


def test_while_the_control_thread_is_held_connections_go_on_and_new_ones_come(
        lab: Lab, driver: str, website: Website, figure: Figure) -> None:
    del website
    asked = answered = 0
    lasting = [lane for lane in lanes() if lane.kind == Kind.TO_AND_FRO]
    with (Proxy(lab, driver) as proxy, Traffic(lab, lasting) as traffic,
          grpc.insecure_channel(proxy.address) as channel):
        system = SystemServiceStub(channel)
        opened(proxy)
        for hold in range(CONTROL_HOLDS):
            before, missed_before = proxy.counters(), missed(proxy)
            with stalled(proxy.process.pid) as held:
                rotation = system.RotateSecret.future(
                    RotateSecretRequest(), timeout=held_s(hold) + PATIENCE_S)
                flood = start_flood(lab, SERVER_IPV4, FLOOD_PPS, FLOOD_S)
                report = probed(lab, held_s(hold) - 1)
                sent = json.loads(flood.communicate(timeout=PATIENCE_S)[0])["sent"]
                time.sleep(max(0, held.since_s + held_s(hold) - time.monotonic()))
                assert not rotation.done()          # it waits, and nothing else does
            # Control goes on: what was asked of it meanwhile is done.
            assert rotation.result().secret.number == hold + 2
            assert "the control thread is stuck" in proxy.log()
            gained = proxy.counters() - before
            assert report["succeeded"] == report["attempted"] > 0, report
            assert gained["cookie_valid"] == gained["server_established"] == report["attempted"]
            lost = missed(proxy) - missed_before
            assert lost <= MISSED * sent
            assert gained["synack_sent"] + lost >= sent + report["attempted"]
            assert gained["tx_full"] == gained["table_full"] == 0
            asked, answered = asked + report["attempted"], answered + sent
            assert probed(lab, 0.5)["failures"] == {}       # with cookies of either secret
    failed = [one for one in traffic.transfers() if one.failure]
    figure(f"{CONTROL_HOLDS} holds of the control thread, {CONTROL_S} s each: {asked} new"
           f" connections, none failed, {answered} SYNs of a flood answered, {len(failed)} of"
           f" {len(lasting)} connections lost")
    assert not failed


def probed(lab: Lab, seconds: float) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(lab.client.run(python_module(
        "appliance.lab.prober", SERVER_IPV4, "--seconds", str(seconds), "--concurrency", "4",
        "--pause", "0.01"), seconds=seconds + PATIENCE_S).stdout)
    return report
