"""What callers leave behind in the daemon's memory.

`make soak-management` looks at it for longer, and in every way at once.
"""

import gc
import subprocess
import sys

import pytest
from synproxy.v1.stats_service_pb2 import WatchStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.lab.waiting import until
from appliance.management.samplings import Sampling

CALL_S = 10
# A thread takes an arena of its own, if it may, with the first that it wants.
ARENAS = """
import ctypes, threading
from appliance.host.heap import heap_bound
heap_bound()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = ctypes.c_int, ctypes.c_void_p
libc.fflush.argtypes = ctypes.c_void_p,
for _ in range(4):
    thread = threading.Thread(target=libc.malloc, args=(5000,))
    thread.start()
    thread.join()
libc.malloc_info(0, libc.fopen(b"/dev/stdout", b"w"))
libc.fflush(None)
"""


@pytest.fixture
def uncollected():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_the_last_sample_goes_with_its_readers(daemon, uncollected):
    watched = StatsServiceStub(daemon.channel).WatchStats(WatchStatsRequest(), timeout=CALL_S)
    next(watched)
    assert samplings() == 1
    watched.cancel()
    until(lambda: samplings() == 0, seconds=CALL_S, what="the sampling to be gone")


def samplings() -> int:
    return sum(isinstance(one, Sampling) for one in gc.get_objects())


def test_threads_share_what_they_have_freed():
    told = subprocess.run([sys.executable, "-P", "-c", ARENAS], capture_output=True, text=True,
                          check=True, timeout=CALL_S).stdout
    assert told.count("<heap nr=") == 1
