"""A data plane on capture files: frames in from each side, frames out to each side.

`plane(...)` runs one in a process of its own and returns what it told; the books are checked.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from scapy.utils import PcapReader, PcapWriter

PROGRAM = Path(__file__).with_name("plane_process.py")
WEB = {"slot": 0, "name": "web", "prefixes": ["10.0.0.0/24", "fd00::/64"], "ports": [[80, 80]]}
PATIENCE_S = 90


@dataclass
class Captures:
    """Capture files of one run, in a folder of its own."""

    folder: Path
    from_client: list[bytes] = field(default_factory=list)
    from_server: list[bytes] = field(default_factory=list)

    def devices(self) -> dict[str, str]:
        return {
            "client_port": self._device("net_pcap0", self.from_client, "client"),
            "server_port": self._device("net_pcap1", self.from_server, "server"),
        }

    def _device(self, name: str, frames: list[bytes], side: str) -> str:
        source, sink = f"from_{side}.pcap", f"to_{side}.pcap"
        pcap_write(self.folder / source, frames)
        return f"{name},rx_pcap={source},tx_pcap={sink}"

    def to_client(self) -> list[bytes]:
        return pcap_read(self.folder / "to_client.pcap")

    def to_server(self) -> list[bytes]:
        return pcap_read(self.folder / "to_server.pcap")


def queues(folder: Path, side: str, received: list[list[bytes]], ways_out: int = 1) -> str:
    """A port with a queue for each list of frames, and so many to send by.

    The names are short: DPDK 24.11.8 takes 127 characters of a device."""
    words = [f"net_pcap{('client', 'server').index(side)}"]
    for at, frames in enumerate(received):
        source = f"{side[0]}{at}.in"
        pcap_write(folder / source, frames)
        words.append(f"rx_pcap={source}")
    words += [f"tx_pcap={side[0]}{at}.out" for at in range(ways_out)]
    return ",".join(words)


def queues_sent(folder: Path, side: str) -> list[bytes]:
    """By all queues of that port."""
    return [frame for file in sorted(folder.glob(f"{side[0]}*.out")) for frame in pcap_read(file)]


def lcores(workers: int) -> dict:
    """So many workers on the CPU of one."""
    cpus = ",".join(f"{at}@1" for at in range(1, workers + 1))
    return {"worker_lcores": tuple(range(1, workers + 1)),
            "extra_eal_args": ("--lcores", f"0@0,{cpus}")}


def pcap_write(path: Path, frames: list[bytes]) -> None:
    with PcapWriter(str(path), linktype=1) as writer:
        writer.write_header(None)
        for frame in frames:
            writer.write(frame)


def pcap_read(path: Path) -> list[bytes]:
    with PcapReader(str(path)) as reader:
        return [bytes(packet) for packet in reader]


def plane_run(
    job: dict, command: tuple[str, ...] = (), folder: Path | None = None,
) -> tuple[dict, str]:
    """What the process wrote to standard output, and to standard error.  `command` is put
    before that of the process, which runs in `folder`."""
    done = subprocess.run(
        [*command, sys.executable, "-P", str(PROGRAM)], input=json.dumps(job),
        capture_output=True, text=True, timeout=PATIENCE_S, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def settings(**differences) -> dict:
    """Small, and without hugepages."""
    return {
        "client_port": "net_ring0", "server_port": "net_ring1", "hugepages": False,
        "memory_mib": 128, "connections": 4096, "half_open": 1024, "mbufs": 8191,
        "file_prefix": f"test-{os.getpid()}", **differences,
    }


@pytest.fixture
def captures(tmp_path) -> Captures:
    return Captures(tmp_path)


@pytest.fixture
def plane(tmp_path):
    """In the folder of the test's capture files, by which they can have short names."""
    def run(services=((WEB,),), received=0, seconds=0.2, command=(), drains=False, drain="none",
            rotate=0, delete=False, crowd=False, leave=False, captures=(), wrong=0,
            watches=0, rss=(), **differences):
        told, stderr = plane_run({
            "settings": settings(**differences), "services": services, "received": received,
            "seconds": seconds, "drains": drains, "drain": drain, "rotate": rotate,
            "delete": delete, "crowd": crowd, "leave": leave, "captures": captures,
            "wrong": wrong, "watches": watches, "rss": rss,
        }, command, tmp_path)
        assert stderr == ""
        assert "workers" in told, told
        check_books(told)
        return SimpleNamespace(**told, counters=totals(told))
    return run


def totals(told: dict) -> SimpleNamespace:
    names = told["workers"][0]["counters"]
    return SimpleNamespace(**{
        name: sum(worker["counters"][name] for worker in told["workers"]) for name in names})


def check_books(told: dict) -> None:
    """Each frame received has one fate, in each worker, or is handed over; each frame sent has an
    origin."""
    from cython_core.dataplane import DROP_REASONS

    for worker, state in zip(told["workers"], told["states"], strict=True):
        assert worker["counters"]["received"] == state["frames"] - state["handed_out"]
    assert (sum(state["handed_in"] for state in told["states"])
            <= sum(state["handed_out"] for state in told["states"]))

    for worker in told["workers"]:
        counters = worker["counters"]
        kept = counters["bridged"] + counters["translated"] + counters["consumed"]
        assert counters["received"] == kept + sum(counters[reason] for reason in DROP_REASONS)
        assert (counters["sent"] + counters["tx_full"] + counters["bridge_shed"]
                == counters["bridged"] + counters["translated"] + counters["originated"])
