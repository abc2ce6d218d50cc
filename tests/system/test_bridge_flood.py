"""A flood that is only bridged, more than a worker takes in, beside real clients of a service, each
of whom is served.

It is as fast as its core sends, and the worker's ring is short, so that it finds it full however
fast the worker.  What isn't taken in is counted as `rx_missed`, whose ever it is: what is a
client's its kernel says again.
"""

import json
import signal
from collections.abc import Callable

import pytest

from appliance.lab.proxy import PortSettings, Proxy
from appliance.lab.topology import FLOOD_MAC, SERVER_IPV4, Lab
from appliance.lab.waiting import until

from .conftest import QUIET_S, is_balanced
from .test_flood import start_flood
from .test_held import missed, probed

Figure = Callable[[str], None]

DISCARD = 9             # RFC 863: a port that is no service's
AS_FAST_AS_IT_GOES = 0
PROBED_S = 5
FLOOD_S = 10            # at most: it is ended when the clients have been served
FRAMES_MAX = 1 << 30    # likewise
BEGUN_S = 5
MISSED_MIN = 1000
SHORT = PortSettings(descriptors=128)
FEW = 20                # requests, of however busy a host

pytestmark = pytest.mark.usefixtures("website")


def test_clients_are_served_beside_more_than_a_worker_takes_in(lab: Lab, figure: Figure) -> None:
    with Proxy(lab, "AF_XDP", settings=SHORT) as proxy:
        before = proxy.counters()
        # To a MAC that no interface has: the server's kernel answers none of it.
        flood = start_flood(lab, SERVER_IPV4, AS_FAST_AS_IT_GOES, FLOOD_S, "--count",
                            str(FRAMES_MAX), "--udp", "--dport", str(DISCARD), "--dst-mac",
                            FLOOD_MAC)
        until(lambda: missed(proxy) > MISSED_MIN, seconds=BEGUN_S,
              what="the flood to be more than it takes in")
        report = probed(lab, PROBED_S)
        assert flood.poll() is None, "the flood outlasts the requests"
        flood.send_signal(signal.SIGINT)
        sent = json.loads(flood.communicate(timeout=BEGUN_S)[0])["sent"]
        until(lambda: is_balanced(proxy.stats()), seconds=QUIET_S,
              what="every frame to meet its fate")
        gained = proxy.counters() - before
        figure(f"of {sent} frames {missed(proxy)} missed; {report['succeeded']} of"
               f" {report['attempted']} requests succeed, median {report['median_ms']} ms,"
               f" p99 {report['p99_ms']} ms")
        assert report["succeeded"] == report["attempted"] >= FEW, report
        assert gained["bridged"] + missed(proxy) >= sent
        assert gained["tx_full"] == gained["bridge_shed"] == 0
