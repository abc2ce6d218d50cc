"""A client and a server in words; `proxy` is a fresh one with a service on port 80."""

import pytest

from .connection import SYN_IPV4, SYN_IPV6, Connection, plain
from .harness import Proxy

SYNS = {
    "ipv4": SYN_IPV4,
    "ipv4-plain": plain(SYN_IPV4),
    "ipv6": SYN_IPV6,
    "ipv6-plain": plain(SYN_IPV6),
}


@pytest.fixture
def proxy():
    return Proxy()


@pytest.fixture(params=SYNS.values(), ids=SYNS)
def syn(request):
    """A client's SYN, of either family, with and without timestamps."""
    return request.param


@pytest.fixture(params=[SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
def ts_syn(request):
    """With timestamps."""
    return request.param


@pytest.fixture
def conn(proxy, syn):
    """An established connection through `proxy`."""
    return Connection(proxy, syn).establish()
