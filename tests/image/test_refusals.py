"""What can't work in a container is refused by it in a line, and its exit code says of which kind
it is."""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.exit_codes import ExitCode

from .container import READY_S, USER
from .engine import ENGINE, ENVIRONMENT, READ_ONLY

PORT = "{interface: %s, driver: AF_PACKET}"
CONFIGURATION = """\
ports:
  client: %(client)s
  server: %(server)s
memory: {%(memory)s}
limits: {connections: 131072, half_open: 4096}
services:
  - {name: lab, prefixes: [10.71.0.2], ports: [80]}
"""
RIGHTS = ("--cap-add=NET_ADMIN", "--cap-add=NET_RAW")
HUGE_MIB = 1 << 20          # more than any machine that this runs on has in huge pages
DEVICES = ("0000:ff:1e.7", "0000:ff:1f.7")      # nowhere


@dataclass
class Refused:
    code: int
    lines: list[str]
    chosen: list[str] = field(default_factory=list, compare=False)


@pytest.fixture
def run(network: str, image: str, tmp_path: Path):
    """A container that is refused: how it ended, and its lines but those on what it chose."""
    etc, own = tmp_path / "etc", tmp_path / "run"
    for folder in (etc, own):
        folder.mkdir()
    shutil.chown(own, USER, USER)

    def refused(*options: str, client: str = PORT % "client", server: str = PORT % "server",
                mode: int = 0o755, memory: str = "hugepages: false, size_mib: 256",
                sockets: bool = True) -> Refused:
        etc.chmod(mode)
        (etc / "synproxy.yaml").write_text(CONFIGURATION % {
            "client": client, "server": server, "memory": memory})
        ended = subprocess.run(
            [ENGINE, "run", "--rm", "--pull", "never", "--no-healthcheck", "--network", network,
             "--cap-drop", "all", *options, *READ_ONLY, "--volume", f"{etc}:/etc/synproxy:ro",
             *(["--volume", f"{own}:/run/synproxy"] * sockets), image],
            capture_output=True, text=True, timeout=READY_S, check=False, env=ENVIRONMENT)
        assert ended.stdout == ""
        lines = [one.removeprefix("synproxyd: ") for one in ended.stderr.splitlines()]
        chosen = [one for one in lines if re.match(r"[a-z_.]+ \S+: ", one)]
        return Refused(ended.returncode, [one for one in lines if one not in chosen], chosen)

    return refused


def test_one_cpu(run) -> None:
    assert run(*RIGHTS, "--cpuset-cpus", "0") == Refused(
        ExitCode.UNAVAILABLE, ["this process may use one CPU only, 0; give it two: one polls the"
                              " ports, one does all else"])


@pytest.mark.parametrize(("given", "lacking"), [
    (RIGHTS[:1], "net_af_packet needs CAP_NET_RAW"),
    (RIGHTS[1:], "net_af_packet needs CAP_NET_ADMIN"),
])
def test_a_capability_that_is_missing(run, given: tuple[str, ...], lacking: str) -> None:
    refused = run(*given)
    assert refused.code == ExitCode.DENIED
    of_client, of_server = refused.lines
    assert of_client.startswith(f"client: {lacking}; ")
    assert of_server.startswith(f"server: {lacking}; ")


def test_an_interface_that_is_not_there(run) -> None:
    refused = run(*RIGHTS, client=PORT % "nosuch0")
    assert refused.code == ExitCode.UNAVAILABLE
    (line,) = refused.lines
    assert line.startswith("nosuch0: no such interface in this network namespace")


def test_devices_of_a_device_plugin_that_are_not_there(run) -> None:
    """Each port has its own of the two."""
    refused = run(
        "--cap-add=IPC_LOCK", "--env", f"PCIDEVICE_EXAMPLE_COM_PORTS={','.join(DEVICES)}",
        client="{pci: PCIDEVICE_EXAMPLE_COM_PORTS}", server="{pci: PCIDEVICE_EXAMPLE_COM_PORTS}")
    assert refused.chosen[:2] == [
        f"ports.{port}.pci {device}: PCIDEVICE_EXAMPLE_COM_PORTS"
        for port, device in zip(("client", "server"), DEVICES, strict=True)]
    assert refused == Refused(ExitCode.UNAVAILABLE, [
        f"{device}: no such PCI device; `lspci -D` lists those that are there"
        for device in DEVICES])


def test_too_few_huge_pages(run) -> None:
    refused = run(*RIGHTS, memory=f"size_mib: {HUGE_MIB}")
    assert refused.code == ExitCode.UNAVAILABLE
    (line,) = refused.lines
    assert f"asks for {HUGE_MIB} MiB of huge pages" in line
    assert line.endswith("or set memory.hugepages to false")


def test_a_folder_that_its_user_may_not_enter(run) -> None:
    assert run(*RIGHTS, mode=0o700) == Refused(ExitCode.DENIED, [
        "/etc/synproxy/synproxy.yaml: can't be read: Permission denied;"
        f" let user {USER} read it, and enter its folder"])


def test_no_place_for_its_sockets(run) -> None:
    refused = run(*RIGHTS, sockets=False)
    assert refused.code == ExitCode.UNAVAILABLE
    (line,) = refused.lines
    assert line.startswith("management.address: /run/synproxy is read-only; mount a tmpfs there")
