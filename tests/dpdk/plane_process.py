"""A data plane in a process of its own, since EAL starts only once in each.

Reads a job from standard input, a line of JSON:

    settings    fields of Settings; the ports are devices
    drain       a policy, from the second publish on; default none
    rotate      how often the secret changes before it; default not at all
    services    fields of ServiceSpec, for each publish; the second and later ones while running
    drains      wait before each but the first and second until something has left for good
    received    run until so many frames have come
    captures    fields of CaptureFilter, of captures that follow each other
    watches     how often events are watched, each time until some were passed over
    delete      whether all connections of two workers are listed, deleted and listed again
    leave       whether all services are then given up, and the connections of slot 0 listed
    crowd       whether as many deletions are asked for as a worker takes, and given up, twice
    wrong       how often connections are asked for by a state that there isn't
    rss         buckets and queues, as if both ports spread frames by the symmetric hash
    starved     no buffer is free when the workers start; after so many seconds all are again
    seconds     and then so much longer, and until the next line, or the end, of standard input

Writes "running" to standard output once the workers run, "resting" once they rest; and once
standard input has ended, stops the ports and writes what came of it, a line of JSON.
"""

import dataclasses
import json
import os
import resource
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from cython_core._testing_buffers import Taken
from cython_core._testing_rss import own_by_rss

from cython_core.dataplane import (
    CaptureFilter,
    ConnectionFilter,
    Dataplane,
    DataplaneError,
    PortSpec,
    Seen,
    ServiceOptions,
    ServiceSpec,
    Settings,
)

PATIENCE_S = 60
CAPTURE_S = 0.2
VECTOR = os.environ.get("PROXY_VECTOR", "auto")     # as tests/proxy/harness
ROOM = 1 << 20          # connections, 32 bytes each at least
NOBODY = (bytes(16), 1, bytes(16), 1)
MAPPED = b"\0" * 10 + b"\xff\xff"      # RFC 4291 §2.5.5.2


def main() -> None:
    job = json.loads(sys.stdin.readline())
    try:
        result = run(job)
    except DataplaneError as error:
        result = {"refused": str(error)}
    except ValueError as error:
        result = {"invalid": str(error)}
    json.dump(result, sys.stdout)


def run(job):
    settings = dict(job["settings"])
    for port in ("client_port", "server_port"):
        settings[port] = PortSpec(settings[port])
    plane = Dataplane(Settings(**{"vector": VECTOR} | settings))
    try:
        told = run_plane(plane, job)
    finally:
        plane.close()
        plane.close()
    return {**told, "closed": refusal(plane.worker_stats)}


def run_plane(plane, job):
    first, *updates = [[spec(fields) for fields in services] for services in job["services"]]
    plane.publish(first)
    if job.get("rss"):
        own_by_rss(plane, *job["rss"])
    taken = [Taken(socket) for socket in plane.sockets] if job.get("starved") else []
    plane.start()
    wait(lambda: plane.generation_seen() == 1)
    print("running", flush=True)
    time.sleep(job.get("starved", 0))
    starved = starving(plane)
    for held in taken:
        held.give_back()
    seen = Seen()
    changes = [plane.service_changes(range(4), seen)]
    before = plane.mempool_stats()
    plane.drain(job.get("drain", "none"))
    rotations = [dataclasses.asdict(plane.rotate()) for _ in range(job.get("rotate", 0))]
    latencies, drained = [], []
    for services in updates:
        if job.get("drains") and latencies:
            wait(plane.drained)
        latencies.append(publish(plane, services))
        drained.append(plane.drained())
    wait(lambda: received(plane) >= job["received"])
    time.sleep(job["seconds"])
    sys.stdin.readline()
    census = [listed(plane), deleted(plane), listed(plane)] if job.get("delete") else []
    beyond = plane.connections(ConnectionFilter(), (len(plane.worker_stats()), 0), 7, 3)
    crowded = [crowd(plane), crowd(plane)] if job.get("crowd") else []
    grown = wrong(plane, job.get("wrong", 0))
    captured = [capture(plane, fields) for fields in job.get("captures", ())]
    watched = [watch(plane) for _ in range(job.get("watches", 0))]
    if job.get("leave"):
        publish(plane, [])
    left = listed(plane, slot=0) if job.get("leave") else []
    resting = plane.mempool_stats()
    changes += [plane.service_changes(range(4), seen) for _ in range(2)]
    plane.rest()
    plane.rest()
    print("resting", flush=True)
    sys.stdin.read()
    plane.stop()
    plane.stop()
    return {
        "workers": [dataclasses.asdict(worker) for worker in plane.worker_stats()],
        "services": [plane.service_counters(slot) for slot in range(4)],
        "ports": [dataclasses.asdict(port) for port in plane.port_stats()],
        "in_use": [sum(pool.in_use for pool in pools)
                   for pools in (before, resting, plane.mempool_stats())],
        "latencies_s": latencies,
        "drained": drained,
        "rotations": rotations,
        "states": [dataclasses.asdict(state) for state in plane.worker_states()],
        "port_states": [dataclasses.asdict(state) for state in plane.port_states()],
        "mempool_states": [dataclasses.asdict(state) for state in plane.mempool_states()],
        "eal_arguments": plane.eal_arguments,
        "beginning": dataclasses.asdict(plane.beginning),
        "learned": len(plane.learned_servers()),
        "changes": changes,
        "census": census,
        "beyond": beyond,
        "left": left,
        "crowded": crowded,
        "grown": grown,
        "captured": captured,
        "watched": watched,
        "starved": starved,
        "hugetlb_kib": hugetlb_kib(),
    }


