"""The lab's mixed attack: each of its frames is what its kind's name says, and meets that fate.
What its generator takes of a core."""

import socket
import time
from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6PacketTooBig
from scapy.layers.l2 import Ether

from appliance.lab.mixture import IPV4_FRAGMENT, SLOTS, Kind, mixture, shuffled
from appliance.lab.topology import SERVER_IPV4, SERVER_IPV6
from appliance.lab.volley import Volley

from .proxy.harness import Proxy, service

DPORT = 7005
KINDS = {kind.name: kind for kind in mixture(DPORT)}
VOLLEYS = 4
FIRED_NS = 200_000_000
REST, REST_OFF_BY = 0.5, 0.15
SUMS = (TCP, ICMP, ICMPv6PacketTooBig)
# No fragment has a TCP checksum; and Scapy doesn't write what it can't read.
FRAGMENTS, UNREADABLE = {IPV4_FRAGMENT, "fragment, IPv6"}, "options torn"
WRONG = {"TCP's checksum wrong, IPv4", "TCP's checksum wrong, IPv6", "IP's checksum wrong"}


def frames_of(kind: Kind) -> Iterator[bytes]:
    volley = Volley(kind.templates, seed=1)
    for _ in range(VOLLEYS):
        yield from volley.renew()


@pytest.mark.parametrize("name", KINDS)
def test_each_frame_meets_its_kinds_fate(name):
    proxy = Proxy(service(prefixes=(f"{SERVER_IPV4}/32", f"{SERVER_IPV6}/128"),
                          ports=((DPORT, DPORT),)))
    for frame in frames_of(KINDS[name]):
        proxy.from_client(frame)
    counters = proxy.counters
    assert getattr(counters, KINDS[name].fate) == counters.received == VOLLEYS * SLOTS
    assert proxy.gauges.connections == 0


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {UNREADABLE}))
def test_checksums_are_right_but_for_those_that_are_to_be_wrong(name):
    """Scapy computes them anew and comes to the same bytes."""
    for frame in frames_of(KINDS[name]):
        anew = Ether(frame)
        for layer in (IP,) if name in FRAGMENTS else (IP, *SUMS):
            if layer in anew:
                checksum = "cksum" if layer is ICMPv6PacketTooBig else "chksum"
                delattr(anew[layer], checksum)
        assert (bytes(anew) != frame) == (name in WRONG)


def test_no_two_frames_of_a_kind_are_the_same():
    for kind in KINDS.values():
        frames = list(frames_of(kind))
        assert len(set(frames)) > 0.99 * len(frames), kind.name


def test_a_volley_is_full_with_or_without_a_kind():
    for without in ((), (IPV4_FRAGMENT,)):
        volley = shuffled(mixture(DPORT, without))
        assert len(volley) == SLOTS
        assert not {kind.name for kind, _ in volley} & set(without)


def test_a_generator_leaves_others_the_share_that_it_is_told_to():
    volley = Volley(KINDS["SYN, IPv4"].templates, seed=1)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        near.setblocking(False)     # nobody reads: what finds no room is refused at once
        used_ns, began_ns = time.thread_time_ns(), time.monotonic_ns()
        volley.fire(near.fileno(), 1 << 40, 0, began_ns + FIRED_NS, REST)
    assert volley.drawn > SLOTS
    assert time.thread_time_ns() - used_ns < (1 - REST + REST_OFF_BY) * FIRED_NS
