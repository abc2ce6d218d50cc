"""Services deleted and created under connections of real stacks: none of them notices."""

import socket
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.lab.peers import Peer
from appliance.lab.proxy import Proxy
from appliance.lab.waiting import until

from .echo import echo

Connect = Callable[[Peer], socket.socket]

CALL_S = 5
# Whole looks through the tables, of which a service that leaves needs some, take 4 s each.
FORGOTTEN_S = 40


@pytest.fixture
def stub(proxy: Proxy) -> Iterator[ServicesServiceStub]:
    """Afterwards the lab's service is as it was."""
    with grpc.insecure_channel(proxy.address) as channel:
        services = ServicesServiceStub(channel)
        (lab,) = services.ListServices(api.ListServicesRequest(), timeout=CALL_S).services
        yield services
        for service in services.ListServices(api.ListServicesRequest(), timeout=CALL_S).services:
            services.DeleteService(api.DeleteServiceRequest(name=service.name), timeout=CALL_S)
        services.CreateService(api.CreateServiceRequest(service=lab), timeout=CALL_S)


def leaving(stub: ServicesServiceStub) -> dict[str, int]:
    answer = stub.ListServices(api.ListServicesRequest(), timeout=CALL_S)
    return {left.name: left.connections for left in answer.leaving}


def test_the_connections_of_a_deleted_service_go_on_and_new_ones_need_no_proof(
        proxy: Proxy, stub: ServicesServiceStub, connect: Connect) -> None:
    connection = connect(Peer.ECHOES)
    echo(connection)
    stub.DeleteService(api.DeleteServiceRequest(name="lab"), timeout=CALL_S)
    echo(connection)
    answered = proxy.counters()["synack_sent"]
    direct = connect(Peer.ECHOES)
    echo(direct)
    assert proxy.counters()["synack_sent"] == answered
    until(lambda: leaving(stub).get("lab", 0) > 0, seconds=FORGOTTEN_S,
          what="the connections to be counted")
    echo(connection)


def test_a_service_is_made_anew_over_the_connections_of_the_one_that_left(
        proxy: Proxy, stub: ServicesServiceStub, connect: Connect) -> None:
    (lab,) = stub.ListServices(api.ListServicesRequest(), timeout=CALL_S).services
    connection = connect(Peer.ECHOES)
    echo(connection)
    stub.DeleteService(api.DeleteServiceRequest(name="lab"), timeout=CALL_S)
    lab.name = "anew"
    stub.CreateService(api.CreateServiceRequest(service=lab), timeout=CALL_S)
    echo(connection)
    answered = proxy.counters()["synack_sent"]
    echo(connect(Peer.ECHOES))
    assert proxy.counters()["synack_sent"] == answered + 1
    until(lambda: leaving(stub) == {}, seconds=FORGOTTEN_S, what="nothing to be leaving")
    echo(connection)


def test_a_prefix_is_given_up_and_taken_back_under_a_connection(
        proxy: Proxy, stub: ServicesServiceStub, connect: Connect) -> None:
    connection = connect(Peer.ECHOES)
    echo(connection)
    (lab,) = stub.ListServices(api.ListServicesRequest(), timeout=CALL_S).services
    before = list(lab.prefixes)
    for prefixes in (["192.0.2.1"], before):
        stub.UpdateService(api.UpdateServiceRequest(
            service=Service(name="lab", prefixes=prefixes),
            update_mask=FieldMask(paths=["prefixes"])), timeout=CALL_S)
        echo(connection)
