"""/metrics: what a reading becomes, in Prometheus's own opinion, and how much of it there is."""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_parse,
)
from prometheus_client.parser import text_string_to_metric_families as text_parse
from synproxy.v1.service_pb2 import Service

from appliance.config.live import Live
from appliance.exit_codes import ExitCode
from appliance.lab.waiting import until
from appliance.management.change import Wanted
from appliance.metrics.collector import ALWAYS_TOLD
from appliance.metrics.reading import FRESH_S
from cython_core.dataplane import COUNTER_HELP, COUNTERS, DROP_REASONS, Beginning, CookieSwitch

from .daemon_process import LCORES, cores_of, finished, two_cores
from .metrics_served import HEAD, PATIENCE_S, Served, free_port
from .plane import Plane

PROMTOOL = Path(sys.executable).with_name("promtool")       # where `make setup` puts it
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
LABELS = {"service", "worker", "port", "reason", "mempool", "version", "dpdk", "le", "fate"}


class Counting(Plane):
    """Every worker counter is its place, every service counter that and the slot."""

    def __init__(self) -> None:
        super().__init__()
        self.counters = {name: at for at, name in enumerate(COUNTERS)}
        self.services: dict[int, dict[str, int]] = {}

    def service_counters(self, slot):
        return dict.fromkeys(COUNTERS, 0) | self.services.get(slot, {})


def families(served, accept=""):
    """The answer's families by name, parsed as the header asks for."""
    answer = served.ask("/metrics", Accept=accept)
    text = answer.read().decode()
    parse = openmetrics_parse if "openmetrics" in answer.getheader("Content-Type") else text_parse
    return {family.name: family for family in parse(text)}


def samples(served):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families(served).values() for sample in family.samples
    }


def lint(text):
    result = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=60)
    return result.returncode, result.stdout + result.stderr


@pytest.fixture
def plane():
    return Counting()


@pytest.fixture
def served(plane):
    with Served(plane) as running:
        yield running


def test_every_counter_of_a_worker_is_told_also_at_zero(served):
    found = samples(served)
    for at, name in enumerate(COUNTERS):
        if name in DROP_REASONS:
            key = ("synproxy_dropped_total", *sorted(("1", name)))
        else:
            key = (f"synproxy_{name}_total", "1")
        assert found[key] == at


def test_help_is_the_data_planes(served):
    found = families(served)
    for name, meaning in COUNTER_HELP.items():
        family = found["synproxy_dropped" if name in DROP_REASONS else f"synproxy_{name}"]
        assert meaning in family.documentation


def test_gauges_of_workers_ports_and_buffers_are_told(served):
    found = samples(served)
    assert found["synproxy_connections", "2"] == 2
    assert found["synproxy_connections_limit", "2"] == 1024
    assert found["synproxy_half_open_limit", "1"] == 64
    assert found["synproxy_worker_busy_cycles_total", "1"] == 250
    assert found["synproxy_worker_handed_in_total", "1"] == 30
    assert found["synproxy_worker_handed_out_total", "1"] == 40
    assert found["synproxy_port_receive_missed_total", "client"] == 1
    assert found["synproxy_port_up", "server"] == 1
    assert found["synproxy_mempool_buffers_in_use", "frames"] == 17


def test_the_daemon_says_what_it_is_and_how_long_it_runs(served):
    found = families(served)
    assert set(found["synproxy_build_info"].samples[0].labels) == {"version", "dpdk"}
    values = {key[0]: value for key, value in samples(served).items()}
    assert values["synproxy_generation"] == 1
    assert values["synproxy_services"] == 2
    assert values["synproxy_uptime_seconds"] > 0
    assert values["synproxy_start_time_seconds"] > 1.7e9


def test_what_goes_on_of_the_daemon_before_is_told(plane):
    plane.beginning = Beginning(
        warm=True, adopted=9, torn=1, gap_s=0.5, stall="the worker on core 1 made no turn")
    with Served(plane) as served:
        found = samples(served)
    assert [found[f"synproxy_start_{name}",]
            for name in ("warm", "kept", "after_stall", "gap_seconds")] == [1, 1, 1, 0.5]
    assert {fate: found["synproxy_start_entries", fate] for fate in plane.beginning.entries} == {
        "adopted": 9, "torn": 1, "unserved": 0, "without_room": 0, "unsound": 0}


