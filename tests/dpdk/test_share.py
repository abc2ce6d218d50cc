"""A flood that is only bridged leaves the services their part of a port: dpdk/share.

The port is a queue that empties steadily, by batches, and is filled faster than that.
"""

import pytest
from cython_core._testing_share import carried

ROOM = 1024                 # frames in its queue
RATE = 1000                 # frames a millisecond that it carries
LONG_MS = 1000


def shares(*args, **differs) -> tuple[float, float]:
    """Of the services' frames those that were lost; of the port what the others had of it."""
    batches, own, others = args
    told = carried(ROOM, RATE, batches, own, others, LONG_MS, **differs)
    return (sum(lost for lost, _ in told) / (max(own, 1) * LONG_MS),
            sum(gone for _, gone in told) / (RATE * LONG_MS))


@pytest.mark.parametrize("batches", [10, 100])
@pytest.mark.parametrize("own", [100, 500, 900])
@pytest.mark.parametrize("others", [2 * RATE, 20 * RATE])
def test_what_services_send_is_lost_to_no_flood_that_is_bridged(batches, own, others):
    lost, gone = shares(batches, own, others)
    assert lost < 0.01
    assert gone > 0.8 * (1 - own / RATE)


@pytest.mark.parametrize("others", [2 * RATE, 20 * RATE])
def test_without_a_share_of_its_own_most_of_it_would_be(others):
    assert shares(10, 100, others, bounded=False)[0] > 0.4


def test_a_port_that_carries_all_bounds_nobody():
    assert carried(ROOM, RATE, 10, 100, 800, LONG_MS) == [(0, 800)] * LONG_MS


def test_where_services_want_all_of_it_the_others_get_next_to_nothing():
    assert shares(10, 2 * RATE, 20 * RATE)[1] < 0.02


def test_alone_the_others_have_nearly_all_of_it():
    assert shares(10, 0, 20 * RATE)[1] > 0.9


# A queue of one millisecond's worth, or of five.
@pytest.mark.parametrize(("rate", "most"), [(RATE, 0.02), (RATE // 5, 0.05)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_at_a_port_that_empties_once_a_millisecond_they_lose_few(rate, most, share):
    own = int(share * rate)
    told = carried(ROOM, rate, 1, own, 20 * rate, LONG_MS)
    assert sum(lost for lost, _ in told) < most * own * LONG_MS
    assert sum(gone for _, gone in told) > 0.8 * (1 - share) * rate * LONG_MS
    unbounded = carried(ROOM, rate, 1, own, 20 * rate, LONG_MS, bounded=False)
    assert sum(lost for lost, _ in unbounded) > 0.4 * own * LONG_MS
