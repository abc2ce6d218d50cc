"""SipHash-2-4: published vectors, and every way to compute one digest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cython_core import _testing_wire as wire
from cython_core.wire import vector as vectors

# vectors_sip64 of the reference implementation (github.com/veorq/SipHash, vectors.h): the digest
# as bytes of the message 00 01 .. n-1 under the key 00 01 .. 0f, n = 0..63.
VECTORS = [
    "310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d", "2d7efbd796666785",
    "b7877127e09427cf", "8da699cd64557618", "cee3fe586e46c9cb", "37d1018bf50002ab",
    "6224939a79f5f593", "b0e4a90bdf82009e", "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4",
    "fbe50e86bc8f1e75", "903d84c02756ea14", "eef27a8e90ca23f7", "e545be4961ca29a1",
    "db9bc2577fcc2a3f", "9447be2cf5e99a69", "9cd38d96f0b3c14b", "bd6179a71dc96dbb",
    "98eea21af25cd6be", "c7673b2eb0cbf2d0", "883ea3e395675393", "c8ce5ccd8c030ca8",
    "94af49f6c650adb8", "eab8858ade92e1bc", "f315bb5bb835d817", "adcf6b0763612e2f",
    "a5c91da7acaa4dde", "716595876650a2a6", "28ef495c53a387ad", "42c341d8fa92d832",
    "ce7cf2722f512771", "e37859f94623f3a7", "381205bb1ab0e012", "ae97a10fd434e015",
    "b4a31508beff4d31", "81396229f0907902", "4d0cf49ee5d4dcca", "5c73336a76d8bf9a",
    "d0a704536ba93e0e", "925958fcd6420cad", "a915c29bc8067318", "952b79f3bc0aa6d4",
    "f21df2e41d4535f9", "87577519048f53a9", "10a56cf5dfcd9adb", "eb75095ccd986cd0",
    "51a9cb9ecba312e6", "96afadfc2ce666c7", "72fe52975a4364ee", "5a1645b276d592a1",
    "b274cb8ebf87870a", "6f9bb4203de7b381", "eaecb2a30b22a87f", "9924a43cc1315724",
    "bd838d3aafbf8db7", "0b1a2a3265d51aea", "135079a3231ce660", "932b2846e4d70666",
    "e1915f5cb1eca46c", "f325965ca16d629f", "575ff28e60381be5", "724506eb4c328a95",
]
KEY = bytes(range(16))
word = st.integers(0, 2**64 - 1)
message = st.lists(word, min_size=wire.SIPHASH_WORDS, max_size=wire.SIPHASH_WORDS)
key = st.binary(min_size=16, max_size=16)
every_vector = pytest.mark.parametrize("vector", vectors.VECTORS)


def as_bytes(words):
    return b"".join(w.to_bytes(8, "little") for w in words)


@pytest.mark.parametrize("length", range(64))
def test_the_published_vectors(length):
    digest = wire.siphash_bytes(KEY, bytes(range(length)))
    assert digest.to_bytes(8, "little").hex() == VECTORS[length]


def test_the_example_of_the_papers_appendix():
    assert wire.siphash_bytes(KEY, bytes(range(15))) == 0xA129CA6149BE45E5


@every_vector
def test_the_published_vector_of_48_bytes_comes_out_of_words_and_of_lanes(vector):
    words = [int.from_bytes(bytes(range(8 * w, 8 * w + 8)), "little") for w in range(6)]
    expected = int.from_bytes(bytes.fromhex(VECTORS[48]), "little")
    assert wire.siphash_words(KEY, words) == expected
    assert wire.siphash_lanes([KEY] * 64, [words] * 64, vector) == [expected] * 64


@given(key, message)
def test_words_hash_as_their_little_endian_bytes(key, words):
    assert wire.siphash_words(key, words) == wire.siphash_bytes(key, as_bytes(words))


@every_vector
@given(lanes=st.lists(st.tuples(key, message), min_size=1, max_size=wire.SIPHASH_LANES))
def test_each_lane_hashes_its_own_message_under_its_own_key(vector, lanes):
    keys, messages = zip(*lanes, strict=True)
    assert wire.siphash_lanes(keys, messages, vector) == [
        wire.siphash_words(k, m) for k, m in zip(keys, messages, strict=True)
    ]


@every_vector
@pytest.mark.parametrize("count", range(1, wire.SIPHASH_LANES + 1))
def test_any_number_of_lanes_is_hashed_whole(vector, count):
    keys = [bytes([lane]) * 16 for lane in range(count)]
    messages = [[lane * 2**56 + w for w in range(6)] for lane in range(count)]
    assert wire.siphash_lanes(keys, messages, vector) == [
        wire.siphash_words(k, m) for k, m in zip(keys, messages, strict=True)
    ]


@every_vector
def test_no_lanes_are_no_work(vector):
    assert wire.siphash_lanes([], [], vector) == []
