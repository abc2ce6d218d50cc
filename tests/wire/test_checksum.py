"""The Internet checksum against a plain reading of RFC 1071, and its two zeros (RFC 1624 §3)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cython_core import _testing_wire as wire

ZERO = b"\x00\x00"
MINUS_ZERO = b"\xff\xff"


def plain_checksum(data):
    total = sum(
        int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2)
    )
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2, "big")


def same(a, b):
    """Equal but for the sign of zero."""
    return a == b or {a, b} == {ZERO, MINUS_ZERO}


@given(st.binary(max_size=1600))
@example(b"")
@example(b"\x01")
@example(b"\xff" * 1500)
def test_the_sum_is_that_of_rfc_1071(data):
    assert wire.checksum_field(wire.checksum_add(data)) == plain_checksum(data)


def test_the_example_of_rfc_1071():
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert wire.checksum_field(wire.checksum_add(data)) == bytes.fromhex("220d")


@pytest.mark.parametrize("length", range(132))
def test_every_length_around_the_vector_width_is_summed_whole(length):
    data = bytes((7 * i + 1) & 0xFF for i in range(length))
    assert wire.checksum_field(wire.checksum_add(data)) == plain_checksum(data)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_a_message_may_be_summed_in_pieces_of_even_length(data, cut):
    cut = min(cut & ~1, len(data))
    assert wire.checksum_field(wire.checksum_add(data[cut:], wire.checksum_add(data[:cut]))) == (
        plain_checksum(data)
    )


@given(st.binary(min_size=8, max_size=8), st.integers(0, 65535))
def test_the_pseudo_header_of_ipv4(addresses, l4_bytes):
    header = addresses + bytes([0, 6]) + l4_bytes.to_bytes(2, "big")
    assert wire.checksum_field(wire.checksum_pseudo(addresses, l4_bytes, 6)) == (
        plain_checksum(header)
    )


@given(st.binary(min_size=32, max_size=32), st.integers(0, 65535))
def test_the_pseudo_header_of_ipv6(addresses, l4_bytes):
    header = addresses + l4_bytes.to_bytes(4, "big") + bytes([0, 0, 0, 58])
    assert wire.checksum_field(wire.checksum_pseudo(addresses, l4_bytes, 58)) == (
        plain_checksum(header)
    )


# A header whose checksum field lies at 0, and what replaces four bytes of it at any offset.
@given(st.binary(min_size=8, max_size=64), st.data())
def test_an_incremental_checksum_is_the_full_one_at_every_offset(header, data):
    at = data.draw(st.integers(2, len(header) - 4))
    old = header[at : at + 4]
    new = data.draw(st.binary(min_size=4, max_size=4))
    header = ZERO + header[2:]
    changed = header[:at] + new + header[at + 4 :]
    delta = wire.checksum_delta32(
        int.from_bytes(old, "big"), int.from_bytes(new, "big"), odd=at % 2 == 1
    )
    field = wire.checksum_apply(plain_checksum(header), delta)
    assert same(field, plain_checksum(changed))
    if any(header) and any(changed):  # a sum that isn't of zeros alone has one zero only
        assert field == plain_checksum(changed)


@given(st.binary(min_size=4, max_size=64), st.data())
def test_several_differences_may_be_applied_at_once(header, data):
    header = bytearray(ZERO + header[2:] + b"\x01")
    field = plain_checksum(header)
    delta = 0
    for _ in range(data.draw(st.integers(1, 8))):
        at = 2 * data.draw(st.integers(1, len(header) // 2 - 1))
        new = data.draw(st.binary(min_size=2, max_size=2))
        delta += wire.checksum_delta16(
            int.from_bytes(header[at : at + 2], "big"), int.from_bytes(new, "big")
        )
        header[at : at + 2] = new
    assert same(wire.checksum_apply(field, delta), plain_checksum(header))


@given(st.integers(0, 2**32 - 1), st.binary(min_size=2, max_size=2), st.booleans())
@example(0, MINUS_ZERO, False)
@example(0, ZERO, False)
@example(0xFFFFFFFF, MINUS_ZERO, True)
def test_no_difference_leaves_the_field_as_it_was(value, field, odd):
    assert wire.checksum_apply(field, wire.checksum_delta32(value, value, odd)) == field
    assert wire.checksum_apply(field, 0) == field


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(min_size=2, max_size=2))
def test_differences_that_cancel_leave_the_field_as_it_was(a, b, field):
    there_and_back = wire.checksum_delta32(a, b) + wire.checksum_delta32(b, a)
    assert wire.checksum_apply(field, there_and_back) == field


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(min_size=2, max_size=2))
def test_a_difference_undone_gives_the_same_checksum_again(a, b, field):
    there = wire.checksum_apply(field, wire.checksum_delta32(a, b))
    assert same(wire.checksum_apply(there, wire.checksum_delta32(b, a)), field)


# RFC 1624 §4's example: the header checksum that eqn 2 would get wrong.
def test_the_example_of_rfc_1624():
    delta = wire.checksum_delta16(0x5555, 0x3285)
    assert wire.checksum_apply(bytes.fromhex("dd2f"), delta) == ZERO
