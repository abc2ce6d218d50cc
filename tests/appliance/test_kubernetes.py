"""The examples for Kubernetes: its schemas take them, and they give the daemon what it needs."""

import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from synproxy.v1.config_pb2 import Config

from appliance.api import SERVICE_NAMES
from appliance.config.load import config_parse
from appliance.config.settings import settings_of
from appliance.host.capabilities import capability_refusals
from appliance.preflight import attachments_of

from .test_capabilities import NET_ADMIN, NET_RAW

FOLDER = Path(__file__).parents[2] / "docker" / "kubernetes"
# gRPC probes are stable from the first on.
VERSIONS = ("1.27", kubernetes_validate.latest_version())
ATTACHMENT = "NetworkAttachmentDefinition"      # Multus' own: Kubernetes has no schema of it
NETWORKS = "k8s.v1.cni.cncf.io/networks"
RESOURCE = "k8s.v1.cni.cncf.io/resourceName"
USER = 65532
CONFIG = Path("/etc/synproxy/synproxy.yaml")        # where the image has it


@dataclass(frozen=True)
class Example:
    documents: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.documents if one["kind"] == kind]

    @property
    def deployment(self) -> dict[str, Any]:
        (one,) = self.of("Deployment")
        return one

    @property
    def template(self) -> dict[str, Any]:
        template: dict[str, Any] = self.deployment["spec"]["template"]
        return template

    @property
    def pod(self) -> dict[str, Any]:
        pod: dict[str, Any] = self.template["spec"]
        return pod

    @property
    def container(self) -> dict[str, Any]:
        (one,) = self.pod["containers"]
        return dict(one)

    @property
    def config(self) -> Config:
        (one,) = self.of("ConfigMap")
        return config_parse(one["data"][CONFIG.name].encode(), CONFIG.name)


@pytest.fixture(params=sorted(path.name for path in FOLDER.glob("*.yaml")))
def example(request):
    return Example(list(yaml.safe_load_all((FOLDER / request.param).read_text())))


def validate(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_it(example, version):
    for document in example.documents:
        if document["kind"] != ATTACHMENT:
            validate(document, version)


@pytest.mark.parametrize("path", [
    ["spec", "strategi"], ["spec", "template", "spec", "securityContext", "runAsNonroot"],
    ["spec", "template", "spec", "containers", 0, "livenessProbe", "grpc", "sevice"],
    ["spec", "template", "spec", "containers", 0, "securityContext", "capabilities", "adds"],
])
def test_a_misspelt_field_is_seen(example, path):
    wrong = deepcopy(example.deployment)
    *folders, name = path
    place = wrong
    for folder in folders:
        place = place[folder]
    place[name] = "x"
    with pytest.raises(kubernetes_validate.ValidationError, match=name):
        validate(wrong, VERSIONS[-1])


def test_its_pod_asks_for_the_device_of_each_network_that_it_joins(example):
    networks = {one["metadata"]["name"]: one for one in example.of(ATTACHMENT)}
    joined = example.template["metadata"]["annotations"][NETWORKS].split(",")
    assert joined == list(networks) == ["synproxy-client", "synproxy-server"]
    for name, network in networks.items():
        assert set(network) == {"apiVersion", "kind", "metadata", "spec"}
        assert network["apiVersion"] == "k8s.cni.cncf.io/v1"
        assert set(network["spec"]) == {"config"}
        assert json.loads(network["spec"]["config"])["name"] == name
        resource = network["metadata"]["annotations"][RESOURCE]
        assert example.container["resources"]["limits"][resource] == "1"


def test_its_pod_is_guaranteed_with_whole_cpus_and_huge_pages(example):
    resources = example.container["resources"]
    assert resources["requests"] == resources["limits"]
    assert int(resources["limits"]["cpu"]) >= 2
    assert {"memory", "hugepages-1Gi"} <= set(resources["limits"]) or {
        "memory", "hugepages-2Mi"} <= set(resources["limits"])


def test_its_probes_ask_where_the_daemon_answers(example):
    port = int(example.config.management.health_address.rpartition(":")[2])
    probes = [example.container[f"{name}Probe"]["grpc"] for name in (
        "startup", "liveness", "readiness")]
    assert [probe["port"] for probe in probes] == [port] * 3
    # It is started when it answers; a worker that stands still ends the readiness of all.
    assert "service" not in probes[0]
    assert {probe["service"] for probe in probes[1:]} <= set(SERVICE_NAMES)
    shown = {one["name"]: one["containerPort"] for one in example.container["ports"]}
    metrics = int(example.config.management.metrics_address.rpartition(":")[2])
    assert shown == {"metrics": metrics, "health": port}


def test_it_is_given_longer_to_stop_than_it_takes(example):
    grace_s = example.config.management.stop_grace.seconds
    assert grace_s < example.pod["terminationGracePeriodSeconds"]


def test_it_runs_as_a_user_with_the_rights_that_its_ports_need_and_no_others(example, tmp_path):
    for_all, own = example.pod["securityContext"], example.container["securityContext"]
    assert (for_all["runAsNonRoot"], for_all["runAsUser"], for_all["runAsGroup"]) == (
        True, USER, USER)
    assert for_all["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"]
    assert own["capabilities"]["drop"] == ["ALL"]
    # Without it none of them would count: execve(2), PR_SET_NO_NEW_PRIVS.
    assert own["allowPrivilegeEscalation"] == bool(own["capabilities"]["add"])
    bits = {"NET_ADMIN": NET_ADMIN, "NET_RAW": NET_RAW}
    added = sum(bits.get(name, 0) for name in own["capabilities"]["add"])
    status = tmp_path / "status"
    status.write_text(f"CapEff:\t{added:016x}\n")
    assert list(capability_refusals(attachments_of(settings_of(example.config)), status)) == []


def test_all_that_it_writes_to_and_reads_is_mounted(example):
    """The folder of the configuration, not the file, which kubelet wouldn't renew."""
    mounts = {one["mountPath"]: one for one in example.container["volumeMounts"]}
    volumes = {one["name"]: one for one in example.pod["volumes"]}
    assert all("subPath" not in mount for mount in mounts.values())
    (config_map,) = example.of("ConfigMap")
    configuration = volumes[mounts[str(CONFIG.parent)]["name"]]["configMap"]
    assert configuration["name"] == config_map["metadata"]["name"]
    for path in ("/run/synproxy", "/var/lib/synproxy"):
        assert "emptyDir" in volumes[mounts[path]["name"]]
    assert Path(example.config.management.state_folder).parent == Path("/var/lib/synproxy")
