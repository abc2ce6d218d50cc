"""What is asked of a container that serves, from outside: by clients, by gRPC, by Prometheus."""

import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import grpc
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.lab.report import Report
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.webserver import PORT

from .container import CALL_S, METRICS, Container

Ask = Callable[[int], Report]
Flood = Callable[[], AbstractContextManager[None]]
Connected = Callable[[], socket.socket]

REQUESTS = 500
TIMESTAMPS_BYTES = 12       # of each segment, which a host takes off its MSS


def connect(lab: Lab) -> socket.socket:
    """A client that the web server has answered, and may ask again."""
    connection = lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.settimeout(CALL_S)
    connection.connect((SERVER_IPV4, PORT))
    assert answered(connection)
    return connection


def answered(connection: socket.socket) -> bool:
    connection.sendall(b"HEAD /one HTTP/1.1\r\nHost: lab\r\n\r\n")
    return connection.recv(4096).startswith(b"HTTP/1.1 200")


def mss_told(connection: socket.socket) -> int:
    """To this client, which has timestamps."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) + TIMESTAMPS_BYTES


def counter(container: Container, name: str) -> int:
    """Of all workers, since its start."""
    with grpc.insecure_channel(container.address) as channel:
        stats = StatsServiceStub(channel).GetStats(GetStatsRequest(), timeout=CALL_S)
    return sum(worker.counters[name] for worker in stats.workers)


def metric(lab: Lab, series: str) -> float:
    """As a scrape has it."""
    page = lab.proxy.run(["curl", "--silent", "--fail", f"http://{METRICS}/metrics"]).stdout
    (value,) = re.findall(rf"^{re.escape(series)} (\S+)$", page, re.MULTILINE)
    return float(value)
