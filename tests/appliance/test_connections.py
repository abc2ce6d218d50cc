"""ConnectionsService: pages, filters, deletion; and the same by synproxy."""

from dataclasses import replace
from ipaddress import ip_address
from itertools import chain
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from synproxy.v1 import connections_service_pb2 as api
from synproxy.v1.connections_service_pb2_grpc import ConnectionsServiceStub
from synproxy.v1.rule_pb2 import ROLE_OPERATOR, ROLE_VIEWER

from appliance.cli.main import main
from appliance.exit_codes import ExitCode
from appliance.lab.waiting import until
from appliance.management import connections as servicer
from appliance.management.roles import method_role
from cython_core.dataplane import CONNECTION_STATES, Connection, ConnectionFilter

CALL_S = 10
MAPPED = b"\0" * 10 + b"\xff\xff"
ONE = Connection(
    client=ip_address("198.51.100.7"), client_port=40000, server=ip_address("192.0.2.7"),
    server_port=443, slot=0, leaving=False, lcore=1, state="established", passes=False,
    client_fin=False, server_fin=False, idle_s=8, seq_offset=2**32 - 1, timestamps="translated",
)
WHERE: dict[str, Any] = {
    "client_address": "198.51.100.7", "client_port": 40000,
    "server_address": "192.0.2.7", "server_port": 443,
}


@pytest.fixture
def stub(daemon):
    daemon.plane.entries = [ONE]
    return ConnectionsServiceStub(daemon.channel)


@pytest.fixture
def connections(stub):
    """ListConnections."""
    return lambda **request: stub.ListConnections(
        api.ListConnectionsRequest(**request), timeout=CALL_S)


@pytest.fixture
def delete(stub):
    return lambda **differs: stub.DeleteConnection(
        api.DeleteConnectionRequest(**WHERE | differs), timeout=CALL_S)


@pytest.fixture
def synproxy(daemon, stub):
    return lambda *arguments: CliRunner().invoke(main, ["--address", daemon.address, *arguments])


def ports(answer):
    return [one.client_port for one in answer.connections]


def refused(call, **request):
    with pytest.raises(grpc.RpcError) as error:
        call(**request)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (detail,) = rpc_status.from_call(error.value).details
    bad = BadRequest()
    assert detail.Unpack(bad)
    return {one.field: one.description for one in bad.field_violations}


def failure(call, **request):
    with pytest.raises(grpc.RpcError) as error:
        call(**request)
    return error.value.code(), error.value.details()


def test_who_may(daemon):
    service = "/synproxy.v1.ConnectionsService/"
    assert method_role(f"{service}ListConnections") == ROLE_VIEWER
    assert method_role(f"{service}DeleteConnection") == ROLE_OPERATOR


def test_a_connection_is_told_in_full(connections):
    assert connections() == api.ListConnectionsResponse(connections=[api.Connection(
        client_address="198.51.100.7", client_port=40000, server_address="192.0.2.7",
        server_port=443, service="web", state=api.Connection.STATE_ESTABLISHED,
        idle=Duration(seconds=8), lcore=1, seq_offset=2**32 - 1,
        timestamps=api.Connection.TIMESTAMPS_TRANSLATED,
    )])


@pytest.mark.parametrize("state", CONNECTION_STATES)
def test_the_schema_knows_every_state(daemon, connections, state):
    daemon.plane.entries = [replace(ONE, state=state)]
    (told,) = connections().connections
    assert api.Connection.State.Name(told.state) == f"STATE_{state.upper()}"
    connections(states=[told.state])
    assert daemon.plane.asked[-1].states == {state}


def test_what_is_of_no_service_has_none(daemon, connections):
    daemon.plane.entries = [replace(ONE, slot=None)]
    assert connections().connections[0].service == ""


def test_filters_are_the_data_planes_own(daemon, connections):
    connections(service="mail", client_prefix="198.51.100.0/24", server_prefix="2001:db8::1")
    assert daemon.plane.asked[-1] == ConnectionFilter(
        slot=1, client=(MAPPED + bytes((198, 51, 100, 0)), 120),
        server=(ip_address("2001:db8::1").packed, 128))


def test_every_connection_is_on_one_page_wherever_its_place_is(daemon, connections, monkeypatch):
    monkeypatch.setattr(servicer, "STEP", 3)
    numbered = [replace(ONE, client_port=port) for port in range(1, 8)]
    daemon.plane.entries = [None, *numbered[:4], None, None, None, None, *numbered[4:], None]
    pages, token = [], ""
    while True:
        answer = connections(page_size=2, page_token=token)
        pages.append(ports(answer))
        token = answer.next_page_token
        if not token:
            break
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert list(chain(*pages)) == list(range(1, 8))


def test_a_call_looks_at_so_many_entries_only(daemon, connections, monkeypatch):
    monkeypatch.setattr(servicer, "STEP", 2)
    daemon.plane.entries = [None] * 40 + [ONE]
    first = connections()
    assert (ports(first), len(daemon.plane.asked)) == ([], servicer.STEPS_MAX)
    assert ports(connections(page_token=first.next_page_token)) == [40000]


