"""The HTTP server: what it answers, what it refuses, and what it lets nobody do."""

import asyncio
import json
import re
import socket
import threading
import time

import pytest
from synproxy.v1.service_pb2 import Service

from appliance.lab.waiting import until
from appliance.metrics import documents
from appliance.metrics import server as http
from appliance.metrics.reading import STEP
from appliance.refusal import Refusal
from cython_core.dataplane import COUNTER_HELP, DROP_REASONS, DataplaneError

from .metrics_served import HEAD, PATIENCE_S, Served, everything
from .plane import Plane

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"
PAGE_PARTS = {
    "/": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8",
    "/page.js": "text/javascript; charset=utf-8", "/status.json": "application/json",
    "/meanings.json": "application/json", "/metrics": "text/plain; version=0.0.4; charset=utf-8",
}
BIG = 4000
BIG_TEXT = HEAD + "".join(
    f"  - {{name: s{at}, prefixes: [10.{at >> 8}.{at & 255}.0/24], ports: [443]}}\n"
    for at in range(BIG))


class Closed(Plane):
    def worker_stats(self):
        raise DataplaneError("the data plane is closed")


@pytest.fixture
def plane():
    return Plane()


@pytest.fixture
def served(plane):
    with Served(plane) as running:
        yield running


@pytest.fixture
def hurried(monkeypatch):
    """Patience that a test can outwait."""
    monkeypatch.setattr(http, "REQUEST_S", 0.3)
    monkeypatch.setattr(http, "ANSWER_S", 0.3)
    monkeypatch.setattr(http, "FAREWELL_S", 0.3)


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(("path", "content_type"), PAGE_PARTS.items())
def test_a_document_comes_with_its_type_and_length(served, path, content_type):
    answer = served.ask(path)
    body = answer.read()
    assert (answer.status, answer.getheader("Content-Type")) == (200, content_type)
    assert int(answer.getheader("Content-Length")) == len(body) > 0
    assert answer.getheader("Connection") == "close"


