"""SIGTERM lets connections end before the daemon does, for its grace and no longer."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from appliance.api import SERVICE_NAMES
from appliance.exit_codes import ExitCode
from appliance.lab.namespace import synproxy_command
from appliance.lab.peers import Peer
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.waiting import until
from appliance.lab.worker_threads import worker_threads

from ..appliance.stalled_thread import stalled

PATIENCE_S = 10
AT_ONCE_S = 5               # gRPC's calls have a second, then the ports are given back
GRACE_S = 2
LONG_S = 60                 # longer than any test waits for
LOOKS_S = 20                # two whole looks through the tables, 4 s each

pytestmark = pytest.mark.usefixtures("journal")
Serve = Callable[[int], Proxy]


@pytest.fixture
def serve(lab: Lab, driver: str) -> Iterator[Serve]:
    """Starts a daemon with so many seconds of grace."""
    with ExitStack() as held:
        def started(grace_s: int) -> Proxy:
            proxy = held.enter_context(Proxy(lab, driver, stop_grace=f"{grace_s}s"))
            # Whatever a test leaves open, the end doesn't wait for it.
            held.callback(proxy.stop, signal.SIGINT)
            return proxy
        yield started


@pytest.fixture
def opened(lab: Lab) -> Iterator[Callable[[], socket.socket]]:
    with ExitStack() as held:
        def connected() -> socket.socket:
            connection = held.enter_context(
                lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM))
            connection.settimeout(PATIENCE_S)
            connection.connect((SERVER_IPV4, Peer.ECHOES))
            assert echoed(connection)
            return connection
        yield connected


def echoed(connection: socket.socket) -> bool:
    connection.sendall(b"hello\n")
    return connection.recv(64) == b"hello\n"


def told(proxy: Proxy, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        synproxy_command(*arguments, address=proxy.address),
        check=False, capture_output=True, text=True, timeout=PATIENCE_S)


def asked_to_end(proxy: Proxy) -> None:
    proxy.process.send_signal(signal.SIGTERM)
    until(lambda: "ends when no connection needs it" in proxy.log(), seconds=PATIENCE_S,
          what="the drain")


def test_connections_go_on_and_new_ones_pass_until_the_last_has_ended(
        serve: Serve, opened: Callable[[], socket.socket]) -> None:
    proxy = serve(LONG_S)
    old = opened()
    asked_to_end(proxy)
    new = opened()
    assert echoed(old)
    assert echoed(new)
    # Nobody is to send more to it, and its API says why.
    health = told(proxy, "health")
    assert health.returncode == 6
    assert health.stdout.count("NOT_SERVING") == len(SERVICE_NAMES)
    drain = json.loads(told(proxy, "system", "show", "-o", "json").stdout)["drain"]
    assert (drain["draining"], drain["policy"]) == (True, "DRAIN_POLICY_BRIDGE")
    # The new one has passed, and goes on without us.
    old.close()
    assert proxy.process.wait(LOOKS_S) == 0


def test_without_connections_it_ends_at_once(serve: Serve) -> None:
    proxy = serve(LONG_S)
    began_s = time.monotonic()
    assert proxy.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began_s < AT_ONCE_S


def test_who_drains_already_has_it_go_on_as_it_was(
        serve: Serve, opened: Callable[[], socket.socket]) -> None:
    proxy = serve(LONG_S)
    opened()
    assert told(proxy, "drain", "--policy", "drop").returncode == 0
    asked_to_end(proxy)
    drain = json.loads(told(proxy, "system", "show", "-o", "json").stdout)["drain"]
    assert drain["policy"] == "DRAIN_POLICY_DROP"


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(
        serve: Serve, opened: Callable[[], socket.socket], again: signal.Signals) -> None:
    proxy = serve(LONG_S)
    opened()
    asked_to_end(proxy)
    began_s = time.monotonic()
    assert proxy.stop(again) == 0
    assert time.monotonic() - began_s < AT_ONCE_S


def test_ctrl_c_waits_for_no_connection(
        serve: Serve, opened: Callable[[], socket.socket]) -> None:
    proxy = serve(LONG_S)
    opened()
    began_s = time.monotonic()
    assert proxy.stop(signal.SIGINT) == 0
    assert time.monotonic() - began_s < AT_ONCE_S


def test_when_the_grace_is_over_it_ends_whoever_is_connected(
        serve: Serve, opened: Callable[[], socket.socket]) -> None:
    proxy = serve(3)
    connection = opened()
    began_s = time.monotonic()
    asked_to_end(proxy)
    assert echoed(connection)
    assert proxy.process.wait(PATIENCE_S) == 0
    assert 3 <= time.monotonic() - began_s < 3 + AT_ONCE_S


def test_nor_does_it_wait_for_a_worker_that_makes_no_turn(
        lab: Lab, driver: str, opened: Callable[[], socket.socket]) -> None:
    """Of which it was only to tell."""
    proxy = Proxy(lab, driver, stop_grace=f"{GRACE_S}s")
    proxy.file.write_text(
        proxy.file.read_text().replace("control_lcore: 0", "control_lcore: 0, on_stall: REPORT"))
    with proxy:
        opened()
        (worker,) = worker_threads(proxy.process.pid)
        with stalled(worker) as held:
            until(lambda: "is stuck" in proxy.log(), seconds=PATIENCE_S, what="it to be told")
            began_s = time.monotonic()
            asked_to_end(proxy)
            held.await_end(seconds=PATIENCE_S)
            assert time.monotonic() - began_s < GRACE_S + AT_ONCE_S
        assert proxy.process.wait(PATIENCE_S) == ExitCode.STALLED
        assert "which is to end, doesn't wait for it" in proxy.log()


def test_what_nobody_confirms_is_rolled_back_however_long_it_drains(
        serve: Serve, opened: Callable[[], socket.socket]) -> None:
    proxy = serve(LONG_S)
    opened()
    wanted = proxy.file.with_suffix(".wanted")
    wanted.write_text(proxy.file.read_text().replace("5201", "5202"))
    assert told(proxy, "config", "apply", str(wanted), "--confirm-within", "1s").returncode == 0
    asked_to_end(proxy)
    until(lambda: "rollback: revision 2 was not confirmed in 1s" in proxy.log(),
          seconds=PATIENCE_S, what="the former revision")
    assert "5201" in told(proxy, "service", "get", "lab").stdout
