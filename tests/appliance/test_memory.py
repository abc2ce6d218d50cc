"""What callers leave behind in the daemon's memory: nothing that adds up.

`make soak-management` looks at it for longer, and in every way at once.
"""

import gc
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from synproxy.v1.stats_service_pb2 import WatchStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.lab.waiting import until
from appliance.management.samplings import Sampling

from .daemon_process import two_cores
from .http2 import CONNECTION_PREFACE, HEADERS, call, frames, message, window

SERVICES = "synproxy.v1.ServicesService/WatchServices"
STREAMS = 16            # of a connection; there are places for twice as many
CONNECTIONS = 150
WARM_UP = 150           # until what is freed is what the next ones take
STREAM_BYTES = 200      # may stay of each; without management/batches.py it's 350
CALL_S = 10
# A thread takes an arena of its own, if it may, with the first that it wants.
ARENAS = """
import ctypes, threading
from appliance.host.heap import heap_bound
heap_bound()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.open_memstream.restype = libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = ctypes.c_int, ctypes.c_void_p
libc.fflush.argtypes = ctypes.c_void_p,
for _ in range(4):
    thread = threading.Thread(target=libc.malloc, args=(5000,))
    thread.start()
    thread.join()
libc.malloc_info(0, libc.fopen(b"/dev/stdout", b"w"))
libc.fflush(None)
"""


def left_amid_their_answers(address: str, process: int) -> None:
    """Streams whose first answer has no room to go, when their caller goes."""
    before = sockets(process)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(CALL_S)
        caller.connect(address.removeprefix("unix:"))
        caller.sendall(CONNECTION_PREFACE + window(0) + b"".join(
            call(stream, SERVICES) + message(stream, 0) for stream in range(1, 2 * STREAMS, 2)))
        begun = 0
        answers = frames(caller)
        while begun < STREAMS:
            begun += next(answers)[0] == HEADERS
    until(lambda: sockets(process) <= before, seconds=CALL_S, what="the connection's end")


def sockets(process: int) -> int:
    count = 0
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += os.readlink(descriptor).startswith("socket:")
    return count


def memory_bytes(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) << 10


@two_cores
def test_of_streams_that_their_callers_leave_nothing_stays(configure, start):
    daemon = start(configure())
    process = daemon.process.pid
    for _ in range(WARM_UP):
        left_amid_their_answers(daemon.address, process)
    before = memory_bytes(process)
    for _ in range(CONNECTIONS):
        left_amid_their_answers(daemon.address, process)
    grown = memory_bytes(process) - before
    assert grown < CONNECTIONS * STREAMS * STREAM_BYTES


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
