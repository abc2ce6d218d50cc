"""compose.yaml: the specification's schema takes it, and its parts find each other."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from appliance.config.load import config_load
from appliance.config.settings import settings_of
from appliance.host.capabilities import capability_refusals
from appliance.preflight import attachments_of

from .test_capabilities import NET_ADMIN, NET_RAW

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = DOCKER / "compose.yaml"
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
CONFIG = DOCKER / "synproxy" / "synproxy.yaml"
# What Grafana reads of a file of apiVersion 1, which passes over all else without a word: of
# grafana/grafana, pkg/services/provisioning/{datasources,dashboards}/types.go.
PROVISIONED = {
    "datasources": {
        "access", "basicAuth", "basicAuthUser", "correlations", "database", "editable", "isDefault",
        "jsonData", "name", "orgId", "orgName", "secureJsonData", "type", "uid", "url", "user",
        "version", "withCredentials"},
    "providers": {"disableDeletion", "editable", "folder", "name", "options", "orgId", "type"},
}


def check(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"),
         "--builtin-schema", "vendor.compose-spec", file],
        capture_output=True, text=True, timeout=60)


def mounts(service: str) -> dict[str, Path]:
    """Path in the container → file or folder here, of those that aren't volumes."""
    parts = [one.split(":") for one in SERVICES[service]["volumes"] if one.startswith(".")]
    assert all(mode == "ro" for _, _, mode in parts)
    return {there: DOCKER / here for here, there, _ in parts}


def mounted(service: str, path: str) -> Path:
    """What the service finds there."""
    (found,) = [here / Path(path).relative_to(there) for there, here in mounts(service).items()
                if Path(path).is_relative_to(there)]
    return found


def options(service: str) -> dict[str, str]:
    return dict(one.removeprefix("--").split("=") for one in SERVICES[service]["command"])


def test_the_schema_takes_it():
    result = check(COMPOSE)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", ["cap_add", "read_only", "stop_grace_period", "interval"])
def test_a_misspelt_field_is_seen(tmp_path, name):
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace(f" {name}:", f" {name}s:", 1))
    result = check(wrong)
    assert result.returncode == 1
    assert f"'{name}s'" in result.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_what_it_mounts_is_there(service):
    for here in mounts(service).values():
        assert here.exists()


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_has_more_rights_than_are_named(service):
    given = SERVICES[service]
    assert given["cap_drop"] == ["ALL"]
    assert "privileged" not in given
    # It would withhold from the appliance those rights that its program has by file.
    assert (given.get("security_opt") == ["no-new-privileges"]) == ("cap_add" not in given)


def test_the_appliance_has_the_rights_that_its_ports_need(tmp_path):
    bits = {"NET_ADMIN": NET_ADMIN, "NET_RAW": NET_RAW}
    status = tmp_path / "status"
    status.write_text(
        f"CapEff:\t{sum(bits[name] for name in SERVICES['synproxy']['cap_add']):016x}\n")
    ports = attachments_of(settings_of(config_load(CONFIG)))
    assert list(capability_refusals(ports, status)) == []


def test_the_appliance_has_its_configuration_and_all_that_it_writes_to():
    appliance = SERVICES["synproxy"]
    management = config_load(CONFIG).management
    assert mounted("synproxy", "/etc/synproxy/synproxy.yaml") == CONFIG
    assert f"state:{management.state_folder}" in appliance["volumes"]
    assert appliance["read_only"]
    assert "run:/run/synproxy" in appliance["volumes"]


def test_prometheus_scrapes_the_appliance_and_has_its_rules():
    file = mounted("prometheus", options("prometheus")["config.file"])
    scraped = yaml.safe_load(file.read_text())
    (job,) = scraped["scrape_configs"]
    (targets,) = job["static_configs"]
    assert targets["targets"] == [config_load(CONFIG).management.metrics_address]
    assert all((file.parent / rules).exists() for rules in scraped["rule_files"])


def test_grafana_finds_prometheus_and_the_dashboard():
    provisioning = mounted("grafana", "/etc/grafana/provisioning")
    (source,) = yaml.safe_load(
        (provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == f"http://{options('prometheus')['web.listen-address']}"
    # The dashboard asks the default, where nobody has chosen another.
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    (provider,) = yaml.safe_load(
        (provisioning / "dashboards" / "synproxy.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    assert mounted("grafana", f"{provider['options']['path']}/synproxy.json") == (
        DOCKER / "grafana" / "dashboard.json")


@pytest.mark.parametrize(("file", "kind"), [
    ("datasources/prometheus.yaml", "datasources"), ("dashboards/synproxy.yaml", "providers")])
def test_grafana_reads_each_field_of_what_provisions_it(file, kind):
    folder = mounted("grafana", "/etc/grafana/provisioning")
    provisioned = yaml.safe_load((folder / file).read_text())
    assert set(provisioned) == {"apiVersion", kind}
    assert provisioned["apiVersion"] == 1
    for one in provisioned[kind]:
        assert {"name", "type"} <= set(one) <= PROVISIONED[kind]


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_listens_beyond_the_host(service):
    """All are in its network: an address that isn't the loopback's would be open to others."""
    assert SERVICES[service]["network_mode"] == "host"
    listens = {
        "synproxy": config_load(CONFIG).management.metrics_address,
        "prometheus": options("prometheus")["web.listen-address"],
        "grafana": SERVICES["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"],
    }[service]
    assert listens.startswith("127.0.0.1")
