"""A flood of spoofed SYNs beside real clients, who don't notice."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable

import pytest

from appliance.lab.namespace import python_module
from appliance.lab.proxy import Proxy
from appliance.lab.topology import FLOOD_IPV4, FLOOD_IPV6, SERVER_MAC, Lab, Server
from appliance.lab.waiting import until

Figure = Callable[[str], None]

REQUESTS = 5000
# What two cores carry next to real clients; the rest of the machine is the clients' and server's.
FLOOD_PPS = {"AF_XDP": 100_000, "AF_PACKET": 50_000}
FLOOD_S = 60            # at most: it is ended when the requests are done
FLOOD_OF = {socket.AF_INET: FLOOD_IPV4, socket.AF_INET6: FLOOD_IPV6}
# What the drivers keep of the frames that they have sent, until they send again: a burst a port.
HELD_BACK = 2 * 64

pytestmark = pytest.mark.usefixtures("large_sha256")


def start_flood(lab: Lab, address: str, pps: int, seconds: int,
                *options: str) -> subprocess.Popen[bytes]:
    return lab.start(lab.client, python_module(
        "appliance.lab.flood", "--interface", "eth0", "--destination", address,
        "--dst-mac", SERVER_MAC, "--pps", str(pps), "--count", str(pps * seconds),
        "--seconds", str(seconds), *options), stdout=subprocess.PIPE)


def test_every_real_request_succeeds_beside_a_flood(
        lab: Lab, server: Server, proxy: Proxy, driver: str, figure: Figure) -> None:
    before, in_use = proxy.counters(), proxy.buffers_in_use()
    flood = start_flood(lab, server.address, FLOOD_PPS[driver], FLOOD_S)
    until(lambda: proxy.counters()["synack_sent"] > before["synack_sent"] + 1000, seconds=5,
          what="the flood to be answered")
    report = json.loads(lab.client.run(python_module(
        "appliance.lab.prober", server.address, "--count", str(REQUESTS))).stdout)
    assert flood.poll() is None, "the flood outlasts the requests"
    flood.send_signal(signal.SIGINT)
    score = json.loads(flood.communicate(timeout=5)[0])

    gained = proxy.counters() - before
    figure(f"{score['pps']} SYNs/s, {gained['synack_sent']} of {score['sent'] + REQUESTS} "
           f"answered; requests median {report['median_ms']} ms, p99 {report['p99_ms']} ms")
    assert report["succeeded"] == REQUESTS, report
    # Each real request has one entry; the flood has none.
    assert gained["cookie_valid"] == REQUESTS
    assert gained["server_established"] == REQUESTS
    assert gained["cookie_invalid"] == 0
    until(lambda: proxy.buffers_in_use() <= in_use + HELD_BACK, seconds=5,
          what=f"buffers to come back: {proxy.buffers_in_use()} in use, {in_use} before")


# What it leaves is told by whose it is: beside it the lab's kernels may still repeat a FIN of a
# connection of former tests, which is adopted.
def test_a_flood_alone_leaves_nothing_in_the_table(lab: Lab, server: Server, proxy: Proxy,
                                                   driver: str) -> None:
    before = proxy.counters()
    flood = start_flood(lab, server.address, FLOOD_PPS[driver], seconds=2)
    assert flood.wait(timeout=10) == 0
    gained = proxy.counters() - before
    assert gained["synack_sent"] > FLOOD_PPS[driver]
    assert gained["cookie_valid"] == 0
    assert proxy.connections(FLOOD_OF[server.family]) == []
    assert sum(worker.half_open for worker in proxy.stats().workers) == 0
