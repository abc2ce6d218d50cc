"""All that is to run in place of all that does, compiled."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from synproxy.v1.revision_pb2 import Difference

from appliance.config.live import Live, live_shared, live_violations
from appliance.config.settings import service_spec
from appliance.management.change import Wanted
from appliance.management.change_errors import InvalidServiceError
from appliance.management.changes import Fields
from appliance.management.claims import Claims
from appliance.management.differences import (
    changed_resources,
    differences_of,
    service_resource,
)
from appliance.management.draft import claims_of
from appliance.management.slots import Slots
from appliance.uncollected import uncollected
from cython_core.dataplane import ServiceSpec


@dataclass(frozen=True)
class Whole:
    live: Live
    file: Live | None           # where it is taken with it
    changed: Mapping[str, Fields]
    differences: Sequence[Difference]
    came: Mapping[str, int]     # by name: the slot
    gone: Collection[str]
    specs: Mapping[str, ServiceSpec]
    claims: Claims


@uncollected()
def whole_compiled(
    wanted: Wanted, running: Live, specs: Mapping[str, ServiceSpec], slots: Slots,
    leaving: Collection[int],
) -> Whole:
    """With what it changes of `running`; what doesn't change keeps its slot and its spec.
    `leaving` are the slots that are being left.  Raises InvalidServiceError, NoSlotError."""
    live = wanted.live
    violations = live_violations(live, slots.limit)
    if violations:
        raise InvalidServiceError(violations)
    changed = changed_resources(running, live)
    given = slots.given(live.services, leaving, {})
    keeps = live.defaults == running.defaults
    compiled = {
        name: specs[name]
        if keeps and name in specs and service_resource(name) not in changed
        else service_spec(given[name], service, live.defaults)
        for name, service in live.services.items()
    }
    came = {name: slot for name, slot in given.items() if name not in slots}
    gone = [name for name in slots if name not in given]
    file = live_shared(wanted.file, live) if wanted.file else None
    return Whole(live, file, changed, differences_of(changed), came, gone, compiled,
                 claims_of(live))
