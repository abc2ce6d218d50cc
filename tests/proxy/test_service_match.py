"""Which service protects an address and port: the longest prefix that names the port.

A snapshot against a search through all its rules.
"""

import random
from ipaddress import ip_address, ip_network

import pytest

from .connection import SYN_IPV4, SYN_IPV6, Connection
from .harness import TICK_S, Proxy, mapped, service
from .segments import replace
from .test_activation import Direct


def protect(row, prefixes, ports=((80, 80),)):
    return service(f"s{row}", tuple(prefixes), tuple(ports), row=row)


def matched(proxy, address, port=80):
    return proxy.box.match(mapped(address), port)


def test_the_longest_prefix_that_names_the_port_wins():
    proxy = Proxy(
        protect(1, ["10.0.0.0/8"], [(1, 65535)]), protect(2, ["10.1.0.0/16"], [(80, 90)]),
        protect(3, ["10.1.2.3/32"], [(443, 443)]),
    )
    assert matched(proxy, "10.1.2.3", 443) == 3
    assert matched(proxy, "10.1.2.3", 80) == 2
    assert matched(proxy, "10.1.2.3", 90) == 2
    assert matched(proxy, "10.1.2.3", 91) == 1
    assert matched(proxy, "10.2.2.3", 443) == 1
    assert matched(proxy, "11.1.2.3", 443) is None


@pytest.mark.parametrize(("prefix", "inside", "outside"), [
    ("0.0.0.0/0", "8.8.8.8", "2001:db8::1"), ("::/0", "2001:db8::1", "8.8.8.8"),
    ("128.0.0.0/1", "200.0.0.1", "127.255.255.255"), ("8000::/1", "fd00::1", "2001:db8::1"),
    ("192.0.2.1/32", "192.0.2.1", "192.0.2.0"), ("fd00::1/128", "fd00::1", "fd00::"),
    ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"), ("::/64", "::ffff:ffff:1:1", "1.2.3.4"),
], ids=lambda value: value)
def test_a_prefix_covers_its_own_addresses_and_no_other_familys(prefix, inside, outside):
    proxy = Proxy(protect(1, [prefix]))
    assert (matched(proxy, inside), matched(proxy, outside)) == (1, None)
    assert (proxy.box.covers(mapped(inside)), proxy.box.covers(mapped(outside))) == (True, False)
    assert matched(proxy, inside, 81) is None


@pytest.mark.parametrize("ports", [((1, 1),), ((65535, 65535),), ((100, 200), (300, 300))], ids=str)
def test_port_ranges_include_both_their_ends(ports):
    proxy = Proxy(protect(1, ["10.0.0.2/32"], ports))
    inside = {port for low, high in ports for port in range(low, high + 1)}
    for port in (0, 1, 2, 99, 100, 150, 200, 201, 299, 300, 301, 65534, 65535):
        assert matched(proxy, "10.0.0.2", port) == (1 if port in inside else None)


def test_nobody_is_protected_by_an_empty_configuration():
    proxy = Proxy()
    proxy.publish()
    assert matched(proxy, "10.0.0.2") is None
    assert proxy.from_client(SYN_IPV4).to_server == SYN_IPV4
    assert proxy.counters.bridged == 1


LENGTHS = {4: [0, 8, 15, 24, 30, 32], 6: [0, 16, 97, 112, 127, 128]}


def brute_force(services, address, port):
    best = None
    for fields in services:
        for base, bits, low, high in fields["rules"]:
            family_matches = (bits >= 96 and base[:12] == mapped("0.0.0.0")[:12]) == (
                ip_address(address).version == 4)
            shift = 128 - bits
            same = (int.from_bytes(base, "big") >> shift
                    == int.from_bytes(mapped(address), "big") >> shift)
            if family_matches and same and low <= port <= high and (
                    best is None or bits > best[0]):
                best = bits, fields["row"]
    return best and best[1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 10, 400])
