"""The cookie: what it proves, what it remembers, how long it lives.

design/protocol §3; the layouts and the bounds stand in proxy/cookie's head.
"""

import random

import pytest

from cython_core import _testing_parts

from .connection import SYN_IPV4, SYN_IPV6, Connection, plain, wrap
from .harness import EPOCH_S, START_MS, WSCALE_ABSENT, Proxy, mapped, service
from .segments import replace

INTO_EPOCH_S = START_MS // 1000 % EPOCH_S
EPOCH = START_MS // 1000 // EPOCH_S


def cookies(proxy, **options):
    return _testing_parts.Cookies(service(**options), proxy.clock.now_s)


def flow(syn):
    return mapped(syn.source), syn.sport, mapped(syn.destination), syn.dport


def remembered(proxy, syn):
    """What the cookie of a SYN says of its client."""
    conn = Connection(proxy, syn).ask()
    return cookies(proxy).check(
        flow(syn), syn.family, syn.seq, conn.synack.seq, conn.synack.tsval)


# Age.

def test_a_syn_sent_again_within_an_epoch_gets_the_same_synack(proxy, syn):
    conn = Connection(proxy, syn).ask()
    proxy.clock.advance(EPOCH_S - INTO_EPOCH_S - 1)
    assert proxy.from_client(syn).to_client == conn.synack
    proxy.clock.advance(1)
    assert proxy.from_client(syn).to_client.seq != conn.synack.seq


@pytest.mark.parametrize("born", [0, 1, 29.999, 30, 59.75])
@pytest.mark.parametrize("age", [0, 1, 30, 59.999])
def test_a_cookie_younger_than_an_epoch_is_accepted(syn, born, age):
    proxy = Proxy()
    proxy.clock.leap(born)
    conn = Connection(proxy, syn).ask()
    proxy.clock.leap(age)
    assert proxy.from_client(conn.ack).to_server.flags == "S"


@pytest.mark.parametrize("born", [0, 29.999, 30, 59.75])
@pytest.mark.parametrize("age", [120, 121, 180, 3600, 60 * 2**16])
def test_a_cookie_older_than_two_epochs_is_refused(syn, born, age):
    proxy = Proxy()
    proxy.clock.leap(born)
    conn = Connection(proxy, syn).ask()
    proxy.clock.leap(age)
    assert proxy.from_client(conn.ack).nothing == "cookie_invalid"
    assert proxy.counters.cookie_invalid == 1
    assert proxy.gauges.connections == 0


def test_boxes_with_the_same_master_accept_each_others_cookies(syn):
    here, there = Proxy(table_key=(5, 6)), Proxy(table_key=(7, 8))
    conn = Connection(here, syn).ask()
    assert there.from_client(conn.ack).to_server.flags == "S"
    stranger = Proxy(master=(1, 3))
    assert stranger.from_client(conn.ack).nothing == "cookie_invalid"


# Forging.

@pytest.mark.parametrize("differs", [
    {"sport": 40001}, {"dport": 81}, {"source": 1}, {"destination": 1}, {"seq": 1}, {"seq": 2},
    {"seq": -2}, {"seq": 2**31},
], ids=str)
def test_a_cookie_proves_one_flow_and_one_isn(syn, differs):
    prefixes = ("10.0.0.0/24", "fd00::/64")
    proxy = Proxy(service(prefixes=prefixes, ports=((80, 81),)))
    conn = Connection(proxy, syn).ask()
    (name, by), = differs.items()
    if name in ("source", "destination"):
        other = {"source": {4: "198.51.100.8", 6: "2001:db8::8"},
                 "destination": {4: "10.0.0.3", 6: "fd00::3"}}[name][syn.family]
    else:
        other = by if name.endswith("port") else wrap(conn.ack.seq + by)
    assert proxy.from_client(replace(conn.ack, **{name: other})).nothing == "cookie_invalid"


def test_a_cookie_of_one_service_is_none_of_another(syn):
    proxy = Proxy()
    conn = Connection(proxy, syn).ask()
    proxy.publish(service("api"))
    assert proxy.from_client(conn.ack).nothing == "cookie_invalid"


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_of_the_acknowledged_isn_counts(proxy, syn, bit):
    conn = Connection(proxy, syn).ask()
    forged = replace(conn.ack, ack=wrap((conn.synack.seq ^ 1 << bit) + 1))
    assert proxy.from_client(forged).nothing == "cookie_invalid"


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_of_the_echoed_timestamp_counts(proxy, ts_syn, bit):
    conn = Connection(proxy, ts_syn).ask()
    forged = replace(conn.ack, tsecr=conn.synack.tsval ^ 1 << bit)
    assert proxy.from_client(forged).nothing == "cookie_invalid"


