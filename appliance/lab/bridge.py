"""The kernel's bridge in the proxy namespace, in synproxyd's place: the wire without a proxy."""

from collections.abc import Iterator
from contextlib import contextmanager

from appliance.lab.topology import Lab


@contextmanager
def bridged(lab: Lab) -> Iterator[None]:
    """Join the proxy's two interfaces by a learning bridge without an address."""
    lab.proxy.ip([
        "link add name wire type bridge",
        "link set client master wire",
        "link set server master wire",
        "link set wire up",
    ])
    try:
        yield
    finally:
        lab.proxy.ip(["link delete wire"])
