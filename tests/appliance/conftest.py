"""A configuration to start from and ways to break it; a management server to talk to."""

import asyncio
import json
import os
import subprocess
import textwrap
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
import pytest
from click.testing import CliRunner
from synproxy.v1.rule_pb2 import Role

from appliance.cli.main import main
from appliance.config.listening import Listening
from appliance.config.load import ConfigError, config_load, config_parse
from appliance.config_file import ConfigFile
from appliance.management.audit import AuditLog
from appliance.management.catalogue import Catalogue
from appliance.management.confirmation import Confirmation
from appliance.management.server import ManagementServer
from appliance.reload import Reloader
from appliance.state.folder import Folder
from appliance.state.history import History
from appliance.state.start import start_from
from cython_core.dataplane import Dataplane

from .certificates import Authority
from .config_client import Client
from .daemon_process import CONFIGURATION, LCORES, Running
from .disks import small
from .doors import ROLES, all_listening, install, socket_of
from .plane import Plane

Result = TypeVar("Result")

# Two ports that DPDK makes out of nothing, so that it runs on any host.
MINIMAL = """\
ports:
  client: {device: net_ring0}
  server: {device: net_ring1}
"""

SLOTS = 4       # of services

SERVICES = MINIMAL + """\
defaults: {wscale: 9}
services:
  - {name: web, prefixes: [192.0.2.0/24], ports: [443, 8000-8100], options: {mss: 1400}}
  - {name: mail, prefixes: [192.0.2.25], ports: [25]}
"""


@pytest.fixture
def minimal() -> str:
    return MINIMAL


@pytest.fixture
def problems() -> Callable[[str], list[str]]:
    """What is wrong with a file of this text, without the file's name."""

    def parse(text: str) -> list[str]:
        try:
            config_parse(textwrap.dedent(text).encode(), "f")
        except ConfigError as error:
            return [str(problem).removeprefix("f:") for problem in error.problems]
        return []

    return parse


@pytest.fixture
def config_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "synproxy.yaml"
        path.write_text(textwrap.dedent(text))
        return path

    return write


class Daemon:
    """A management server in a thread of its own, over a plane without packets."""

    def __init__(
        self, path: Path, listening: Sequence[Listening] = (), state: Path | None = None,
        text: str = SERVICES,
    ) -> None:
        """Listens to admins at `path`, and where `listening` says.  `state` is a folder of
        revisions, `text` the configuration file beside the socket."""
        self._state = state
        self._text = text
        self.plane = Plane()
        self.address = f"unix:{path}"
        self.path = path.with_suffix(".yaml")       # the configuration
        self.listening = [Listening("management", self.address), *listening]
        self.logged: list[str] = []     # the lines of the audit log
        self._said = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Daemon":
        self._thread.start()
        self.call(self._start())
        self.channel = grpc.insecure_channel(self.address)
        return self

    def __exit__(self, *reason: object) -> None:
        self.channel.close()
        self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Coroutine[None, None, Result]) -> Result:
        """Run it in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    def do(self, work: Callable[..., None], *arguments: object) -> None:
        """In the server's loop, too."""
        async def done() -> None:
            work(*arguments)

        self.call(done())

    def spawn(self, work: Coroutine[None, None, None]) -> "Future[None]":
        """Begin it in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def goes_on_alone(self) -> bool:
        """Whether it knows of a caller who has gone, and hasn't ended the call."""
        return any(task.cancelling() for task in asyncio.all_tasks(self._loop))

    def lines(self, count: int) -> list[Any]:
        """Of the audit log, as a program reads it, once there are `count` of them: a call's own
        follows its answer."""
        with self._said:
            assert self._said.wait_for(lambda: len(self.logged) >= count, timeout=20), self.logged
            return [json.loads(line) for line in self.logged]

    def _log(self, line: str) -> None:
        with self._said:
            self.logged.append(line)
            self._said.notify_all()

    async def _start(self) -> None:
        management = f"management: {{state_folder: {self._state}}}\n" if self._state else ""
        self.path.write_text(management + self._text)
        config = config_load(self.path)
        self.file = ConfigFile(self.path, config)
        dataplane, log = cast(Dataplane, self.plane), AuditLog(self._log)
        self.begun = start_from(config, self.path)
        live = self.begun.live
        self.catalogue = Catalogue(
            list(live.services.values()), live.defaults, dataplane, SLOTS, self.begun.history)
        self.server = ManagementServer(
            self.listening, self.catalogue, dataplane, self.file, log
        )
        self.reloader = Reloader(self.file, self.catalogue, log)
        await self.catalogue.begin(self.begun.file, self.begun.origin)
        self.confirmation = Confirmation(self.catalogue, log)
        self._confirming = asyncio.create_task(self.confirmation.run())
        await self.server.start()
        await self.catalogue.acknowledged()
        self.server.set_ready()
        self.server.set_configuration(True)

    async def _stop(self) -> None:
        self._confirming.cancel()
        await self.server.stop()
        self.begun.history.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "api.sock") as running:
        yield running


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder of revisions, which isn't there yet."""
    return tmp_path / "state"


