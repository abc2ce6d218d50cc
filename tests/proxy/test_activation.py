"""always, auto, monitor, off: when SYNs meet cookies, and what a switch leaves alone."""

import pytest

from .connection import SYN_IPV4, Connection, wrap
from .harness import Proxy, service
from .segments import replace

MARKS = {"syn_rate_mark": 100, "half_open_mark": 40, "hold_ms": 60_000,
         "grace_ms": 120_000}


def web(activation, **differs):
    """Nothing unknown passes by policy, so that what passes does so by activation."""
    return service(activation=activation, **({"unknown_flow": "drop"} | MARKS | differs))


def syns(first, count):
    return [replace(SYN_IPV4, sport=port) for port in range(first, first + count)]


def flood(proxy, rate, seconds):
    """Each second's SYNs, in its first moment; the answers' flags."""
    flags, frames = [], [syn.frame() for syn in syns(2000, rate)]
    for _ in range(seconds):
        for first in range(0, rate, 50):
            out = proxy.from_client(*frames[first:first + 50])
            flags += [segment.flags for _, segment in out.sent]
        proxy.clock.advance(1)
    return flags


def passes(proxy, syn=SYN_IPV4):
    out = proxy.from_client(syn)
    assert len(out.sent) == 1
    return out.sent[0][0]


class Direct:
    """A handshake that passes, between the client's numbers and the server's."""

    def __init__(self, proxy, syn=SYN_IPV4, isn=7000):
        self.proxy, self.syn = proxy, syn
        self.synack = replace(
            syn, source=syn.destination, destination=syn.source, sport=syn.dport, dport=syn.sport,
            flags="SA", seq=isn, ack=wrap(syn.seq + 1), source_mac=syn.destination_mac,
            destination_mac=syn.source_mac)
        plain = {"mss": None, "wscale": None, "sack_permitted": False}
        self.ack = replace(syn, flags="A", seq=wrap(syn.seq + 1), ack=isn + 1, **plain)
        self.reply = replace(self.synack, flags="A", seq=isn + 1, **plain)

    def pass_through(self):
        assert self.proxy.from_client(self.syn).to_server == self.syn
        assert self.proxy.from_server(self.synack).to_client == self.synack
        return self

    def goes_on(self):
        assert self.proxy.from_client(self.ack).to_server == self.ack
        assert self.proxy.from_server(self.reply).to_client == self.reply
        return True


@pytest.mark.parametrize(("activation", "passed"), [
    ("always", False), ("auto", True), ("monitor", True), ("off", True)])
def test_a_quiet_service(syn, activation, passed):
    assert passes(Proxy(web(activation)), syn) == passed


def test_a_handshake_that_passes_is_untouched_and_then_followed(syn):
    proxy = Proxy(web("auto"))
    assert Direct(proxy, syn).pass_through().goes_on()
    assert proxy.connection.passes
    assert (proxy.counters.syn_passed, proxy.counters.conn_adopted) == (1, 1)


class TestAuto:
    def test_goes_on_within_the_second_in_which_the_rate_is_reached(self):
        proxy = Proxy(web("auto"))
        verdicts = proxy.from_client(*syns(2000, 50)).verdicts
        verdicts += proxy.from_client(*syns(2050, 52)).verdicts
        assert verdicts == ["bridge"] * 99 + ["to_client"] * 3
        assert proxy.counters.cookies_on == 1

    def test_goes_on_where_handshakes_find_no_end(self):
        proxy = Proxy(web("auto"))
        for syn in syns(2000, 40):
            Direct(proxy, syn).pass_through()
        assert not passes(proxy)

    def test_does_not_count_handshakes_that_end(self):
        proxy = Proxy(web("auto"))
        for n, syn in enumerate(syns(2000, 60)):
            Direct(proxy, syn).pass_through().goes_on()
            if n % 20 == 0:
                proxy.clock.advance(1)
        assert passes(proxy)

    def test_does_not_count_handshakes_that_end_on_ports_used_before(self, syn):
        """Each client's last connection was translated, and its entry is still there."""
        proxy = Proxy(web("always"))
        ports = range(2000, 2060)
        for port in ports:
            Connection(proxy, replace(syn, sport=port)).bring_to("closed")
        proxy.publish(web("auto"))
        for n, port in enumerate(ports):
            opening = replace(syn, sport=port, seq=123)
            assert Direct(proxy, opening, isn=99_000).pass_through().goes_on()
            if n % 20 == 0:
                proxy.clock.advance(1)
        assert passes(proxy)

    def test_forgets_old_handshakes(self):
        proxy = Proxy(web("auto"))
        for round_ in range(30):
            Direct(proxy, syns(2000 + round_, 1)[0]).pass_through()
            proxy.clock.advance(4)
        assert passes(proxy)

    def test_stays_on_while_the_rate_is_above_the_lower_mark(self):
        proxy = Proxy(web("auto"))
        flood(proxy, 150, 1)
        assert set(flood(proxy, 60, 120)) == {"SA"}
        assert proxy.counters.cookies_off == 0

    def test_goes_off_a_hold_after_the_load_has_gone(self):
        proxy = Proxy(web("auto"))
        flood(proxy, 150, 1)
        proxy.clock.advance(58)
        assert proxy.counters.cookies_off == 0
        proxy.clock.advance(4)
        assert proxy.counters.cookies_off == 1
        assert passes(proxy)


