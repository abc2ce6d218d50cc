"""A client and a server in words; `proxy` is a fresh one with a service on port 80."""

import pytest

from .harness import Proxy


@pytest.fixture
def proxy():
    return Proxy()
