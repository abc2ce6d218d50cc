"""The status page in Chromium: it shows what the daemon counts and asks no one else.

With LAB_PICTURE set, the picture is written there: `make picture` renews README's.
"""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.system_service_pb2 import DrainRequest, UndrainRequest
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.lab.namespace import python_module
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.waiting import until
from appliance.lab.webserver import Website
from cython_core.dataplane import COUNTER_HELP

from .browser import COMMAND, INSTALLED
from .devtools import Page
from .test_flood import start_flood

Figure = Callable[[str], None]

METRICS = "127.0.0.1:9105"
SITE = f"http://{METRICS}/"
FLOOD_PPS = 20_000
MARTIAN_PPS = 200
FLOOD_S = 120           # at most: it is ended when enough was seen
IDLE = 1000
FORGOTTEN_S = 40        # whole looks through the tables take 4 s each

# Cookies go on by load, and off soon behind it.
SERVICES = """\
services:
  - name: shop
    prefixes: [10.71.0.2, "fd00:71::2"]
    ports: [80]
    options: {activation: AUTO, marks: {syn_rate: 2000, hold: 1s}}
  - {name: mail, prefixes: [10.71.0.2], ports: [25, 587]}
  - {name: login, prefixes: [10.71.0.2], ports: [22], options: {activation: MONITOR}}
  - {name: files, prefixes: [10.71.0.2], ports: [8000-8100]}
  - {name: old-site, prefixes: [10.71.0.9], ports: [80, 443], options: {activation: OFF}}
"""

pytestmark = pytest.mark.skipif(
    not INSTALLED, reason=f"no {COMMAND}: make browser installs it")


@pytest.fixture(scope="module")
def driver() -> str:
    """The page is the same over both."""
    return "AF_XDP"


@contextmanager
def page_of(lab: Lab, services: str, height: int = 900) -> Iterator[tuple[Proxy, Page]]:
    with (Proxy(lab, "AF_XDP", services=services, metrics_address=METRICS) as proxy,
          Page(lab, SITE, height=height) as page):
        page.until("document.querySelectorAll('#plots polyline[points]').length == 6")
        yield proxy, page


def number(text: str) -> float:
    """The page's "9.9", "12.3 k" or "1,234"."""
    value, _, unit = text.replace(",", "").partition(" ")
    return float(value) * {"": 1, "k": 1e3, "M": 1e6}[unit]


def row_of(page: Page, table: str, name: str) -> list[str]:
    """The cells of the table's row whose first is `name`."""
    cells: list[str] = page.evaluate(
        f"[...document.querySelectorAll('#{table} tbody tr')].filter("
        f"row => row.cells[0].textContent == '{name}').flatMap("
        "row => [...row.cells].map(cell => cell.textContent))")
    return cells


@contextmanager
def traffic(lab: Lab) -> Iterator[None]:
    """A flood, some of it from where nobody can be, and beside it real clients of a service that
    runs and of one that doesn't."""
    with ExitStack() as ends:
        for pps, options in (
                (FLOOD_PPS, ()), (MARTIAN_PPS, ("--sources", "127.0.0.0/8"))):
            flood = start_flood(lab, SERVER_IPV4, pps, FLOOD_S, *options)
            ends.callback(flood.wait, 5)
            ends.callback(flood.send_signal, signal.SIGINT)
        for port, pause_s in (80, 0.02), (25, 0.1):
            prober = lab.start(lab.client, python_module(
                "appliance.lab.prober", SERVER_IPV4, "--port", str(port), "--pause", str(pause_s),
                "--concurrency", "2", "--seconds", str(FLOOD_S)), stdout=subprocess.DEVNULL)
            ends.callback(prober.wait, 5)
            ends.callback(prober.terminate)
        yield


