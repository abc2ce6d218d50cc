"""ServersService: what is learned of servers, in order, by service, a page at a time."""

import time
from base64 import urlsafe_b64encode
from ipaddress import ip_address
from itertools import chain

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from synproxy.v1 import servers_service_pb2 as api
from synproxy.v1.servers_service_pb2_grpc import ServersServiceStub

from cython_core.dataplane import LearnedServer

CALL_S = 10
WEB, MAIL = 0, 1        # slots of the daemon's services


@pytest.fixture
def servers(daemon):
    """ListServers."""
    stub = ServersServiceStub(daemon.channel)

    def call(**request):
        return stub.ListServers(api.ListServersRequest(**request), timeout=CALL_S)

    return call


def learned(address, port=443, slot=WEB, **differs):
    options = {"mss": 1460, "wscale": 7, "sack": True, "timestamps": True, "age_s": 5}
    return LearnedServer(ip_address(address), port, slot, **(options | differs))


def places(answer):
    return [(server.address, server.port) for server in answer.servers]


def refused(call, **request):
    """The field and the reason of an INVALID_ARGUMENT."""
    with pytest.raises(grpc.RpcError) as error:
        call(**request)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (detail,) = rpc_status.from_call(error.value).details
    bad = BadRequest()
    assert detail.Unpack(bad)
    return [(one.field, one.description) for one in bad.field_violations]


def paged(call, **request):
    """Every page's servers, as far as there are pages."""
    pages, token = [], ""
    while True:
        answer = call(page_token=token, **request)
        pages.append(places(answer))
        token = answer.next_page_token
        if not token:
            return pages


def test_a_server_is_told_as_its_synacks_have_it(daemon, servers):
    daemon.plane.servers = [learned("192.0.2.7", mss=1300, wscale=0, sack=False, age_s=90)]
    assert servers() == api.ListServersResponse(servers=[api.Server(
        address="192.0.2.7", port=443, service="web", mss=1300, wscale=0, sack=False,
        timestamps=True, age=Duration(seconds=90),
    )])


def test_no_window_scale_is_not_scale_0(daemon, servers):
    daemon.plane.servers = [learned("192.0.2.7", wscale=None), learned("192.0.2.8", wscale=0)]
    assert [one.HasField("wscale") for one in servers().servers] == [False, True]


def test_they_are_sorted_by_address_and_port_as_numbers(daemon, servers):
    ordered = [("192.0.2.7", 443), ("192.0.2.7", 8000), ("192.0.2.30", 80), ("203.0.113.1", 80),
               ("2001:db8::2", 443), ("2001:db8::10", 443)]
    daemon.plane.servers = [learned(*place) for place in reversed(ordered)]
    assert places(servers()) == ordered


def test_those_of_one_service_and_those_of_none(daemon, servers):
    daemon.plane.servers = [
        learned("192.0.2.7"), learned("192.0.2.25", 25, MAIL), learned("198.51.100.1", slot=None)]
    assert [one.service for one in servers().servers] == ["web", "mail", ""]
    assert places(servers(service="mail")) == [("192.0.2.25", 25)]
    assert places(servers(service="web")) == [("192.0.2.7", 443)]


def test_a_service_that_no_one_knows_is_not_found(servers):
    with pytest.raises(grpc.RpcError) as error:
        servers(service="nope")
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert error.value.details() == "no service is called nope"


def test_where_nothing_is_learned_there_is_one_empty_page(servers):
    assert servers() == api.ListServersResponse()


class TestPages:
    @pytest.fixture(autouse=True)
    def _seven(self, daemon):
        """Six servers of web, over all kinds of neighbours in the order; one of mail."""
        daemon.plane.servers = [
            learned("192.0.2.1", 1), learned("192.0.2.1", 2), learned("192.0.2.2", 1),
            learned("255.255.255.255"), learned("2000::"), learned("2001:db8::1"),
            learned("192.0.2.25", 25, MAIL),
        ]

    @pytest.mark.parametrize(("size", "lengths"), [
        (1, [1] * 7), (3, [3, 3, 1]), (6, [6, 1]), (7, [7]), (8, [7]), (0, [7])])
    def test_every_server_is_on_one_page(self, servers, size, lengths):
        pages = paged(servers, page_size=size)
        assert [len(page) for page in pages] == lengths
        assert list(chain(*pages)) == places(servers())

    def test_pages_of_one_service(self, servers):
        pages = paged(servers, page_size=4, service="web")
        assert [len(page) for page in pages] == [4, 2]
        assert ("192.0.2.25", 25) not in chain(*pages)

    def test_a_server_learned_meanwhile_moves_no_other(self, daemon, servers):
        first = servers(page_size=3)
        daemon.plane.servers += [learned("192.0.2.0"), learned("192.0.3.0")]
        rest = servers(page_token=first.next_page_token)
        assert places(first) + places(rest) == [
            place for place in places(servers()) if place[0] not in ("192.0.2.0", "192.0.3.0")]

    def test_a_page_asked_for_late_is_of_a_look_of_its_own(self, daemon, servers, monkeypatch):
        monkeypatch.setattr("appliance.management.servers.LOOK_S", 0)
        first = servers(page_size=3)
        daemon.plane.servers += [learned("192.0.2.0"), learned("192.0.3.0")]
        rest = servers(page_token=first.next_page_token)
        assert places(first) + places(rest) == [
            place for place in places(servers()) if place[0] != "192.0.2.0"]

    def test_who_asks_again_at_once_is_told_of_the_same_look(self, daemon, servers, monkeypatch):
        looks: list[None] = []

        def slow():
            looks.append(None)
            time.sleep(0.2)
            return daemon.plane.servers

        monkeypatch.setattr(daemon.plane, "learned_servers", slow)
        assert {len(servers().servers) for _ in range(10)} == {7}
        assert len(looks) == 1

    def test_a_token_is_for_its_own_list(self, servers):
        token = servers(page_size=1).next_page_token
        assert refused(servers, page_token=token, service="web") == [
            ("page_token", "is the token of another list")]

    @pytest.mark.parametrize("token", [
        "x", "nonsense", "\u2603", "AAAA",
        *(urlsafe_b64encode(text.encode()).decode() for text in (
            " ", "192.0.2.1", "192.0.2.1 1", "192.0.2 1 ", "192.0.2.1 one ", "192.0.2.1 1 web x",
        )),
    ])
    def test_what_is_no_token(self, servers, token):
        assert refused(servers, page_token=token) == [("page_token", "is no token of a page")]

    def test_a_token_is_taken_letter_for_letter(self, servers):
        token = servers(page_size=1).next_page_token
        assert refused(servers, page_token=token + "====") == [
            ("page_token", "is the token of another list")]

    def test_every_field_that_is_wrong_is_named_at_once(self, servers):
        assert refused(servers, page_size=-1, page_token="x") == [
            ("page_size", "must not be negative, as -1 is"),
            ("page_token", "is no token of a page"),
        ]


def test_a_page_has_a_bound_whatever_is_asked_for(daemon, servers):
    daemon.plane.servers = [learned(f"192.0.2.{n % 250}", 1 + n // 250) for n in range(1500)]
    assert len(servers().servers) == 100
    assert len(servers(page_size=2_000_000_000).servers) == 1000
    assert [len(page) for page in paged(servers, page_size=1000)] == [1000, 500]
