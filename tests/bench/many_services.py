"""A hundred thousand services by prefix and port range: each is found by the right packets.

    python tests/bench/many_services.py [--services 100000] [--rounds 3] [--json FILE]

They come by file at the start, and to a daemon of ten by `synproxy config apply`.  Each way a SYN
is sent to every service, to an address of its prefix and a port of its range, and as many to
addresses and ports at random; what each service has counted is held against plain dicts by length
of prefix.
The rate beside ten services is that of tests/bench/services.py, in turn.  It fails where a goal is
missed, and names it.
"""

import argparse
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from report import report_write
from rich.console import Console
from service_oracle import Oracle, Probe, probes, services_drawn
from services import FEW, Load, measure
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub
from synproxy.v1.system_service_pb2 import ListWorkersRequest
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.lab.namespace import LabError
from appliance.lab.program import lab_program, within
from appliance.lab.proxy import Proxy
from appliance.lab.syn import PORT, templates
from appliance.lab.template import words_sum
from appliance.lab.topology import FLOOD_MAC, SERVER_MAC, Lab
from appliance.lab.waiting import until

HELP_GOAL_S = 0.15
LIST_GOAL_S = 0.4
RATE_GOAL = 0.95        # of the rate beside ten services
THOUSANDS = 10_000      # services, for the goals of time
ATTEMPTS = 5            # other work on the machine slows some of them
CALL_S = 30
VOLLEY = 512            # frames that a port surely has room for
# From networks for benchmarks (RFC 2544, RFC 5180), to address and port 0.
TEMPLATES = {4: templates("0.0.0.0", 0, "198.18.0.1/32", FLOOD_MAC, SERVER_MAC)[-1],
             6: templates("::", 0, "2001:2::1/128", FLOOD_MAC, SERVER_MAC)[-1]}
RESULTS = Path("bench-results/many_services.json")
SYNPROXY = str(Path(sys.executable).with_name("synproxy"))


def main() -> int:
    given = arguments()
    return lab_program(Console(), lambda: run(given))


def run(given: argparse.Namespace) -> int:
    services = services_drawn(given.services)
    oracle = Oracle(services)
    sent = probes(services, oracle)
    figures: dict[str, Any] = {"services": given.services}
    with Lab() as lab:
        for count in (THOUSANDS, given.services):
            figures[f"file of {count}"] = by_file(lab, services[:count],
                                                  sent if count == given.services else [])
        try:
            figures["apply"] = by_api(lab, services, sent)
        except LabError as error:
            figures["apply"] = {"failed": str(error)}
    figures["mpps"] = rates(given.services, given.rounds)
    goals = goals_of(figures, given.services)
    show(figures, goals)
    report_write(given.json, figures | {"goals": goals})
    return 0 if all(goals.values()) else 1


def by_file(lab: Lab, services: Sequence[Service], sent: Sequence[Probe]) -> dict[str, Any]:
    began = time.perf_counter()
    with Proxy(lab, "AF_XDP", name=f"file-{len(services)}", services=listed(services),
               most=len(services)) as proxy:
        start_s = time.perf_counter() - began
        return {
            "start_s": round(start_s, 2), "resident_mib": resident_mib(proxy),
            "list_s": command_s("--address", proxy.address, "service", "list"),
            "help_s": command_s("--help"), "wrong": wrong(lab, proxy, sent),
        }


def by_api(lab: Lab, services: Sequence[Service], sent: Sequence[Probe]) -> dict[str, Any]:
    """All but the last by one apply, and that by a call of its own."""
    *most, last = services
    with Proxy(lab, "AF_XDP", name="apply", services=listed(services[:FEW]),
               most=len(services)) as proxy:
        ten_mib = resident_mib(proxy)
        head = proxy.file.read_text().partition("services:\n")[0]
        wanted = lab.directory / "wanted.yaml"
        wanted.write_text(head + listed(most))
        command = ["--address", proxy.address, "config", "apply", str(wanted)]
        apply_s = command_s(*command, attempts=1)
        with grpc.insecure_channel(proxy.address) as channel:
            created = ServicesServiceStub(channel).CreateService(
                api.CreateServiceRequest(service=last), timeout=CALL_S)
        return {
            "apply_s": apply_s, "create_ms": created.apply_time.ToNanoseconds() / 1e6,
            "resident_mib_of_ten": ten_mib, "resident_mib": resident_mib(proxy),
            "wrong": wrong(lab, proxy, sent),
        }


def listed(services: Sequence[Service]) -> str:
    """The configuration's part."""
    return "services:\n" + "".join(
        f'  - {{name: {one.name}, prefixes: ["{one.prefixes[0]}"], ports: ["{one.ports[0]}"]}}\n'
        for one in services)