def test_monitor_takes_autos_decisions_and_lets_pass():
    proxy = Proxy(web("monitor"))
    assert set(flood(proxy, 150, 2)) == {"S"}
    proxy.clock.advance(64)
    assert (proxy.counters.cookies_on, proxy.counters.cookies_off) == (1, 1)
    assert proxy.counters.synack_sent == 0


def test_off_takes_none():
    proxy = Proxy(web("off"))
    assert set(flood(proxy, 150, 2)) == {"S"}
    assert proxy.counters.cookies_on == 0


class TestASwitch:
    """In both directions of it, whatever began before it goes on."""

    @pytest.mark.parametrize("before", ["off", "auto", "monitor"])
    def test_on_leaves_a_connection_alone_that_passed(self, before, syn):
        proxy = Proxy(web(before))
        direct = Direct(proxy, syn).pass_through()
        assert direct.goes_on()
        proxy.publish(web("always"))
        assert direct.goes_on()
        proxy.clock.leap(600)
        assert direct.goes_on()

    def test_on_leaves_a_handshake_alone_that_was_under_way(self, syn):
        proxy = Proxy(web("off"))
        direct = Direct(proxy, syn)
        proxy.from_client(syn)
        proxy.publish(web("always"))
        assert proxy.from_server(direct.synack).to_client == direct.synack
        assert direct.goes_on()

    def test_on_is_strict_after_its_grace(self, syn):
        proxy = Proxy(web("off"))
        direct = Direct(proxy, syn).pass_through()
        proxy.publish(web("always"))
        proxy.clock.advance(121)
        assert proxy.from_client(direct.ack).nothing == "cookie_invalid"
        assert proxy.from_server(direct.synack).nothing == "synack_unexpected"

    def test_off_leaves_a_connection_alone_that_is_translated(self, syn):
        proxy = Proxy(web("always"))
        conn = Connection(proxy, syn).establish()
        proxy.publish(web("off"))
        proxy.clock.leap(600)
        segment = conn.client(payload=b"x")
        assert proxy.from_client(segment).to_server == conn.as_server_sees(segment)
        segment = conn.server(got=1, payload=b"y")
        assert proxy.from_server(segment).to_client == conn.as_client_sees(segment)

    def test_off_still_takes_the_cookies_that_are_out(self, syn):
        proxy = Proxy(web("always"))
        conn = Connection(proxy, syn).ask()
        proxy.publish(web("off"))
        assert proxy.from_client(conn.ack).to_server.flags == "S"

    def test_off_takes_none_after_its_grace(self, syn):
        proxy = Proxy(web("always", grace_ms=1000))
        conn = Connection(proxy, syn).ask()
        proxy.publish(web("off", grace_ms=1000))
        proxy.clock.advance(2)
        assert proxy.from_client(conn.ack).to_server == conn.ack

    @pytest.mark.parametrize("state", ["established", "time_wait", "closed", "refused"])
    def test_off_lets_ports_be_used_anew(self, syn, state):
        proxy = Proxy(web("always"))
        Connection(proxy, syn).bring_to(state)
        proxy.publish(web("off"))
        direct = Direct(proxy, replace(syn, seq=123), isn=99_000).pass_through()
        assert direct.goes_on()
        assert proxy.connection.passes

    def test_a_service_that_starts_always_has_no_grace_for_what_is_unknown(self, syn):
        proxy = Proxy(web("always"))
        proxy.clock.advance(1)
        assert proxy.from_client(Direct(proxy, syn).ack).nothing == "cookie_invalid"


def test_a_challenge_ack_of_the_server_is_translated_while_syns_pass(syn):
    """The client came back on the same ports; its server still holds the old connection."""
    proxy = Proxy(web("always"))
    conn = Connection(proxy, syn).establish()
    proxy.publish(web("off"))
    again = replace(syn, seq=500)
    assert proxy.from_client(again).to_server == again
    challenge = conn.server()
    assert proxy.from_server(challenge).to_client == conn.as_client_sees(challenge)
    rst = replace(conn.client(flags="R", ack=0), seq=conn.as_client_sees(challenge).ack)
    assert proxy.from_client(rst).to_server.seq == rst.seq