def hugetlb_kib():
    """What this process has of huge pages: proc(5), status."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines()
               if line.startswith("HugetlbPages:"))
    return int(line.split()[1])


def starving(plane):
    """What has been lost for want of a buffer so far, and how many each pool had free."""
    return {
        "rx_nombuf": sum(port.rx_nombuf for port in plane.port_stats()),
        "rx_missed": sum(port.rx_missed for port in plane.port_stats()),
        "no_buffer": sum(worker.counters["no_buffer"] for worker in plane.worker_stats()),
        "received": received(plane),
        "free": [pool.size - pool.in_use for pool in plane.mempool_stats()],
    }


def listed(plane, **wanted):
    """Every connection: client, its port, state, worker.  `wanted` are fields of
    ConnectionFilter."""
    found, place = [], (0, 0)
    while place is not None:
        page, place = plane.connections(ConnectionFilter(**wanted), place, 7, 3)
        found += page
    return [(str(one.client), one.client_port, one.state, one.lcore) for one in found]


def deleted(plane):
    """How each deletion ends: the state that the connection was in."""
    connections, _ = plane.connections(ConnectionFilter(), (0, 0), 1 << 20, 1 << 16)
    more, _ = plane.connections(ConnectionFilter(), (1, 0), 1 << 20, 1 << 16)
    states = []
    for one in connections + more:
        ticket = plane.delete_connection((
            MAPPED + one.client.packed, one.client_port, MAPPED + one.server.packed,
            one.server_port))
        wait(lambda ticket=ticket: told(plane, ticket, states))
    return states


def crowd(plane):
    """How many deletions are taken before one is refused; then they are given up."""
    tickets = []
    while (ticket := plane.delete_connection(NOBODY)) is not None:
        tickets.append(ticket)
    for ticket in tickets:
        plane.deletion_forget(ticket)
    wait(lambda: plane.connection_deleted(tickets[-1])[0])
    return len(tickets)


def wrong(plane, times):
    """How many bytes the process has more for it."""
    before = address_space()
    for _ in range(times):
        with suppress(ValueError):
            plane.connections(ConnectionFilter(states=frozenset(["none"])), (0, 0), 7, ROOM)
    return address_space() - before


def address_space():
    pages = Path("/proc/self/statm").read_text().split()[0]     # proc(5): the whole of it
    return int(pages) * resource.getpagesize()


def told(plane, ticket, states):
    done, was = plane.connection_deleted(ticket)
    if done:
        states.append(was and was.state)
    return done


def capture(plane, fields):
    """A moment's frames: side, whether sent, reason, length, captured; and how many were lost."""
    reasons = frozenset(fields.get("reasons", ()))
    wait(lambda: plane.capture_begin(CaptureFilter(**fields | {"reasons": reasons})))
    _, before = plane.captured()
    time.sleep(CAPTURE_S)
    frames, lost = plane.captured()
    plane.capture_end()
    return {"frames": [[*frame[1:5], len(frame[5])] for frame in frames], "lost": lost - before}


def watch(plane):
    """How many were passed over of all times: at first, and by each event."""
    plane.watch_events(True)
    before = sum(plane.events_passed_over().values())
    told = []

    def is_passed_over():
        told.extend(event.passed_over for event in plane.events()[0])
        return told and told[-1] > before

    wait(is_passed_over)
    plane.watch_events(False)
    return [before, *told]


def refusal(call):
    try:
        call()
    except DataplaneError as error:
        return str(error)


def spec(fields):
    """The same object for the same fields, as it is to the daemon."""
    return _spec(json.dumps(fields))


@cache
def _spec(text):
    fields = json.loads(text)
    options = ServiceOptions(**fields.get("options", {}))
    ports = [tuple(ports) for ports in fields["ports"]]
    return ServiceSpec(fields["slot"], fields["name"], fields["prefixes"], ports, options)


def publish(plane, services):
    began = time.perf_counter()
    generation = plane.publish(services)
    wait(lambda: plane.generation_seen() >= generation)
    return time.perf_counter() - began


def received(plane):
    return sum(worker.counters["received"] for worker in plane.worker_stats())


def wait(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.001)


if __name__ == "__main__":
    main()
