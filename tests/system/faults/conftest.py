"""A lab of its own for the tests with a wire of faults on either side of the proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.lab.faults import Harm
from appliance.lab.peers import start_peers
from appliance.lab.tcp_options import ALL, configure
from appliance.lab.topology import Lab

SIDES = ("client", "server")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab(wires=SIDES) as laid:
        yield laid


@pytest.fixture(scope="session")
def journal(lab: Lab) -> Path:
    return start_peers(lab)


@pytest.fixture(scope="module", params=["AF_XDP"])
def driver() -> str:
    """What a fault does is the same over any driver."""
    return "AF_XDP"


@pytest.fixture
def _harmless_again(lab: Lab) -> Iterator[None]:
    yield
    for wire in lab.wires.values():
        wire.obey(Harm())
    configure(lab.client, ALL)