def test_a_token_is_good_for_its_own_list_alone(daemon, connections):
    daemon.plane.entries = [ONE] * 3
    token = connections(page_size=1, service="web").next_page_token
    assert ports(connections(page_size=2, service="web", page_token=token)) == [40000] * 2
    for request in ({"service": "mail"}, {}, {"service": "web", "client_prefix": "10.0.0.0/8"}):
        assert "page_token" in refused(connections, page_token=token, **request)
    assert "page_token" in refused(connections, page_token="nonsense")


def test_every_field_that_is_wrong_is_named(connections, delete):
    assert set(refused(connections, client_prefix="198.51.100.7/24", server_prefix="x",
                       page_size=-1)) == {"client_prefix", "server_prefix", "page_size"}
    assert set(refused(delete, client_address="x", client_port=0, server_port=65536)) == {
        "client_address", "client_port", "server_port"}
    assert set(refused(delete, client_address="2001:db8::1")) == {"server_address"}


def test_a_service_that_no_one_knows_is_not_found(connections):
    assert failure(connections, service="nope") == (
        grpc.StatusCode.NOT_FOUND, "no service is called nope")


def test_a_service_that_is_leaving_is_known(daemon, connections):
    daemon.plane.connections_left = 1
    daemon.call(daemon.catalogue.delete("mail"))
    connections(service="mail")
    assert daemon.plane.asked[-1].slot == 1
    daemon.plane.left.clear()
    daemon.call(daemon.catalogue.delete("web"))
    assert failure(connections, service="mail")[0] is grpc.StatusCode.NOT_FOUND


def test_deletion_tells_what_it_was_and_leaves_a_line(daemon, delete):
    assert delete().connection.state == api.Connection.STATE_ESTABLISHED
    assert daemon.plane.deleted == [
        (MAPPED + bytes((198, 51, 100, 7)), 40000, MAPPED + bytes((192, 0, 2, 7)), 443)]
    (line,) = daemon.lines(1)
    assert (line["audit"], list(line["resources"])) == (
        "changed", ["connections/198.51.100.7:40000 to 192.0.2.7:443"])


def test_what_is_not_there_is_not_found(delete):
    assert failure(delete, client_port=40001) == (
        grpc.StatusCode.NOT_FOUND,
        "no connection is open from 198.51.100.7:40001 to 192.0.2.7:443")


def test_there_is_a_bound_on_deletions(daemon, delete):
    daemon.plane.tickets_left = 0
    assert failure(delete)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_stuck_worker_is_unavailable(daemon, delete, monkeypatch):
    monkeypatch.setattr(servicer, "ACKNOWLEDGE_TIMEOUT_S", 0.1)
    daemon.plane.stuck = True
    assert failure(delete)[0] is grpc.StatusCode.UNAVAILABLE
    assert daemon.plane.forgotten == [(0, 1)], "or its place would be taken for ever"


def test_a_caller_that_goes_away_leaves_a_line_all_the_same(daemon, stub):
    daemon.plane.stuck = True
    call = stub.DeleteConnection.future(api.DeleteConnectionRequest(**WHERE))
    until(lambda: daemon.plane.deleted, seconds=CALL_S, what="the deletion to begin")
    call.cancel()
    daemon.plane.stuck = False
    (line,) = daemon.lines(1)
    assert list(line["resources"]) == ["connections/198.51.100.7:40000 to 192.0.2.7:443"]


@pytest.mark.parametrize(("address", "words"), [
    ("fe80::1%eth0", "without a zone"), ("fe80::1%\n" + "x" * 10_000, "without a zone"),
    ("::ffff:192.0.2.7", "must be written as 192.0.2.7")])
def test_one_address_is_written_in_one_way(delete, address, words):
    for field in ("client_address", "server_address"):
        assert words in refused(delete, **{field: address})[field]


def test_connections_are_a_table(daemon, synproxy):
    daemon.plane.entries.append(replace(
        ONE, client=ip_address("2001::7"), server=ip_address("2001::1"), slot=None,
        state="half_closed", passes=True, server_fin=True, idle_s=3600))
    assert synproxy("connection", "list").stdout.splitlines() == [
        "CLIENT              SERVER         SERVICE  STATE        IDLE  WORKER  FIN     NUMBERS",
        "198.51.100.7:40000  192.0.2.7:443  web      established    8s       1  -       translated",
        "[2001::7]:40000     [2001::1]:443  -        half_closed    1h       1  server  pass",
    ]


def test_what_is_beyond_the_limit_is_hinted_at(daemon, synproxy):
    daemon.plane.entries = [ONE] * 3
    result = synproxy("connection", "list", "--limit", "2", "--state", "established")
    assert len(result.stdout.splitlines()) == 3
    assert "there may be more than these 2" in result.stderr


@pytest.mark.parametrize(("ends", "code", "said"), [
    (["198.51.100.7:40000", "192.0.2.7:443"], ExitCode.OK,
     "deleted: 198.51.100.7:40000 to 192.0.2.7:443"),
    (["198.51.100.7:40001", "192.0.2.7:443"], ExitCode.NOT_FOUND, "no connection is open"),
    (["198.51.100.7", "192.0.2.7:443"], ExitCode.USAGE, "is no ADDRESS:PORT"),
    (["[::1]:70000", "[::2]:443"], ExitCode.INVALID, "client_port"),
])
def test_delete_by_its_ends(synproxy, ends, code, said):
    result = synproxy("connection", "delete", *ends)
    assert (result.exit_code, said in result.output) == (code, True)
