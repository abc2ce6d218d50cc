"""What a reader of the services' counters is told again, and what not."""

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

WEB = {"slot": 0, "name": "web", "prefixes": ["10.0.0.0/24"], "ports": [[80, 80]]}
MAIL = {"slot": 2, "name": "mail", "prefixes": ["10.0.0.0/24"], "ports": [[25, 25]]}


def syn(sport):
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
                 / IP(src="198.51.100.7", dst="10.0.0.2")
                 / TCP(sport=sport, dport=80, flags="S", seq=1))


def test_each_slot_is_told_once_and_again_when_it_has_changed(plane, captures):
    captures.from_client += [syn(40000 + at) for at in range(3)]
    told = plane(services=((WEB, MAIL),), received=3, **captures.devices())
    first, second, third = told.changes
    assert [slot for slot, _, _ in first] == [0, 1, 2, 3]
    in_all = {slot: counters["syn_received"] for slot, counters, _ in [*first, *second]}
    assert in_all == {0: 3, 1: 0, 2: 0, 3: 0}
    grown = [by.get("syn_received", 0) for slot, _, by in [*first, *second] if slot == 0]
    assert sum(grown) == 3
    # Cookies go on at the first turn: that is a change of both services, and of no other slot.
    assert {slot for slot, _, _ in second} <= {0, 2}
    assert third == []
