"""synproxyd as a process, on the real data plane, with rings for ports unless told otherwise."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.lab.namespace import synproxy_command

READY_S = 30        # EAL without huge pages clears its memory first
STOP_S = 15
LCORES = sorted(os.sched_getaffinity(0))

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes interfaces")
two_cores = pytest.mark.skipif(len(LCORES) < 2, reason="a worker needs a core of its own")

CONFIGURATION = """\
ports:
  client: {client}
  server: {server}
workers: {{lcores: [{worker}], control_lcore: {control}}}
memory: {{hugepages: {hugepages}, size_mib: {size_mib}}}
limits: {{connections: 65536, half_open: 4096}}
eal: {{file_prefix: {prefix}}}
management: {{address: "{address}"}}
defaults: {{mss: 1400}}
services:
  - {{name: web, prefixes: [192.0.2.0/24, "2001:db8::/32"], ports: [443]}}
"""


def opened(path: Path) -> None:
    """Anybody may enter the folders above it; more than that changes of none, /tmp among them."""
    for folder in path.parents[:-1]:
        folder.chmod(folder.stat().st_mode | 0o055)


def command(verb: str, config: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "appliance.daemon", verb, "--config", str(config)]


def finished(verb: str, config: Path, **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command(verb, config), capture_output=True, text=True, timeout=READY_S, **how
    )


class Running:
    """A daemon that has said that it is ready."""

    def __init__(
        self, config: Path, env: dict[str, str] | None = None, before: Sequence[str] = (),
        program: Sequence[str] = (),
    ) -> None:
        """`before` is a command that executes the one after it, `program` another than
        `synproxyd run`."""
        self._log = config.with_suffix(".log")
        self.address = f"unix:{config.with_suffix('.sock')}"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*before, *(program or command("run", config))], stdout=log, stderr=log,
                env={**os.environ, **(env or {})},
            )
        deadline = time.monotonic() + READY_S
        while "ready: " not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                pytest.fail(f"not ready: {self.said()}")
            time.sleep(0.05)

    def said(self) -> str:
        return self._log.read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def synproxy(self, *arguments: str) -> str:
        result = subprocess.run(
            synproxy_command(*arguments, address=self.address), capture_output=True, text=True,
            timeout=STOP_S, check=True,
        )
        return result.stdout


def cores_of(daemon: Running) -> list[str]:
    """What each of its threads may run on."""
    return [
        line.split()[1]
        for task in Path(f"/proc/{daemon.process.pid}/task").iterdir()
        for line in (task / "status").read_text().splitlines()
        if line.startswith("Cpus_allowed_list:")
    ]


def left_behind(folder: Path) -> list[str]:
    """Sockets in the folder, and EAL's runtime directories for our prefix."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", "/var/run")) / "dpdk"
    return [
        *(path.name for path in folder.glob("*.sock")),
        *(path.name for path in runtime.glob(f"test-{os.getpid()}-*")),
    ]
