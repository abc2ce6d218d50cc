"""The alert rules and the dashboard: promtool reads them, each alert fires and doesn't, and every
query asks for metrics that exist, by labels that they have."""

import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.management.apply_times import ApplyTimes
from appliance.management.standing import Standing
from appliance.metrics.collector import ReadingCollector
from appliance.metrics.reading import Reading, ServiceReading
from cython_core.dataplane import COUNTERS

from .plane import Plane
from .test_metrics import PROMTOOL

DOCKER = Path(__file__).parents[2] / "docker"
RULES = DOCKER / "prometheus" / "rules.yml"
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboard.json").read_text())
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"]
          for rule in group["rules"]}
PLACE = 'instance="h:9105", job="synproxy"'


@dataclass(frozen=True)
class Case:
    """What is scraped each 15 seconds, in promtool's words ("0+5x9": from 0 on, 5 more each), when
    the alert must be pending no longer, and for which labels besides instance, job, severity."""

    fires: dict[str, str]
    quiet: dict[str, str]
    after: str
    labels: dict[str, str]


def of(name: str, labels: str = "") -> str:
    return f"{name}{{{', '.join(filter(None, (PLACE, labels)))}}}"


WEB, CORE, CLIENT = 'service="web"', 'worker="1"', 'port="client"'
DROP = of("synproxy_dropped_total", f'{CORE}, reason="cookie_invalid"')
FULL = of("synproxy_dropped_total", f'{CORE}, reason="table_full"')
SENT = of("synproxy_service_synack_sent_total", WEB)
PROVED = of("synproxy_service_cookie_valid_total", WEB)
REFUSED = of("synproxy_service_server_refused_total", WEB)
SILENT = of("synproxy_service_server_timeout_total", WEB)
UNREACHABLE = of("synproxy_service_server_unreachable_total", WEB)
ACTIVE = of("synproxy_service_cookies_active", WEB)
BUSY_CYCLES, CYCLES = (
    of(f"synproxy_worker_{kind}_total", CORE) for kind in ("busy_cycles", "cycles"))
STUCK = of("synproxy_worker_stuck", CORE)
HELD = of("synproxy_control_stalls_total")
AFTER_STALL, UPTIME = of("synproxy_start_after_stall"), of("synproxy_uptime_seconds")
FAILURES = of("synproxy_task_failures_total", 'task="reload"')
ACKNOWLEDGED = of("synproxy_config_acknowledged")
TABLE, ROOM = (of(f"synproxy_connections{end}", CORE) for end in ("", "_limit"))
WAITING, WAITING_ROOM = (of(f"synproxy_half_open{end}", CORE) for end in ("", "_limit"))
BUFFERS_USED, BUFFERS = (
    of(f"synproxy_mempool_buffers{end}", 'mempool="frames"') for end in ("_in_use", ""))
DAMAGED = of("synproxy_port_receive_errors_total", CLIENT)
UNSENT = of("synproxy_port_transmit_errors_total", CLIENT)
EXPIRES = of("synproxy_certificate_not_after_timestamp_seconds",
             'listener="management.listeners[0]", file="certificate_file"')
MISSED = of("synproxy_port_receive_missed_total", CLIENT)
UNBUFFERED = of("synproxy_port_receive_without_buffer_total", CLIENT)
SEEN = of("synproxy_worker_generation", CORE)