def test_many_services_are_found_as_a_search_through_all_finds_them(seed, count):
    rng = random.Random(seed * 1000 + count)

    def address():
        if rng.random() < 0.5:
            return f"10.{rng.randrange(2)}.{rng.randrange(4)}.{rng.randrange(8)}"
        return f"fd00::{rng.randrange(3)}:{rng.randrange(3)}:{rng.randrange(8)}"

    services, taken = [], set()
    for row in range(1, count + 1):
        where = address()
        bits = rng.choice(LENGTHS[ip_address(where).version])
        prefix = str(ip_network(f"{where}/{bits}", strict=False))
        slot = rng.randrange(6)
        if (prefix, slot) in taken:
            continue                    # rules that overlap are refused by the configuration
        taken.add((prefix, slot))
        services.append(protect(row, [prefix], [(100 * slot, 100 * slot + 99)]))
    proxy = Proxy(*services)
    for _ in range(400):
        where, port = address(), rng.randrange(700)
        assert matched(proxy, where, port) == brute_force(services, where, port), (where, port)


def test_a_hundred_thousand_services_are_found_by_the_longest_prefix():
    rng = random.Random(7)
    lengths, slots, base = (112, 116, 120, 124, 126, 128), 20, int.from_bytes(mapped("10.0.0.0"))

    def key(where, bits, slot):
        return where >> 128 - bits, bits, slot

    rows = {}
    while len(rows) < 100_000:
        where = base + rng.randrange(1 << 20)
        rows.setdefault(key(where, rng.choice(lengths), rng.randrange(slots)), len(rows) + 1)
    proxy = Proxy(*(service(f"s{row}", (), (), row=row) | {"rules": [
        ((head << 128 - bits).to_bytes(16), bits, 100 * slot + 1, 100 * slot + 100)]}
        for (head, bits, slot), row in rows.items()))
    own = [((head << 128 - bits) + rng.randrange(1 << 128 - bits), slot)
           for head, bits, slot in rows]
    strays = [(base + rng.randrange(1 << 21), rng.randrange(slots + 1)) for _ in own]
    found = set()
    for where, slot in own + strays:
        wanted = next((rows[one] for bits in reversed(lengths)
                       if (one := key(where, bits, slot)) in rows), None)
        port = 100 * slot + rng.choice((1, 100))
        assert proxy.box.match(where.to_bytes(16), port) == wanted, (where, port)
        found.add(wanted)
    assert len(found) > 90_000


def test_each_service_counts_in_its_own_row():
    proxy = Proxy(protect(1, ["10.0.0.2/32"]), protect(9, ["fd00::2/128"]))
    Connection(proxy, SYN_IPV4).establish()
    proxy.from_client(SYN_IPV6)
    proxy.from_client(replace(SYN_IPV4, dport=81))
    assert proxy.box.counters(1)["server_established"] == 1
    assert (proxy.box.counters(9)["syn_received"], proxy.box.counters(9)["cookie_valid"]) == (1, 0)
    assert (proxy.box.counters(0)["bridged"], proxy.box.counters(0)["received"]) == (1, 1)


def test_what_a_service_protects_can_change_under_traffic(proxy, syn):
    assert proxy.from_client(syn).to_client.flags == "SA"
    proxy.publish(service(ports=((443, 443),)))
    assert proxy.from_client(syn).to_server == syn
    assert proxy.from_client(replace(syn, dport=443)).to_client.flags == "SA"


# A service that is no more, and the connections that it has.

def test_the_connections_of_a_service_that_is_gone_go_on_and_new_ones_pass(syn):
    proxy = Proxy(service())
    conn = Connection(proxy, syn).establish()
    proxy.publish(service(row=2, leaving=True, activation="off", unknown_flow="forward"))
    ask, answer = conn.client(payload=b"ask"), conn.server(got=3, payload=b"answer")
    assert proxy.from_client(ask).to_server == conn.as_server_sees(ask)
    assert proxy.from_server(answer).to_client == conn.as_client_sees(answer)
    stranger = replace(syn, sport=syn.sport + 1)
    assert proxy.from_client(stranger).to_server == stranger


