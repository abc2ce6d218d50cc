"""What the host refuses to a daemon that runs, link, disk, descriptors: each has a
counter of its name or an error that says so, and it goes on once there is some again.

`make refused` refuses each 100 times.  Buffers, and room to send: tests/dpdk/test_refused.py.
"""

import os
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.exit_codes import ExitCode
from appliance.lab.namespace import synproxy_command
from appliance.lab.peers import Peer
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.traffic import Kind, Lane, Traffic
from appliance.lab.waiting import until

from ..appliance.disks import fill, small

Figure = Callable[[str], None]

REFUSALS = int(os.environ.get("LAB_REFUSALS", "1"))
DOWN_S = 0.3
AGAIN_S = 5             # until a client is served that tries all the while
TRY_S = 0.5
PATIENCE_S = 10
SPARE_DESCRIPTORS = 3
CALLERS = 40            # more than that

pytestmark = pytest.mark.usefixtures("journal")


def served(lab: Lab) -> bool:
    """Whether a new connection has come through, by its echo."""
    with lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(TRY_S)
        with suppress(OSError):
            connection.connect((SERVER_IPV4, Peer.ECHOES))
            connection.sendall(b"hello\n")
            return connection.recv(64) == b"hello\n"
    return False


def until_served(lab: Lab) -> float:
    """How long that took."""
    began_s = time.monotonic()
    until(lambda: served(lab), seconds=AGAIN_S, what="a client to be served")
    return time.monotonic() - began_s


def told(proxy: Proxy, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(synproxy_command(*arguments, address=proxy.address), check=False,
                          capture_output=True, text=True, timeout=PATIENCE_S)


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_link_that_went_down_carries_again_once_it_is_up(
        lab: Lab, driver: str, side: str, figure: Figure) -> None:
    lanes = [Lane(SERVER_IPV4, Kind.TO_AND_FRO, pause_s=0.05) for _ in range(4)]
    again = []
    with Proxy(lab, driver) as proxy:
        with Traffic(lab, lanes) as traffic:
            until(lambda: len(proxy.connections()) >= len(lanes), seconds=PATIENCE_S,
                  what="the connections")
            for _ in range(REFUSALS):
                lab.proxy.ip([f"link set {side} down"])
                until(lambda: not link_up(proxy, side), seconds=PATIENCE_S, what="it to be told")
                assert not served(lab)
                lab.proxy.ip([f"link set {side} up"])
                again.append(until_served(lab))
                assert link_up(proxy, side)
        failed = [one for one in traffic.transfers() if one.failure]
    figure(f"{REFUSALS} times down, a new client served {max(again):.2f} s after it was up at most,"
           f" {len(failed)} of {len(lanes)} connections lost")
    assert not failed


def link_up(proxy: Proxy, side: str) -> bool:
    (port,) = [port for port in proxy.stats().ports if port.role == side]
    return bool(port.link_up)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    with small(folder):
        yield folder


def test_on_a_full_disk_a_change_is_refused_and_traffic_goes_on(
        lab: Lab, driver: str, disk: Path) -> None:
    with Proxy(lab, driver, state_folder=str(disk)) as proxy:
        for at in range(REFUSALS):
            ballast = fill(disk)
            refused = told(proxy, "service", "set", "lab", f"mss={1300 + at}")
            assert refused.returncode == ExitCode.UNAVAILABLE
            assert refused.stderr.endswith(
                "No space left on device; nothing was changed, since it would not survive a"
                " restart\n")
            assert served(lab)
            ballast.unlink()
            assert told(proxy, "service", "set", "lab", f"mss={1300 + at}").returncode == 0


def test_without_room_for_its_shards_connections_end_with_it_and_it_says_so(
        lab: Lab, driver: str, disk: Path) -> None:
    for _ in range(REFUSALS):
        with Proxy(lab, driver, shard_file=f"{disk}/shards") as proxy:
            assert "no room for" in proxy.beginning().unkept_reason
            assert "connections will end with this process" in proxy.log()
            assert served(lab)


def test_a_capture_on_a_full_disk_ends_with_a_word(lab: Lab, driver: str, disk: Path) -> None:
    with Proxy(lab, driver) as proxy:
        for _ in range(REFUSALS):
            ballast = fill(disk)
            with subprocess.Popen(
                    synproxy_command("capture", "--count", "1000", "--write", f"{disk}/all.pcapng",
                                     address=proxy.address),
                    stderr=subprocess.PIPE, text=True) as capture:
                assert served(lab)
                _, said = capture.communicate(timeout=PATIENCE_S)
            assert capture.returncode == ExitCode.FAILED
            assert "No space left on device" in said
            assert served(lab)
            ballast.unlink()
            (disk / "all.pcapng").unlink(missing_ok=True)


@contextmanager
def short_of_descriptors(process_id: int) -> Iterator[Callable[[], bool]]:
    """What is yielded tells whether none is left."""
    def used() -> int:
        return len(os.listdir(f"/proc/{process_id}/fd"))

    before = resource.prlimit(process_id, resource.RLIMIT_NOFILE)
    limit = used() + SPARE_DESCRIPTORS
    resource.prlimit(process_id, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield lambda: used() >= limit
    finally:
        resource.prlimit(process_id, resource.RLIMIT_NOFILE, before)


def update(mss: int) -> api.UpdateServiceRequest:
    request = api.UpdateServiceRequest(update_mask={"paths": ["options.mss"]})
    request.service.name, request.service.options.mss = "lab", mss
    return request


def test_without_descriptors_callers_wait_and_traffic_goes_on(
        lab: Lab, driver: str, disk: Path) -> None:
    with (Proxy(lab, driver, state_folder=str(disk)) as proxy,
          grpc.insecure_channel(proxy.address) as channel):
        services = ServicesServiceStub(channel)
        services.GetService(api.GetServiceRequest(name="lab"))      # over this it asks later
        for at in range(REFUSALS):
            with short_of_descriptors(proxy.process.pid) as used_up, ExitStack() as held:
                for _ in range(CALLERS):
                    caller = held.enter_context(socket.socket(socket.AF_UNIX))
                    caller.connect(proxy.address.removeprefix("unix:"))
                until(used_up, seconds=PATIENCE_S, what="the last descriptor to be used")
                assert served(lab)
                # Over a connection that it has: a file can't be opened for it.
                with pytest.raises(grpc.RpcError) as refused:
                    services.UpdateService(update(1300 + at), timeout=PATIENCE_S)
                assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
                assert "Too many open files" in refused.value.details()
                assert served(lab)
            until(lambda: told(proxy, "health").returncode == 0, seconds=PATIENCE_S,
                  what="the API to answer")
            assert told(proxy, "service", "set", "lab", f"mss={1300 + at}").returncode == 0
        assert "Traceback" not in proxy.log()