def test_timestamps_can_be_neither_taken_from_a_cookie_nor_added(proxy, ts_syn):
    conn = Connection(proxy, ts_syn).ask()
    without = replace(conn.ack, tsval=None, tsecr=None)
    assert proxy.from_client(without).nothing == "cookie_invalid"
    conn = Connection(proxy, plain(ts_syn)).ask()
    added = replace(conn.ack, tsval=1, tsecr=conn.synack.tsval or 0)
    assert proxy.from_client(added).nothing == "cookie_invalid"


def test_of_four_million_isns_beside_the_cookie_none_passes(proxy, ts_syn):
    conn = Connection(proxy, ts_syn).ask()
    good = cookies(proxy).count(flow(ts_syn), ts_syn.family, ts_syn.seq, conn.synack.seq + 1, 1,
                                2**22, conn.synack.tsval)
    assert good == 0


def test_without_timestamps_one_isn_in_128_million_has_the_mac(proxy):
    # 27 bits of MAC above 5 bits that name the epoch and the row: of the 2^27 ISNs with the same
    # low bits just one is good.  An ACK is read in two ways, so a guess is right once in 2^26.
    syn = plain(SYN_IPV4)
    assert cookies(proxy).count(flow(syn), 4, syn.seq, 5, 2**5, 2**27) == 1


def test_random_acks_open_nothing(proxy, syn):
    rng = random.Random(6)
    conn = Connection(proxy, syn).ask()
    for _ in range(20):
        burst = [
            replace(conn.ack, ack=rng.getrandbits(32), seq=rng.getrandbits(32),
                    tsecr=rng.getrandbits(32) if conn.timestamps else None)
            for _ in range(8)
        ]
        out = proxy.from_client(*burst)
        assert (out.sent, set(out.verdicts)) == ([], {"cookie_invalid"})
    assert proxy.counters.cookie_invalid == 160


# Memory.

@pytest.mark.parametrize("wscale", [None, 0, 1, 7, 14])
@pytest.mark.parametrize("sack", [False, True])
@pytest.mark.parametrize("ecn", [False, True])
def test_with_timestamps_all_that_was_offered_is_remembered(ts_syn, wscale, sack, ecn):
    proxy = Proxy(service(ecn=True))
    offer = replace(ts_syn, wscale=wscale, sack_permitted=sack, mss=1333,
                    flags="SEC" if ecn else "S")
    assert remembered(proxy, offer) == {
        "mss": 1333, "wscale": WSCALE_ABSENT if wscale is None else wscale, "sack": sack,
        "ecn": ecn, "announced_wscale": WSCALE_ABSENT if wscale is None else 7,
        "announced_sack": sack,
    }