def test_it_is_ready_when_the_workers_run(plane):
    with Served(plane) as served:
        served.reader.ready = False
        assert samples(served)[("synproxy_ready",)] == 0
    with Served(plane) as served:
        assert samples(served)[("synproxy_ready",)] == 1


def tells(served, draining):
    page = json.loads(served.ask("/status.json").read())
    return samples(served)["synproxy_draining",] == page["draining"] == draining


def test_a_drain_is_told_until_it_ends(served, plane):
    for policy, draining in (("none", False), ("drop", True), ("bridge", True), ("none", False)):
        plane.drain(policy)
        until(partial(tells, served, draining), seconds=PATIENCE_S, what=f"{policy} to be told")


def test_a_service_that_has_counted_nothing_has_few_series(served, plane):
    plane.services = {0: {"server_refused": 3, "cookie_invalid": 5}}
    found = samples(served)
    mail = sorted(key[0] for key in found if "mail" in key)
    assert mail == sorted(["synproxy_service_connections", *(
        f"synproxy_service_{name}_total" for name in ALWAYS_TOLD)])
    assert found["synproxy_service_server_refused_total", "web"] == 3
    assert found["synproxy_service_dropped_total", "cookie_invalid", "web"] == 5


@pytest.mark.parametrize(
    ("times", "on", "active"), [(1, True, 1), (1, False, 0), (0, False, None)])
def test_cookies_are_active_while_load_holds_them(served, plane, times, on, active):
    plane.services = {slot: {"cookies_on": times} for slot in (0, 1)}
    plane.cookies = [CookieSwitch(True, None), CookieSwitch(on, 1.0)]    # web: ALWAYS, mail: AUTO
    found = samples(served)
    assert found.get(("synproxy_service_cookies_active", "mail")) == active
    assert ("synproxy_service_cookies_active", "web") not in found


def test_labels_are_those_that_are_meant_and_hold_no_address(served, plane):
    plane.services = {0: dict.fromkeys(COUNTERS, 1)}
    for family in families(served).values():
        for sample in family.samples:
            assert set(sample.labels) <= LABELS
            assert not {"02:00:00:00:00:01", "192.0.2.0/24"} & set(sample.labels.values())


def test_a_scraper_that_wants_openmetrics_gets_it(served):
    assert families(served, OPENMETRICS).keys() >= {"synproxy_received", "synproxy_dropped"}


def test_what_a_header_names_does_not_come_back(served):
    for version in ("x.y", "9999.1", "0.0.1"):
        answer = served.ask("/metrics", Accept=f"application/openmetrics-text; version={version}")
        assert answer.getheader("Content-Type").count(version) == 0


def test_promtool_finds_nothing_to_complain_about(served, plane):
    plane.services = {0: dict.fromkeys(COUNTERS, 1), 1: dict.fromkeys(COUNTERS, 2)}
    assert lint(served.ask("/metrics").read()) == (0, b"")
    assert lint(b"synproxy_gauge_total 1\n")[0] != 0


def test_thousands_of_idle_services_cost_their_few_series(plane):
    count = 4000
    text = HEAD + "".join(
        f"  - {{name: s{at}, prefixes: [10.{at >> 8}.{at & 255}.0/24], ports: [443]}}\n"
        for at in range(count))
    with Served(plane, text) as served:
        lines = served.ask("/metrics").read().splitlines()
    told = [line for line in lines if b'service="' in line]
    assert len(told) == count * (len(ALWAYS_TOLD) + 1)      # and its connections


DNS = Service(name="dns", prefixes=["192.0.2.53"], ports=["53"])


def samples_anew(served):
    """Those of a new reading."""
    time.sleep(FRESH_S)
    return samples(served)


def of_service(served, name):
    """Its samples without zeros."""
    return {key[0]: value for key, value in samples_anew(served).items() if name in key and value}


def test_series_come_and_go_with_their_service(served, plane):
    plane.services = {2: {"syn_received": 9, "cookie_invalid": 4}}
    served.call(served.catalogue.create(DNS))
    assert of_service(served, "dns") == {
        "synproxy_service_syn_received_total": 9, "synproxy_service_dropped_total": 4,
        "synproxy_service_connections": 5}
    served.call(served.catalogue.delete("dns"))
    assert of_service(served, "dns") == {}
    assert len(of_service(served, "mail")) == 1


def test_connections_that_outlive_their_service_are_told_until_they_end(served, plane):
    plane.connections_left = 7
    served.call(served.catalogue.delete("mail"))
    assert of_service(served, "mail") == {"synproxy_leaving_connections": 7}
    plane.left = {}
    assert not any("mail" in key for key in samples_anew(served))