def test_the_page_shows_a_flood_as_the_daemon_counts_it(
        lab: Lab, website: Website, figure: Figure) -> None:
    target = os.environ.get("LAB_PICTURE")
    with page_of(lab, SERVICES, height=1430 if target else 900) as (proxy, page):
        page.until("document.querySelector('#verdict .good')")
        with traffic(lab):
            page.until("document.querySelector('#verdict').textContent.includes('SYN flood')")
            until(lambda: abs(number(page.texts("#plot-syns output")[0]) - FLOOD_PPS)
                  < FLOOD_PPS / 4, seconds=20, what="the flood's rate to be shown")
            page.until("document.querySelector('#events').textContent.includes("
                       "'shop: cookies go on: a mark of load was passed')")
            page.until("document.querySelector('#services tbody').textContent.includes("
                       "'shopon, by load')")
            until(lambda: number(row_of(page, "services", "shop")[4]) > 0, seconds=20,
                  what="real clients' connections to be shown")
            until(lambda: number(row_of(page, "services", "mail")[6]) > 0, seconds=20,
                  what="a server's refusals to be shown")
            until(lambda: number((row_of(page, "drops", "martian") or ["", "0"])[1]) > 0,
                  seconds=20, what="drops to be shown")
            assert row_of(page, "drops", "martian")[3] == COUNTER_HELP["martian"]
            if target:
                page.until("document.querySelector('#plot-received polyline')"
                           ".getAttribute('points').split(' ').length >= 60", seconds=120)
            picture = page.picture()
        page.until("document.querySelector('#events').textContent.includes("
                   "'shop: cookies go off: the load has stayed low')", seconds=30)
        until(lambda: number(row_of(page, "services", "shop")[5]) > 0, seconds=20,
              what="the service's connections to be shown")
        until(lambda: totals_agree(page, proxy), seconds=20, what="the page's totals to be right")
        assert_is_its_own(page)
        figure(f"picture of {len(picture)} bytes")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 30_000, "hardly anything is to be seen"
    if target:
        Path(target).write_bytes(picture)


def totals_agree(page: Page, proxy: Proxy) -> bool:
    counted = proxy.counters()
    shown = {name: number(row_of(page, "counters", name)[2]) for name in (
        "received", "syn_received", "synack_sent", "cookie_valid", "server_established", "sent",
        "martian")}
    return shown == {name: counted[name] for name in shown} and (
        sum(number(row_of(page, "services", name)[9]) for name in ("shop", "mail"))
        == counted["syn_received"] + counted["syn_passed"])


def assert_is_its_own(page: Page) -> None:
    """It has asked its own server alone, broken none of its rules and thrown nothing."""
    page.evaluate("0")      # all that was told so far is noted
    assert page.requests
    assert all(url.startswith((SITE, "data:,")) for url in page.requests), page.requests
    assert page.complaints == []


def test_workers_ports_and_buffers_are_shown(lab: Lab) -> None:
    with page_of(lab, SERVICES) as (proxy, page):
        (worker,) = proxy.stats().workers
        core, _, connections, half_open, _, turns, _, generation = row_of(
            page, "workers", str(worker.lcore))
        assert core == str(worker.lcore)
        assert connections == f"0 of {worker.connections_max:,}"
        assert half_open == f"0 of {worker.half_open_max:,}"
        assert generation == "1"
        page.until("document.querySelector('#workers tbody').rows[0].cells[5].textContent != '0'")
        assert turns
        for port in proxy.stats().ports:
            assert row_of(page, "ports", port.role)[1:3] == [port.device, "up"]
        (pool,) = proxy.stats().mempools
        assert row_of(page, "mempools", pool.name)[1].endswith(f" of {pool.size:,}")
        assert page.texts("#facts")[0].startswith("0.1.0 on DPDK ")


