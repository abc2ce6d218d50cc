"""Who owns a flow: by the table's digest, or by the hash that both ports spread it by."""

from collections import Counter
from ipaddress import ip_address

import pytest
from cython_core._testing_rss import KEY, hash_of, owner, toeplitz
from hypothesis import given
from hypothesis import strategies as st

PORTS = st.integers(0, 0xFFFF)
IPV4 = st.tuples(st.ip_addresses(v=4), PORTS, st.ip_addresses(v=4), PORTS)
IPV6 = st.tuples(st.ip_addresses(v=6), PORTS, st.ip_addresses(v=6), PORTS)
MICROSOFT_KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")


def packed(flow):
    """As the data plane has it: IPv4 behind ::ffff:0:0/96."""
    client, client_port, server, server_port = flow
    mapped = [one.packed if one.version == 6 else b"\0" * 10 + b"\xff\xff" + one.packed
              for one in (client, server)]
    return mapped[0], client_port, mapped[1], server_port


def said(flow, from_client):
    """What a NIC hashes of a packet: its source and destination, then its ports."""
    client, client_port, server, server_port = flow
    ends = [(client, client_port), (server, server_port)][::1 if from_client else -1]
    return (b"".join(address.packed for address, _ in ends)
            + b"".join(port.to_bytes(2, "big") for _, port in ends))


def test_the_hash_of_the_test_is_the_one_of_the_specification():
    """Microsoft's "Verifying the RSS Hash Calculation", IPv4 with TCP, first row."""
    flow = (ip_address("66.9.149.187"), 2794, ip_address("161.142.100.80"), 1766)
    assert toeplitz(MICROSOFT_KEY, said(flow, from_client=True)) == 0x51CCC178


@given(st.one_of(IPV4, IPV6))
def test_ours_is_a_nics_for_both_directions(flow):
    hashed = hash_of(packed(flow))
    for from_client in (True, False):
        assert toeplitz(KEY, said(flow, from_client)) == hashed << 16 | hashed


@given(st.one_of(IPV4, IPV6), st.integers(0, 2**64 - 1))
def test_where_ports_spread_by_it_the_owner_reads_that_queue(flow, digest):
    bucket = toeplitz(KEY, said(flow, from_client=True)) % 128
    assert owner(packed(flow), digest, 3, buckets=128, queues=5) == bucket % 5 % 3


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 64])
def test_digests_are_shared_out_evenly(workers):
    flow = packed((ip_address("10.1.0.1"), 40000, ip_address("10.0.0.2"), 80))
    step = (1 << 64) // 6400
    owned = Counter(owner(flow, at * step + step // 2, workers) for at in range(6400))
    assert set(owned) == set(range(workers))
    assert max(owned.values()) - min(owned.values()) <= 1


@pytest.mark.parametrize("queues", [2, 3, 16, 48])
def test_the_hash_shares_clients_out_about_evenly(queues):
    server = ip_address("10.0.0.2")
    owned = Counter(
        owner(packed((ip_address(f"198.51.{at >> 8}.{at & 255}"), 32768 + at * 7919 % 28232, server,
                      443)), 0, queues, buckets=512, queues=queues) for at in range(20_000))
    assert set(owned) == set(range(queues))
    # 512 buckets over 48 queues: ten or eleven each.
    assert max(owned.values()) < 1.35 * min(owned.values())