def test_creating_and_deleting_leaks_no_series(served):
    before = samples_anew(served).keys()
    for at in range(300):
        served.call(served.catalogue.create(Service(
            name=f"brief-{at}", prefixes=["192.0.2.53"], ports=["53"])))
        served.call(served.catalogue.delete(f"brief-{at}"))
    left = samples_anew(served).keys() - before
    # The last is among those that leave, until a look through the tables.
    assert left == {("synproxy_leaving_connections", "brief-299")}


@pytest.fixture
def configure_metrics(configure):
    """As `configure`, with metrics on a port of 127.0.0.1."""

    def write(port, *name):
        config = configure(*name)
        config.write_text(config.read_text().replace(
            "management: {", f'management: {{metrics_address: "127.0.0.1:{port}", '))
        return config

    return write


def scrape(port):
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        return answer.read()


@two_cores
def test_a_running_daemon_is_scraped_where_it_says(configure_metrics, start):
    port = free_port()
    daemon = start(configure_metrics(port))
    assert f", metrics 127.0.0.1:{port}\n" in daemon.said()
    text = scrape(port)
    assert lint(text) == (0, b"")
    told = {family.name: family for family in text_parse(text.decode())}
    assert told["synproxy_worker_turns"].samples[0].value > 0
    assert told["synproxy_ready"].samples[0].value == 1
    # The threads that write documents leave the worker its core.
    cores = cores_of(daemon)
    assert cores.count(str(LCORES[-1])) == 1
    assert set(cores) == {str(LCORES[0]), str(LCORES[-1])}
    assert daemon.stop() == 0


@two_cores
def test_a_running_daemons_services_are_told_as_they_come_and_go(configure_metrics, start):
    port = free_port()
    daemon = start(configure_metrics(port))
    daemon.synproxy("service", "create", "dns", "--prefix", "198.51.100.53", "--port", "53")
    until(lambda: scrape(port).count(b'service="dns"') == len(ALWAYS_TOLD) + 1,
          seconds=PATIENCE_S, what="the service's series")
    daemon.synproxy("service", "delete", "dns")
    # It has its place until whole looks through the table, one each 4 s, have met nothing of it.
    until(lambda: b'service="dns"' not in scrape(port), seconds=2 * PATIENCE_S, what="their end")


@two_cores
def test_a_port_for_metrics_that_is_taken_is_refused_by_name(configure_metrics, start):
    port = free_port()
    start(configure_metrics(port))
    refused = finished("run", configure_metrics(port, "second"))
    assert refused.returncode == ExitCode.UNAVAILABLE
    assert "management.metrics_address: can't listen at 127.0.0.1" in refused.stderr
    assert scrape(port)


def test_the_configuration_is_told(served):
    found = samples(served)
    assert (found["synproxy_config_file_taken",], found["synproxy_config_kept",]) == (1, 1)
    assert (found["synproxy_config_persistent",], found["synproxy_config_unconfirmed",]) == (0, 0)
    assert (found["synproxy_config_reloads_total",],
            found["synproxy_config_reloads_refused_total",]) == (0, 0)
    assert found["synproxy_config_file_taken_time_seconds",] <= time.time()


def test_how_long_changes_took_is_told(served):
    assert samples(served)["synproxy_config_apply_seconds_count",] == 0
    live = served.catalogue.live
    done = served.call(served.catalogue.replace(lambda newest: Wanted(
        Live(live.defaults, {"web": live.services["web"]}))))
    found = samples_anew(served)
    assert found["synproxy_config_apply_seconds_count",] == 1
    assert found["synproxy_config_apply_seconds_sum",] == pytest.approx(done.elapsed_ns / 1e9)
    assert found["synproxy_config_apply_seconds_bucket", "+Inf"] == 1


def test_a_file_that_was_not_taken_and_a_revision_that_waits_are_told(served):
    served.file.refused("a mistake")
    live = served.catalogue.live
    served.call(served.catalogue.replace(lambda newest: Wanted(
        Live(live.defaults, {"web": live.services["web"]}), confirm_within_s=60)))
    found = samples_anew(served)
    assert (found["synproxy_config_file_taken",], found["synproxy_config_unconfirmed",]) == (0, 1)
    assert found["synproxy_config_revision",] == 1
    assert found["synproxy_config_reloads_refused_total",] == 1
