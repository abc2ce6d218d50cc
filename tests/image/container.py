"""The image as a container in the lab's proxy namespace: run as its user would, with no more rights
than its label names for the driver, and under its seccomp profile."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from appliance.api import SERVICE_NAMES
from appliance.lab.namespace import LabError
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

from ..appliance.config_map import Mount
from ..appliance.confinement import PROFILE
from .engine import AMBIENT, CHECKS, READ_ONLY, container_facts, container_log, engine, image_facts

USER = 65532
READY_S = 20
GRACE_S = 10            # from SIGTERM to SIGKILL, as Docker has it
CALL_S = 5
METRICS = "127.0.0.1:9105"
HEALTH = "127.0.0.1:50052"
SIZE_MIB = 256          # of huge pages
CPUSET = "0,1"          # the lab leaves the second to the worker
CONFIGURATION = """\
ports:
  client: {interface: client, driver: %(driver)s}
  server: {interface: server, driver: %(driver)s}
memory: {size_mib: %(size_mib)d}
limits: {connections: 131072, half_open: 4096}
management:
  {metrics_address: "%(metrics)s", health_address: "%(health)s", state_folder: /var/lib/synproxy}
services:
  - {name: lab, prefixes: [10.71.0.2, "fd00:71::2"], ports: [80]}
"""


def capabilities_of(image: str, driver: str) -> list[str]:
    """As its label has them, "NET_RAW"."""
    return str(image_facts(image)["Labels"][f"synproxy.capabilities.{driver.lower()}"]).split()


class Container(AbstractContextManager["Container"]):
    """Made and started, for the length of a `with` statement; its folders are of the host, so that
    what it leaves there can be seen."""

    def __init__(self, lab: Lab, network: str, image: str, driver: str, *,
                 by_file: bool = False) -> None:
        """`network` is the proxy's, as `network_of` has it; `driver` is AF_XDP or AF_PACKET.
        `by_file`: no right of it is ambient, as Docker and Kubernetes have it for a user other
        than root; else, where they are, it can get none that it hasn't."""
        self._network, self._image, self.name = network, image, f"synlab-{lab.id}"
        self.capabilities = capabilities_of(image, driver)
        self._folder = lab.directory / "container"
        self._etc, self.run, self._state = (
            self._folder / name for name in ("etc", "run", "state"))
        self._text = CONFIGURATION % {
            "driver": driver, "size_mib": SIZE_MIB, "metrics": METRICS, "health": HEALTH}
        self._how = ["--entrypoint", "/usr/bin/setpriv"] if by_file else [
            "--security-opt", "no-new-privileges"] if AMBIENT else []
        self._command = ["--ambient-caps=-all", "--inh-caps=-all",
                         "/opt/synproxy/bin/synproxy-entrypoint"] if by_file else []
        self.address = f"unix:{self.run}/api.sock"

    def __enter__(self) -> "Container":
        for path in (self.run, self._state):
            path.mkdir(parents=True)
            shutil.chown(path, USER, USER)
        self._mount = Mount(self._etc, self._text)
        engine("run", "--detach", "--name", self.name, "--pull", "never", *CHECKS,
               "--network", self._network, "--cpuset-cpus", CPUSET, "--cap-drop", "all",
               *(f"--cap-add={name}" for name in self.capabilities),
               "--security-opt", f"seccomp={PROFILE}", *self._how, *READ_ONLY,
               "--volume", f"{self._etc}:/etc/synproxy:ro", "--volume",
               f"{self.run}:/run/synproxy", "--volume", f"{self._state}:/var/lib/synproxy",
               self._image, *self._command)
        try:
            self.await_serving(READY_S)
        except TimeoutError as error:
            self.__exit__()
            raise LabError(str(error)) from None
        return self

    def __exit__(self, *reason: object) -> None:
        # A daemon that is killed leaves AF_XDP's queues to the kernel, which takes a moment.
        engine("stop", "--time", str(GRACE_S), self.name)
        engine("rm", self.name)
        shutil.rmtree(self._folder)

    def await_serving(self, seconds: float) -> None:
        until(self.serves, seconds=seconds, what="the container to serve", seen=self.log)

    def serves(self) -> bool:
        """As the standard health service says, asked from outside, for every service."""
        with grpc.insecure_channel(self.address) as channel:
            try:
                return all(self._state_of(channel, name) == HealthCheckResponse.SERVING
                           for name in SERVICE_NAMES)
            except grpc.RpcError:
                return False

    def _state_of(self, channel: grpc.Channel, name: str) -> int:
        answer = HealthStub(channel).Check(HealthCheckRequest(service=name), timeout=CALL_S)
        return int(answer.status)

    def configure(self, options: str) -> None:
        """The service's, as kubelet does where somebody has edited the ConfigMap."""
        self._mount.put(self._text.replace("ports: [80]", f"ports: [80], options: {{{options}}}"))

    def log(self) -> str:
        """What it has said so far, on both its outputs."""
        return container_log(self.name)

    def execute(self, *arguments: str) -> str:
        return engine("exec", self.name, *arguments)

    def stop(self) -> int:
        """As an orchestrator does: SIGTERM, and SIGKILL after GRACE_S; returns the exit code."""
        engine("stop", "--time", str(GRACE_S), self.name)
        return int(self.facts()["State"]["ExitCode"])

    def start(self) -> None:
        engine("start", self.name)

    def ended(self) -> bool:
        return str(self.facts()["State"]["Status"]) == "exited"

    def facts(self) -> dict[str, Any]:
        return container_facts(self.name)

    def status(self) -> dict[str, str]:
        """/proc/PID/status of its first process."""
        text = Path(f"/proc/{self.facts()['State']['Pid']}/status").read_text()
        return {key: value.strip() for key, _, value in (
            line.partition(":") for line in text.splitlines())}
