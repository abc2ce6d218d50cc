"""The daemon from its configuration to its end, in the order that leaves nothing behind.

    claim the ports → EAL, ports, pools → first snapshot → gRPC, HTTP → workers → ready
    … signal … → gRPC, HTTP end → workers and ports stop → counters are shown → EAL ends
"""

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from synproxy.v1.config_pb2 import Config

from appliance.config.listening import Listening, listening_of
from appliance.config.settings import metrics_address_of, settings_of
from appliance.host.claim import claimed
from appliance.host.dumps import dumps_forbid
from appliance.log import log_start
from appliance.management.catalogue import Catalogue, NotAcknowledgedError
from appliance.management.server import ManagementServer
from appliance.metrics.documents import Documents
from appliance.metrics.reading import Reader
from appliance.metrics.server import MetricsServer
from appliance.notify import notify, say
from appliance.preflight import attachments_of, preflight_notices
from appliance.refusal import Refusal
from appliance.signals import signals_await, signals_hold
from appliance.summary import counter_lines
from cython_core.dataplane import Dataplane, DataplaneError, Settings


def daemon_run(config: Config) -> None:
    """Returns after SIGTERM or SIGINT.  Raises Refusal where the host can't run it."""
    dumps_forbid()
    log_start()
    settings = settings_of(config)
    with ExitStack() as held:
        held.enter_context(claimed(attachments_of(settings)))
        signals_hold()
        dataplane = _open(settings)
        held.callback(dataplane.close)
        # Threads that gRPC makes later inherit this: none of them may disturb a worker.
        os.sched_setaffinity(0, {settings.main_lcore})
        asyncio.run(_serve(config, settings, dataplane))
        dataplane.stop()
        say("\n".join(counter_lines(dataplane.worker_stats())), sys.stdout)


def _open(settings: Settings) -> Dataplane:
    try:
        return Dataplane(settings)
    except DataplaneError as error:
        raise Refusal(str(error)) from None


async def _serve(config: Config, settings: Settings, dataplane: Dataplane) -> None:
    stop = asyncio.Event()
    signals_await(asyncio.get_running_loop(), stop)
    listening = listening_of(config)
    try:
        catalogue = Catalogue(config.services, config.defaults, dataplane, settings.services)
    except DataplaneError as error:
        raise Refusal(str(error)) from None
    server = ManagementServer(listening, catalogue, dataplane)
    reader = Reader(catalogue, dataplane)
    metrics = MetricsServer(metrics_address_of(config), Documents(reader))
    try:
        await server.start()
        await metrics.start()
        dataplane.start()
        await catalogue.acknowledged()
        await server.set_ready()
        reader.ready = True
        # Garbage is looked for among what comes from now on: with 10,000 services a look through
        # what was loaded stops every call for 80 ms.
        gc.collect()
        gc.freeze()
        _say_ready(settings, config, listening)
        tidying = asyncio.create_task(catalogue.tidy())
        await stop.wait()
        tidying.cancel()
    except (DataplaneError, NotAcknowledgedError) as error:
        raise Refusal(str(error)) from None
    finally:
        notify("STOPPING=1")
        reader.ready = False
        await metrics.stop()
        await server.stop()


def _say_ready(settings: Settings, config: Config, listening: Sequence[Listening]) -> None:
    metrics = metrics_address_of(config)
    for notice in preflight_notices(settings, listening):
        say(f"synproxyd: warning: {notice}", sys.stderr)
    say(
        f"ready: clients {settings.client_port.device}, servers {settings.server_port.device},"
        f" workers on {','.join(map(str, settings.worker_lcores))},"
        f" services {len(config.services)}, API {', '.join(one.address for one in listening)}"
        + (f", metrics {metrics}" if metrics else ""),
        sys.stderr,
    )
    notify("READY=1")
