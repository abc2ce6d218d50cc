"""What DPDK says by itself, where nobody reads it for a while."""

import fcntl
import os
import select
import subprocess
import sys

SOON_S = 10
START_S = 60            # of a program that loads the data plane, on a busy machine
PIPE_BYTES = 4096       # the least that a pipe has
COUNT = 200             # lines: more than that, and less than what passes DPDK's lines on holds

# Says as many lines as DPDK does, tells so on descriptor 3, and ends with its input.
PROGRAM = """\
import ctypes, os, sys
from appliance.notify import said_aside
from appliance.overheard import overhear
from cython_core.dpdk import eal

ERROR, USER = 4, 24     # rte_log.h
rte_log = ctypes.CDLL(eal.__file__).rte_log
with said_aside():
    overhear()
    for number in range(int(sys.argv[1])):
        rte_log(ERROR, USER, b"DPDK's line %d, " + 80 * b"x" + b"\\n", number)
    os.write(3, b"said")
    sys.stdin.read()
"""


def test_what_dpdk_says_waits_for_no_reader_and_comes_in_order():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    said, tells = os.pipe()
    command = ["bash", "-c", f'exec 3>&{tells}; exec "$@"', "-",
               sys.executable, "-P", "-c", PROGRAM, str(COUNT)]
    with (
        open(said, "rb"), open(reader) as lines,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=writer, pass_fds=[tells]) as program,
    ):
        os.close(writer)
        os.close(tells)
        try:
            ready, _, _ = select.select([said], [], [], START_S)
            assert ready, "DPDK waits for the reader"
            heard = [next(lines) for _ in range(COUNT)]
            assert heard == [f"DPDK's line {number}, {'x' * 80}\n" for number in range(COUNT)]
            program.communicate(timeout=SOON_S)
            assert program.returncode == 0
        finally:
            program.kill()
