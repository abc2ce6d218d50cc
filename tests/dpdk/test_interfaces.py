"""Interfaces of the kernel: connections through one worker or two, and a clean end.

Two workers poll here on the CPU of one.  The kernel spreads frames over a port's queues without
regard to who owns a flow, so that every other one is handed over; with one queue a port, one worker
reads all and both send by it.
"""

import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from appliance.lab.topology import SERVER_IPV4, Lab

from .conftest import PROGRAM, WEB, check_books, lcores, settings

PORT = 7000
CONNECTIONS = 60
ANSWER = bytes(range(256)) * 40
PATIENCE_S = 10
SERVICE = {**WEB, "prefixes": [f"{SERVER_IPV4}/32"], "ports": [[PORT, PORT]]}
ONE_WORKER = {}
TWO_WORKERS = lcores(2)


@pytest.fixture(scope="module")
def lab():
    with Lab() as laid:
        yield laid


@contextmanager
def server(lab):
    """Answers every connection, then closes it."""
    listener = lab.server.open_socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((SERVER_IPV4, PORT))
    listener.listen(CONNECTIONS)

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection:
            connection.recv(100)
            connection.sendall(ANSWER)

    threading.Thread(target=accept, daemon=True).start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture(scope="module")
def _server(lab):
    with server(lab):
        yield


def connect_all(lab) -> int:
    """How many connections brought the whole answer; all are open at once."""
    clients = []
    for _ in range(CONNECTIONS):
        client = lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM)
        client.settimeout(PATIENCE_S)
        client.connect((SERVER_IPV4, PORT))
        clients.append(client)
    return sum(converse(client) == ANSWER for client in clients)


def converse(client) -> bytes:
    with client, client.makefile("rb") as answer:
        client.sendall(b"?")
        return answer.read()


def run_between(lab, client_port, server_port, service=SERVICE, **differences) -> dict:
    """All connections through a plane between two interfaces; what it told."""
    with plane_between(lab, job_of(client_port, server_port, service, **differences)) as end:
        assert connect_all(lab) == CONNECTIONS
        return end()


def job_of(client_port, server_port, service=SERVICE, **differences) -> dict:
    return {"settings": settings(client_port=client_port, server_port=server_port, **differences),
            "services": [[service]], "received": 0, "seconds": 0}


@contextmanager
def plane_between(lab, job):
    """Runs; what is yielded ends it and returns what it told."""
    with lab.start(lab.proxy, [sys.executable, "-P", str(PROGRAM)], stdin=subprocess.PIPE,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"running\n", process.stdout.read()

        def end() -> dict:
            out, err = process.communicate(timeout=PATIENCE_S)
            assert (process.returncode, err) == (0, b"")
            told = json.loads(out.splitlines()[-1])
            check_books(told)
            return told

        yield end


def link(lab, interface: str) -> str:
    return lab.proxy.run(["ip", "-details", "link", "show", interface]).stdout


@pytest.mark.usefixtures("_server")
@pytest.mark.parametrize("driver", ["net_af_packet", "net_af_xdp"])
def test_connections_pass_and_the_interfaces_are_left_as_they_were(lab, driver):
    before = [link(lab, name).replace("NO-CARRIER,", "") for name in ("client", "server")]
    told = run_between(lab, f"{driver}0,iface=client", f"{driver}1,iface=server")
    (worker,) = told["workers"]
    assert worker["counters"]["cookie_valid"] == CONNECTIONS
    assert worker["counters"]["server_established"] == CONNECTIONS
    assert worker["counters"]["tx_full"] == 0
    assert [link(lab, name) for name in ("client", "server")] == before


@pytest.mark.usefixtures("_server")
@pytest.mark.parametrize(("driver", "arguments"), [
    ("net_af_packet", ",qpairs=2"), ("net_af_packet", ",qpairs=3"), ("net_af_packet", ""),
    ("net_af_xdp", "")], ids=["as-many-queues", "more-queues", "one-queue", "one-xdp-queue"])
def test_two_workers_hand_over_to_the_owner_of_a_flow(lab, driver, arguments):
    told = run_between(lab, f"{driver}0,iface=client{arguments}",
                       f"{driver}1,iface=server{arguments}", **TWO_WORKERS)
    counters = [worker["counters"] for worker in told["workers"]]
    assert sum(each["cookie_valid"] for each in counters) == CONNECTIONS
    assert sum(each["translated"] for each in counters) > CONNECTIONS
    assert all(each["cookie_valid"] > 0 for each in counters)
    # What a former test has left half closed is adopted.
    assert sum(worker["connections"] for worker in told["workers"]) == CONNECTIONS + sum(
        each["conn_adopted"] for each in counters)


@pytest.mark.usefixtures("_server")
def test_what_one_worker_answers_with_a_cookie_is_good_at_each(lab):
    """Only who receives a SYN judges the load by it, and an ACK may be another's."""
    service = {**SERVICE, "options": {"activation": "auto", "syn_rate_mark": CONNECTIONS // 3}}
    told = run_between(
        lab, "net_af_packet0,iface=client,qpairs=2", "net_af_packet1,iface=server,qpairs=2",
        service, **TWO_WORKERS)
    counters = [worker["counters"] for worker in told["workers"]]
    assert sum(each["syn_received"] for each in counters) > CONNECTIONS // 4
    assert all(each["cookie_valid"] > 0 for each in counters)


def test_an_interface_that_another_program_has_is_busy(lab):
    job = {"settings": settings(client_port="net_af_xdp0,iface=client"), "services": [[SERVICE]],
           "received": 0, "seconds": 0}
    command = [sys.executable, "-P", str(PROGRAM)]
    with lab.start(lab.proxy, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        first.stdin.write(json.dumps(job).encode() + b"\n")
        first.stdin.flush()
        assert first.stdout.readline() == b"running\n"
        job["settings"]["file_prefix"] += "-second"
        second = lab.proxy.run(command, input=json.dumps(job))
        assert json.loads(second.stdout) == {"refused": (
            "client port net_af_xdp0,iface=client: busy; another program has the interface's"
            " queue, stop that one")}
        first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 0
