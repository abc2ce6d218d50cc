"""Revisions to keep, for the tests of keeping them."""

import asyncio

from synproxy.v1.revision_pb2 import Revision
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.live import Live
from appliance.state.history import Origin
from appliance.state.record import (
    Record,
)

WEB = Service(name="web", prefixes=["192.0.2.0/24"], ports=["443"])
ORIGIN = Origin("unix:/run/api.sock", "ServicesService/UpdateService")


def live(mss=1400, **services):
    return Live(
        ServiceOptions(mss=mss),
        {"web": WEB} | {name: Service(name=name, prefixes=[prefix], ports=["80"])
                        for name, prefix in services.items()})


def record(number=1, running=None, file=None):
    running = running or live()
    return Record(Revision(number=number, by="somebody"), running, file or running)


def add(history, running, **how):
    return asyncio.run(history.add(running, running, ORIGIN, [], **how))


def names(path):
    return sorted(one.name for one in path.iterdir())