CASES = {
    "SynproxyDown": Case({of("up"): "0x40"}, {of("up"): "1x40"}, "2m", {}),
    "SynproxyNotReady": Case(
        {of("synproxy_ready"): "0x40"}, {of("synproxy_ready"): "1x40"}, "2m", {}),
    "SynproxyFileNotTaken": Case(
        {of("synproxy_config_file_taken"): "0x40"}, {of("synproxy_config_file_taken"): "0x10 1x30"},
        "6m", {}),
    "SynproxyChangesNotKept": Case(
        {of("synproxy_config_kept"): "0x40"}, {of("synproxy_config_kept"): "0x10 1x30"}, "6m", {}),
    "SynproxyUnconfirmed": Case(
        {of("synproxy_config_unconfirmed"): "1x40"},
        {of("synproxy_config_unconfirmed"): "1x10 0x30"}, "6m", {}),
    # promtool's clock begins with 1970.
    "SynproxyCertificateExpires": Case(
        {EXPIRES: f"{13 * 86400}x100"}, {EXPIRES: f"{15 * 86400}x100"}, "20m",
        {"listener": "management.listeners[0]", "file": "certificate_file"}),
    "SynproxyRestarted": Case(
        {of("synproxy_start_time_seconds"): "100x10 400x30"},
        {of("synproxy_start_time_seconds"): "100x40"}, "5m", {}),
    "SynproxyEndedByStall": Case(
        {AFTER_STALL: "1x40", UPTIME: "0+15x40"}, {AFTER_STALL: "1x40", UPTIME: "3600+15x40"},
        "5m", {}),
    "SynproxyControlStuck": Case({HELD: "0x8 1x40"}, {HELD: "1x40"}, "5m", {}),
    "SynproxyWorkerStuck": Case({STUCK: "1x40"}, {STUCK: "0x40"}, "1m", {"worker": "1"}),
    "SynproxyWorkerBusy": Case(
        {BUSY_CYCLES: "0+91x60", CYCLES: "0+100x60"}, {BUSY_CYCLES: "0+89x60", CYCLES: "0+100x60"},
        "12m", {"worker": "1"}),
    "SynproxyGenerationNotSeen": Case(
        {SEEN: "4x40", of("synproxy_generation"): "5x40", ACKNOWLEDGED: "0x40"},
        {SEEN: "4x40", of("synproxy_generation"): "5x40", ACKNOWLEDGED: "1x40"},
        "1m", {"worker": "1"}),
    "SynproxyTaskFails": Case(
        {FAILURES: "0x8 1x40"}, {FAILURES: "1x40"}, "5m", {"task": "reload"}),
    # 1067 unproved a second; 933.
    "SynproxySynFlood": Case(
        {SENT: "0+31000x40", PROVED: "0+15000x40"}, {SENT: "0+31000x40", PROVED: "0+17000x40"},
        "2m", {"service": "web"}),
    "SynproxyCookiesOnForLong": Case(
        {ACTIVE: "1x300", SENT: "0+5x300"}, {ACTIVE: "1x300", SENT: "5x300"},
        "66m", {"service": "web"}),
    "SynproxyDrops": Case(
        {DROP: "0+1600x60"}, {DROP: "0+1400x60"}, "12m", {"reason": "cookie_invalid"}),
    "SynproxyTableFilling": Case(
        {TABLE: "81x40", ROOM: "100x40"}, {TABLE: "79x40", ROOM: "100x40"}, "2m", {"worker": "1"}),
    "SynproxyHalfOpenFilling": Case(
        {WAITING: "81x40", WAITING_ROOM: "100x40"}, {WAITING: "79x40", WAITING_ROOM: "100x40"},
        "2m", {"worker": "1"}),
    "SynproxyTableFull": Case(
        {FULL: "0x8 1+1x40"}, {FULL: "5x40", DROP: "0+1x40"}, "3m", {"reason": "table_full"}),
    "SynproxyBuffersRunningOut": Case(
        {BUFFERS_USED: "81x40", BUFFERS: "100x40"}, {BUFFERS_USED: "79x40", BUFFERS: "100x40"},
        "2m", {"mempool": "frames"}),
    "SynproxyPortDown": Case(
        {of("synproxy_port_up", CLIENT): "0x40"}, {of("synproxy_port_up", CLIENT): "1x40"},
        "1m", {"port": "client"}),
    "SynproxyPortErrors": Case(
        {DAMAGED: "0+1x60", UNSENT: "0x60"}, {DAMAGED: "9x60", UNSENT: "9x60"},
        "10m", {"port": "client"}),
    "SynproxyPortLosesFrames": Case(
        {MISSED: "0x60", UNBUFFERED: "0+1x60"}, {MISSED: "9x60", UNBUFFERED: "9x60"},
        "5m", {"port": "client"}),
    "SynproxyServersRefuse": Case(
        {REFUSED: "0+30x60", PROVED: "0+290x60"}, {REFUSED: "0+30x60", PROVED: "0+310x60"},
        "10m", {"service": "web"}),
    "SynproxyServersSilent": Case(
        {SILENT: "0+16x60", UNREACHABLE: "0x60"}, {SILENT: "0+14x60", UNREACHABLE: "0+14x60"},
        "10m", {"service": "web"}),
}


def promtool(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROMTOOL), *map(str, arguments)], input=stdin, capture_output=True, text=True,
        timeout=120)


def test_promtool_takes_the_configuration_and_its_rules():
    for kind, file in (("config", DOCKER / "prometheus" / "prometheus.yml"), ("rules", RULES)):
        result = promtool("check", kind, file)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "SUCCESS" in result.stdout


def test_every_alert_has_a_case_and_says_what_it_means():
    assert CASES.keys() == ALERTS.keys()
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


def expectation(alert: str, case: Case, fires: bool) -> dict[str, Any]:
    labels = {"instance": "h:9105", "job": "synproxy", **case.labels}
    texts = {
        name: re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text)
        for name, text in ALERTS[alert]["annotations"].items()
    }
    told = [{"exp_labels": labels | ALERTS[alert]["labels"], "exp_annotations": texts}]
    return {
        "interval": "15s",
        "input_series": [
            {"series": series, "values": values}
            for series, values in (case.fires if fires else case.quiet).items()
        ],
        "alert_rule_test": [
            {"eval_time": case.after, "alertname": alert, "exp_alerts": told if fires else []}
        ],
    }


def assert_right(folder: Path, test: dict[str, Any]) -> None:
    (folder / "rules.yml").symlink_to(RULES)
    (folder / "test.yml").write_text(yaml.safe_dump({
        "rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": [test],
    }))
    result = promtool("test", "rules", folder / "test.yml")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "is quiet"])
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_when_it_should(tmp_path, alert, fires):
    assert_right(tmp_path, expectation(alert, CASES[alert], fires))


