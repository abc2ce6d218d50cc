"""synproxyd in the proxy namespace: configured, started, read and stopped.

The daemon runs as a user would run it, on the two interfaces that the lab laid; its stats come
over its own gRPC socket, which lies in the lab's directory and so needs no network.
"""

import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import grpc
from synproxy.v1.connections_service_pb2 import Connection, ListConnectionsRequest
from synproxy.v1.connections_service_pb2_grpc import ConnectionsServiceStub
from synproxy.v1.stats_service_pb2 import GetStatsRequest, GetStatsResponse, WorkerStats
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub
from synproxy.v1.system_service_pb2 import Beginning, GetSystemRequest
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.config.rules import SERVICE_BYTES
from appliance.lab.namespace import LabError
from appliance.lab.topology import WORKER_LCORE, Lab, stop
from appliance.lab.waiting import until

MOST = 16384            # services
SIZE_MIB = 256          # with so many
SERVICES_A_S = 1000     # read from a file
READY_S = 20            # besides; EAL without huge pages clears its memory first
STOP_S = 10
CALL_S = 5

# The installed command's own entry point, wherever the command itself lies.
SYNPROXYD = (sys.executable, "-P", "-c", "from appliance.daemon import main; main()")

HEAD = """\
ports:
  client: {{{client}}}
  server: {{{server}}}
{descriptors}workers: {{lcores: [{worker}], control_lcore: 0}}
memory: {{hugepages: false, size_mib: {size_mib}{buffers}{shards}}}
limits: {{connections: 131072, half_open: 4096, services: {most}}}
eal: {{file_prefix: synlab-{id}}}
management: {{address: "{address}", stop_grace: {stop_grace}{more}}}
"""
# The server's nginx, iperf3 and peers below 8000, untagged and in three tagged networks; the rest
# is bridged.
SERVICES = """\
services:
  - name: lab
    prefixes:
      [10.71.0.2, 10.72.0.2, 10.73.0.2, 10.74.0.2,
       "fd00:71::2", "fd00:72::2", "fd00:73::2", "fd00:74::2"]
    ports: ["80", "5201", "7001-7099"]
"""


@dataclass(frozen=True)
class PortSettings:
    """What a measurement may have otherwise than by the product's default, which a number has where
    it is None; `arguments` are those of DPDK's driver besides the interface."""

    arguments: str = ""
    descriptors: int | None = None
    buffers: int | None = None


DEFAULTS = PortSettings()


class Proxy(AbstractContextManager["Proxy"]):
    """A running synproxyd, for the length of a `with` statement."""

    def __init__(self, lab: Lab, driver: str, name: str = "synproxyd",
                 services: str = SERVICES, metrics_address: str = "",
                 state_folder: str = "", settings: PortSettings = DEFAULTS,
                 most: int = MOST, stop_grace: str = "0s", shard_file: str = "",
                 before: Sequence[str] = ()) -> None:
        """`driver` is AF_XDP or AF_PACKET; `name` keeps several daemons of a lab apart; `services`
        are the configuration's part of that name, and there may be `most` of them.  Metrics are for
        the proxy namespace alone.  `before` is a command that executes the one after it."""
        asked = {"metrics_address": metrics_address, "state_folder": state_folder}
        self._lab, self._most, self._before = lab, most, before
        self._log = lab.directory / f"{name}.log"
        self.address = f"unix:{lab.directory / name}.sock"
        self.file = lab.directory / f"{name}.yaml"
        self.file.write_text(HEAD.format(
            client=port(driver, 0, "client", settings), server=port(driver, 1, "server", settings),
            descriptors="".join(f"  {way}_descriptors: {settings.descriptors}\n"
                                for way in ("rx", "tx") if settings.descriptors),
            buffers=f", buffers: {settings.buffers}" if settings.buffers else "",
            shards=f", shard_file: {shard_file}" if shard_file else "",
            size_mib=SIZE_MIB + (max(most - MOST, 0) * SERVICE_BYTES >> 20), most=most,
            id=lab.id, address=self.address, worker=WORKER_LCORE, stop_grace=stop_grace,
            more="".join(f', {key}: "{value}"' for key, value in asked.items() if value))
            + services)

    def __enter__(self) -> "Proxy":
        self.start()
        self._lab.forget_neighbours()
        return self

    def start(self) -> None:
        """Again, where its process has ended."""
        with self._log.open("wb") as log:
            self.process = self._lab.start(
                self._lab.proxy, [*self._before, *SYNPROXYD, "run", "--config", str(self.file)],
                stdout=log, stderr=log)
        try:
            until(lambda: self._is_ready() or self.process.poll() is not None,
                  seconds=READY_S + self._most / SERVICES_A_S, what="synproxyd's ready line")
        except TimeoutError as error:
            stop(self.process)
            raise LabError(f"{error}; it said: {self.log()}") from None
        if self.process.poll() is not None:
            raise LabError(f"synproxyd: exit {self.process.returncode}: {self.log()}")
        self._channel = grpc.insecure_channel(self.address)
        self._stats = StatsServiceStub(self._channel)

    def kill(self) -> None:
        """As the kernel does it, with no word before."""
        self._channel.close()
        self.stop(signal.SIGKILL)

    def beginning(self) -> Beginning:
        """What goes on of the process before."""
        system = SystemServiceStub(self._channel).GetSystem(GetSystemRequest(), timeout=CALL_S)
        beginning: Beginning = system.beginning
        return beginning

    def __exit__(self, *reason: object) -> None:
        self._channel.close()
        self.stop(signal.SIGTERM)

    def log(self) -> str:
        """What the daemon has said so far, on both its outputs."""
        return self._log.read_text(errors="replace")

    def stop(self, how: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit status.  Again is no error."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=STOP_S)

    def stats(self) -> GetStatsResponse:
        answer: GetStatsResponse = self._stats.GetStats(GetStatsRequest(), timeout=CALL_S)
        return answer

    def counters(self) -> Counter[str]:
        """Fates and drop reasons by name, over all workers."""
        total: Counter[str] = Counter()
        for worker in self.stats().workers:
            total.update(worker.counters)
            total.update(worker.drops)
        return total

    def connections(self, prefix: str = "") -> list[Connection]:
        """The table's entries, of clients in `prefix` where one is given."""
        stub = ConnectionsServiceStub(self._channel)
        request = ListConnectionsRequest(client_prefix=prefix, page_size=1000)
        connections: list[Connection] = []
        while True:
            page = stub.ListConnections(request, timeout=CALL_S)
            connections += page.connections
            if not page.next_page_token:
                return connections
            request.page_token = page.next_page_token

    def buffers_in_use(self) -> int:
        return sum(pool.in_use for pool in self.stats().mempools)

    def _is_ready(self) -> bool:
        return any(line.startswith("ready:") for line in self.log().splitlines())


def port(driver: str, index: int, interface: str, settings: PortSettings) -> str:
    if not settings.arguments:
        return f"interface: {interface}, driver: {driver}"
    return f'device: "net_{driver.lower()}{index},iface={interface},{settings.arguments}"'


def imbalance(worker: WorkerStats) -> tuple[int, int]:
    """Frames that came in without exactly one fate, and frames to send that were neither sent nor
    lost: none at a quiet moment."""
    counted = worker.counters
    passed = counted["bridged"] + counted["translated"]
    fates = passed + counted["consumed"] + sum(worker.drops.values())
    ends = counted["sent"] + counted["tx_full"] + counted["bridge_shed"]
    return counted["received"] - fates, passed + counted["originated"] - ends
