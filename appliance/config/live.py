"""What of a configuration changes while the daemon runs, and what takes a restart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from synproxy.v1.config_pb2 import Config
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.constraints import constraint_violations
from appliance.config.options import complete
from appliance.config.rules import service_violations
from appliance.config.violation import Violation

LIVE_FIELDS = ("defaults", "services")


@dataclass(frozen=True)
class Live:
    """Neither it nor a service in it is ever changed: a change makes another one."""

    defaults: ServiceOptions = field(default_factory=ServiceOptions)
    services: Mapping[str, Service] = field(default_factory=dict)      # by name, in order


def live_of(config: Config) -> Live:
    return live_make(config.defaults, config.services)


def live_make(defaults: ServiceOptions, services: Iterable[Service]) -> Live:
    return Live(defaults, {service.name: service_own(service) for service in services})


def service_own(service: Service) -> Service:
    """A copy of what is set, without what the daemon says of it."""
    own = Service()
    own.CopyFrom(service)
    own.ClearField("effective_options")
    own.ClearField("etag")
    return own


def live_shared(live: Live, other: Live) -> Live:
    """The same as `live`, with the services of `other` where they are equal."""
    return Live(live.defaults, {
        name: kept if (kept := other.services.get(name)) == service else service
        for name, service in live.services.items()
    })


def restart_own(config: Config) -> Config:
    """A copy of the rest, as it is set."""
    rest = Config()
    for field_, value in config.ListFields():
        if field_.name not in LIVE_FIELDS:
            getattr(rest, field_.name).CopyFrom(value)
    return rest


def restart_part(config: Config) -> Config:
    """The rest, with every default: what is written as its default is as if it weren't."""
    rest = restart_own(config)
    complete(rest)
    for name in LIVE_FIELDS:
        rest.ClearField(name)
    return rest


def live_violations(live: Live, services_max: int) -> list[Violation]:
    """Paths are those of a file."""
    services = list(live.services.values())
    violations = list(constraint_violations(live.defaults, "defaults"))
    for index, service in enumerate(services):
        violations += constraint_violations(service, f"services[{index}]")
    return violations or list(service_violations(services, services_max))


@dataclass(frozen=True)
class Merged:
    live: Live
    overridden: tuple[str, ...]     # where the file took the place of another change


def live_merge(former: Live, file: Live, running: Live) -> Merged:
    """What has changed from `former`, the file as it was taken, to `file`, done to `running`."""
    overridden = []
    defaults = running.defaults
    if file.defaults != former.defaults:
        if running.defaults not in (former.defaults, file.defaults):
            overridden.append("defaults")
        defaults = file.defaults
    services: dict[str, Service] = {}
    for name in (*file.services, *(name for name in running.services if name not in file.services)):
        new, old, now = (
            one.services.get(name) for one in (file, former, running))
        if new != old and now not in (old, new):
            overridden.append(f"services/{name}")
        kept = now if new == old else new
        if kept is not None:
            services[name] = kept
    return Merged(Live(defaults, services), tuple(overridden))
