"""How many new connections are taken, of a service and of one prefix of clients: proxy/bounds."""

import pytest

from .connection import SYN_IPV4, SYN_IPV6, Connection
from .harness import EPOCH_S, Proxy, service
from .segments import replace


def client(n: int, address: str = "198.51.100.7"):
    return replace(SYN_IPV4, source=address, sport=1024 + n)


def outcome(proxy: Proxy, syn) -> str:
    return proxy.from_client(Connection(proxy, syn).ask().ack).verdict


def outcomes(proxy: Proxy, count: int, address: str = "198.51.100.7", first: int = 0) -> list[str]:
    return [outcome(proxy, client(first + n, address)) for n in range(count)]


def test_without_bounds_as_many_come_as_want(proxy):
    assert outcomes(proxy, 200) == ["to_server"] * 200


def test_a_service_takes_its_rate_and_its_burst_and_drops_the_rest_by_name():
    proxy = Proxy(service(open_rate=4, open_burst=3))
    assert outcomes(proxy, 5) == ["to_server"] * 3 + ["service_bound"] * 2
    proxy.clock.advance(0.25)
    assert outcomes(proxy, 2, first=10) == ["to_server", "service_bound"]
    proxy.clock.advance(10)
    assert outcomes(proxy, 4, first=20) == ["to_server"] * 3 + ["service_bound"]
    assert proxy.drops == {"service_bound": 4}


def test_what_was_refused_is_taken_when_its_client_says_it_again():
    proxy = Proxy(service(open_rate=1, open_burst=1))
    outcome(proxy, client(0))
    conn = Connection(proxy, client(1)).ask()
    assert proxy.from_client(conn.ack).nothing == "service_bound"
    proxy.clock.advance(1)
    assert proxy.from_client(conn.ack).to_server.flags == "S"


def test_a_prefix_is_held_to_its_own_bound_and_uses_up_no_other_ones():
    proxy = Proxy(service(source_rate=1, source_burst=2, open_rate=1, open_burst=100))
    assert outcomes(proxy, 50) == ["to_server"] * 2 + ["source_bound"] * 48
    assert outcomes(proxy, 3, "198.51.100.250", 100) == ["source_bound"] * 3
    assert outcomes(proxy, 3, "198.51.101.7", 200) == ["to_server"] * 2 + ["source_bound"]
    assert proxy.counters.service_bound == 0


@pytest.mark.parametrize(("bits", "other", "alike"), [
    (24, "198.51.100.255", True), (24, "198.51.101.7", False), (25, "198.51.100.128", False),
    (25, "198.51.100.127", True), (32, "198.51.100.6", False), (8, "198.255.0.1", True),
])
def test_the_prefix_is_as_long_as_it_is_set_to(bits, other, alike):
    proxy = Proxy(service(source_rate=1, source_burst=1, source_prefix=bits))
    assert outcomes(proxy, 1) == ["to_server"]
    assert outcomes(proxy, 1, other, 9) == ["source_bound" if alike else "to_server"]


@pytest.mark.parametrize(("bits", "other", "alike"), [
    (56, "2001:db8:0:ff::1", True), (56, "2001:db8:0:100::1", False), (64, "2001:db8::ff:7", True),
    (64, "2001:db8:0:1::7", False), (128, "2001:db8::6", False), (16, "2001:ffff::1", True),
])
def test_so_it_is_over_ipv6(bits, other, alike):
    proxy = Proxy(service(source_rate=1, source_burst=1, source_prefix_ipv6=bits))
    assert outcome(proxy, SYN_IPV6) == "to_server"
    assert outcome(proxy, replace(SYN_IPV6, source=other)) == (
        "source_bound" if alike else "to_server")


def test_who_proves_nothing_uses_up_nobodys_bound():
    proxy = Proxy(service(open_rate=1, open_burst=1, source_rate=1, source_burst=1))
    for n in range(300):
        proxy.from_client(client(n))
        proxy.from_client(replace(client(n), flags="A", ack=4711 + n, seq=n))
    assert proxy.counters.cookie_invalid == 300
    assert outcome(proxy, client(1000)) == "to_server"


