"""Another secret: what was sent before stays good for its age, and nothing of it longer."""

import pytest

from .connection import SYN_IPV4, Connection
from .harness import EPOCH_S, START_MS, Proxy, service
from .segments import replace

OTHER, THIRD = (11, 12), (13, 14)
TO_NEXT_EPOCH_S = EPOCH_S - START_MS // 1000 % EPOCH_S


@pytest.fixture
def proxy():
    """In the first second of an epoch."""
    proxy = Proxy()
    proxy.clock.leap(TO_NEXT_EPOCH_S)
    return proxy


def opens(proxy, conn):
    return proxy.from_client(conn.ack).verdict == "to_server"


def test_this_epochs_cookies_are_those_of_the_former_secret(proxy, syn):
    before = Connection(proxy, syn).ask()
    proxy.box.rotate(OTHER)
    assert proxy.from_client(syn).to_client == before.synack


def test_the_next_epochs_cookies_are_those_of_the_other_one(proxy, syn):
    proxy.box.rotate(OTHER)
    proxy.clock.leap(EPOCH_S)
    there = Proxy(master=OTHER)
    there.clock.leap(TO_NEXT_EPOCH_S + EPOCH_S)
    assert opens(there, Connection(proxy, syn).ask())


@pytest.mark.parametrize("rotated_after", [0, 30, 59.75])
@pytest.mark.parametrize("age", [1, 59.75, 60, 119])
def test_a_cookie_of_the_former_secret_is_good_as_long_as_any(proxy, syn, rotated_after, age):
    conn = Connection(proxy, syn).ask()
    proxy.clock.leap(min(rotated_after, age))
    proxy.box.rotate(OTHER)
    proxy.clock.leap(max(age - rotated_after, 0))
    assert opens(proxy, conn)


def test_no_cookie_of_the_former_secret_is_good_two_epochs_later(proxy, syn):
    proxy.box.rotate(OTHER)
    proxy.clock.leap(2 * EPOCH_S)
    former = Proxy()        # whoever knows it
    former.clock.leap(TO_NEXT_EPOCH_S + EPOCH_S)
    conn = Connection(former, syn).ask()
    assert proxy.from_client(conn.ack).nothing == "cookie_invalid"


def test_each_of_three_secrets_in_a_row_counts_for_its_epochs(proxy, syn):
    """The third is drawn while cookies of the first are still good."""
    first = Connection(proxy, syn).ask()
    proxy.box.rotate(OTHER)
    proxy.clock.leap(EPOCH_S)
    second = Connection(proxy, replace(syn, sport=40001)).ask()
    proxy.box.rotate(THIRD)
    assert opens(proxy, first)
    proxy.clock.leap(EPOCH_S)
    third = Connection(proxy, replace(syn, sport=40002)).ask()
    assert opens(proxy, second)
    assert opens(proxy, third)


def test_of_two_that_are_to_begin_together_the_later_one_counts(proxy, syn):
    conn = Connection(proxy, syn).ask()
    proxy.box.rotate(OTHER)
    proxy.box.rotate(THIRD)
    proxy.clock.leap(EPOCH_S)
    assert opens(proxy, conn)
    there = Proxy(master=THIRD)
    there.clock.leap(TO_NEXT_EPOCH_S + EPOCH_S)
    assert opens(there, Connection(proxy, replace(syn, sport=40001)).ask())


def test_one_drawn_in_an_epochs_last_second_may_begin_an_epoch_later(proxy, syn):
    """The first of a next epoch is then replaced, and that of the current one kept."""
    proxy.clock.leap(EPOCH_S - 1)
    conn = Connection(proxy, syn).ask()
    proxy.box.rotate(OTHER, epochs=2)
    proxy.clock.leap(2)
    assert opens(proxy, conn)
    again = Connection(proxy, replace(syn, sport=40001)).ask()
    proxy.box.rotate(THIRD)
    proxy.clock.leap(EPOCH_S)
    assert opens(proxy, again)


def test_a_connection_is_untouched(proxy, syn):
    conn = Connection(proxy, syn).establish()
    proxy.box.rotate(OTHER)
    proxy.clock.leap(3 * EPOCH_S)
    assert proxy.from_client(conn.client(payload=b"GET")).to_server.payload == b"GET"


def test_services_may_change_in_between():
    proxy = Proxy()
    proxy.box.rotate(OTHER)
    conn = Connection(proxy, SYN_IPV4).ask()
    proxy.publish(service(mss=1400))
    proxy.clock.leap(EPOCH_S)
    assert opens(proxy, conn)
