"""compose.yaml as it stands, brought up on the lab's middle: real clients are served, Prometheus
scrapes what the appliance counts, has the alerts, and answers all that the dashboard asks.  Grafana
itself is left out, as Debian has none: what it is given is held against its own schemas in
tests/appliance."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from appliance.lab.namespace import NAMED, python_module, run_tool
from appliance.lab.report import Report
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.waiting import until
from appliance.lab.webserver import start_webserver

DOCKER = Path(__file__).parents[2] / "docker"
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboard.json").read_text())
# As Grafana fills them in: all appliances; four scrapes, for want of a finer step.
VARIABLES = {"$instance": ".*", "$__rate_interval": "1m"}
# Series of a service that are there once there is something to tell.
ONCE_NEEDED = (
    "synproxy_service_dropped_total", "synproxy_service_server_refused_total",
    "synproxy_service_server_timeout_total", "synproxy_service_server_unreachable_total",
    "synproxy_service_cookies_active", "synproxy_leaving_connections")
CONTAINERS_CONF = Path(__file__).parents[1] / "image" / "containers.conf"
PARTS = ("synproxy", "prometheus")
PROMETHEUS = "http://127.0.0.1:9090/api/v1"
UP_S = 30
SCRAPED_S = 45          # three of Prometheus's intervals
REQUESTS = 200
# As podman-compose has it: project, service, number; project, volume.
CONTAINER, STATE = "synproxy_synproxy_1", "synproxy_state"


class Project:
    """docker/ in a folder of its own, with the ports and the service of the lab."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab, self._folder = lab, folder
        shutil.copytree(DOCKER, folder)
        file = folder / "synproxy" / "synproxy.yaml"
        file.write_text(file.read_text().replace("eth1", "client").replace("eth2", "server")
                        .replace("192.0.2.0/24", SERVER_IPV4))
        # The one thing that differs: where Prometheus comes from.
        (folder / "debian.yaml").write_text(json.dumps(
            {"services": {"prometheus": {"image": os.environ["LAB_PROMETHEUS"]}}}))

    def compose(self, *words: str, check: bool = True) -> bool:
        """Whether it has been done; LabError where it hasn't and `check`."""
        done = self._run(sys.executable, "-m", "podman_compose",
                         "--file", str(self._folder / "compose.yaml"),
                         "--file", str(self._folder / "debian.yaml"), *words, check=check)
        return done.returncode == 0

    def serves(self) -> bool:
        """By the check that compose.yaml names."""
        return not self._run("podman", "healthcheck", "run", CONTAINER, check=False).returncode

    def log(self) -> str:
        done = self._run("podman", "logs", CONTAINER, check=False)
        return done.stdout + done.stderr

    def inspect(self, kind: str, name: str) -> Any:
        (facts,) = json.loads(self._run("podman", kind, "inspect", name).stdout)
        return facts

    def _run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The lab's middle is the host of `network_mode: host` then.  Not by ip-netns(8), whose
        /sys has no control groups."""
        there = f"--net={NAMED / self._lab.proxy.name}"
        return run_tool(["nsenter", there, *command], seconds=UP_S, check=check, env={
            **os.environ, "CONTAINERS_CONF": str(CONTAINERS_CONF),
            # The check is run here: its timers would be systemd's.
            "DISABLE_HC_SYSTEMD": "true"})

    def prometheus(self, what: str, **asked: str) -> Any:
        """What its API answers, as `data`."""
        url = f"{PROMETHEUS}/{what}?{urlencode(asked)}"
        done = self._lab.proxy.run(["curl", "--silent", "--fail", url], check=False)
        return json.loads(done.stdout)["data"] if done.returncode == 0 else {}

    def value(self, query: str) -> float | None:
        """Of the one series that the query finds; None while there is none."""
        found = self.prometheus("query", query=query).get("result", [])
        return float(found[0]["value"][1]) if found else None


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as laid:
        start_webserver(laid)
        yield laid


@pytest.fixture(scope="module")
def project(lab: Lab) -> Iterator[Project]:
    there = Project(lab, lab.directory / "docker")
    try:
        there.compose("up", "--detach", "--no-build", *PARTS)
        until(there.serves, seconds=UP_S, what="the appliance to serve")
        yield there
    except TimeoutError as error:
        pytest.fail(f"{error}; it said: {there.log()}")
    finally:
        there.compose("down", "--volumes")


def test_clients_are_served_and_prometheus_has_counted_them(project: Project, lab: Lab) -> None:
    done = lab.client.run(python_module(
        "appliance.lab.prober", SERVER_IPV4, "--count", str(REQUESTS)))
    assert Report(**json.loads(done.stdout)).succeeded == REQUESTS
    until(lambda: project.value('synproxy_service_cookie_valid_total{service="web"}') == REQUESTS,
          seconds=SCRAPED_S, what="Prometheus to have scraped it")


def test_prometheus_takes_the_alerts(project: Project) -> None:
    until(lambda: project.value('up{job="synproxy"}') == 1, seconds=SCRAPED_S, what="a scrape")
    groups = project.prometheus("rules")["groups"]
    assert groups
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}


def questions() -> list[str]:
    """What the dashboard's panels ask."""
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    for name, value in VARIABLES.items():
        asked = [one.replace(name, value) for one in asked]
    return asked


def may_be_empty(question: str) -> bool:
    """While nothing is wrong."""
    return question.endswith("> 0") or any(f"{name}{{" in question for name in ONCE_NEEDED)


def test_prometheus_answers_what_the_dashboard_asks(project: Project) -> None:
    def unanswered() -> list[str]:
        return [one for one in questions()
                if not project.prometheus("query", query=one)["result"] and not may_be_empty(one)]

    assert len(questions()) > 50
    until(lambda: not unanswered(), seconds=SCRAPED_S, what="every panel to show something",
          seen=unanswered)
    (variable,) = (one for one in DASHBOARD["templating"]["list"] if one["type"] == "query")
    assert variable["query"]["query"] == "label_values(synproxy_ready, instance)"
    assert project.prometheus("label/instance/values", **{"match[]": "synproxy_ready"}) == [
        "127.0.0.1:9105"]


def test_it_ends_within_its_grace_and_keeps_its_state(project: Project) -> None:
    project.compose("stop", "synproxy")
    assert project.inspect("container", CONTAINER)["State"]["ExitCode"] == 0
    assert list(Path(project.inspect("volume", STATE)["Mountpoint"]).iterdir())
