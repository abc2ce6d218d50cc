"""A thousand rotations of the secret under traffic: no good cookie is refused, no old one taken.

What is held against each ACK stands in world (check_cookie).
"""

import random

from ..proxy.harness import EPOCH_S
from .script import play, settle
from .world import World

ROTATIONS = 1000
STEPS = 25


def test_a_thousand_rotations():
    chance = random.Random(1000)
    world = World()
    for _ in range(ROTATIONS):
        world.rotate((chance.getrandbits(64), chance.getrandbits(64)))
        play(world, chance.randbytes(2 * STEPS))
        world.pass_time(chance.choice((1, EPOCH_S // 2, EPOCH_S)) * 1000, 128)
        play(world, chance.randbytes(2 * STEPS))
    settle(world)
    totals = world.box.counters()
    assert totals["cookie_valid"] > ROTATIONS / 4
    assert totals["server_established"] > ROTATIONS / 8