@pytest.mark.parametrize("path", ["/", "/metrics", "/nope"])
def test_nothing_but_the_page_itself_runs_in_it(served, path):
    answer = served.ask(path)
    policy = answer.getheader("Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.getheader("X-Content-Type-Options") == "nosniff"


def test_the_page_names_nothing_outside(served):
    for path in ("/", "/page.css", "/page.js"):
        text = served.ask(path).read().decode()
        outside = text.replace("http://www.w3.org/2000/svg", "")     # a name, never fetched
        assert "//" not in outside.replace("// ", "").replace("//\n", "")


@pytest.mark.parametrize("path", ["/", "/metrics", "/status.json"])
def test_head_is_get_without_its_body(served, path):
    answer = served.ask(path, "HEAD")
    assert (answer.status, answer.read()) == (200, b"")
    assert int(answer.getheader("Content-Length")) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_nothing_can_be_changed(served, method):
    answer = served.ask("/metrics", method)
    assert (answer.status, answer.getheader("Allow")) == (405, "GET, HEAD")


def test_a_body_that_nobody_wants_does_not_cost_the_answer(served):
    body = b"x" * 1_000_000
    head = f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert status_of(served.say(head + body)) == 405


@pytest.mark.parametrize(
    "path",
    ["/nope", "/page", "/page/", "/metrics/", "//", "/../etc/passwd", "/%2e%2e/etc/passwd",
     "/index.html", "/page.js/..", "/page.js%00", "/.", "/\xff"],
)
def test_there_is_nothing_else(served, path):
    request = b"GET " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    assert status_of(served.say(request)) == 404


@pytest.mark.parametrize(
    "request_head",
    [b"GET /metrics?name[]=x HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /metrics HTTP/1.0\r\n\r\n",
     b"GET http://h:9105/metrics HTTP/1.1\r\nHost: h:9105\r\n\r\n"],
)
def test_a_request_may_have_its_other_forms(served, request_head):
    assert status_of(served.say(request_head)) == 200


@pytest.mark.parametrize(
    "request_head",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics\r\n\r\n", b"get / HTTP/1.1\r\nHost: h\r\n\r\n",
     b"GET metrics HTTP/1.1\r\nHost: h\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET / / HTTP/1.1\r\nHost: h\r\n\r\n",
     b"PRI * HTTP/2.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/3\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(200)) + b"\r\n"],
)
def test_what_is_no_request_is_told_so(served, request_head):
    assert status_of(served.say(request_head)) == 400


def test_a_head_without_end_is_cut_short(served):
    answer = served.say(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 100_000)
    assert status_of(answer) == 431


def test_half_a_request_gets_no_answer(served):
    assert served.say(b"GET / HT") == b""
    assert served.say(b"") == b""


def test_a_silent_client_is_left(served, hurried):
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert everything_or_reset(connection) == b""


def everything_or_reset(connection):
    answer = b""
    try:
        while chunk := connection.recv(1 << 16):
            answer += chunk
    except ConnectionResetError:
        pass
    return answer


def test_connections_of_one_address_are_bounded_and_come_back(served):
    held = [served.connect() for _ in range(http.HOST_CONNECTIONS_MAX)]
    for connection in held:
        connection.sendall(b"GET")
    refused = refusal(served)
    assert status_of(refused) == 503
    for connection in held:
        connection.close()
    until(lambda: status_of(served.say(REQUEST)) == 200, seconds=PATIENCE_S, what="room again")


def refusal(served):
    """The first answer that comes without being asked for."""
    with served.connect() as connection:
        return everything(connection)


def test_connections_are_bounded_in_all(served, monkeypatch):
    monkeypatch.setattr(http, "HOST_CONNECTIONS_MAX", 1000)
    held = [served.connect() for _ in range(http.CONNECTIONS_MAX)]
    try:
        assert status_of(refusal(served)) == 503
    finally:
        for connection in held:
            connection.close()


def test_a_reader_that_stops_is_left_and_has_made_nothing_pile_up(monkeypatch):
    with Served(Plane(), BIG_TEXT) as served:
        began = time.monotonic()
        assert served.ask("/metrics").status == 200
        # To make so long an answer takes its own time, and more of it on a busy machine.
        monkeypatch.setattr(http, "ANSWER_S", 0.3 + 5 * (time.monotonic() - began))
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.settimeout(PATIENCE_S)
            slow.connect(("127.0.0.1", served.port))
            slow.sendall(REQUEST)
            answer = slow.recv(1000)
            until(lambda: not served.call(connections(served)), seconds=PATIENCE_S,
                  what="the connection to be given up")
            answer += everything_or_reset(slow)
        (length,) = re.findall(rb"Content-Length: ([0-9]+)", answer)
        assert len(answer) < int(length)
        assert served.ask("/metrics").status == 200


async def connections(served):
    return len(served.server._conversations)


def test_many_that_ask_at_once_share_one_reading(served, plane):
    readings = []

    def worker_stats():
        readings.append(1)
        return Plane().worker_stats()

    plane.worker_stats = worker_stats
    connections = [served.connect() for _ in range(http.HOST_CONNECTIONS_MAX)]
    for connection in connections:
        connection.sendall(REQUEST)
    answers = {everything(connection).split(b"\r\n\r\n", 1)[1] for connection in connections}
    assert (len(answers), len(readings)) == (1, 1)


def test_the_loop_goes_on_while_a_document_is_written(served, monkeypatch):
    may_end = threading.Event()
    monkeypatch.setattr(
        documents, "status_json", lambda reading: b"{}" if may_end.wait(PATIENCE_S) else b"")
    with served.connect() as connection:
        connection.sendall(b"GET /status.json HTTP/1.0\r\n\r\n")
        assert served.ask("/").status == 200
        may_end.set()
        assert everything(connection).endswith(b"{}")


def test_the_loop_goes_on_while_services_are_read():
    async def turns_of_others(served):
        reading, turns = asyncio.create_task(served.reader.read()), 0
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    with Served(Plane(), BIG_TEXT) as served:
        assert served.call(turns_of_others(served)) >= BIG // STEP


def test_a_slot_that_changes_hands_while_services_are_read_is_told_for_neither():
    last = f"s{BIG - 1}"

    async def told(served):
        reading = asyncio.create_task(served.reader.read())
        await asyncio.sleep(0)      # it has begun
        await served.catalogue.delete(last)
        served.plane.left.clear()
        await served.catalogue.create(
            Service(name="other", prefixes=["198.51.100.1"], ports=["80"]))
        assert served.catalogue.slot("other") == BIG - 1
        return [service.name for service in (await reading).services]

    with Served(Plane(), BIG_TEXT) as served:
        names = served.call(told(served))
    assert len(names) == BIG - 1
    assert not {last, "other"} & set(names)


def test_a_closed_data_plane_is_no_reason_to_break():
    with Served(Closed()) as served:
        assert served.ask("/metrics").status == 503
        assert served.ask("/status.json").status == 503
        assert served.ask("/").status == 200


def test_a_stop_leaves_no_connection_and_no_port(plane):
    with Served(plane) as served:
        idle = served.connect()
        until(lambda: served.call(connections(served)), seconds=PATIENCE_S, what="a welcome")
        port = served.port
    with idle:
        assert everything_or_reset(idle) == b""
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_an_address_that_can_not_be_had_is_refused(served):
    for address in (f"127.0.0.1:{served.port}", "192.0.2.1:9105"):
        other = http.MetricsServer(address, served.documents)
        with pytest.raises(Refusal, match=r"management.metrics_address: can't listen at"):
            served.call(other.start())


def test_all_addresses_means_both_families(served):
    async def start():
        other = http.MetricsServer(f"[::]:{port}", served.documents)
        await other.start()
        return other

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    other = served.call(start())
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port), timeout=PATIENCE_S) as connection:
            connection.sendall(REQUEST)
            assert status_of(everything(connection)) == 200
    served.call(other.stop())


def test_without_an_address_it_serves_nowhere(served):
    silent = http.MetricsServer("", served.documents)
    served.call(silent.start())
    served.call(silent.stop())


def test_the_pages_numbers_are_the_data_planes_without_addresses(served):
    answer = served.ask("/status.json").read()
    status = json.loads(answer)
    assert [worker["counters"]["received"] for worker in status["workers"]] == [7, 7]
    assert [service["name"] for service in status["services"]] == ["web", "mail"]
    assert [service["activation"] for service in status["services"]] == ["always", "auto"]
    assert [service["connections"] for service in status["services"]] == [3, 4]
    assert status["leaving"] == []
    assert b"192.0.2" not in answer
    assert b"02:00:00" not in answer


def test_the_page_knows_every_counter_in_its_order(served):
    meanings = json.loads(served.ask("/meanings.json").read())
    assert list(meanings) == list(COUNTER_HELP)
    assert [name for name, told in meanings.items() if told["drop"]] == list(DROP_REASONS)
