"""Services compiled: what is refused before anything changes, and in what order rules stand."""

import pytest

from cython_core import roster
from cython_core.dataplane import ServiceOptions, ServiceSpec

EPOCH_S = 60
SLOTS = 4096
NOW_S = 1_700_000_040       # an epoch begins


def web(slot=0, name="web", prefixes=("10.0.0.0/24",), ports=((80, 80),), **options):
    return ServiceSpec(slot, name, prefixes, ports, ServiceOptions(**options))


def compiled(*specs, former=()):
    """The rules of these services, in order."""
    changes = roster.changes_of(list(former), list(specs))
    rules = roster.rules_changed([], changes, SLOTS)
    roster.check_overlaps(rules, list(former), changes)
    return rules


@pytest.mark.parametrize(("changes", "words"), [
    ({"prefixes": ["10.0.0.0/24", "10.0.0.0/24"]}, "in common"),
    ({"ports": [(80, 90), (85, 85)]}, "in common"),
    ({"prefixes": ["10.0.0.1/24"]}, "host bits"),
    ({"prefixes": ["nonsense"]}, "nonsense"),
    ({"prefixes": ["::/0"]}, "IPv4's mapped addresses"),
    ({"prefixes": ["::ffff:10.0.0.1/128"]}, "IPv4's mapped addresses"),
    ({"ports": [(0, 80)]}, "ports 0-80"),
    ({"ports": [(90, 80)]}, "ports 90-80"),
    ({"ports": [(80, 65536)]}, "ports 80-65536"),
    ({"ports": [(port, port) for port in range(1, 66)]}, "more than 64"),
    ({"slot": 4096}, "slot 4096"),
    ({"slot": -1}, "slot -1"),
])
def test_a_service_that_cannot_be(changes, words):
    with pytest.raises(ValueError, match=words):
        compiled(web(**changes))


def test_two_services_with_one_prefix_and_a_port_in_common():
    with pytest.raises(ValueError, match="services mail and web have port 85 of one prefix"):
        compiled(web(ports=[(85, 95)]), web(1, "mail", ports=[(80, 90)]))


def test_two_services_in_one_slot():
    with pytest.raises(ValueError, match="slot 0 twice"):
        compiled(web(), web(name="mail", ports=[(25, 25)]))


def test_one_prefix_inside_another_is_no_overlap_and_the_longer_comes_first():
    rules = compiled(
        web(prefixes=["10.0.0.0/8", "2001:db8::/32"]), web(1, "mail", prefixes=["10.0.0.0/24"]))
    assert [(-bits, service) for bits, _, _, _, service in rules] == [
        (120, 1), (104, 0), (32, 0)]
    assert rules[0][1] == bytes(10) + b"\xff\xff\x0a\x00\x00\x00"


def test_too_many_rules_altogether():
    prefixes = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(16_385)]
    ports = [(port, port) for port in range(1, 65)]
    with pytest.raises(ValueError, match="1048640 pairs"):
        compiled(web(prefixes=prefixes, ports=ports))


def test_a_change_of_options_needs_no_new_routes():
    before, after = web(), web(mss=1400)
    other = web(1, "mail", ports=[(25, 25)])
    changes = roster.changes_of([before, other], [after, other])
    assert changes == [(before, after)]
    assert not roster.routes_differ(before, after)
    assert roster.routes_differ(before, web(ports=[(81, 81)]))


def test_services_come_and_go_in_any_order():
    first, second, third = web(), web(1, "mail", ports=[(25, 25)]), web(2, "dns", ports=[(53, 53)])
    assert roster.changes_of([first, second], [second, third]) == [(first, None), (None, third)]
    assert roster.changes_of([first, second], [second, first]) == []


def test_what_a_service_gives_up_is_left_rule_by_rule():
    before = web(prefixes=["10.0.0.0/24", "10.1.0.0/24"], ports=[(80, 80), (443, 443)])
    after = web(prefixes=["10.0.0.0/24"], ports=[(80, 80), (443, 443)])
    left = roster.given_up_by({}, [(before, after)])
    name, rules = left[0]
    assert name == "web"
    assert [(rule[1][-4:], rule[2]) for rule in rules] == [
        (bytes([10, 1, 0, 0]), 80), (bytes([10, 1, 0, 0]), 443)]
    gone = roster.given_up_by(left, [(after, None)])
    assert len(gone[0][1]) == 4


def test_a_slot_that_is_being_left_takes_no_other_service():
    left = roster.given_up_by({}, [(web(), None)])
    with pytest.raises(ValueError, match="slot 0 is still being left"):
        roster.given_up_by(left, [(None, web(name="mail"))])


def test_a_service_that_comes_back_has_its_slot_again():
    left = roster.given_up_by({}, [(web(), None)])
    back = roster.given_up_by(left, [(None, web(prefixes=["10.2.0.0/24"]))])
    assert back == left
    again = roster.given_up_by(back, [(web(prefixes=["10.2.0.0/24"]), None)])
    assert len(again[0][1]) == 2


def test_a_changed_wscale_is_remembered_until_its_epoch_has_passed():
    epoch = NOW_S // EPOCH_S
    first = roster.wscale_announced(web(wscale=7), None, NOW_S)
    assert first == ("web", 7, 7, 0, 7, 255)
    changed = roster.wscale_announced(web(wscale=9), first, NOW_S + 5)
    assert changed == ("web", 9, 7, epoch, 7, 255)
    again = roster.wscale_announced(web(wscale=3), changed, NOW_S + 10)
    assert again == ("web", 3, 7, epoch, 7, 255)
    later = roster.wscale_announced(web(wscale=None), again, NOW_S + EPOCH_S)
    assert later == ("web", 15, 3, epoch + 1, 7, 1)
    much_later = roster.wscale_announced(web(wscale=8), later, NOW_S + 5 * EPOCH_S)
    assert much_later == ("web", 8, 15, epoch + 5, 3, 4)


def test_a_change_in_an_epochs_last_second_counts_for_the_next_one():
    first = roster.wscale_announced(web(wscale=7), None, NOW_S)
    changed = roster.wscale_announced(web(wscale=9), first, NOW_S + EPOCH_S - 1)
    assert changed[3] == NOW_S // EPOCH_S + 1


def test_another_service_in_the_slot_has_no_former_wscale():
    first = roster.wscale_announced(web(wscale=7), None, NOW_S)
    assert roster.wscale_announced(web(name="mail", wscale=9), first, NOW_S) == (
        "mail", 9, 9, 0, 9, 255)


def test_a_rate_of_all_workers_is_shared_out_rounded_up():
    assert [roster.share(total, 3) for total in (0, 1, 9, 10)] == [0, 1, 3, 4]
