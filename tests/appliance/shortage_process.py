"""A data plane and its management server, in a process that has no memory for another snapshot.

    python shortage_process.py CONFIGURATION

For each change writes a line of JSON: the code and the details of the call where memory is short;
the state before it, after it, and after the same call where memory is not.
"""

import asyncio
import json
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import grpc
from synproxy.v1 import services_service_pb2, system_service_pb2
from synproxy.v1.config_service_pb2 import GetConfigRequest
from synproxy.v1.config_service_pb2_grpc import ConfigServiceStub
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.config.listening import listening_of
from appliance.config.live import live_of
from appliance.config.load import config_load
from appliance.config.settings import settings_of
from appliance.config_file import ConfigFile
from appliance.management.audit import AuditLog
from appliance.management.catalogue import Catalogue
from appliance.management.server import ManagementServer
from cython_core.dataplane import Dataplane, ServiceSpec

SPARE_BYTES = 2 << 20       # for all that a call takes besides
CALL_S = 10


def main(path):
    config = config_load(path)
    settings = settings_of(config)
    dataplane = Dataplane(settings)
    try:
        # A snapshot has room for all slots that ever had a service: this one takes some MiB.
        far = ServiceSpec(settings.services - 1, "far", ["198.51.100.0/24"], [(80, 80)])
        dataplane.publish([far])
        asyncio.run(serve(config, path, dataplane, settings.services))
    finally:
        dataplane.close()


async def serve(config, path, dataplane, slots):
    live = live_of(config)
    catalogue = Catalogue(list(live.services.values()), live.defaults, dataplane, slots)
    file = ConfigFile(path, config)
    server = ManagementServer(
        listening_of(config), catalogue, dataplane, file, AuditLog(lambda line: None))
    await server.start()
    dataplane.start()
    await catalogue.acknowledged()
    server.set_ready()
    try:
        async with grpc.aio.insecure_channel(config.management.address) as channel:
            for change in changes(channel):
                print(json.dumps(await told(change, channel, dataplane)), flush=True)
    finally:
        await server.stop()


def changes(channel):
    system, services = SystemServiceStub(channel), ServicesServiceStub(channel)
    update = services_service_pb2.UpdateServiceRequest(update_mask={"paths": ["options.mss"]})
    update.service.name, update.service.options.mss = "web", 1300
    for method, request in (
        (system.Drain, system_service_pb2.DrainRequest()),
        (system.Undrain, system_service_pb2.UndrainRequest()),
        (system.RotateSecret, system_service_pb2.RotateSecretRequest()),
        (services.UpdateService, update),
        (services.DeleteService, services_service_pb2.DeleteServiceRequest(name="web")),
    ):
        yield lambda method=method, request=request: method(request, timeout=CALL_S)


async def told(change, channel, dataplane):
    before = await state(channel, dataplane)
    code = details = ""
    with short_of_memory():
        try:
            await change()
        except grpc.RpcError as error:
            code, details = error.code().name, error.details()
    failed = await state(channel, dataplane)
    await change()
    return {"code": code, "details": details, "before": before, "failed": failed,
            "done": await state(channel, dataplane)}


async def state(channel, dataplane):
    """What the daemon says, what its worker runs, and what the next snapshot will have."""
    system = await SystemServiceStub(channel).GetSystem(
        system_service_pb2.GetSystemRequest(), timeout=CALL_S)
    config = await ConfigServiceStub(channel).GetConfig(GetConfigRequest(), timeout=CALL_S)
    return [str(system.generation), str(system.secret), str(system.drain.draining),
            str(config.config), [worker.generation for worker in dataplane.worker_states()],
            dataplane.draining, dataplane.draining_asked]


@contextmanager
def short_of_memory():
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])        # proc(5): address space
    limit = pages * resource.getpagesize() + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