@pytest.fixture
def small_disk(state: Path) -> Iterator[Path]:
    """The same, with a disk of its own."""
    with small(state):
        yield state


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "ours")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "other")


@pytest.fixture
def tls_files(tmp_path: Path, authority: Authority) -> Path:
    """The folder of a daemon's three files."""
    folder = tmp_path / "tls"
    folder.mkdir()
    install(folder, authority.daemon_certificate(), authority)
    return folder


@dataclass(frozen=True)
class Doors:
    """A daemon's addresses."""

    daemon: Daemon
    sockets: dict[Role, str]
    tls: str


@pytest.fixture
def doors(tmp_path: Path, tls_files: Path) -> Iterator[Doors]:
    """A daemon with a socket for each role, and one that listens with TLS."""
    listening = all_listening(tmp_path, tls_files)
    with Daemon(tmp_path / "api.sock", listening) as daemon:
        yield Doors(daemon, {role: socket_of(tmp_path, role) for role in ROLES},
                    listening[-1].address)


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration that runs, but for what is changed."""

    def write(name: str = "synproxy", **changes: object) -> Path:
        values: dict[str, object] = {
            "client": "{device: net_ring0}", "server": "{device: net_ring1}",
            "control": LCORES[0], "worker": LCORES[-1], "hugepages": "false", "size_mib": 256,
            "prefix": f"test-{os.getpid()}-{name}", "address": f"unix:{tmp_path}/{name}.sock",
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(CONFIGURATION.format(**values | changes))
        return path

    return write


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    daemons: list[Running] = []

    def run(
        config: Path, env: dict[str, str] | None = None, before: Sequence[str] = (),
        program: Sequence[str] = (),
    ) -> Running:
        daemons.append(Running(config, env, before, program))
        return daemons[-1]

    yield run
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def veth() -> Iterator[tuple[str, str]]:
    names = (f"t{os.getpid()}a", f"t{os.getpid()}b")
    subprocess.run(
        ["ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1]], check=True
    )
    yield names
    subprocess.run(["ip", "link", "delete", names[0]], check=True)


@pytest.fixture
def synproxy(daemon):
    """Runs the client against the daemon; returns its result."""

    def run(*arguments):
        return CliRunner().invoke(main, ["--address", daemon.address, *arguments])

    return run


@pytest.fixture
def client(daemon):
    return Client(daemon.channel)


@pytest.fixture
def kept(tmp_path, state):
    """A daemon with a folder of revisions; called again, it is started again."""
    with ExitStack() as running:

        def start(meanwhile=lambda: None):
            running.close()
            meanwhile()
            daemon = running.enter_context(Daemon(tmp_path / "api.sock", state=state))
            return daemon, Client(daemon.channel)

        yield start


@pytest.fixture
def opened(state):
    """Opens the folder as a daemon that starts does."""
    folders_open: list[Folder] = []

    def load(limit=100):
        while folders_open:
            folders_open.pop().close()
        history = History(limit=limit)
        folders_open.append(Folder(state))
        history.notices += history.load(folders_open[-1])
        return history

    yield load
    while folders_open:
        folders_open.pop().close()
