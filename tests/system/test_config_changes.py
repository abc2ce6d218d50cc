"""The whole set of services changes under connections of real stacks: none of them notices."""

import signal
import socket
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import config_service_pb2 as api
from synproxy.v1.config_pb2 import Config
from synproxy.v1.config_service_pb2_grpc import ConfigServiceStub
from synproxy.v1.service_pb2 import Service

from appliance.lab.peers import Peer
from appliance.lab.proxy import Proxy
from appliance.lab.waiting import until

from .echo import echo

Connect = Callable[[Peer], socket.socket]

CALL_S = 10
TAKEN_S = 10
OTHER = Service(name="other", prefixes=["192.0.2.1"], ports=["80"])


class Configured:
    def __init__(self, proxy: Proxy, stub: ConfigServiceStub) -> None:
        self._proxy = proxy
        self._stub = stub

    def get(self) -> api.GetConfigResponse:
        answer: api.GetConfigResponse = self._stub.GetConfig(
            api.GetConfigRequest(), timeout=CALL_S)
        return answer

    def names(self) -> list[str]:
        return [service.name for service in self.get().config.services]

    def apply(self, config: Config, within_s: int = 0) -> None:
        within = Duration(seconds=within_s) if within_s else None
        self._stub.ApplyConfig(
            api.ApplyConfigRequest(config=config, confirm_within=within), timeout=CALL_S)

    def rollback(self, revision: int) -> None:
        self._stub.RollbackConfig(
            api.RollbackConfigRequest(revision=revision), timeout=CALL_S)

    def write(self, text: str) -> None:
        """Into the daemon's file; returns when it has been read."""
        read = self.get().file
        self._proxy.file.write_text(text)
        self._proxy.process.send_signal(signal.SIGHUP)
        until(lambda: self.get().file.read_time != read.read_time, seconds=TAKEN_S,
              what="the file to be read")


@pytest.fixture
def configured(proxy: Proxy) -> Iterator[Configured]:
    """Afterwards the lab's service is as it was."""
    with grpc.insecure_channel(proxy.address) as channel:
        running = Configured(proxy, ConfigServiceStub(channel))
        config, text = running.get().config, proxy.file.read_text()
        yield running
        running.write(text)
        running.apply(config)


def proved(proxy: Proxy, connect: Connect) -> bool:
    """Whether a new connection meets a cookie."""
    answered = proxy.counters()["synack_sent"]
    echo(connect(Peer.ECHOES))
    return proxy.counters()["synack_sent"] > answered


def test_another_set_is_applied_and_rolled_back(
        proxy: Proxy, configured: Configured, connect: Connect) -> None:
    former = configured.get().revision.number
    connection = connect(Peer.ECHOES)
    echo(connection)
    configured.apply(Config(services=[OTHER]))
    echo(connection)
    assert not proved(proxy, connect)
    configured.rollback(former)
    assert configured.names() == ["lab"]
    echo(connection)
    assert proved(proxy, connect)
    echo(connection)


def test_what_nobody_confirms_comes_back(
        proxy: Proxy, configured: Configured, connect: Connect) -> None:
    connection = connect(Peer.ECHOES)
    configured.apply(Config(services=[OTHER]), within_s=1)
    echo(connection)
    until(lambda: configured.names() == ["lab"], seconds=TAKEN_S, what="the former services")
    echo(connection)
    assert proved(proxy, connect)


def test_the_file_is_taken_and_a_bad_one_is_not(
        proxy: Proxy, configured: Configured, connect: Connect) -> None:
    connection = connect(Peer.ECHOES)
    text = proxy.file.read_text()
    configured.write(text + "  - {name: other, prefixes: [192.0.2.1], ports: [80]}\n")
    assert configured.names() == ["lab", "other"]
    echo(connection)
    configured.write(text + "  - nonsense\n")
    assert not configured.get().file.taken
    assert configured.names() == ["lab", "other"]
    echo(connection)
    configured.write(text)
    assert (configured.get().file.taken, configured.names()) == (True, ["lab"])
    echo(connection)
    assert proved(proxy, connect)
