"""The image at work between real stacks, driven by gRPC from outside."""

import json
import re
import sys
from collections.abc import Iterator
from itertools import pairwise

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.lab.topology import Lab
from appliance.lab.waiting import until

from .container import CALL_S, CPUSET, HEALTH, READY_S, USER, Container
from .engine import AMBIENT, engine, is_healthy, sweep
from .left import Left
from .traffic import (
    REQUESTS,
    Ask,
    Connected,
    Flood,
    answered,
    counter,
    metric,
    mss_told,
)

TAKEN_S = 5                 # a file is looked at once a second, and read at the second look
MSS, MSS_OF_FILE = 1300, 1200
# Of the listener for probes, in plain text.
PROBE = f"""\
import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
for name in ("", "synproxy.v1.ServicesService"):
    print(HealthStub(grpc.insecure_channel("{HEALTH}")).Check(
        HealthCheckRequest(service=name), timeout={CALL_S}).status)
"""
# linux/capability.h
BITS = {"NET_ADMIN": 12, "NET_RAW": 13, "IPC_LOCK": 14, "SYS_ADMIN": 21}


@pytest.fixture(scope="module")
def container(untouched: Left, lab: Lab, network: str, image: str,
              driver: str) -> Iterator[Container]:
    with Container(lab, network, image, driver) as running:
        yield running


def services(container: Container) -> list[Service]:
    with grpc.insecure_channel(container.address) as channel:
        listed = ServicesServiceStub(channel).ListServices(
            api.ListServicesRequest(), timeout=CALL_S)
    return list(listed.services)


def test_clients_are_served_beside_a_flood(container: Container, ask: Ask, flood: Flood) -> None:
    proved, answers = counter(container, "cookie_valid"), counter(container, "synack_sent")
    with flood():
        until(lambda: counter(container, "synack_sent") - answers > 1000, seconds=5,
              what="the flood to be answered")
        report = ask(REQUESTS)
    assert report.succeeded == REQUESTS, report
    assert counter(container, "cookie_valid") - proved == REQUESTS


def test_it_has_the_rights_of_its_driver_and_may_get_no_other(container: Container) -> None:
    status = container.status()
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
    assert {int(status[kind], 16) for kind in ("CapEff", "CapPrm", "CapBnd")} == {
        sum(1 << BITS[name] for name in container.capabilities)}
    assert (status["NoNewPrivs"] == "1") is AMBIENT
    assert status["Seccomp"] == "2"


def test_eal_has_what_the_container_has_and_what_was_chosen_is_shown(container: Container) -> None:
    (name,) = re.findall(r"^synproxyd: eal\.file_prefix (\S+): the container's mount namespace$",
                         container.log(), re.MULTILINE)
    shown = json.loads(container.execute("synproxy", "system", "show", "--output", "json"))
    arguments = shown["eal_arguments"]
    told = dict(pairwise(arguments))
    assert (told["--file-prefix"], told["-l"]) == (name, CPUSET)
    assert "--in-memory" in arguments


def test_a_service_is_changed_under_traffic_from_outside(
        container: Container, ask: Ask, flood: Flood, connected: Connected) -> None:
    before = connected()
    (service,) = services(container)
    service.options.mss = MSS
    with flood(), grpc.insecure_channel(container.address) as channel:
        answer = ServicesServiceStub(channel).UpdateService(api.UpdateServiceRequest(
            service=service, update_mask=FieldMask(paths=["options.mss"])), timeout=CALL_S)
        assert ask(REQUESTS).succeeded == REQUESTS
        assert answer.service.options.mss == MSS
        assert mss_told(connected()) == MSS
        assert answered(before)


def test_a_config_map_that_is_edited_is_taken_under_traffic(
        container: Container, flood: Flood, connected: Connected) -> None:
    before = connected()
    answers = counter(container, "synack_sent")
    with flood():
        until(lambda: counter(container, "synack_sent") - answers > 1000, seconds=5,
              what="the flood to be answered")
        container.configure(f"mss: {MSS_OF_FILE}")
        until(lambda: services(container)[0].options.mss == MSS_OF_FILE, seconds=TAKEN_S,
              what="the file to be taken")
        assert mss_told(connected()) == MSS_OF_FILE
        container.configure("mss: 1")
        until(lambda: "options.mss: must be" in container.log(), seconds=TAKEN_S,
              what="the mistake to be told")
        assert mss_told(connected()) == MSS_OF_FILE
        assert answered(before)


def test_its_health_and_its_metrics_are_seen(container: Container, lab: Lab, ask: Ask) -> None:
    proved = 'synproxy_service_cookie_valid_total{service="lab"}'
    before = metric(lab, proved)
    ask(REQUESTS)
    until(lambda: metric(lab, proved) - before == REQUESTS, seconds=READY_S,
          what="a reading of the counters behind the last request")
    until(lambda: is_healthy(container.name), seconds=READY_S, what="its HEALTHCHECK to succeed")
    assert lab.proxy.run([sys.executable, "-P", "-c", PROBE]).stdout.split() == ["1", "1"]


def test_what_a_crash_has_left_is_removed(lab: Lab, image: str) -> None:
    left, kept = "synlab-1-abcdef-proxy-holder", f"synlab-{lab.id}-kept"
    for name in (left, kept):
        engine("create", "--name", name, "--network", "none", image)
    try:
        sweep()
        there = engine("ps", "--all", "--format", "{{.Names}}").split()
        assert kept in there
        assert left not in there
    finally:
        engine("rm", kept)
