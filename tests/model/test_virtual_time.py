"""Days in seconds: past the wraps of every clock and counter that wraps.

    16 bits of 4 s          the activity clock of connections: 3.03 days
    8 bits of epochs        a server's absence of ECN (proxy/learned): 4.3 hours
    16 bits of epochs       of timestamps: 45.5 days
    32 bits of ms           what has overtaken, timestamps that we supply: 49.7 days
    32 bits of 16 ms        the wheel of handshakes: 795 days
    32 bits of s            a service's pulse, when a server was heard: 2106
    32 bits                 insertions into the table, sweeps of it, sequence numbers, TSvals

Two moments have them all: in June 2061 three of the clocks wrap within four hours, in February 2106
the seconds.  The soak begins before and ends behind; `make soak-virtual` takes sixty days each.
"""

import os
import random

import pytest

from ..proxy.harness import DEFAULTS, TICK_S
from .endpoint import OPEN, Abilities
from .flows import Flow
from .frames import way
from .script import deliver_all, play, settle
from .world import TABLES, World

DAYS = float(os.environ.get("SOAK_DAYS", 3))
DAY_MS = 86_400_000
WRAPS_MS = {"milliseconds and the wheel": 42 * 2**36, "seconds": 2**32 * 1000}
PERIOD_MS = 60_000
PERIOD_STEPS = 10
HOUR = 60                               # periods
IDLE_LIMIT_S = DEFAULTS["established_ticks"] * TICK_S
STEADY = (way("198.51.100.77", 47_000, "10.0.0.9", 80), Abilities(), Abilities())
JUMP = 1 << 23
ROOM = 7
ROUNDS = 3                              # of the sequence numbers


def steady_flow(world: World) -> Flow:
    """One more flow, whose connection is up."""
    there = STEADY[0]
    flow = world.flows[there.source, there.sport] = Flow(*STEADY)
    world.connect(flow)
    deliver_all(world)
    assert flow.client.state == flow.server.state == OPEN
    return flow


def say_something(world: World, flow: Flow) -> None:
    for wire, end in world.ends(flow):
        end.write(700)
        world.put(flow, wire, end.speak())
        deliver_all(world)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("wrap", WRAPS_MS)
def test_days_pass(wrap):
    chance = random.Random(wrap)
    world = World(start_ms=WRAPS_MS[wrap] - int(DAYS * DAY_MS / 2),
                  tables=TABLES | {"connections": ROOM})
    world.box.age()
    busy = list(world.flows.values())
    assert len(busy) < ROOM     # the steady one, silent for hours, never has to make room
    steady = steady_flow(world)
    for period in range(int(DAYS * DAY_MS / PERIOD_MS)):
        play(world, chance.randbytes(2 * PERIOD_STEPS), busy)
        if period % HOUR == 0:
            world.rotate((chance.getrandbits(64), chance.getrandbits(64)))
            world.change(mss=chance.choice((536, 1400, 1460)), wscale=chance.choice((0, 7, 14)))
        if period % (6 * HOUR) == 0:
            settle(world)
            say_something(world, steady)
        world.pass_time(PERIOD_MS, 256)
    settle(world)
    assert steady.joined is not None
    for _, end in world.ends(steady):
        assert end.settled
        assert end.state == OPEN
    world.pass_time((IDLE_LIMIT_S + 3 * TICK_S) * 1000, 64)
    world.pass_time(60_000, 4096)
    world.pass_time(180_000, 4096)      # what was closed too long ago was kept as a tombstone
    gauges = world.box.gauges()
    assert not any(gauges.values()), gauges


@pytest.mark.parametrize("before_s", [0, 4, 8, IDLE_LIMIT_S // 2, IDLE_LIMIT_S, IDLE_LIMIT_S + 4])
def test_an_idle_connection_goes_in_its_time_wherever_the_activity_clock_stands(before_s):
    wrap_s = 2**16 * TICK_S * 6600
    world = World(start_ms=(wrap_s - before_s) * 1000)
    steady_flow(world)
    world.pass_time(IDLE_LIMIT_S * 1000)
    assert world.box.gauges()["connections"] == 1
    world.pass_time(2 * TICK_S * 1000)
    assert world.box.gauges()["connections"] == 0


def test_a_connection_goes_round_the_sequence_numbers():
    """Three times, by eight million bytes a step, of which but few are really said."""
    world = World()
    there = STEADY[0]
    wide = Abilities(wscale=14, window=4 * JUMP)
    flow = world.flows[there.source, there.sport] = Flow(there, wide, wide)
    world.connect(flow)
    deliver_all(world)
    say_something(world, flow)
    for _ in range(ROUNDS * 2**32 // JUMP):
        for one, other in ((flow.client, flow.server), (flow.server, flow.client)):
            for position in ("una", "nxt", "far", "written", "right"):
                setattr(one, position, getattr(one, position) + JUMP)
            other.got += JUMP
            other.told += JUMP
        say_something(world, flow)
    for _, end in world.ends(flow):
        assert end.settled
    assert flow.client.nxt > ROUNDS * 2**32
    world.check_books()
