"""TCP option lists: malformed ones are rows, well-formed ones survive a round trip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cython_core import _testing_wire as wire

ABSENT = wire.WSCALE_ABSENT
TIMESTAMPS = "080a 80000000 7fffffff"


def parse(text):
    return wire.options_parse(bytes.fromhex(text))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("02", id="MSS without a length"),
        pytest.param("01 01 01 03", id="last byte is a kind"),
        pytest.param("02 00 05b4", id="length 0"),
        pytest.param("02 01 05b4", id="length 1"),
        pytest.param("fe 00", id="unknown kind of length 0"),
        pytest.param("fe 01", id="unknown kind of length 1"),
        pytest.param("fe 03", id="unknown kind ends outside"),
        pytest.param("02 04 05", id="MSS ends outside"),
        pytest.param("08 0a 00000001 000000", id="timestamps end outside"),
        pytest.param("0101080a 00000001 000000", id="aligned timestamps end outside"),
        pytest.param("0402080a", id="aligned timestamps are but a head"),
        pytest.param("02 03 05 00", id="MSS of 3"),
        pytest.param("02 05 05b4 00", id="MSS of 5"),
        pytest.param("03 02", id="window scale of 2"),
        pytest.param("03 04 07 00", id="window scale of 4"),
        pytest.param("04 03 00", id="SACK-permitted of 3"),
        pytest.param("08 08 00000001 0000", id="timestamps of 8"),
        pytest.param("08 0c 00000001 00000002 0000", id="timestamps of 12"),
        pytest.param("05 02", id="SACK without blocks"),
        pytest.param("05 06 00000001", id="SACK with half a block"),
        pytest.param("05 09 00000001 000000", id="SACK with an odd length"),
        pytest.param("05 0b 00000001 00000002 00", id="SACK with a block and a byte"),
        pytest.param("02 04 05b4 03 03", id="good option, then one that ends outside"),
    ],
)
def test_a_malformed_list_is_refused(text):
    assert parse(text) is None


def test_an_empty_list_has_no_options():
    options = parse("")
    assert options.mss == 0
    assert options.wscale == ABSENT
    assert not options.sack_permitted
    assert not options.timestamps
    assert (options.tsval_at, options.sack_at, options.sack_blocks) == (0, 0, 0)


@pytest.mark.parametrize("text", ["00 02 00", "01 00 fe 01", "00"])
def test_nothing_behind_the_end_is_read(text):
    assert parse(text).mss == 0


@pytest.mark.parametrize("kind", [6, 14, 19, 29, 30, 34, 254])
def test_unknown_options_are_stepped_over(kind):
    options = parse(f"{kind:02x} 04 ffff 02 04 0578")
    assert options.mss == 0x578


def test_timestamps_near_the_wrap_are_read_with_their_place():
    options = parse("01 01" + TIMESTAMPS)
    assert (options.tsval, options.tsecr) == (0x80000000, 0x7FFFFFFF)
    assert options.tsval_at == 4


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
def test_sack_blocks_are_counted_and_placed(blocks):
    options = parse("01 01" + f"05 {2 + 8 * blocks:02x}" + "fffffff0 00000010" * blocks)
    assert options.sack_blocks == blocks
    assert options.sack_at == 4


def test_the_last_of_duplicates_wins():
    options = parse("02040218 020405b4 030302 030307" + TIMESTAMPS + "080a 00000001 00000002")
    assert options.mss == 1460
    assert options.wscale == 7
    assert (options.tsval, options.tsecr, options.tsval_at) == (1, 2, 26)


@pytest.mark.parametrize(("shift", "read"), [(0, 0), (7, 7), (14, 14), (15, 14), (255, 14)])
def test_a_window_scale_above_14_is_14_and_0_is_not_absent(shift, read):
    assert parse(f"03 03 {shift:02x}").wscale == read


wanted = st.fixed_dictionaries(
    {
        "mss": st.integers(0, 65535),
        "wscale": st.integers(0, 14) | st.just(ABSENT),
        "sack_permitted": st.booleans(),
        "timestamps": st.none() | st.tuples(*[st.integers(0, 2**32 - 1)] * 2),
    }
)


@given(wanted)
def test_what_we_write_is_read_back(wanted):
    options = wire.options_parse(wire.options_write(**wanted))
    assert options.mss == wanted["mss"]
    assert options.wscale == wanted["wscale"]
    assert options.sack_permitted == wanted["sack_permitted"]
    assert options.timestamps == (wanted["timestamps"] is not None)
    if options.timestamps:
        assert (options.tsval, options.tsecr) == wanted["timestamps"]


@given(wanted)
def test_our_list_is_the_shortest_that_is_padded_to_words(wanted):
    bare = (
        4 * (wanted["mss"] != 0)
        + 3 * (wanted["wscale"] != ABSENT)
        + 2 * wanted["sack_permitted"]
        + 10 * (wanted["timestamps"] is not None)
    )
    assert len(wire.options_write(**wanted)) == -(-bare // 4) * 4


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({}, ""),
        ({"mss": 1460}, "020405b4"),
        (
            {"mss": 1460, "wscale": 7, "sack_permitted": True, "timestamps": (1, 2)},
            "020405b4 0402080a 00000001 00000002 01030307",
        ),
        ({"mss": 1460, "wscale": 8, "sack_permitted": True}, "020405b4 01010402 01030308"),
        ({"timestamps": (1, 2)}, "0101080a 00000001 00000002"),
        ({"wscale": 0}, "01030300"),
    ],
)
def test_the_packing_is_that_of_linux(wanted, text):
    assert wire.options_write(**wanted) == bytes.fromhex(text)


def plain_parse(list_):
    """The list as RFC 9293 §3.1 reads it: {kind: (offset, value)}, None where malformed."""
    lengths = {2: {4}, 3: {3}, 4: {2}, 5: {10, 18, 26, 34}, 8: {10}}
    found, at = {}, 0
    while at < len(list_) and list_[at] != 0:
        if list_[at] == 1:
            at += 1
            continue
        length = list_[at + 1] if at + 1 < len(list_) else 0
        if length < 2 or at + length > len(list_):
            return None
        if length not in lengths.get(list_[at], {length}):
            return None
        found[list_[at]] = (at + 2, list_[at + 2 : at + length])
        at += length
    return found


pieces = st.sampled_from(
    [
        "00", "01", "0101", "020405b4", "0204ffff", "030307", "030300", "0303ff", "01030308",
        "0402", "04020000", TIMESTAMPS, "0101080a", "050a fffffff0 00000010", "fe02", "fe05000000",
    ]
).map(bytes.fromhex)


@given(st.lists(pieces | st.binary(max_size=3), max_size=12).map(lambda p: b"".join(p)[:40]))
def test_every_mixture_is_read_as_the_plain_walk_reads_it(list_):
    options, found = wire.options_parse(list_), plain_parse(list_)
    assert (options is None) == (found is None)
    if found is None:
        return
    value = {kind: int.from_bytes(bytes_, "big") for kind, (_, bytes_) in found.items()}
    assert options.mss == value.get(2, 0)
    assert options.wscale == (min(value[3], 14) if 3 in found else ABSENT)
    assert options.sack_permitted == (4 in found)
    assert options.timestamps == (8 in found)
    assert options.tsval << 32 | options.tsecr == value.get(8, 0)
    assert options.tsval_at == (found[8][0] if 8 in found else 0)
    assert options.sack_at == (found[5][0] if 5 in found else 0)
    assert options.sack_blocks == (len(found[5][1]) // 8 if 5 in found else 0)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_to_the_end_or_refused(list_):
    options = wire.options_parse(list_)
    if options is None:
        return
    assert options.wscale <= 14 or options.wscale == ABSENT
    if options.timestamps:
        assert 2 <= options.tsval_at <= len(list_) - 8
        assert list_[options.tsval_at : options.tsval_at + 4] == options.tsval.to_bytes(4, "big")
    if options.sack_blocks:
        assert 2 <= options.sack_at <= len(list_) - 8 * options.sack_blocks
