"""A process has ended, and another one goes on with what lies in its file."""

import mmap

import pytest
from cython_core._testing_shards import adopt, file_bytes, judge, secrets_kept
from cython_core.proxy.shard_file import layout

from .connection import STATES, SYN_IPV4, Connection
from .harness import Proxy, service
from .segments import replace
from .test_server_options import without_timestamps

SIZES = {"connections": 64, "half_open": 16, "servers": 1024}
OTHER_KEY = (7, 8)
COUNT = 24
BOOT_ID_AT, LAYOUT_AT = 24, 8       # in a ShardFile


@pytest.fixture
def memory():
    size = file_bytes(2, *SIZES.values())
    return mmap.mmap(-1, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)


@pytest.fixture
def proxy(memory):
    return Proxy(memory=memory, **SIZES)


def heir_of(memory, services=(), **sizes):
    """Who goes on, and what has become of the entries."""
    heir = Proxy(*services, table_key=OTHER_KEY, **(SIZES | sizes))
    return heir, adopt([heir.box], memory[:])


def adopted(count, **others):
    nothing = {"torn": 0, "unserved": 0, "without_room": 0, "unsound": 0}
    return {"adopted": count} | nothing | others


@pytest.mark.parametrize("state", STATES)
def test_a_connection_of_any_state_goes_on_in_it(proxy, memory, syn, state):
    Connection(proxy, syn).bring_to(state)
    heir, tally = heir_of(memory)
    assert tally == adopted(1)
    assert heir.box.connections() == proxy.box.connections()


def test_its_segments_are_translated_as_before(proxy, memory, syn):
    conn = Connection(proxy, syn).establish()
    conn.proxy, _ = heir_of(memory)
    data = conn.client(flags="PA", payload=b"request")
    assert conn.proxy.from_client(data).to_server == conn.as_server_sees(data)
    data = conn.server(got=7, flags="PA", payload=b"response")
    assert conn.proxy.from_server(data).to_client == conn.as_client_sees(data)


def test_timestamps_are_supplied_as_before(memory, ts_syn):
    proxy = Proxy(service(auto=True), memory=memory, **SIZES)
    conn = Connection(proxy, ts_syn).prove()
    without_timestamps(conn)
    bare = replace(conn.server(), tsval=None, tsecr=None)
    before = proxy.from_server(bare).to_client
    heir, _ = heir_of(memory, services=(service(auto=True),))
    assert heir.from_server(bare).to_client == before
    assert heir.gauges.supplies == 1


def test_a_handshake_says_its_syn_again_at_once_and_ends_well(proxy, memory, syn):
    conn = Connection(proxy, syn).prove()
    conn.proxy, tally = heir_of(memory)
    assert tally == adopted(1)
    again = conn.proxy.clock.advance(0.25).to_server
    assert again == conn.server_syn
    assert conn.proxy.gauges.half_open == 1
    conn.window_update, _ = conn.proxy.from_server(conn.server_synack).both
    data = conn.client(flags="PA", payload=b"request")
    assert conn.proxy.from_client(data).to_server == conn.as_server_sees(data)


def test_a_silent_server_is_given_up_as_late_as_without_a_restart(memory):
    options = service(syn_retries=2, syn_timeout_ms=1000)
    proxy = Proxy(options, memory=memory, **SIZES)
    Connection(proxy).prove()
    proxy.clock.advance(1.25)           # one retry has been
    heir, _ = heir_of(memory, services=(options,))
    out = heir.clock.advance(30)
    assert [to_server for to_server, _ in out.sent] == [True, True, False]


def test_a_cookie_that_was_replaced_opens_nothing(proxy, memory):
    old = Connection(proxy).establish()
    new = old.anew()
    proxy.from_client(new.ack)
    new.server_syn = replace(old.server_syn, seq=new.syn.seq)
    proxy.from_server(new.server_synack)
    heir, _ = heir_of(memory)
    late = heir.from_client(old.ack)
    assert heir.counters.conn_reopened == 0
    assert [to_server for to_server, _ in late.sent] in ([], [True])
    assert heir.gauges.half_open == 0


def test_what_is_learned_goes_on(memory, ts_syn):
    proxy = Proxy(service(auto=True), memory=memory, **SIZES)
    Connection(proxy, ts_syn, mss=1200, wscale=3, sack_permitted=False).establish()
    heir, _ = heir_of(memory, services=(service(auto=True),))
    assert heir.box.learned() == proxy.box.learned() != []


