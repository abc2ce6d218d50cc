"""The daemon from its configuration to its end, in the order that leaves nothing behind.

    claim the ports → EAL, ports, pools → revisions, first snapshot → gRPC, HTTP → workers → ready
    … SIGHUP: the file again … signal … drain → gRPC, HTTP end → workers and ports stop → counters
    are shown → EAL ends
"""

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from synproxy.v1.config_pb2 import Config

from appliance.config.listening import Listening, listening_of
from appliance.config.settings import metrics_address_of, reload_on_change, stop_grace_s
from appliance.config_file import ConfigFile
from appliance.ending import Ending
from appliance.host.claim import claimed
from appliance.host.dumps import dumps_forbid
from appliance.host.heap import heap_bound, heap_tend
from appliance.log import log_start
from appliance.management.audit import AuditLog
from appliance.management.catalogue import Catalogue, Plane
from appliance.management.change_errors import NotAcknowledgedError
from appliance.management.changes import changes_begin
from appliance.management.confirmation import Confirmation
from appliance.management.server import ManagementServer
from appliance.management.standing import standing_of
from appliance.management.turning import LOOK_S, Turning
from appliance.metrics.documents import Documents
from appliance.metrics.expiries import Expiries
from appliance.metrics.reading import Reader
from appliance.metrics.server import MetricsServer
from appliance.notify import notify, notify_beat, said_aside, say
from appliance.overheard import overhear
from appliance.preflight import attachments_of, preflight_notices
from appliance.refusal import Refusal
from appliance.reload import Reloader
from appliance.signals import signals_await, signals_hold
from appliance.state.start import Start, start_from
from appliance.summary import counter_lines
from appliance.supervision import Supervision
from cython_core.dataplane import Beginning, Dataplane, DataplaneError, Settings

STOP_S = 5.0


def daemon_run(config: Config, path: Path, settings: Settings) -> None:
    """`path` is where `config` was read.  Returns after SIGTERM or SIGINT.  Raises Refusal where
    the host can't run it."""
    dumps_forbid()
    heap_bound()
    log_start()
    with ExitStack() as held:
        held.enter_context(claimed(attachments_of(settings)))
        signals_hold()
        dataplane = _open(settings)
        held.callback(dataplane.close)
        # Threads that gRPC makes later inherit this: none of them may disturb a worker.
        os.sched_setaffinity(0, {settings.main_lcore})
        held.enter_context(said_aside())
        asyncio.run(_serve(config, path, settings, dataplane))
        dataplane.stop()
        say("\n".join(counter_lines(dataplane.worker_stats())), sys.stdout)


def _open(settings: Settings) -> Dataplane:
    try:
        return Dataplane(settings)
    except DataplaneError as error:
        raise Refusal(str(error)) from None


