"""A process is killed amid a change of its tables: at most one entry is torn, and it is found.

Each change is done in a child, an instruction at a time, on memory that both share.  Each state
that the memory passes through is one that a kill may leave, and is adopted.
"""

import ctypes
import mmap
import os
import signal
import time

import pytest
from cython_core._testing_shards import (
    adopt,
    file_bytes,
    run_between_stops,
    run_for_ever,
    tend_between_stops,
)

from .connection import SYN_IPV4, Connection
from .harness import Proxy, service
from .segments import replace
from .stepped import steps

SIZES = {"connections": 16, "half_open": 8, "servers": 1024}
BYTES = -(-file_bytes(1, *SIZES.values()) // mmap.PAGESIZE) * mmap.PAGESIZE
KILLS = 20
UNDER_WAY_S = 0.02
# What tells a connection's numbers; all of it is as it was before a change, or as it is behind it.
NUMBERS = ("isn", "seq_offset", "ts_offset", "timestamps", "passes")


@pytest.fixture
def memory():
    return mmap.mmap(-1, BYTES)


@pytest.fixture
def proxy(memory):
    """With two connections that have nothing to do with the change."""
    proxy = Proxy(memory=memory, **SIZES)
    for sport in (50_000, 50_001):
        Connection(proxy, replace(SYN_IPV4, sport=sport)).establish()
    return proxy


def entries(proxy, but=()):
    return {one["client"]: one for one in proxy.box.connections() if one["client"][1] not in but}


def heir_of(content):
    heir = Proxy(table_key=(7, 8), **SIZES)
    return heir, adopt([heir.box], content)


def images(memory, work):
    """Each state that the memory passes through, the first and the last among them."""
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    compare = ctypes.CDLL(None).memcmp
    seen = [ctypes.string_at(at, BYTES)]
    for _ in steps(work):
        if compare(ctypes.c_void_p(at), seen[-1], ctypes.c_size_t(BYTES)):
            seen.append(ctypes.string_at(at, BYTES))
    return seen


def from_client(*segments):
    return [segment.frame() for segment in segments], True


def from_server(*segments):
    return [segment.frame() for segment in segments], False


def reopened(conn):
    """The same ports in another handshake."""
    return from_client(conn.establish().anew().ack)


def reopened_while_awaited(conn):
    return from_client(conn.prove().anew().ack)


CHANGES = {
    "a client is proven": lambda conn: from_client(conn.ask().ack),
    "its server answers": lambda conn: from_server(conn.prove().server_synack),
    "its ports are used anew": reopened,
    "and while their server is awaited": reopened_while_awaited,
    "data from the client": lambda conn: from_client(
        conn.establish().client(payload=b"x" * 99, flags="PA", window=65_000)),
    "data from the server": lambda conn: from_server(
        conn.establish().server(payload=b"x" * 99, flags="PA", window=65_000)),
    "a FIN": lambda conn: from_client(conn.establish().client(flags="FA")),
    "the last FIN": lambda conn: from_server(
        conn.bring_to("half_closed").server(got=1, flags="FA")),
    "a RST": lambda conn: from_server(conn.establish().server(flags="R", ack=0)),
    "the server refuses": lambda conn: from_server(conn.prove().server(flags="RA")),
    "an older connection": lambda conn: from_server(conn.ask_older()),
}


class Older(Connection):
    def ask_older(self):
        """What a server says on a connection that is older than the proxy."""
        self.proxy.publish(service(unknown_flow="forward"))
        self.server_syn = self.syn
        self.synack = None
        return replace(self.server(flags="PA", payload=b"x"), tsval=None, tsecr=None)

    @property
    def timestamps(self):
        return self.synack is not None and super().timestamps


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_at_any_instruction_a_connection_is_as_before_or_after_or_found_torn(
        proxy, memory, change):
    conn = Older(proxy)
    frames, side = change(conn)
    before, bystanders = entries(proxy), entries(proxy, but={conn.syn.sport})
    seen = images(memory, lambda: run_between_stops(proxy.box, frames, side))
    assert len(seen) > 1
    after = entries(heir_of(seen[-1])[0])
    torn_in_all = 0
    for content in seen:
        heir, tally = heir_of(content)
        found = entries(heir)
        torn_in_all += tally["torn"]
        assert tally["torn"] <= 1
        assert tally["unserved"] == tally["without_room"] == tally["unsound"] == 0
        assert {who: entry for who, entry in found.items() if who in bystanders} == bystanders
        for who, entry in found.items():
            whole = [numbers(state[who]) for state in (before, after) if who in state]
            assert numbers(entry) in whole
        if not tally["torn"] and before.keys() <= after.keys():
            assert before.keys() <= found.keys()
        heir.clock.advance(2)       # what wakes by time meets nothing that isn't so
    assert torn_in_all < len(seen)


def numbers(entry):
    return [entry[name] for name in NUMBERS]


def test_at_any_instruction_of_an_eviction_all_others_are_whole(memory):
    proxy = Proxy(memory=memory, **SIZES)
    for sport in range(SIZES["connections"]):
        Connection(proxy, replace(SYN_IPV4, sport=1024 + sport)).bring_to("closed")
    conn = Connection(proxy).ask()
    for content in images(memory, lambda: run_between_stops(proxy.box, *from_client(conn.ack))):
        _, tally = heir_of(content)
        assert tally["torn"] <= 1
        assert tally["unsound"] == 0
        assert tally["adopted"] >= SIZES["connections"] - 1


def test_at_any_instruction_of_a_turn_of_the_timers(proxy, memory):
    """The SYN is said again; its handshake stands before as behind."""
    conn = Connection(proxy).prove()
    proxy.box.set_clock(proxy.clock.now_ms + 1100)
    for content in images(memory, lambda: tend_between_stops(proxy.box)):
        heir, tally = heir_of(content)
        assert tally == {"adopted": 3, "torn": 0, "unserved": 0, "without_room": 0, "unsound": 0}
        conn.proxy = heir
        assert heir.from_server(conn.server_synack).both


def test_killed_at_any_moment_while_connections_come_and_go(proxy, memory):
    bystanders = entries(proxy)
    bursts = []
    for at in range(SIZES["connections"]):
        conn = Connection(proxy, replace(SYN_IPV4, sport=1024 + at)).prove()
        bursts += [
            from_client(conn.syn), from_client(conn.ack), from_server(conn.server_synack),
            from_client(conn.client(flags="PA", payload=b"x")),
            from_client(conn.client(flags="R", ack=0, tsval=None, tsecr=None))]
        proxy.from_server(conn.server(flags="RA"))
    torn = 0
    whole = memory[:]
    for _ in range(KILLS):
        memory[:] = whole       # nobody goes on in what was killed: an heir takes over from it
        pid = os.fork()
        if pid == 0:
            run_for_ever(proxy.box, bursts)
        time.sleep(UNDER_WAY_S)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        heir, tally = heir_of(memory[:])
        found = entries(heir)
        torn += tally["torn"]
        assert tally["torn"] <= 1
        assert tally["unsound"] == 0
        assert {who: found[who] for who in bystanders} == bystanders
    assert torn < KILLS
