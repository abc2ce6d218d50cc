"""The cookie's arithmetic: every bit that it is made of turns every bit of it half of the time, and
to the second how old it may be.

What the bits are is drawn at the head of proxy/cookie; SipHash-2-4 is held against its authors'
vectors in tests/wire/test_siphash.
"""

import random

import pytest

from cython_core import _testing_parts

from .connection import SYN_IPV4, Connection
from .harness import EPOCH_S, START_MS, Proxy, service
from .segments import replace

SAMPLES = 256
DEVIATION = SAMPLES**0.5 / 2            # of how often a fair coin, thrown so often, shows heads
MOST_DEVIATIONS = 6                     # of 24,576 and 8,192 counts one is beyond by 2^-14 or less
MAC_BITS = 64
FIELDS = {"client": 128, "client_port": 16, "server": 128, "server_port": 16, "isn": 32, "tag": 32,
          "bits": 32}
# A byte's bits, each in a lane of 16 bits, so that a sum of such words counts them.
LANES = [sum((byte >> bit & 1) << 16 * bit for bit in range(8)) for byte in range(256)]


def mac(cookies, said: dict[str, int]) -> int:
    flow = (said["client"].to_bytes(16, "big"), said["client_port"],
            said["server"].to_bytes(16, "big"), said["server_port"])
    return cookies.mac(flow, said["isn"], said["tag"], said["bits"])


def drawn(chance: random.Random) -> dict[str, int]:
    return {name: chance.getrandbits(bits) for name, bits in FIELDS.items()}


def turned(differences: list[int]) -> list[int]:
    """How often each bit is set in them."""
    counts = []
    for byte in range(MAC_BITS // 8):
        lanes = sum(LANES[one >> 8 * byte & 0xFF] for one in differences)
        counts += [lanes >> 16 * bit & 0xFFFF for bit in range(8)]
    return counts


def assert_even(differences: list[int]) -> None:
    """Each bit of the MAC turns in half of them, but for chance."""
    for bit, count in enumerate(turned(differences)):
        assert abs(count - SAMPLES / 2) < MOST_DEVIATIONS * DEVIATION, (bit, count)


@pytest.mark.parametrize("field", FIELDS)
def test_each_bit_that_goes_in_turns_each_that_comes_out_half_of_the_time(field):
    chance = random.Random(field)
    cookies = _testing_parts.Cookies(service(), START_MS // 1000)
    samples = [(said := drawn(chance), mac(cookies, said)) for _ in range(SAMPLES)]
    for bit in range(FIELDS[field]):
        assert_even([before ^ mac(cookies, said | {field: said[field] ^ 1 << bit})
                     for said, before in samples])


def keyed(master: int, epoch: int):
    halves = (master & 2**64 - 1, master >> 64)
    return _testing_parts.Cookies(service(), epoch * EPOCH_S, master=halves)


def test_so_does_each_bit_of_the_secret_and_of_the_epoch():
    chance = random.Random("secret")
    samples = [(chance.getrandbits(128), chance.getrandbits(31), drawn(chance))
               for _ in range(SAMPLES)]
    before = [mac(keyed(master, epoch), said) for master, epoch, said in samples]
    for bit in range(128):
        assert_even([one ^ mac(keyed(master ^ 1 << bit, epoch), said)
                     for one, (master, epoch, said) in zip(before, samples, strict=True)])
    for bit in range(31):
        assert_even([one ^ mac(keyed(master, epoch ^ 1 << bit), said)
                     for one, (master, epoch, said) in zip(before, samples, strict=True)])


def test_a_bit_that_turns_nothing_or_too_much_is_seen():
    with pytest.raises(AssertionError):
        assert_even([2**64 - 2] * SAMPLES)
    with pytest.raises(AssertionError):
        assert_even([0] * SAMPLES)


@pytest.mark.parametrize("age", [0, 59, 60, 119, 120, 121])
@pytest.mark.parametrize("born", [0, 0.001, 1, 30, 59, 59.999])
def test_a_cookie_is_good_in_its_epoch_and_in_the_next_one(syn, born, age):
    proxy = Proxy()
    proxy.clock.leap(EPOCH_S - START_MS // 1000 % EPOCH_S + born)
    conn = Connection(proxy, syn).ask()
    proxy.clock.leap(age)
    good = (born + age) // EPOCH_S <= 1
    assert proxy.from_client(conn.ack).verdict == ("to_server" if good else "cookie_invalid")
    assert good if age < EPOCH_S else not good if age >= 2 * EPOCH_S else True


def test_clients_of_one_address_get_numbers_that_have_nothing_in_common():
    """Of 2^10 ports: no two numbers alike, and each bit set as often as not."""
    proxy = Proxy()
    isns = [Connection(proxy, replace(SYN_IPV4, sport=1024 + n)).ask().synack.seq
            for n in range(1024)]
    assert len(set(isns)) == len(isns)
    for bit in range(32):
        assert abs(sum(isn >> bit & 1 for isn in isns) - 512) < MOST_DEVIATIONS * 16
