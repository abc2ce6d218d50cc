"""Protocols that people use, each by a program that they use, beside the same without a proxy.

What a program gets done must be the same; how long it takes is told side by side, since that
depends on what else the machine's cores have to do.
"""

from collections.abc import Callable, Iterator

import pytest

from appliance.lab.bridge import bridged
from appliance.lab.datastore import start_datastore
from appliance.lab.loginserver import start_loginserver
from appliance.lab.mailserver import start_mailserver
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVERS, Lab, Server
from appliance.lab.webserver import Website

from .browser import BROWSERS, COMMAND, INSTALLED
from .programs import PROGRAMS, Outcome, Servers, greet

Figure = Callable[[str], None]

EVERY_PROGRAM = PROGRAMS | (BROWSERS if INSTALLED else {})
without_a_browser = pytest.mark.skipif(
    not INSTALLED, reason=f"no {COMMAND}: make browser installs it")
PROMPTLY_MS = 500       # the kernel's SYNPROXY takes 1000 where the server speaks first

Direct = dict[tuple[str, Server], Outcome]


@pytest.fixture(scope="session")
def servers(lab: Lab, website: Website) -> Servers:
    start_datastore(lab)
    return Servers(website, start_loginserver(lab), start_mailserver(lab))


@pytest.fixture(scope="session")
def direct(lab: Lab, servers: Servers, request: pytest.FixtureRequest) -> Direct:
    """What came over a bridge of each program that is to run."""
    chosen = {item.callspec.params.get("program") for item in request.session.items
              if isinstance(item, pytest.Function) and hasattr(item, "callspec")}
    with bridged(lab):
        return {(name, server): run(lab, servers, server)
                for name, run in EVERY_PROGRAM.items() if name in chosen
                for server in SERVERS.values()}


@pytest.fixture(scope="module")
def daemon(lab: Lab, driver: str, direct: Direct) -> Iterator[Proxy]:
    """After `direct`: both need the proxy's interfaces."""
    with Proxy(lab, driver) as running:
        yield running


def told(through: dict[str, float], direct: dict[str, float]) -> str:
    return ", ".join(f"{value:.3g} {unit} (direct {direct[unit]:.3g})"
                     for unit, value in through.items())


@pytest.mark.parametrize("program", [
    *PROGRAMS, *(pytest.param(name, marks=without_a_browser) for name in BROWSERS)])
def test_a_program_does_the_same_as_without_a_proxy(
        lab: Lab, servers: Servers, server: Server, proxy: Proxy, direct: Direct, program: str,
        figure: Figure) -> None:
    valid = proxy.counters()["cookie_valid"]
    through = EVERY_PROGRAM[program](lab, servers, server)
    reference = direct[program, server]
    figure(told(through.figures, reference.figures))
    assert reference.answer == reference.wanted
    assert through.answer == through.wanted
    assert proxy.counters()["cookie_valid"] > valid, "it has not gone through the proxy"


def test_a_greeting_arrives_at_once(lab: Lab, servers: Servers, server: Server,
                                    proxy: Proxy) -> None:
    waited_ms = greet(lab, servers, server).figures
    assert max(waited_ms.values()) < PROMPTLY_MS, waited_ms
