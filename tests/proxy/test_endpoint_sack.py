"""SACK: every edge of the client counts the server's bytes, and every edge moves with them.

RFC 2018 §3 (up to four blocks, three beside timestamps); RFC 2883 §4 (D-SACK: the first block
lies below ACK, or inside the second).
"""

import pytest

from .connection import Connection, wrap
from .harness import Proxy, service

SPANS = ((100, 200), (1_000, 2_448), (65_535, 65_537), (2**20, 2**20 + 1))


def blocks(conn, side, spans):
    """Spans of the other side's bytes, in the numbers that `side` sees."""
    first = (conn.synack.seq if side == "client" else conn.syn.seq) + 1
    return tuple((wrap(first + left), wrap(first + right)) for left, right in spans)


def assert_passes(conn, side, segment):
    if side == "client":
        assert conn.proxy.from_client(segment).to_server == conn.as_server_sees(segment)
    else:
        assert conn.proxy.from_server(segment).to_client == conn.as_client_sees(segment)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("side", ["client", "server"])
def test_each_block_that_fits_is_told_in_the_receivers_numbers(conn, side, count):
    if count == 4 and conn.timestamps:
        count = 3                   # 2 + 10 + 2 + 2 + 3 x 8 = 40 bytes: there is no room for more
    segment = getattr(conn, side)(sack=blocks(conn, side, SPANS[:count]))
    assert len(segment.sack) == count
    assert_passes(conn, side, segment)


@pytest.mark.parametrize(("got", "spans"), [
    (5_000, ((1_000, 2_448),)),                             # twice received, below ACK
    (5_000, ((1_000, 2_448), (6_000, 9_000))),
    (5_000, ((7_000, 7_500), (6_000, 9_000))),              # twice received, above ACK
    (0, ((0, 1),)), (1, ((0, 1),)),
], ids=str)
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_duplicate_is_told_of_as_well(conn, side, got, spans):
    assert_passes(conn, side, getattr(conn, side)(got=got, sack=blocks(conn, side, spans)))


@pytest.mark.parametrize("server_isn", [0, 2**31, 2**32 - 100, 2**32 - 1])
def test_blocks_on_either_side_of_the_wrap_keep_their_lengths(syn, server_isn):
    conn = Connection(Proxy(), syn, server_isn).establish()
    ack = conn.client(sack=blocks(conn, "client", SPANS[:3]))
    seen = conn.proxy.from_client(ack).to_server.sack
    first = server_isn + 1
    assert tuple((wrap(left - first), wrap(right - first)) for left, right in seen) == SPANS[:3]


def test_blocks_of_a_segment_with_data_move_too(conn):
    assert_passes(conn, "client", conn.client(
        flags="PA", payload=b"odd", sack=blocks(conn, "client", SPANS[:1])))


def test_a_service_without_sack_promises_it_to_neither_end(syn):
    conn = Connection(Proxy(service(sack=False)), syn).establish()
    assert (conn.synack.sack_permitted, conn.server_syn.sack_permitted) == (False, False)
