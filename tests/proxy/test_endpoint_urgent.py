"""Urgent data (RFC 9293 §3.8.5): flag and pointer pass, for the pointer is relative to SEQ."""

import pytest

from .connection import Connection
from .segments import replace

POINTERS = [0, 1, 3, 1448, 65535]       # it may point beyond its segment


@pytest.mark.parametrize("urgent", POINTERS)
@pytest.mark.parametrize("flags", ["AU", "PAU", "FAU", "A"])
def test_flag_and_pointer_pass_both_ways(conn, flags, urgent):
    # A pointer without the flag says nothing, and passes as well.
    ask = conn.client(flags=flags, payload=b"abc", urgent=urgent)
    assert conn.proxy.from_client(ask).to_server == conn.as_server_sees(ask)
    answer = conn.server(flags=flags, payload=b"abc", urgent=urgent)
    assert conn.proxy.from_server(answer).to_client == conn.as_client_sees(answer)


def test_urgent_data_is_told_of_before_there_is_room_for_it(conn):
    conn.proxy.from_server(conn.server(window=0))
    told = conn.client(flags="AU", urgent=1)        # RFC 9293 §3.8.5: a window of 0 stops no URG
    assert conn.proxy.from_client(told).to_server == conn.as_server_sees(told)


@pytest.mark.parametrize("urgent", POINTERS)
def test_what_we_say_ourselves_is_never_urgent(proxy, syn, urgent):
    conn = Connection(proxy, replace(syn, flags="SU", urgent=urgent), flags="SAU", urgent=urgent)
    conn.establish(flags="AU", urgent=urgent)
    for said in (conn.synack, conn.server_syn, conn.server_ack, conn.window_update):
        assert (said.urgent, "U" in said.flags) == (0, False)