def test_a_connection_that_is_there_is_not_bounded():
    proxy = Proxy(service(open_rate=1, open_burst=1))
    conn = Connection(proxy, client(0)).establish()
    for sent in range(50):
        data = conn.client(sent, payload=b"x")
        assert proxy.from_client(data).to_server == conn.as_server_sees(data)


def test_ports_used_anew_count_and_what_is_refused_ends_nothing():
    proxy = Proxy(service(open_rate=1, open_burst=1))
    conn = Connection(proxy, client(0)).establish()
    new = conn.anew()
    assert proxy.from_client(new.ack).nothing == "service_bound"
    data = conn.client(payload=b"goes on")
    assert proxy.from_client(data).to_server == conn.as_server_sees(data)
    proxy.clock.advance(1)
    assert len(proxy.from_client(new.ack).two_to_server) == 2


def test_what_is_beyond_a_bound_makes_nobody_room():
    proxy = Proxy(service(open_rate=1, open_burst=1), connections=1)
    Connection(proxy, client(0)).bring_to("closed")
    assert outcome(proxy, client(1)) == "service_bound"
    assert proxy.counters.conn_evicted == 0


def test_services_have_bounds_of_their_own():
    proxy = Proxy(service(open_rate=1, open_burst=1, source_rate=1, source_burst=1),
                  service("mail", ports=((25, 25),), row=2, source_rate=1, source_burst=1))
    assert outcomes(proxy, 2) == ["to_server", "source_bound"]
    mail = [replace(client(n), dport=25) for n in range(2)]
    assert [outcome(proxy, syn) for syn in mail] == ["to_server", "source_bound"]
    assert proxy.box.counters(2)["source_bound"] == 1


def test_a_bound_changes_while_it_runs_and_another_service_of_its_row_begins_anew():
    proxy = Proxy(service(open_rate=1, open_burst=10))
    assert outcomes(proxy, 11) == ["to_server"] * 10 + ["service_bound"]
    proxy.publish(service(open_rate=100, open_burst=10))
    proxy.clock.advance(0.25)
    assert outcomes(proxy, 11, first=20) == ["to_server"] * 10 + ["service_bound"]
    proxy.publish(service())
    assert outcomes(proxy, 20, first=40) == ["to_server"] * 20
    proxy.publish(service(open_rate=100, open_burst=10))
    assert outcomes(proxy, 1, first=80) == ["service_bound"]
    proxy.publish(service("other", open_rate=1, open_burst=1))
    assert outcomes(proxy, 2, first=90) == ["to_server", "service_bound"]


def test_thousands_of_prefixes_at_their_bound_refuse_few_others_and_let_none_escape():
    """2000 prefixes take so many cells that of 1000 others (1 - e^(-2000 / 8192))^4, two, are
    expected to find all of theirs taken."""
    proxy = Proxy(service(source_rate=1, source_burst=1), connections=8192, half_open=8192)
    hot = [f"11.{n >> 8}.{n & 255}.1" for n in range(2000)]
    for n, address in enumerate(hot):
        outcome(proxy, client(n, address))
    before = proxy.counters.source_bound
    for n, address in enumerate(hot[:200]):
        assert outcome(proxy, client(n + 3000, address)) == "source_bound"
    others = [outcome(proxy, client(n, f"12.{n >> 8}.{n & 255}.1")) for n in range(1000)]
    assert before < 20
    assert others.count("source_bound") < 20


def test_who_shares_all_cells_with_others_is_free_of_them_a_minute_later():
    proxy = Proxy(service(source_rate=1, source_burst=1), connections=8192, half_open=8192)

    def crowd() -> set[str]:
        """Of 4000 prefixes those that are refused at once."""
        addresses = [f"11.{n >> 8}.{n & 255}.1" for n in range(4000)]
        return {address for n, address in enumerate(addresses)
                if outcome(proxy, client(proxy.clock.now_s % 999 + n, address)) == "source_bound"}

    first = crowd()
    proxy.clock.leap(2 * EPOCH_S)
    second = crowd()
    assert first
    assert len(first & second) < len(first) / 4
