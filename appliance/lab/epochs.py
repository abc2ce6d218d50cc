"""Epochs of cookies.  In each, one client asks anew for timestamps of a server that has none."""

import time

from appliance.lab.waiting import until

EPOCH_S = 60            # since 1970
# A worker reads the wall clock once and counts on from there by the TSC: it may be as far behind.
CLOCKS_APART_S = 1


def epoch_await(seconds: float) -> None:
    """Return once what takes so long, at most, is sure to begin and end in one epoch."""
    until(lambda: CLOCKS_APART_S <= time.time() % EPOCH_S < EPOCH_S - seconds,
          seconds=seconds + 2 * CLOCKS_APART_S, what="an epoch with time left")
