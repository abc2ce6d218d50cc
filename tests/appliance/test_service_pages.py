"""ListServices: a page at a time, whatever comes and goes meanwhile, and only what is asked for."""

import json
from base64 import urlsafe_b64encode

import grpc
import pytest
from click.testing import CliRunner
from google.protobuf.field_mask_pb2 import FieldMask
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.cli import service as program
from appliance.cli.main import main
from appliance.management import catalogue

from .refused import violations

CALL_S = 10


@pytest.fixture
def pages(daemon):
    """ListServices of a daemon with the services web, mail, dns and ntp, which came in this
    order."""
    for at, name in enumerate(("dns", "ntp")):
        create(daemon, name, f"198.51.100.{at}")
    stub = ServicesServiceStub(daemon.channel)

    def call(**request):
        return stub.ListServices(api.ListServicesRequest(**request), timeout=CALL_S)

    return call


def create(daemon, name, prefix):
    daemon.call(daemon.catalogue.create(Service(name=name, prefixes=[prefix], ports=["53"])))


def delete(daemon, name):
    """It has no connections, so that its slot is free at once."""
    daemon.call(daemon.catalogue.delete(name))
    daemon.plane.left.clear()


def names(page):
    return [service.name for service in page.services]


def refused(call, **request):
    with pytest.raises(grpc.RpcError) as error:
        call(**request)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return violations(error.value)


@pytest.mark.parametrize("step", [1, 256])
def test_pages_lead_from_one_to_the_next_and_count_all(pages, step, monkeypatch):
    monkeypatch.setattr("appliance.management.services.STEP", step)
    first = pages(page_size=3)
    assert (names(first), first.total_size) == (["web", "mail", "dns"], 4)
    last = pages(page_size=3, page_token=first.next_page_token)
    assert (names(last), last.total_size, last.next_page_token) == (["ntp"], 4, "")
    assert names(pages(page_size=4)) == names(pages()) == ["web", "mail", "dns", "ntp"]
    assert pages(page_size=4).next_page_token == ""


def test_what_stays_is_listed_once_whatever_comes_and_goes(daemon, pages):
    token = pages(page_size=2).next_page_token
    for name in ("web", "mail"):        # before the next page, and the one it begins behind
        delete(daemon, name)
    create(daemon, "web", "192.0.2.80")
    assert names(pages(page_token=token)) == ["dns", "ntp", "web"]


def test_what_leaves_is_told_with_the_last_page(daemon, pages, monkeypatch):
    monkeypatch.setattr(catalogue, "STEP", 1)
    daemon.plane.connections_left = 5
    for name in ("web", "mail"):
        daemon.call(daemon.catalogue.delete(name))
    first = pages(page_size=1)
    assert list(first.leaving) == []
    last = pages(page_size=1, page_token=first.next_page_token)
    assert [(one.name, one.connections) for one in last.leaving] == [("web", 5), ("mail", 5)]


def test_only_the_fields_that_are_asked_for_are_answered(pages):
    web, *_ = pages(read_mask=FieldMask(paths=["name", "etag"])).services
    whole, *_ = pages().services
    assert web == Service(name="web", etag=whole.etag)
    assert whole.effective_options.mss == 1400


def token(words):
    return urlsafe_b64encode(words.encode()).decode()


@pytest.mark.parametrize(("text", "reason"), [
    ("x", "is no token of a page"), (token("services"), "is no token of a page"),
    (token("services " + "9" * 5000), "is no token of a page"),
    (token("192.0.2.1 443 "), "is no token of a page"),
    (token("services 02"), "is the token of another list"), (token("2"),
     "is the token of another list"), (token("services 0"), "is the token of another list"),
    (token("services 2") + "====", "is the token of another list"),
])
def test_a_token_that_was_never_answered_is_refused(pages, text, reason):
    assert refused(pages, page_token=text) == [("page_token", reason)]


def test_all_that_is_wrong_is_named_at_once(pages):
    assert refused(
        pages, page_size=-1, page_token="x", read_mask=FieldMask(paths=["options.mss"])) == [
        ("page_size", "must not be negative, as -1 is"),
        ("page_token", "is no token of a page"),
        ("read_mask", "options.mss is no field of a service; name effective_options, etag, name,"
                      " options, ports, prefixes"),
    ]


def test_synproxy_lists_all_pages(daemon, pages, monkeypatch):
    monkeypatch.setattr(program, "PAGE_SIZE", 1)
    listed = [CliRunner().invoke(main, ["--address", daemon.address, "service", "list", *output])
              for output in ([], ["-o", "json"])]
    table, whole = (one.stdout for one in listed)
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["web", "mail", "dns", "ntp"]
    said = json.loads(whole)
    assert [one["name"] for one in said["services"]] == ["web", "mail", "dns", "ntp"]
    assert said["services"][0]["effective_options"]["mss"] == 1400
    assert said["next_page_token"] == ""