def test_a_handshake_under_way_is_finished_when_its_service_goes(syn):
    proxy = Proxy(service())
    conn = Connection(proxy, syn).ask()
    proxy.publish(service(row=2, leaving=True, activation="off", unknown_flow="forward"))
    conn.server_syn = proxy.from_client(conn.ack).to_server
    assert conn.server_syn.flags == "S"
    assert len(proxy.from_server(conn.server_synack).both) == 2


def test_a_handshake_under_way_is_finished_each_time_that_a_service_goes(syn):
    proxy = Proxy()
    for times in (1, 2):
        proxy.publish(service())
        conn = Connection(proxy, replace(syn, sport=40_000 + times)).ask()
        proxy.publish(service(row=2, leaving=times, activation="off", unknown_flow="forward"))
        assert proxy.from_client(conn.ack).to_server.flags == "S"
        proxy.clock.leap(600)


def test_new_connections_keep_no_service_that_is_gone(syn):
    proxy = Proxy(service())
    old = Connection(proxy, syn).establish()
    proxy.publish(service(row=2, leaving=True, activation="off", unknown_flow="forward"))
    proxy.from_server(old.server(flags="R", ack=0))
    for client in (syn, replace(syn, sport=syn.sport + 1)):
        direct = Direct(proxy, replace(client, seq=123)).pass_through()
        assert direct.goes_on()
        assert direct.goes_on()
    own = replace(direct.synack, flags="S", dport=9, seq=321, ack=0)
    assert proxy.from_server(own).to_client == own
    assert proxy.gauges.connections == 0


def test_a_living_service_goes_before_one_that_leaves_whatever_their_prefixes():
    leaving = service("old", ("10.0.0.2/32",), row=9, leaving=True)
    proxy = Proxy(leaving, protect(1, ["10.0.0.0/24"]))
    assert matched(proxy, "10.0.0.2") == 1
    proxy = Proxy(leaving, protect(1, ["10.0.0.0/24"], [(443, 443)]))
    assert (matched(proxy, "10.0.0.2"), matched(proxy, "10.0.0.2", 443)) == (9, 1)
    assert proxy.box.covers(mapped("10.0.0.2"))


def test_the_connections_of_each_service_are_counted_as_the_sweep_comes_by():
    proxy = Proxy(protect(1, ["10.0.0.2/32"]), protect(2, ["10.0.0.3/32"]))
    for n in range(5):
        host = "10.0.0.2" if n < 3 else "10.0.0.3"
        Connection(proxy, replace(SYN_IPV4, destination=host, sport=40_000 + n)).establish()
    proxy.clock.advance(3 * 4)
    assert [proxy.box.connections_of(row) for row in (1, 2)] == [3, 2]
    proxy.clock.leap(60 * 60 * 9)
    proxy.clock.advance(3 * 4)
    assert [proxy.box.connections_of(row) for row in (1, 2)] == [0, 0]


def test_no_connection_is_missed_where_room_is_made_during_the_sweep():
    """Who has none is forgotten, so one that nobody has looked at would be translated no more."""
    proxy = Proxy(protect(1, ["10.0.0.2/32"]), protect(2, ["10.0.0.3/32"]), connections=96)

    def opened(n):
        host = "10.0.0.3" if n == 70 else "10.0.0.2"
        return Connection(proxy, replace(SYN_IPV4, destination=host, sport=40_000 + n)).establish()

    conns = [opened(n) for n in range(96)]
    proxy.clock.advance(TICK_S - proxy.clock.now_s % TICK_S)    # 64 entries of a sweep
    proxy.from_server(conns[10].server(flags="R", ack=0))
    opened(100)
    assert proxy.counters.conn_evicted == 1
    proxy.clock.advance(TICK_S)
    assert proxy.box.connections_of(2) == 1


@pytest.mark.parametrize("stride", [1, 2, 256, 257, 65536])
def test_hosts_at_any_stride_find_their_way_quickly(stride):
    """Places of one hash: no run of neighbours may grow long, whatever the addresses' pattern."""
    hosts = [str(ip_address(0x0A00_0000 + n * stride)) for n in range(1000)]
    proxy = Proxy(protect(1, [f"{host}/32" for host in hosts]))
    assert {matched(proxy, host) for host in hosts} == {1}
    assert proxy.box.longest_run() < 32
