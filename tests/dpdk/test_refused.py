"""What is refused to the workers, a buffer or a place to send by, is counted by name, and nothing
is lost but what the counter says.

`make refused` refuses each 100 times.
"""

import os
import threading

import pytest

from appliance.lab.topology import Lab

from ..proxy.segments import Segment, replace
from .test_interfaces import CONNECTIONS, SERVICE, connect_all, job_of, plane_between, server

REFUSALS = int(os.environ.get("LAB_REFUSALS", "1"))
SYN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="S", seq=7, mss=1460, tsval=1000)
FRAMES = 500
STARVED_S = 0.5
PATIENCE_S = 30
# What the drivers keep of the frames that they have sent, until they send again: a burst a port.
HELD_BACK = 2 * 64


@pytest.fixture(scope="module")
def lab():
    with Lab() as laid, server(laid):
        yield laid


@pytest.mark.parametrize("_time", range(REFUSALS))
@pytest.mark.parametrize("driver", ["net_af_packet", "net_af_xdp"])
def test_without_a_buffer_nothing_is_received_and_it_goes_on_once_there_are(lab, driver, _time):
    """Clients say again what nobody took, or what AF_XDP's ring has kept is taken then."""
    job = job_of(f"{driver}0,iface=client", f"{driver}1,iface=server", SERVICE) | {
        "starved": STARVED_S}
    answered = []
    with plane_between(lab, job) as end:
        clients = threading.Thread(target=lambda: answered.append(connect_all(lab)))
        clients.start()
        clients.join(PATIENCE_S)
        told = end()
    assert answered == [CONNECTIONS]
    starved = told["starved"]
    assert starved["received"] == 0
    assert starved["free"] == [0]
    (worker,) = told["workers"]
    assert worker["counters"]["server_established"] == CONNECTIONS
    before, resting, stopped = told["in_use"]
    assert max(resting, stopped) <= before + HELD_BACK


@pytest.mark.parametrize("_time", range(REFUSALS))
def test_what_a_port_does_not_take_is_counted_and_its_buffers_come_back(plane, captures, _time):
    """One of shared memory, to which nobody has come."""
    captures.from_client = [replace(SYN, sport=port, dport=81).frame()
                           for port in range(1, FRAMES + 1)]
    told = plane(
        received=FRAMES, client_port=captures.devices()["client_port"],
        server_port=f"net_memif0,role=server,socket={captures.folder}/memif,socket-abstract=no")
    assert told.counters.received == told.counters.bridged == FRAMES
    assert told.counters.tx_full > 0
    assert told.counters.tx_full + told.counters.bridge_shed == FRAMES
    assert told.counters.sent == 0
    before, resting, stopped = told.in_use
    assert resting == before >= stopped
