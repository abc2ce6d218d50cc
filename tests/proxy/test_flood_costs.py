"""What a flood's frames cost: one lookup in the table and two hashes at most, whatever they are.

The second hash is that of the cookie which an ACK names; both of its readings come of it.
"""

import pytest
from cython_core._testing_costs import costs

from .connection import SYN_IPV4, SYN_IPV6, Connection
from .forgery import classes, odd_sum
from .harness import Proxy, service
from .icmp import error_about
from .segments import replace

BARE = {"mss": None, "wscale": None, "sack_permitted": False}
FRAMES = 64
POLICIES = ("forward", "drop", "reset")


def flood(base, **differs) -> list[bytes]:
    numbers = [{"sport": 1024 + n, "seq": 7 * n, "ack": 11 * n} for n in range(FRAMES)]
    return [replace(base, **BARE | own | differs).frame() for own in numbers]


def of(frames: list[bytes], *, from_client: bool = True, proxy: Proxy | None = None, **options):
    """Hashes and lookups of a burst, each a frame."""
    proxy = proxy or Proxy(service(**options))
    verdicts, hashes, lookups = costs(proxy.box, frames, from_client)
    assert len(verdicts) == len(frames)
    return hashes / len(frames), lookups / len(frames), set(verdicts)


@pytest.mark.parametrize("base", [SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("flags", "hashes"), [
    ("A", 2), ("PA", 2), ("FA", 2), ("FPA", 2), ("R", 1), ("RA", 2), ("F", 1), ("", 1), ("SA", 1),
    ("SFPUA", 1),
])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_a_forged_segment_costs_a_lookup_and_two_hashes_at_most(base, policy, flags, hashes,
                                                                payload):
    frames = flood(base, flags=flags, payload=payload)
    assert of(frames, unknown_flow=policy)[:2] == (hashes, 1)


@pytest.mark.parametrize("base", [SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
def test_a_syn_costs_one_hash_and_no_lookup(base):
    assert of([replace(base, sport=1024 + n).frame() for n in range(FRAMES)]) == (
        1, 0, {"to_client"})


@pytest.mark.parametrize("flags", ["S", "A", "R", "FA"])
def test_a_wrong_checksum_costs_neither(flags):
    frame = odd_sum(replace(SYN_IPV4, **BARE, flags=flags))
    assert of([frame] * FRAMES) == (0, 0, {"tcp_checksum"})


def test_an_icmp_error_costs_a_hash_and_a_lookup():
    proxy = Proxy()
    conn = Connection(proxy).establish()
    quoted = conn.as_client_sees(conn.server(payload=b"quoted"))
    strange = replace(quoted, dport=9)
    assert of([error_about(strange, "port-unreachable")] * FRAMES, proxy=proxy) == (
        1, 1, {"bridge"})
    assert of([error_about(quoted, "port-unreachable")] * FRAMES, proxy=proxy) == (
        1, 1, {"translate"})


def test_forged_segments_of_a_connection_that_is_there_cost_no_more():
    proxy = Proxy()
    conn = Connection(proxy).establish()
    for flags, hashes in (("A", 2), ("R", 1), ("FA", 1), ("RA", 1)):
        frames = [conn.client(flags=flags, seq=2**28 + n, ack=2**29 + 3 * n).frame()
                  for n in range(FRAMES)]
        assert of(frames, proxy=proxy)[:2] == (hashes, 1), flags


@pytest.mark.parametrize("policy", POLICIES)
def test_no_class_of_frames_from_a_client_costs_more(policy):
    """Those of test_forgery, among them fragments, extension headers and what no parser takes."""
    proxy = Proxy(service(unknown_flow=policy))
    for name, templates in classes():
        for frame, *_ in templates:
            hashes, lookups, _ = of([frame] * FRAMES, proxy=proxy)
            assert hashes <= 2, name
            assert lookups <= 1, name


@pytest.mark.parametrize("flags", ["A", "R", "FA", "SA", "RA"])
def test_segments_from_a_server_of_no_connection_cost_a_hash_and_a_lookup(flags):
    frames = [replace(SYN_IPV4, **BARE, source=SYN_IPV4.destination, destination="198.51.100.7",
                      sport=80, dport=1024 + n, flags=flags).frame() for n in range(FRAMES)]
    assert of(frames, from_client=False)[:2] == (1, 1)