async def _serve(config: Config, path: Path, settings: Settings, dataplane: Dataplane) -> None:
    file = ConfigFile(path, config)
    start = start_from(config, path)
    log = AuditLog()
    catalogue = catalogue_make(start, dataplane, settings.services)
    reloader = Reloader(file, catalogue, log, reload_on_change(config))
    ending = Ending()
    signals_await(asyncio.get_running_loop(), ending.ask, reloader.ask)
    listening = listening_of(config)
    supervision = Supervision()
    server = ManagementServer(listening, catalogue, dataplane, file, log, supervision)
    turning = Turning(dataplane, server.tell)
    reader = Reader(
        catalogue, dataplane, file.state, turning, supervision, Expiries(listening))
    metrics = MetricsServer(metrics_address_of(config), Documents(reader))
    try:
        await _begin(start, catalogue, log)
        await server.start()
        await metrics.start()
        dataplane.start()
        overhear()
        _say_beginning(settings, dataplane.beginning)
        await catalogue.acknowledged()
        server.set_ready()
        reader.ready = True
        # Garbage is looked for among what comes from now on: with 10,000 services a look through
        # what was loaded stops every call for 80 ms.
        gc.collect()
        gc.freeze()
        _say_ready(settings, config, listening, start)
        until_asked = [supervision.keep(name, work) for name, work in (
            ("tidying", catalogue.tidy), ("reload", reloader.run), ("memory", heap_tend))]
        # Whatever the grace, a watchdog is told and what nobody confirms is rolled back.
        until_drained = [supervision.keep(name, work) for name, work in (
            ("confirmation", Confirmation(catalogue, log).run),
            ("health", partial(_tell_health, server, catalogue, file, turning, reader)))]
        await ending.asked.wait()
        notify("STOPPING=1")
        reader.ready = False
        server.set_serving(False)
        await _cancelled(until_asked)
        await ending.drain(server.draining, stop_grace_s(config))
        await _cancelled(until_drained)
    except (DataplaneError, NotAcknowledgedError) as error:
        raise Refusal(str(error)) from None
    finally:
        await metrics.stop()
        await server.stop()
        start.history.close()


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """What one of them has half done comes to its end, unless a disk never answers."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=STOP_S)


def catalogue_make(start: Start, plane: Plane, services_max: int) -> Catalogue:
    """Runs what `start` says, or the file alone where the data plane has no room for it.  Raises
    Refusal."""
    live = start.live
    try:
        return Catalogue(
            list(live.services.values()), live.defaults, plane, services_max, start.history)
    except DataplaneError as error:
        if live == start.file:
            raise Refusal(str(error)) from None
        start.notices.append(f"{error}: the file runs alone, without what was changed over gRPC")
        start.live = start.file
        return catalogue_make(start, plane, services_max)


async def _begin(start: Start, catalogue: Catalogue, log: AuditLog) -> None:
    first = not start.history.newest.revision.number
    changes = changes_begin(start.origin.by, start.origin.action)
    await catalogue.begin(start.file, start.origin)
    if changes.resources and not first:
        log.own(changes)


async def _tell_health(
    server: ManagementServer, catalogue: Catalogue, file: ConfigFile, turning: Turning,
    reader: Reader,
) -> None:
    try:
        while True:
            turning.look()
            server.set_serving(reader.ready and not turning.stuck)
            server.set_configuration(standing_of(catalogue, file.state).well)
            notify_beat(alive=turning.watched and not turning.stuck)
            await asyncio.sleep(LOOK_S)
    finally:
        turning.end()


def _say_beginning(settings: Settings, beginning: Beginning) -> None:
    """Where the tables are to outlive a daemon."""
    if not settings.shard_file:
        return
    if beginning.warm:
        fates = ", ".join(f"{count} {fate.replace('_', ' ')}"
                          for fate, count in beginning.entries.items())
        say(f"synproxyd: warm start after {beginning.gap_s:.3f} s; entries: {fates}", sys.stderr)
    else:
        say(f"synproxyd: cold start: {beginning.cold}", sys.stderr)
    if beginning.stall:
        say(f"synproxyd: warning: the daemon before was ended: {beginning.stall}", sys.stderr)
    if beginning.unkept:
        say(f"synproxyd: warning: connections will end with this process: {beginning.unkept}",
            sys.stderr)


def _say_ready(
    settings: Settings, config: Config, listening: Sequence[Listening], start: Start
) -> None:
    api = ", ".join(one.address for one in listening if not one.health)
    besides = {
        "metrics": metrics_address_of(config), "health": config.management.health_address}
    for notice in (*preflight_notices(settings, listening), *start.notices):
        say(f"synproxyd: warning: {notice}", sys.stderr)
    say(
        f"ready: clients {settings.client_port.device}, servers {settings.server_port.device},"
        f" workers on {','.join(map(str, settings.worker_lcores))},"
        f" services {len(start.live.services)}, API {api}"
        + "".join(f", {name} {address}" for name, address in besides.items() if address),
        sys.stderr,
    )
    notify("READY=1")