def test_a_scale_above_14_is_14(proxy, ts_syn):
    options = (("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("WScale", 255))
    frame = replace(ts_syn, options=options)
    synack = proxy.from_client(frame).to_client
    conn = Connection(proxy, replace(ts_syn, wscale=14, tsval=1))
    conn.synack = synack
    assert proxy.from_client(conn.ack).to_server.wscale == 14


CLASSES = {4: (1460, 1401, 1344, 1290, 1238, 536), 6: (1440, 1382, 1326, 1272, 1220, 536)}


@pytest.mark.parametrize("template", [SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
def test_without_timestamps_the_mss_is_within_4_percent_and_never_above(proxy, template):
    full = CLASSES[template.family][0]
    classes = CLASSES[template.family][:5]
    edges = {mss + by for mss in classes for by in (-1, 0, 1)}
    for mss in sorted(edges | set(range(classes[-1], full, 11))):
        if not classes[-1] <= mss <= full:
            continue
        kept = remembered(proxy, replace(plain(template), mss=mss))["mss"]
        assert kept <= mss
        assert (mss - kept) / mss <= 0.0402
    assert remembered(proxy, replace(plain(template), mss=9000))["mss"] == full


@pytest.mark.parametrize("template", [SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
def test_an_mss_below_the_classes_is_taken_for_what_every_host_accepts(proxy, template):
    least = CLASSES[template.family][4]
    for mss in (1, 88, 536, 537, least - 1):
        assert remembered(proxy, replace(plain(template), mss=mss))["mss"] == 536


def test_a_syn_without_an_mss_means_the_default_of_its_family(proxy, syn):
    kept = remembered(proxy, replace(syn, mss=None))
    assert kept["mss"] == {4: 536, 6: 1220}[syn.family]


# By MSS class, as full frames and shorter ones have them.
KEPT_SCALES = {1460: (10, 8, 7, 6), 1401: (8, 6), 1344: (8, 6), 1290: (6,), 1238: (6,)}


@pytest.mark.parametrize("wscale", [None, *range(15)])
@pytest.mark.parametrize("sack", [False, True])
@pytest.mark.parametrize("mss", KEPT_SCALES)
def test_without_timestamps_a_scale_is_rounded_down_and_announced_only_if_kept(
        proxy, mss, wscale, sack):
    offer = replace(plain(SYN_IPV4), mss=mss, wscale=wscale, sack_permitted=sack)
    kept = remembered(proxy, offer)
    synack = proxy.from_client(offer).to_client
    assert synack.sack_permitted == kept["sack"] <= sack
    if wscale is None or wscale < 6 or not sack:
        assert kept["wscale"] == WSCALE_ABSENT
        assert synack.wscale is None
    else:
        assert kept["sack"]
        assert kept["wscale"] == max(one for one in KEPT_SCALES[mss] if one <= wscale)
        assert synack.wscale == 7


@pytest.mark.parametrize("sack", [False, True])
def test_without_timestamps_a_full_frames_sack_is_kept_without_a_scale(proxy, sack):
    offer = replace(plain(SYN_IPV4), wscale=None, sack_permitted=sack)
    assert remembered(proxy, offer)["sack"] == sack


def test_a_synack_never_announces_what_its_cookie_cannot_remember(proxy, syn):
    for mss in (None, 100, 536, 1219, 1220, 1238, 1460):
        for wscale in (None, 0, 3, 7, 14):
            for sack in (False, True):
                offer = replace(syn, mss=mss, wscale=wscale, sack_permitted=sack)
                synack = proxy.from_client(offer).to_client
                kept = remembered(proxy, offer)
                assert (synack.wscale is not None) == (kept["wscale"] != WSCALE_ABSENT)
                assert synack.sack_permitted == kept["sack"]


# A change of the announced scale.

@pytest.mark.parametrize(("before", "after"), [(7, 2), (7, WSCALE_ABSENT), (WSCALE_ABSENT, 7)])
def test_cookies_from_before_a_change_of_the_scale_stay_good(syn, before, after):
    proxy = Proxy(service(wscale=before))
    conn = Connection(proxy, syn).ask()
    proxy.publish(service(wscale=after, wscale_former=before, wscale_former_until=EPOCH))
    proxy.clock.leap(59)
    server_syn = proxy.from_client(conn.ack).to_server
    assert server_syn.wscale == (None if before == WSCALE_ABSENT else 7)


def test_the_window_update_uses_the_scale_that_its_client_was_told(syn):
    proxy = Proxy(service(wscale=7))
    conn = Connection(proxy, syn).ask()
    proxy.publish(service(wscale=2, wscale_former=7, wscale_former_until=EPOCH))
    conn.server_syn = proxy.from_client(conn.ack).to_server
    update, _ = proxy.from_server(conn.server_synack).both
    assert update.window == 65160 >> 7


def test_a_new_scale_is_announced_at_once_with_timestamps_and_else_in_the_next_epoch(syn):
    proxy = Proxy(service(wscale=7))
    proxy.publish(service(wscale=2, wscale_former=7, wscale_former_until=EPOCH))
    at_once = proxy.from_client(syn).to_client.wscale
    assert at_once == (2 if syn.tsval is not None else 7)
    proxy.clock.leap(EPOCH_S)
    conn = Connection(proxy, syn).ask()
    assert conn.synack.wscale == 2
    assert proxy.from_client(conn.ack).to_server.flags == "S"


def test_cookies_of_both_epochs_stay_good_while_the_scale_changes_in_each(syn):
    proxy = Proxy(service(wscale=7))
    first = Connection(proxy, syn).ask()
    proxy.publish(service(wscale=2, wscale_former=7, wscale_former_until=EPOCH))
    proxy.clock.leap(EPOCH_S)
    second = Connection(proxy, replace(syn, sport=syn.sport + 1)).ask()
    proxy.publish(service(wscale=9, wscale_former=2, wscale_former_until=EPOCH + 1,
                          wscale_older=7, wscale_former_epochs=1))
    third = Connection(proxy, replace(syn, sport=syn.sport + 2)).ask()
    assert [conn.synack.wscale for conn in (first, second, third)] == (
        [7, 2, 9] if first.timestamps else [7, 2, 2])
    for conn in (first, second, third):
        assert proxy.from_client(conn.ack).to_server.flags == "S"
    proxy.clock.leap(EPOCH_S)
    last = Connection(proxy, replace(syn, sport=syn.sport + 3)).ask()
    assert last.synack.wscale == 9
    assert proxy.from_client(last.ack).to_server.flags == "S"


def test_a_former_scale_is_forgotten_when_its_cookies_are_dead_unless_they_say_it(syn):
    proxy = Proxy(service(wscale=7))
    conn = Connection(proxy, syn).ask()
    proxy.publish(service(wscale=2, wscale_former=7, wscale_former_until=EPOCH - 1))
    out = proxy.from_client(conn.ack)
    assert out.verdict == ("to_server" if conn.timestamps else "cookie_invalid")
