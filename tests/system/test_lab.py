"""The lab itself: laid twice at once, and removed after a crash."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from appliance.lab import datagram, syn
from appliance.lab.bridge import bridged
from appliance.lab.namespace import NAMED
from appliance.lab.peers import Peer, start_peers
from appliance.lab.proxy import Proxy
from appliance.lab.record import RECORDS, sweep
from appliance.lab.topology import (
    FLOOD_MAC,
    SERVER_IPV4,
    SERVER_IPV6,
    SERVER_MAC,
    SERVERS,
    Lab,
)
from appliance.lab.volley import Volley
from appliance.lab.waiting import until

# A run that lays a lab, says its name, and is never heard of again.
CRASHING = """
import sys, time
from appliance.lab.topology import Lab
with Lab() as lab:
    lab.start(lab.server, ["sleep", "1000"])
    print(lab.id, flush=True)
    sys.stdin.read()
"""

# Someone comes in each time that one has been killed there, 128 + SIGKILL, until the place is gone.
COMERS = "while ip netns exec {} sleep 1000; [ $? = 137 ]; do :; done"

# A host asks for its neighbour three times; the second saying comes long after the proxy does.
ASKS_AGAIN_MS = "60000"
LATE_S = 5


def traces(lab_id: str) -> list[str]:
    return [str(path) for place in (NAMED, RECORDS) for path in place.glob(f"*{lab_id}*")]


def test_two_labs_run_at_once() -> None:
    with Lab() as first, Lab() as second:
        assert first.id != second.id
        for lab in (first, second):
            with bridged(lab):
                lab.client.run(["ping", "-c", "1", "-w", "5", SERVER_IPV4])


def test_nothing_is_left_behind() -> None:
    with Lab() as lab:
        sleeper = lab.start(lab.server, ["sleep", "1000"])
    assert sleeper.returncode == -signal.SIGTERM
    assert not traces(lab.id)
    assert not lab.directory.exists()


def test_a_later_run_removes_what_a_crash_left() -> None:
    crashing = subprocess.Popen([sys.executable, "-P", "-c", CRASHING], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
    assert crashing.stdout
    lab_id = crashing.stdout.readline().strip()
    assert lab_id not in sweep(), "a living owner's lab is left alone"
    assert traces(lab_id)
    crashing.kill()
    crashing.wait()
    assert lab_id in sweep()
    assert not traces(lab_id)


def test_who_comes_in_meanwhile_keeps_nothing_from_its_end() -> None:
    with Lab() as lab:
        comers = subprocess.Popen(["sh", "-c", COMERS.format(lab.server.name)],
                                  stderr=subprocess.DEVNULL)
        until(lab.server.processes, seconds=5, what="the first to come")
    assert not traces(lab.id)
    assert comers.wait(timeout=5) == 0


def test_the_proxys_own_kernel_stays_silent() -> None:
    with Lab() as lab:
        links = json.loads(lab.proxy.run(["ip", "-json", "address"]).stdout)
        assert not [link for link in links if link["addr_info"] and link["ifname"] != "lo"]
        # Nothing joins the two sides, so nobody may answer.
        refused = lab.client.run(["ping", "-c", "1", "-W", "1", SERVER_IPV4], check=False)
        assert refused.returncode == 1


@pytest.mark.parametrize("family", SERVERS)
def test_what_was_asked_before_the_proxy_came_delays_nobody(family: str) -> None:
    server = SERVERS[family]
    with Lab() as lab:
        lab.client.configure({f"net/{family.lower()}/neigh/eth0/retrans_time_ms": ASKS_AGAIN_MS})
        with lab.client.open_socket(server.family, socket.SOCK_STREAM) as early:
            early.setblocking(False)
            assert early.connect_ex((server.address, Peer.ECHOES)) == errno.EINPROGRESS
            start_peers(lab)
            with Proxy(lab, "AF_PACKET"), lab.client.open_socket(
                    server.family, socket.SOCK_STREAM) as late:
                late.settimeout(LATE_S)
                late.connect((server.address, Peer.ECHOES))


def test_the_floods_frames_are_whole() -> None:
    """Scapy computes the checksums anew and comes to the same bytes."""
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.l2 import Ether

    for destination, sources in ((SERVER_IPV4, "198.18.0.0/15"), (SERVER_IPV6, "2001:2::/48")):
        ends = destination, 80, sources, FLOOD_MAC, SERVER_MAC
        volley = Volley([*syn.templates(*ends), datagram.datagram_template(*ends)], seed=1)
        frames = [frame for _ in range(10) for frame in volley.renew()]
        assert len(set(frames)) == len(frames)
        for frame in frames:
            anew = Ether(frame)
            del anew[UDP if UDP in anew else TCP].chksum
            if IP in anew:
                del anew[IP].chksum
            assert bytes(anew) == frame


def test_a_dead_owners_number_may_be_taken_again() -> None:
    """The record's lock decides, not a process number: ours lives, the lab's owner does not."""
    record = RECORDS / "0-reused.json"
    RECORDS.mkdir(exist_ok=True)
    record.write_text(f'{{"pid": {os.getpid()}, "directory": "/nonexistent"}}')
    assert "0-reused" in sweep()
    assert not record.exists()
