"""management.health_address: the standard health service for probes, and nothing else."""

import signal
import socket
from typing import Any, cast

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from synproxy.v1.rule_pb2 import ROLE_VIEWER

from appliance.api import SERVICE_NAMES
from appliance.config.listening import Listening
from appliance.exit_codes import ExitCode

from .conftest import Daemon
from .daemon_process import finished, two_cores
from .doors import free_port

REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
CALL_S = 10
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


@pytest.fixture
def probed(tmp_path):
    """A daemon, and a channel to its listener of health."""
    address = f"127.0.0.1:{free_port()}"
    listening = Listening("management", address, ROLE_VIEWER, health=True)
    with (
        Daemon(tmp_path / "api.sock", [listening]) as daemon,
        grpc.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),)) as channel,
    ):
        yield daemon, channel


def checked(channel, name=""):
    return HealthStub(channel).Check(HealthCheckRequest(service=name), timeout=CALL_S).status


def test_a_probe_without_a_certificate_learns_of_liveness_and_readiness(probed):
    daemon, channel = probed
    assert [checked(channel, name) for name in ("", *SERVICE_NAMES)] == (
        [SERVING] * (1 + len(SERVICE_NAMES)))
    daemon.do(daemon.server.set_serving, False)
    assert (checked(channel), checked(channel, SERVICE_NAMES[0])) == (SERVING, NOT_SERVING)


def test_who_watches_there_hears_of_the_end_of_readiness(probed):
    daemon, channel = probed
    watching = HealthStub(channel).Watch(
        HealthCheckRequest(service=SERVICE_NAMES[0]), timeout=CALL_S)
    assert next(watching).status == SERVING
    daemon.do(daemon.server.set_serving, False)
    assert next(watching).status == NOT_SERVING


@pytest.mark.parametrize("service", [*SERVICE_NAMES, REFLECTION])
def test_no_other_method_is_served_there(probed, service):
    methods = cast(Any, descriptor_pool.Default()).FindServiceByName(service).methods
    assert methods
    for method in methods:
        with pytest.raises(grpc.RpcError) as error:
            next(probed[1].unary_stream(f"/{service}/{method.name}")(b"", timeout=CALL_S))
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def with_health(configure, address):
    config = configure()
    config.write_text(config.read_text().replace(
        "management: {", f'management: {{health_address: "{address}", '))
    return config


@two_cores
def test_the_daemon_serves_it_where_the_file_says(configure, start):
    address = f"127.0.0.1:{free_port()}"
    daemon = start(with_health(configure, address))
    assert f", health {address}" in daemon.said()
    with grpc.insecure_channel(address) as channel:
        assert checked(channel, SERVICE_NAMES[0]) == SERVING
    assert daemon.stop(signal.SIGTERM) == 0


def test_an_address_that_is_taken_or_not_of_this_host_is_refused_by_its_name(configure):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for address in (f"127.0.0.1:{taken.getsockname()[1]}", "192.0.2.1:50052"):
            result = finished("run", with_health(configure, address))
            assert result.returncode == ExitCode.UNAVAILABLE
            assert result.stderr.splitlines()[-1].startswith(
                f"synproxyd: management.health_address: can't listen at {address}; ")
