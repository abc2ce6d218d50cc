"""Two data planes joined by shared memory: one bridges, the other answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..proxy.segments import Segment
from .conftest import PROGRAM, WEB, check_books, pcap_write, settings

SYN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="S", mss=1460, tsval=1000)
ANSWERS = 1000


class Plane:
    """A plane in a process of its own, in the hands of the test."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def until(self, word: str) -> None:
        assert self.process.stdout.readline() == f"{word}\n", self.process.stderr.read()

    def rest(self) -> None:
        self.process.stdin.write("rest\n")
        self.process.stdin.flush()
        self.until("resting")

    def end(self) -> dict:
        told, errors = self.process.communicate()
        assert self.process.returncode == 0, errors
        return json.loads(told)


@contextmanager
def running(services: list, received: int, **differences) -> Iterator[Plane]:
    with subprocess.Popen([sys.executable, "-P", str(PROGRAM)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        job = {"settings": settings(**differences), "services": [services],
               "received": received, "seconds": 0}
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        plane = Plane(process)
        plane.until("running")
        yield plane


def test_frames_cross_a_memif_in_both_directions(tmp_path):
    """Both rest before either ends: the driver unmaps the rings of a plane whose peer has gone,
    on its interrupt thread, and a worker that polls them then is killed by it."""
    source, wire = tmp_path / "syns.pcap", tmp_path / "memif.sock"
    pcap_write(source, [SYN.frame()])
    with running([], 0, client_port=f"net_pcap0,rx_pcap={source},infinite_rx=1",
                 server_port=f"net_memif0,role=server,socket={wire},socket-abstract=no",
                 file_prefix="test-bridge", main_lcore=1, worker_lcores=[0]) as bridge:
        with running([WEB], ANSWERS, client_port=(
                f"net_memif0,role=client,socket={wire},socket-abstract=no")) as proxy:
            proxy.rest()
            bridge.rest()
            answered = proxy.end()
        bridged = bridge.end()
    check_books(answered)
    check_books(bridged)
    (worker,) = answered["workers"]
    assert worker["counters"]["synack_sent"] >= ANSWERS
    assert worker["counters"]["synack_sent"] == worker["counters"]["received"]
    (worker,) = bridged["workers"]
    assert worker["counters"]["bridged"] >= ANSWERS
    client, _ = bridged["ports"]
    assert client["tx_packets"] > 0         # and only answers go that way