def test_unreachable_servers_are_silent_too(tmp_path):
    """The other half of its rule."""
    case = Case({UNREACHABLE: "0+16x60"}, {}, "10m", {"service": "web"})
    assert_right(tmp_path, expectation("SynproxyServersSilent", case, fires=True))


@pytest.mark.parametrize(("after", "fires"), [("3m", True), ("6m", False)])
def test_an_alert_ends_with_its_service(tmp_path, after, fires):
    series = {SENT: "0+31000x16 stale", PROVED: "0x16 stale"}       # deleted after 4 minutes
    case = Case(series, series, after, {"service": "web"})
    assert_right(tmp_path, expectation("SynproxySynFlood", case, fires))


def known_metrics() -> dict[str, set[str]]:
    """Every series' name that there can be, with its labels."""
    plane = Plane()
    plane.counters = dict.fromkeys(COUNTERS, 1)
    busy = ServiceReading("web", "auto", True, 1, Counter(dict.fromkeys(COUNTERS, 1)))
    reading = Reading(
        1.0, 1.0, 1, plane.beginning, True, False, plane.worker_stats(), [1], {1: 1},
        1, [busy], Counter(gone=1), plane.port_stats(), plane.mempool_stats(),
        Standing(True, 1.0, 1, 0, 1, False, True, True, ()), ApplyTimes().metric(), {"reload": 0},
        {("management.listeners[0]", "certificate_file"): 1.0})
    return {
        sample.name: {*sample.labels, "instance", "job"}
        for family in ReadingCollector(reading).collect() for sample in family.samples
    } | {"up": {"instance", "job"}}


KNOWN = known_metrics()
# What may stand in a query besides.
WORDS = {
    "sum", "by", "rate", "on", "group_left", "and", "or", "changes", "max", "topk", "min", "time",
    "label_values", "clamp_min", "count", "without", "unless", "ignoring", "histogram_quantile",
}
# A selector {…}, a grouping's labels, a text, a range, a number, or a name.
TOKEN = re.compile(
    r"(?P<selector>\{[^}]*\})|(?:by|on|without|ignoring) \((?P<labels>[^)]*)\)|\"[^\"]*\""
    r"|\[[^]]*\]|[0-9.]+[a-z]?|\$?(?P<name>[a-zA-Z_][\w]*)")


def unknown(query: str) -> set[str]:
    """Names in a query that no metric has, and labels that none of its metrics has."""
    names: set[str] = set()
    labels: set[str] = set()
    for token in TOKEN.finditer(query):
        if token["selector"]:
            labels.update(re.findall(r"(\w+)\s*[=!]", token["selector"]))
        elif token["labels"] is not None:
            labels.update(filter(None, re.split(r",\s*", token["labels"])))
        elif token["name"]:
            names.add(token["name"])
    metrics = names - WORDS
    has: set[str] = set().union(*(KNOWN.get(name, set()) for name in metrics))
    return {name for name in metrics if name not in KNOWN} | (labels - has)


def panels(panels_: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*panels_, *(one for panel in panels_ for one in panels(panel.get("panels", [])))]


PANELS = panels(DASHBOARD["panels"])
DASHBOARD_QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
VARIABLE_QUERIES = [
    variable["query"]["query"] for variable in DASHBOARD["templating"]["list"]
    if variable["type"] == "query"]


@pytest.mark.parametrize(
    "query", [*(rule["expr"] for rule in ALERTS.values()), *DASHBOARD_QUERIES])
def test_a_query_names_what_exists(query):
    assert unknown(query) == set()


@pytest.mark.parametrize(
    ("query", "wrong"),
    [("rate(synproxy_syns_total[1m])", {"synproxy_syns_total"}),
     ("sum by (core) (synproxy_connections)", {"core"}),
     ('synproxy_ready{service="web"} == 0', {"service"}),
     ("synproxy_worker_turns == 0", {"synproxy_worker_turns"})],
)
def test_a_query_that_does_not_is_seen(query, wrong):
    assert unknown(query) == wrong


def test_every_query_of_the_dashboard_is_promql(tmp_path):
    """As recording rules, which promtool parses."""
    rules = [{
        "record": f"query:{at}",
        "expr": query.replace("$__rate_interval", "1m").replace("$__range", "1h"),
    } for at, query in enumerate(DASHBOARD_QUERIES)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    result = promtool("check", "rules", file)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(rules)} rules found" in result.stdout


def test_the_dashboard_can_be_imported():
    """What Grafana's import wants: panels with ids of their own, on 24 columns, whose source is
    chosen there."""
    assert len(DASHBOARD_QUERIES) > 20
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    assert DASHBOARD["uid"] == "synproxy"
    assert not DASHBOARD.get("id")
    for panel in PANELS:
        place = panel["gridPos"]
        assert 0 < place["w"] <= 24 - place["x"]
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["title"]
    assert [re.findall(r"synproxy_\w+", query) for query in VARIABLE_QUERIES] == [
        ["synproxy_ready"]]
