"""The container in a network of the engine's, as it is where nobody asks for another: what manages
and watches it comes from this host, by published ports."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.api import SERVICE_NAMES
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

from ..appliance.certificates import Authority
from ..appliance.doors import channel_with
from .container import CALL_S, READY_S, USER
from .engine import READ_ONLY, container_log, engine

Published = Callable[[int], str]

MSS = 1300
API, PROBES, METRICS = 50051, 50052, 9105
OPERATOR = "operator.example"
# Ports are another program's, by sockets of its own: they take no rights.
CONFIGURATION = f"""\
ports:
  client: {{device: "net_memif0,role=server,socket-abstract=no,socket=/run/synproxy/client.memif"}}
  server: {{device: "net_memif1,role=server,socket-abstract=no,socket=/run/synproxy/server.memif"}}
workers: {{lcores: [1], control_lcore: 0}}
memory: {{hugepages: false, size_mib: 256}}
limits: {{connections: 131072, half_open: 4096}}
management:
  metrics_address: "0.0.0.0:{METRICS}"
  health_address: "0.0.0.0:{PROBES}"
  listeners:
    - address: "0.0.0.0:{API}"
      tls:
        certificate_file: /etc/synproxy/daemon.pem
        key_file: /etc/synproxy/daemon.key
        client_ca_file: /etc/synproxy/ca.pem
        roles: [{{name: {OPERATOR}, role: OPERATOR}}]
services:
  - {{name: web, prefixes: [192.0.2.0/24], ports: [80]}}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("published") / "authority")


@pytest.fixture(scope="module")
def published(authority: Authority, image: str, lab: Lab,
              tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """Where this host has a port of the container's."""
    etc, run = (tmp_path_factory.mktemp(name) for name in ("etc", "run"))
    own = authority.daemon_certificate()
    for file, name in ((own.file, "daemon.pem"), (own.key, "daemon.key"),
                       (authority.file, "ca.pem")):
        shutil.copy(file, etc / name)
    (etc / "synproxy.yaml").write_text(CONFIGURATION)
    for path in (etc, run, *etc.iterdir()):
        shutil.chown(path, USER, USER)
    name = f"synlab-published-{lab.id}"
    engine("run", "--detach", "--name", name, "--pull", "never", "--no-healthcheck",
           "--cap-drop", "all", *READ_ONLY,
           *(f"--publish=127.0.0.1::{port}" for port in (API, PROBES, METRICS)),
           "--volume", f"{etc}:/etc/synproxy:ro", "--volume", f"{run}:/run/synproxy", image)
    try:
        until(lambda: "ready: " in container_log(name), seconds=READY_S,
              what="the container to be ready", seen=lambda: container_log(name))
        yield lambda port: engine("port", name, str(port)).split()[0]
    finally:
        engine("rm", "--force", name)


def test_who_has_a_certificate_manages_it(published: Published, authority: Authority) -> None:
    caller = authority.certificate("caller", f"DNS:{OPERATOR}")
    with channel_with(published(API), authority, caller) as channel:
        services = ServicesServiceStub(channel)
        (service,) = services.ListServices(api.ListServicesRequest(), timeout=CALL_S).services
        service.options.mss = MSS
        answer = services.UpdateService(api.UpdateServiceRequest(
            service=service, update_mask=FieldMask(paths=["options.mss"])), timeout=CALL_S)
    assert answer.service.options.mss == MSS


def test_a_caller_that_others_vouch_for_is_not_heard(
        published: Published, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "others").certificate("caller", f"DNS:{OPERATOR}")
    with (channel_with(published(API), authority, stranger) as channel,
          pytest.raises(grpc.RpcError) as error):
        ServicesServiceStub(channel).ListServices(api.ListServicesRequest(), timeout=CALL_S)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_probes_and_prometheus_need_none(published: Published) -> None:
    with grpc.insecure_channel(published(PROBES)) as channel:
        answer = HealthStub(channel).Check(
            HealthCheckRequest(service=SERVICE_NAMES[0]), timeout=CALL_S)
    assert answer.status == HealthCheckResponse.SERVING
    with urlopen(f"http://{published(METRICS)}/metrics", timeout=CALL_S) as page:
        assert b"synproxy_ready 1.0" in page.read()
