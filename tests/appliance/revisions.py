"""Revisions to keep, for the tests of keeping them."""

import asyncio

from synproxy.v1.revision_pb2 import Revision
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.live import Live
from appliance.state.history import Origin, Stepped
from appliance.state.record import Record, Step

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


def named(name, port=80, prefix="198.51.100.1"):
    return Service(name=name, prefixes=[prefix], ports=[str(port)])


def steps(history, *changed):
    """Several at once: each a service as it is to be, or the name of one to delete."""
    running, several = history.newest.live, []
    for one in changed:
        services = dict(running.services)
        if isinstance(one, str):
            del services[one]
            step = Step(one, None)
        else:
            services[one.name] = one
            step = Step(one.name, one)
        running = Live(running.defaults, services)
        several.append(Stepped(step, ORIGIN, []))
    asyncio.run(history.add_steps(running, several))


def names(path):
    return sorted(one.name for one in path.iterdir())