def test_cookies_of_the_former_are_good(proxy, memory, syn):
    """Given its secrets, which its file has."""
    conn = Connection(proxy, syn).ask()
    conn.proxy, _ = heir_of(memory)
    assert conn.proxy.from_client(conn.ack).to_server.flags == "S"


def test_secrets_are_whole_at_any_moment(proxy):
    """They are written beside those that count, and count at once."""
    kept, asked, _, _ = secrets_kept(proxy.box)
    assert kept == asked
    proxy.box.rotate((11, 12))
    kept, asked, before, beside = secrets_kept(proxy.box)
    assert kept == asked != before == beside


def test_what_no_service_has_any_more_is_left(proxy, memory):
    conn = Connection(proxy).establish()
    heir, tally = heir_of(memory, services=(service(prefixes=("10.0.0.9/32",)),))
    assert tally == adopted(0, unserved=1)
    assert heir.from_client(conn.client()).verdict == "bridge"


def test_where_there_is_less_room_tombstones_are_left(proxy, memory):
    for at in range(COUNT):
        Connection(proxy, replace(SYN_IPV4, sport=1024 + at)).bring_to(
            "established" if at % 2 else "closed")
    heir, tally = heir_of(memory, connections=COUNT // 2)
    assert tally == adopted(COUNT // 2, without_room=COUNT // 2)
    assert {one["state"] for one in heir.box.connections()} == {"established"}


def test_a_handshake_without_a_record_of_its_own_is_left(proxy, memory):
    for at in range(COUNT // 2):
        Connection(proxy, replace(SYN_IPV4, sport=1024 + at)).prove()
    heir, tally = heir_of(memory, half_open=3)
    assert tally == adopted(3, without_room=COUNT // 2 - 3)
    assert heir.gauges.connections == heir.gauges.half_open == 3


@pytest.mark.parametrize(("before", "behind"), [(1, 2), (2, 1), (2, 2)])
def test_more_or_fewer_workers_share_them_anew(memory, before, behind):
    formers = workers(before, memory=memory)
    conns = [Connection(formers[at % before], replace(SYN_IPV4, sport=1024 + at)).establish()
             for at in range(COUNT)]
    heirs = workers(behind, table_key=OTHER_KEY)
    assert adopt([heir.box for heir in heirs], memory[:]) == adopted(COUNT)
    shares = [len(heir.box.connections()) for heir in heirs]
    assert sum(shares) == COUNT
    assert min(shares) > 0
    for conn in conns:
        (conn.proxy,) = [heir for heir in heirs if any(
            one["client"][1] == conn.syn.sport for one in heir.box.connections())]
        data = conn.client(flags="PA", payload=b"x")
        assert conn.proxy.from_client(data).to_server == conn.as_server_sees(data)


def workers(count, memory=None, **keys):
    """Beside each other."""
    first = Proxy(memory=memory, shards=count, **SIZES, **keys)
    proxies = [first]
    for _ in range(1, count):
        proxies.append(Proxy(beside=proxies[-1].box, shards=count, **SIZES, **keys))
    return proxies


def test_a_file_fits_the_boot_and_the_layout_that_it_was_made_in(proxy, memory):
    whole = memory[:]
    assert judge(whole) == "fits"
    assert judge(whole, boot_id=b"\1" + bytes(15)) == "boot"
    assert judge(flipped(whole, LAYOUT_AT)) == "layout"
    assert judge(flipped(whole, BOOT_ID_AT)) == "boot"
    assert judge(flipped(whole, 0)) == "foreign"
    assert judge(b"") == judge(bytes(4096)) == judge(b"#!/bin/sh\n" * 500) == "foreign"


def test_a_file_that_is_shorter_than_it_says_is_none(proxy, memory):
    whole = memory[:file_bytes(1, *SIZES.values())]
    assert judge(whole) == "fits"
    assert judge(whole[:-1]) == judge(whole[:4096]) == "size"


def test_no_word_of_the_header_or_a_table_leads_out_of_the_file(proxy, memory):
    """Whatever stands there: such a file is none, or goes on with indices that are held against its
    size."""
    Connection(proxy).establish()
    whole = memory[:file_bytes(1, *SIZES.values())]
    for at in range(0, 320, 4):
        heir = Proxy(**SIZES)
        content = whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4:]
        if judge(content) == "fits":
            adopt([heir.box], content)
            heir.clock.advance(1)


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


def test_the_layout_has_every_size_place_and_value_once_said():
    """A change of one is another layout; one of meaning alone wants another SHARD_FILE_VERSION."""
    assert len(layout()) > 60
    assert all(isinstance(word, int) and word >= 0 for word in layout())
