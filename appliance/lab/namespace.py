"""A network namespace of the lab: made, entered, emptied and removed.

Namespaces carry names in iproute2's way, a bind mount under /run/netns (ip-netns(8)), so that
one lives on without a process in it and a later run can find and remove what a crash left.

Reading list: ip-netns(8), taskset(1), setns(2), network_namespaces(7).
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from appliance.lab.waiting import until

NAMED = Path("/run/netns")          # where iproute2 keeps the names
CLONE_NEWNET = 0x40000000           # <sched.h>: setns(2) accepts network namespaces only

# The tools that the lab and its tests call, and Debian's packages that have them.
TOOLS = {
    "curl": "curl", "ethtool": "ethtool", "ip": "iproute2", "iperf3": "iperf3", "nft": "nftables",
    "nginx": "nginx-light", "nstat": "iproute2", "openssl": "openssl", "ping": "iputils-ping",
    "redis-benchmark": "redis-tools", "redis-check-rdb": "redis-tools", "redis-cli": "redis-tools",
    "scp": "openssh-client", "ss": "iproute2", "ssh": "openssh-client",
    "ssh-keygen": "openssh-client", "sshd": "openssh-server", "taskset": "util-linux",
    "wrk": "wrk",
}

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The lab can't do what was asked; the text is the reason as the tool gave it."""


def require(tool: str | Path) -> None:
    """LabError where it is not installed, by its name or at its path."""
    if not shutil.which(tool):
        name = Path(tool).name
        raise LabError(f"{tool} is not installed: Debian's {TOOLS.get(name, name)} has it; "
                       "`make setup` gets all that the lab calls")


def run_tool(arguments: Sequence[str], *, called: str = "", seconds: float = 60,
             check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; LabError with its last words where it fails."""
    require(arguments[0])
    called = called or arguments[0]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=seconds,
                              **options)
    except subprocess.TimeoutExpired:
        raise LabError(f"{called}: not done in {seconds:g} s") from None
    if check and done.returncode:
        words = (done.stderr or done.stdout).strip()
        raise LabError(f"{called}: exit {done.returncode}: {words}")
    return done


def ip(lines: Iterable[str], *options: str) -> None:
    """Carry out `ip` commands in order, in one process; stops at the first that fails."""
    run_tool(["ip", *options, "-batch", "-"], input="\n".join(lines))


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules; -P, so that it is the installed one, whatever
    the current directory holds."""
    return [sys.executable, "-P", "-m", name, *arguments]


def synproxy_command(*arguments: str, address: str = "") -> list[str]:
    """The command that runs `synproxy`, against the daemon at this address if one is given."""
    at = ["--address", address] if address else []
    return python_module("appliance.cli.program", *at, *arguments)


class Namespace:
    """One named network namespace.  Making the object makes nothing: see `create`."""

    def __init__(self, name: str, cores: Collection[int] = ()) -> None:
        """`cores` are those that its commands run on; by default any."""
        self.name = name
        self.cores = cores

    def create(self, sysctls: Mapping[str, str]) -> None:
        """Make it, with loopback up.  `sysctls` are set before any interface joins, so that
        those of conf/default hold for every interface to come."""
        ip([f"netns add {self.name}"])
        self.configure(sysctls)
        self.ip(["link set lo up"])

    def configure(self, sysctls: Mapping[str, str]) -> None:
        """Set what lies under /proc/sys, by its path there."""
        script = "".join(f"echo {value} >/proc/sys/{key}\n" for key, value in sysctls.items())
        self.run(["sh", "-e"], input=script)

    def exists(self) -> bool:
        return (NAMED / self.name).exists()

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs `arguments` here.  Each program in it execs the next, so
        the process has the id that its starter sees."""
        require(arguments[0])
        pinned = ["taskset", "--cpu-list", ",".join(map(str, self.cores))] if self.cores else []
        return [*pinned, "ip", "netns", "exec", self.name, *arguments]

    def ip(self, lines: Iterable[str]) -> None:
        ip(lines, "-netns", self.name)

    def run(self, arguments: Sequence[str],
            **options: Any) -> subprocess.CompletedProcess[str]:
        """As `run_tool`, here."""
        return run_tool(self.command(arguments), called=f"{arguments[0]} in {self.name}",
                        **options)

    @contextlib.contextmanager
    def nft_table(self, name: str, chains: str) -> Iterator[None]:
        """A table for a while; its name begins with its family, as "inet lossy"."""
        self.run(["nft", "-f", "-"], input=f"table {name} {{ {chains} }}")
        try:
            yield
        finally:
            self.run(["nft", "delete", "table", *name.split()])

    def counter(self, name: str) -> int:
        """One of its kernel's counters, as nstat(8) names it."""
        shown = self.run(["nstat", "-jsaz", name]).stdout
        return int(json.loads(shown)["kernel"][name])

    def popen(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(arguments), **options)

    def open_socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of this namespace in the calling process.  setns(2) moves one thread, so
        a thread of its own enters, opens and ends; the socket stays where it was opened."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._enter_and_open, family, kind, protocol).result()

    def _enter_and_open(self, family: int, kind: int, protocol: int) -> socket.socket:
        handle = os.open(NAMED / self.name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(handle, CLONE_NEWNET):
                raise LabError(f"setns to {self.name}: {os.strerror(ctypes.get_errno())}")
        finally:
            os.close(handle)
        return socket.socket(family, kind, protocol)

    def processes(self) -> list[int]:
        return _processes_in(self._identity())

    def remove(self) -> None:
        """Kill what runs here and take the name away; the kernel removes the interfaces, and with
        them the far ends of their pairs.  Nothing there is no error."""
        if not self.exists():
            return
        identity = self._identity()
        _killed(identity)       # while a later run would still find them
        ip([f"netns delete {self.name}"])
        # Whom a crash met on the way in has come meanwhile; now nobody can any more.
        until(lambda: not _killed(identity), seconds=5, what=f"{self.name} to be empty")

    def _identity(self) -> tuple[int, int]:
        there = (NAMED / self.name).stat()
        return there.st_dev, there.st_ino


def _processes_in(identity: tuple[int, int]) -> list[int]:
    """Those of a network namespace, by the identity of its file: namespaces(7)."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):      # it has ended meanwhile
            there = (process / "ns/net").stat()
            if (there.st_dev, there.st_ino) == identity:
                found.append(int(process.name))
    return found


def _killed(identity: tuple[int, int]) -> list[int]:
    processes = _processes_in(identity)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return processes
