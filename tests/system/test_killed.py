"""The daemon is killed amid traffic, again and again, and its connections go on.

`make killed` kills it 500 times.
"""

import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVERS, Lab
from appliance.lab.traffic import Kind, Lane, Traffic
from appliance.lab.waiting import until

KILLS = int(os.environ.get("LAB_KILLS", "4"))
# One connection each for as long as there is traffic, of some that rest between two words; and
# transfers, each a connection of its own and held against its SHA-256.
LASTING = 24
WORD_PAUSE_S = 0.05
# From one start to the next kill: within any phase of a retransmission, whose back-off doubles with
# each kill that meets it.
APART_S = (0.3, 4)
# As patient as TCP.  A frame that waits in a ring for the next daemon is a sample of the round trip
# as well: RTO is longer from then on, and doubles with each gap that meets its end; 29 s were seen
# (ss -ti).
SILENCE_MAX_S = 120
GAP_S = 1.0                 # nothing is translated for so long at most, 99 times of 100,
GAP_KILLS = 20              # which fewer kills don't tell
OPENED_S = 10
GO_ON = 0.999               # of the connections

pytestmark = pytest.mark.usefixtures("journal")


def lanes() -> list[Lane]:
    lasting = [
        Lane(server.address, Kind.TO_AND_FRO, pause_s=WORD_PAUSE_S if at % 4 else 0,
             silence_max_s=SILENCE_MAX_S)
        for server in SERVERS.values() for at in range(LASTING // 2)]
    transfers = [Lane(server.address, kind, silence_max_s=SILENCE_MAX_S)
                 for server in SERVERS.values() for kind in (Kind.UP, Kind.DOWN)]
    return lasting + transfers


def opened(proxy: Proxy) -> None:
    until(lambda: len(proxy.connections()) >= LASTING, seconds=OPENED_S, what="the connections")


def percentile(values: list[float], percent: int) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def test_killed_at_any_moment_its_connections_go_on(
        lab: Lab, driver: str, shard_file: Path, figure: Callable[[str], None]) -> None:
    gaps, ends, torn, entries = [], [], 0, 0
    chance = random.Random(KILLS)
    with Proxy(lab, driver, shard_file=str(shard_file)) as proxy:
        assert not proxy.beginning().warm
        with Traffic(lab, lanes()) as traffic:
            opened(proxy)
            for _ in range(KILLS):
                time.sleep(chance.uniform(*APART_S))
                killed_s = time.monotonic()
                proxy.kill()
                ends.append(time.monotonic() - killed_s)
                proxy.start()
                beginning = proxy.beginning()
                assert beginning.warm, beginning
                assert beginning.torn <= 1
                assert beginning.unserved + beginning.without_room + beginning.unsound == 0
                gaps.append(beginning.gap.ToMilliseconds() / 1000)
                torn += beginning.torn
                entries += beginning.adopted
        transfers = traffic.transfers()
        assert proxy.counters()["table_full"] == 0
    lasting = [one for one in transfers if one.kind == Kind.TO_AND_FRO]
    failed = [one for one in transfers if one.failure]
    silences = [one.silence_s for one in lasting]
    figure(f"{KILLS} kills, gap p50 {percentile(gaps, 50):.3f} s, p99 {percentile(gaps, 99):.3f} s,"
           f" at most {max(ends):.3f} s of it the end of the process, {len(transfers)} connections,"
           f" {len(failed)} lost, {entries} entries adopted, {torn} torn,"
           f" longest silence of a connection {max(silences):.2f} s")
    assert len(lasting) == LASTING, failed
    assert len(failed) <= (1 - GO_ON) * len(transfers), failed
    assert all(one.carried_bytes for one in transfers if not one.failure)
    assert KILLS < GAP_KILLS or percentile(gaps, 99) <= GAP_S


def test_a_restart_is_warm_and_a_change_of_limits_takes_them_along(
        lab: Lab, driver: str, shard_file: Path) -> None:
    """As an upgrade does it, and a file that takes a restart."""
    with Proxy(lab, driver, shard_file=str(shard_file)) as proxy:
        with Traffic(lab, lanes()) as traffic:
            opened(proxy)
            proxy.__exit__()
            proxy.file.write_text(
                proxy.file.read_text().replace("connections: 131072", "connections: 4096"))
            proxy.start()
            beginning = proxy.beginning()
            assert beginning.warm
            assert beginning.adopted >= LASTING
        assert not [one for one in traffic.transfers() if one.failure]