def test_services_come_and_go(lab: Lab, website: Website) -> None:
    happened = "document.querySelector('#events').textContent.includes('{}')".format
    with page_of(lab, SERVICES.replace("AUTO", "ALWAYS")) as (proxy, page), \
            grpc.insecure_channel(proxy.address) as channel, \
            lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        stub = ServicesServiceStub(channel)
        (shop,) = (one for one in stub.ListServices(api.ListServicesRequest()).services
                   if one.name == "shop")
        connection.connect((SERVER_IPV4, 80))
        stub.CreateService(api.CreateServiceRequest(
            service=Service(name="dns", prefixes=["10.71.0.2"], ports=["53"])))
        page.until(happened("dns was created."))
        assert row_of(page, "services", "dns")[1] == "always"
        stub.DeleteService(api.DeleteServiceRequest(name="shop"))
        page.until(happened("shop was deleted."))
        assert row_of(page, "services", "shop") == []
        until(lambda: row_of(page, "leaving", "shop") == ["shop", "1"], seconds=FORGOTTEN_S,
              what="the connection to be told")
        # Its connection is the new one's from here on.
        stub.CreateService(api.CreateServiceRequest(service=shop))
        page.until(happened("shop was created."))
        page.until(happened("Nothing of the former shop is left."), seconds=FORGOTTEN_S)
        page.until("document.querySelector('#leaving-section').hidden")
        assert_is_its_own(page)


def test_a_drain_is_told_until_it_ends(lab: Lab) -> None:
    told = "document.querySelector('#verdict').textContent.includes('Draining')"
    with page_of(lab, SERVICES) as (proxy, page), grpc.insecure_channel(proxy.address) as channel:
        system = SystemServiceStub(channel)
        system.Drain(DrainRequest())
        page.until(told)
        system.Undrain(UndrainRequest())
        page.until(f"!{told}")


def thousand() -> str:
    return SERVICES + "".join(
        f"  - {{name: idle-{at:04}, prefixes: [10.80.{at >> 8}.{at & 255}], ports: [443]}}\n"
        for at in range(IDLE))


def names(page: Page) -> list[str]:
    return page.texts("#services tbody td:first-child")


def test_a_thousand_services_are_searched_and_sorted(lab: Lab, website: Website,
                                                     figure: Figure) -> None:
    with page_of(lab, thousand()) as (_, page):
        assert page.texts("#services-shown") == ["100 of 1005"]
        lab.client.run(["curl", "-sS", "-o", "/dev/null", f"http://{SERVER_IPV4}/one"])
        page.until("document.querySelector('#services tbody td').textContent == 'shop'")

        page.evaluate("document.querySelector('[data-sort=name]').click()")
        assert names(page)[:3] == ["files", "idle-0000", "idle-0001"]
        page.evaluate("document.querySelector('[data-sort=name]').click()")
        assert names(page)[:3] == ["shop", "old-site", "mail"]
        assert page.evaluate("document.querySelector('[data-sort=name]').ariaSort") == "descending"

        page.evaluate("document.querySelector('#all').click()")
        assert len(names(page)) == IDLE + 5
        page.until("performance.getEntriesByName('update').length == 1")
        took_ms = page.evaluate("performance.getEntriesByName('update')[0].duration")
        figure(f"an update with {IDLE} rows takes the page {took_ms:.0f} ms")
        assert took_ms < 500

        page.evaluate("const box = document.querySelector('#search'); box.value = 'IDLE-099';"
                      "box.dispatchEvent(new Event('input'))")
        assert names(page) == [f"idle-{at:04}" for at in range(999, 989, -1)]
        assert_is_its_own(page)


def test_the_page_says_when_nobody_answers_and_when_somebody_does_again(lab: Lab) -> None:
    with page_of(lab, SERVICES) as (proxy, page):
        assert page.texts("#state") == ["live"]
        proxy.stop(signal.SIGTERM)
        page.until("document.querySelector('#state').className == 'lost'")
        assert re.fullmatch(r"no answer since \d\d:\d\d:\d\d", page.texts("#state")[0])
        with Proxy(lab, "AF_XDP", services=SERVICES, metrics_address=METRICS):
            page.until("document.querySelector('#state').className == 'live'")
            page.until("document.querySelector('#events').textContent.includes('was restarted')")


def test_light_and_dark_are_the_readers_choice(lab: Lab) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with page_of(lab, SERVICES) as (_, page):
        dark = page.evaluate(ground)
        page.evaluate("document.querySelector('#theme').click()")
        light = page.evaluate(ground)
        assert (dark, light) == ("rgb(15, 18, 22)", "rgb(246, 247, 249)")
