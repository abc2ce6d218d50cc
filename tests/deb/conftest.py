"""The package on a host of its own, in the lab."""

import os
from collections.abc import Iterator

import pytest

from appliance.lab.topology import Lab
from appliance.lab.webserver import start_webserver

from ..image.engine import sweep
from .host import UNIT, Host

GROUP = "synproxy-viewers"
VIEWER = "unix:/run/synproxy/viewer.sock"
CONFIGURATION = f"""\
ports:
  client: {{interface: client, driver: AF_PACKET}}
  server: {{interface: server, driver: AF_PACKET}}
workers: {{lcores: [1], control_lcore: 0}}
memory: {{hugepages: false, size_mib: 256}}
limits: {{connections: 131072, half_open: 4096}}
management:
  state_folder: /var/lib/synproxy
  listeners: [{{address: "{VIEWER}", group: {GROUP}, role: VIEWER}}]
services:
  - {{name: lab, prefixes: [10.71.0.2], ports: [80]}}
"""
MISTAKEN = CONFIGURATION.replace("ports: [80]", "ports: [808080]")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab() as laid:
        sweep()
        start_webserver(laid)
        yield laid


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    with Host(lab, os.environ["LAB_IMAGE"]) as booted:
        booted.install()
        booted.run("groupadd", "--system", GROUP)
        for user, groups in (("member", GROUP), ("stranger", "")):
            booted.run("useradd", "--groups", groups, user)
        yield booted


@pytest.fixture
def started(host: Host) -> Iterator[Host]:
    """With the daemon at work."""
    host.install()
    host.configure(CONFIGURATION)
    host.run("systemctl", "start", UNIT)
    yield host
    host.run("systemctl", "stop", UNIT, check=False)
