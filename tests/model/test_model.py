"""The engine beside a plain reference: clients, servers, wires and time, in any order.

What is held against what stands at the heads of world and endpoint; `make model-long` takes ten
million steps.
"""

import os
import random

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from ..proxy.harness import WSCALE_ABSENT, service
from .flows import wrap
from .frames import SYN, pack, unpack
from .script import deliver_all, play, settle
from .world import World

STEPS = int(os.environ.get("MODEL_STEPS", 200_000))
SEED = os.environ.get("MODEL_SEED")         # of other examples than the gate's
EXAMPLE_STEPS = 1700            # or somewhat more, of forty rules
SCRIPTS = st.binary(min_size=150, max_size=256)
SECRETS = st.tuples(*[st.integers(0, 2**64 - 1)] * 2)
OPTIONS = {
    "mss": st.sampled_from([536, 1400, 1460]), "wscale": st.sampled_from([0, 7, 14, WSCALE_ABSENT]),
    "sack": st.booleans(), "timestamps": st.booleans(), "early_data": st.booleans(),
    "auto": st.booleans(), "open_rate": st.sampled_from([0, 1]),
    "source_rate": st.sampled_from([0, 1]), "pacing_rate": st.sampled_from([0, 1, 2]),
}


class AnyOrder(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.world = World()

    @rule(script=SCRIPTS)
    def go_on(self, script):
        play(self.world, script)

    @rule(script=SCRIPTS)
    def go_on_awhile(self, script):
        play(self.world, script)

    @rule(script=SCRIPTS, secret=SECRETS)
    def rotate(self, script, secret):
        self.world.rotate(secret)
        play(self.world, script)

    @rule(script=SCRIPTS, options=st.fixed_dictionaries({}, optional=OPTIONS))
    def change_options(self, script, options):
        self.world.change(**options)
        play(self.world, script)

    @rule(script=SCRIPTS, rate=st.sampled_from([1, 2]), wait_ms=st.sampled_from([300, 5000]))
    def come_at_once(self, script, rate, wait_ms):
        """All clients anew, to servers that are to be spared; then they may wait for less."""
        self.world.change(pacing_rate=rate, pacing_wait_ms=5000)
        for flow in self.world.flows.values():
            self.world.sever(flow)
            self.world.connect(flow)
        deliver_all(self.world)
        self.world.change(pacing_wait_ms=wait_ms)
        play(self.world, script)

    @rule(script=SCRIPTS)
    def restart(self, script):
        self.world.restart()
        play(self.world, script)

    @rule(seconds=st.sampled_from([5, 30, 61]))
    def wait(self, seconds):
        self.world.pass_time(seconds * 1000, 256)

    @rule()
    def come_to_rest(self):
        settle(self.world)

    def teardown(self):
        settle(self.world)


@pytest.mark.timeout(4 * 3600)
def test_no_end_is_told_what_it_cant_take():
    World.steps = 0
    machine = seed(int(SEED))(AnyOrder) if SEED else AnyOrder
    run_state_machine_as_test(machine, settings=settings(
        max_examples=STEPS // EXAMPLE_STEPS, stateful_step_count=40, derandomize=SEED is None,
        database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck)))
    assert World.steps >= STEPS


class Crooked:
    """An engine whose frames are not what they were."""

    def __init__(self, box, change):
        self.box, self.change = box, change

    def __getattr__(self, name):
        return getattr(self.box, name)

    def run(self, frames, from_client):
        verdicts, sent = self.box.run(frames, from_client)
        return verdicts, [(to_server, self.bent(to_server, frame)) for to_server, frame in sent]

    def bent(self, to_server, frame):
        there, said = unpack(frame)
        return pack(there, self.change(to_server, said), "client" if to_server else "server")


def off_by_one(to_server, said):
    return said._replace(ack=wrap(said.ack + 1)) if to_server and said.payload else said


def wrong_echo(to_server, said):
    return said if not to_server or not said.tsecr else said._replace(tsecr=wrap(said.tsecr + 1))


def wide_window(to_server, said):
    return said if to_server or said.flags & SYN else said._replace(window=0xFFFF)


def early_syn(to_server, said):
    return said._replace(seq=wrap(said.seq + 1)) if to_server and said.flags == SYN else said


@pytest.mark.parametrize("change", [off_by_one, wrong_echo, wide_window, early_syn])
def test_a_crooked_engine_is_found_out(change):
    world, chance = World(), random.Random(5)
    world.box = Crooked(world.box, change)
    with pytest.raises((AssertionError, KeyError)):
        play(world, chance.randbytes(4000))


def test_a_syn_before_its_turn_is_found_out():
    world = World(pacing_rate=1)
    world.box.publish([service(**world.options | {"pacing_rate": 2})])
    for flow in world.flows.values():
        world.connect(flow)
    deliver_all(world)
    world.pass_time(400)
    with pytest.raises(AssertionError, match="before its turn"):
        world.pass_time(200)
