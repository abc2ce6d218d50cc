"""Two data planes joined by shared memory: one bridges, the other answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..proxy.segments import Segment
from .conftest import PROGRAM, check_books, pcap_write, settings

SYN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="S", mss=1460, tsval=1000)
ANSWERS = 1000


@contextmanager
def bridging(told: dict, **devices: str) -> Iterator[None]:
    """A plane without services, for as long as the block runs; then `told` holds its books."""
    with subprocess.Popen([sys.executable, "-P", str(PROGRAM)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        job = {"settings": settings(file_prefix="test-bridge", main_lcore=1,
                                   worker_lcores=[0], **devices),
               "services": [[]], "received": 0, "seconds": 0}
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "running\n"
        yield
        told |= json.loads(process.communicate()[0])


def test_frames_cross_a_memif_in_both_directions(plane, tmp_path):
    source, wire = tmp_path / "syns.pcap", tmp_path / "memif.sock"
    pcap_write(source, [SYN.frame()])
    bridge: dict = {}
    with bridging(bridge, client_port=f"net_pcap0,rx_pcap={source},infinite_rx=1",
                  server_port=f"net_memif0,role=server,socket={wire},socket-abstract=no"):
        proxy = plane(received=ANSWERS, client_port=(
            f"net_memif0,role=client,socket={wire},socket-abstract=no"))
    check_books(bridge)
    assert proxy.counters.synack_sent >= ANSWERS
    assert proxy.counters.synack_sent == proxy.counters.received
    (worker,) = bridge["workers"]
    assert worker["counters"]["bridged"] >= ANSWERS
    client, _ = bridge["ports"]
    assert client["tx_packets"] > 0         # and only answers go that way