def resident_mib(proxy: Proxy) -> int:
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    (kib,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(kib) >> 10


def command_s(*words: str, attempts: int = ATTEMPTS) -> float:
    """The shortest time that `synproxy` takes; LabError where it fails."""
    times = []
    for _ in range(attempts):
        began = time.perf_counter()
        done = subprocess.run([SYNPROXY, *words], capture_output=True, text=True)
        times.append(time.perf_counter() - began)
        if done.returncode:
            raise LabError(f"synproxy {' '.join(words)}: exit {done.returncode}: {done.stderr}")
    return round(min(times), 3)


def wrong(lab: Lab, proxy: Proxy, sent: Sequence[Probe]) -> int:
    """Services that have counted other SYNs than the oracle gives them."""
    before = counted(proxy)
    with lab.client.open_socket(socket.AF_PACKET, socket.SOCK_RAW) as interface:
        interface.bind(("eth0", 0))
        met = frames_met(proxy)
        for first in range(0, len(sent), VOLLEY):
            volley = sent[first:first + VOLLEY]
            for probe in volley:
                interface.send(frame(probe))
            met += len(volley)
            until(lambda least=met: frames_met(proxy) >= least, seconds=CALL_S,
                  what="the SYNs to arrive")
    gained = counted(proxy) - before
    expected = Counter(probe.service for probe in sent if probe.service)
    return sum(gained[name] != expected[name] for name in {*gained, *expected})


def frames_met(proxy: Proxy) -> int:
    """By the workers."""
    with grpc.insecure_channel(proxy.address) as channel:
        answer = SystemServiceStub(channel).ListWorkers(ListWorkersRequest(), timeout=CALL_S)
    return sum(worker.frames for worker in answer.workers)


def counted(proxy: Proxy) -> Counter[str]:
    with grpc.insecure_channel(proxy.address, [("grpc.max_receive_message_length", -1)]) as channel:
        stats = StatsServiceStub(channel).GetStats(GetStatsRequest(), timeout=CALL_S)
    return Counter({one.name: one.counters["syn_received"] for one in stats.services})


def frame(probe: Probe) -> bytes:
    """Its SYN: the template's with its addresses and ports, and their sums (RFC 1071)."""
    template = TEMPLATES[probe.address.version]
    to = probe.address.packed
    ports = struct.pack("!HH", random.randrange(1024, 65536), probe.port)
    made = bytearray(template.frame)
    made[template.source + 4:template.source + 4 + len(to)] = to
    made[template.l4:template.l4 + len(ports)] = ports
    sums = {template.checksum: template.sum + words_sum(to + ports) - PORT}
    if template.ip_checksum:
        sums[template.ip_checksum] = template.ip_sum + words_sum(to)
    for at, total in sums.items():
        made[at:at + 2] = (0xFFFF - total % 0xFFFF).to_bytes(2)
    return bytes(made)


def rates(services: int, rounds: int) -> dict[str, list[float]]:
    loads = (Load(FEW, FEW), Load(services, FEW))
    mpps: dict[str, list[float]] = {str(load): [] for load in loads}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for load in loads:
                mpps[str(load)].append(measure(Path(folder), load, 1.0))
    return mpps


def goals_of(figures: dict[str, Any], services: int) -> dict[str, bool]:
    few, many = map(statistics.median, figures["mpps"].values())
    timed = figures[f"file of {THOUSANDS}"]
    return {
        "each service of the file is found by its SYNs alone":
            figures[f"file of {services}"]["wrong"] == 0,
        "each service that was applied is found by its SYNs alone":
            figures["apply"].get("wrong") == 0,
        f"SYNs at {RATE_GOAL} of the rate beside ten": many / few >= RATE_GOAL,
        f"synproxy --help {HELP_GOAL_S} s": timed["help_s"] <= HELP_GOAL_S,
        f"service list of {THOUSANDS} in {LIST_GOAL_S} s": timed["list_s"] <= LIST_GOAL_S,
    }


def show(figures: dict[str, Any], goals: dict[str, bool]) -> None:
    for what, found in figures.items():
        said = (", ".join(f"{name} {value}" for name, value in found.items())
                if isinstance(found, dict) else found)
        print(f"{what}: {said}")
    for goal, reached in goals.items():
        print(f"goal: {goal}: {'reached' if reached else 'missed'}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=within(THOUSANDS + 1, 131_072), default=100_000,
                        help="default %(default)s")
    parser.add_argument("--rounds", type=within(1, 100), default=3,
                        help="of the rate; default %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
