"""What the table's entries are, as the last whole look has met them; and what the timers did."""

from .connection import SYN_IPV4, Connection
from .harness import TICK_S, Proxy, service
from .segments import replace
from .test_activation import Direct

NOTHING = dict.fromkeys(("opening", "open", "passing", "time_wait", "tombstone"), 0)


def opened(proxy, sport, state="established"):
    return Connection(proxy, replace(SYN_IPV4, sport=sport)).bring_to(state)


def looked(proxy):
    """After a look that began later than now, and the next one's begin."""
    proxy.clock.advance(2 * TICK_S)
    return proxy.box.census()


def test_an_empty_table(proxy):
    assert looked(proxy) == NOTHING


def test_each_entry_is_one_of_its_kind():
    proxy = Proxy(service(syn_retries=10))
    Connection(proxy, replace(SYN_IPV4, sport=2000)).prove()
    for sport in (2001, 2002):
        opened(proxy, sport)
    opened(proxy, 2003, "half_closed")
    opened(proxy, 2004, "time_wait")
    opened(proxy, 2005, "refused")
    opened(proxy, 2006, "closed")
    assert looked(proxy) == {
        "opening": 1, "open": 3, "passing": 0, "time_wait": 1, "tombstone": 2}


def test_what_passes_is_none_of_ours():
    proxy = Proxy(service(activation="off"))
    assert Direct(proxy).pass_through().goes_on()
    assert looked(proxy) == NOTHING | {"passing": 1}


def test_what_has_ended_is_forgotten_with_its_entry(proxy):
    opened(proxy, 2000, "refused")
    assert looked(proxy)["tombstone"] == 1
    proxy.clock.advance(180)
    assert looked(proxy) == NOTHING


def test_a_look_that_is_not_over_is_not_told():
    proxy = Proxy(service(), connections=4096)
    for sport in range(2000, 2100):
        Connection(proxy, replace(SYN_IPV4, sport=sport)).prove()
    proxy.box.set_clock(proxy.clock.now_ms + TICK_S * 1000)
    proxy.box.tend(1)
    assert proxy.box.census() == NOTHING
    proxy.box.tend(6)       # of 16 entries
    assert proxy.box.census() == NOTHING | {"opening": 100}


def test_nothing_is_due_while_nothing_happens(proxy):
    opened(proxy, 2000)
    proxy.clock.advance(60)
    due = proxy.box.due
    proxy.clock.advance(60)
    assert proxy.box.due == due


def test_each_deadline_is_due_once():
    proxy = Proxy(service(syn_retries=2, syn_timeout_ms=1000))
    Connection(proxy, SYN_IPV4).prove()
    before = proxy.box.due
    proxy.clock.advance(8)                  # 1 s, 2 s, and the end
    assert proxy.box.due - before == 3


def test_an_entry_whose_time_is_over_was_due(proxy):
    opened(proxy, 2000, "refused")
    proxy.clock.advance(10)
    before = proxy.box.due
    proxy.clock.advance(180)
    assert proxy.box.due - before == 1