class TestAutosOwnSwitches:
    """By load and by time, not by an update; what is under way then goes on as well."""

    def test_on_leaves_alone_what_had_passed(self, syn):
        proxy = Proxy(web("auto"))
        direct = Direct(proxy, replace(syn, sport=1025)).pass_through()
        assert direct.goes_on()
        half = Direct(proxy, replace(syn, sport=1026), isn=9000)
        proxy.from_client(half.syn)
        flood(proxy, 150, 1)
        assert proxy.counters.cookies_on == 1
        assert proxy.from_server(half.synack).to_client == half.synack
        assert half.goes_on()
        assert direct.goes_on()

    def test_off_leaves_alone_what_is_translated_and_still_takes_cookies(self, syn):
        proxy = Proxy(web("auto", hold_ms=5000))
        flood(proxy, 150, 1)
        conn = Connection(proxy, syn).establish()
        late = Connection(proxy, replace(syn, sport=1026)).ask()
        proxy.clock.advance(10)
        assert proxy.counters.cookies_off == 1
        assert proxy.from_client(late.ack).to_server.flags == "S"
        ask, answer = conn.client(payload=b"ask"), conn.server(got=3, payload=b"answer")
        assert proxy.from_client(ask).to_server == conn.as_server_sees(ask)
        assert proxy.from_server(answer).to_client == conn.as_client_sees(answer)

    def test_off_takes_no_cookie_after_its_grace(self, syn):
        proxy = Proxy(web("auto", hold_ms=5000, grace_ms=3000))
        flood(proxy, 150, 1)
        late = Connection(proxy, replace(syn, sport=1026)).ask()
        proxy.clock.advance(12)
        assert proxy.counters.cookies_off == 1
        assert proxy.from_client(late.ack).to_server == late.ack

    def test_of_one_worker_make_its_cookies_good_at_each(self, syn):
        first = Proxy(web("auto", grace_ms=3000))
        second = Proxy(web("auto", grace_ms=3000), beside=first.box)
        flood(first, 150, 1)
        conns = [Connection(first, replace(syn, sport=port)).ask() for port in (1025, 1026)]
        assert second.from_client(conns[0].ack).to_server.flags == "S"
        second.clock.leap(12)
        assert second.from_client(conns[1].ack).to_server == conns[1].ack

    def test_on_again_after_off(self):
        proxy = Proxy(web("auto", hold_ms=5000))
        for _ in range(3):
            flood(proxy, 150, 1)
            proxy.clock.advance(10)
        assert (proxy.counters.cookies_on, proxy.counters.cookies_off) == (3, 3)

    def test_of_one_service_are_none_of_anothers(self):
        proxy = Proxy(web("auto"), service(
            "mail", ports=((25, 25),), row=2, activation="auto", **MARKS))
        flood(proxy, 150, 1)
        assert not passes(proxy)
        assert passes(proxy, replace(SYN_IPV4, dport=25))
        assert proxy.box.counters(2)["cookies_on"] == 0

    @pytest.mark.parametrize("goes_on", [True, False])
    def test_wait_for_the_lower_mark_of_handshakes_without_an_end(self, goes_on):
        """Of 32 or fewer one is forgotten a second; as many that come anew keep them on."""
        proxy = Proxy(web("auto", hold_ms=2000, syn_rate_mark=10_000))
        for syn in syns(2000, 40):
            Direct(proxy, syn).pass_through()
        assert not passes(proxy)
        for late in syns(3000, 40):
            if goes_on:
                proxy.from_server(Direct(proxy, late).synack)
            proxy.clock.advance(1)
        assert proxy.counters.cookies_off == (not goes_on)


@pytest.mark.parametrize("ending", ["fins", "reset"])
def test_ports_used_anew_while_handshakes_pass_are_a_connection_anew(syn, ending):
    proxy = Proxy(web("auto"))
    old = Direct(proxy, syn).pass_through()
    assert old.goes_on()
    proxy.from_client(replace(old.ack, flags="FA"))
    proxy.from_server(replace(old.reply, flags="FA" if ending == "fins" else "R"))
    new = Direct(proxy, replace(syn, seq=1_000_000), isn=2**31).pass_through()
    assert new.goes_on()
    conn = proxy.connection
    assert (conn.state, conn.client_ack) == ("established", 2**31 + 1)
    proxy.clock.leap(3600)
    proxy.publish(web("always", grace_ms=0))
    assert new.goes_on()


@pytest.mark.parametrize("policy", ["drop", "reset"])
def test_in_the_grace_of_a_switch_no_policy_ends_what_had_passed(syn, policy):
    proxy = Proxy(web("off", unknown_flow=policy))
    direct = Direct(proxy, syn)
    proxy.from_client(syn)
    proxy.from_server(direct.synack)
    proxy.publish(web("always", unknown_flow=policy))
    assert direct.goes_on()


def test_a_connection_that_passed_needs_no_entry_to_go_on_after_a_restart(syn):
    direct = Direct(Proxy(web("off")), syn).pass_through()
    direct.proxy = Proxy(service(activation="always", unknown_flow="forward"))
    assert direct.goes_on()
