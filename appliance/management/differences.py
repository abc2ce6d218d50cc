"""What two configurations don't have in common, field by field."""

from collections.abc import Mapping

from google.protobuf.message import Message
from synproxy.v1.config_pb2 import Config
from synproxy.v1.revision_pb2 import Difference

from appliance.config.live import Live, restart_part
from appliance.management.changes import Fields, fields_changed

DEFAULTS = "defaults"


def service_resource(name: str) -> str:
    return f"services/{name}"


def changed_resources(before: Live, after: Live) -> dict[str, Fields]:
    """By resource: `defaults`, then services as `after` has them, then those that are gone."""
    pairs: dict[str, tuple[Message | None, Message | None]] = {
        DEFAULTS: (before.defaults, after.defaults)}
    for name in {**after.services, **before.services}:
        pairs[service_resource(name)] = (before.services.get(name), after.services.get(name))
    changed = {
        resource: fields_changed(*pair) for resource, pair in pairs.items() if pair[0] != pair[1]}
    return {resource: fields for resource, fields in changed.items() if fields}


def differences_of(changed: Mapping[str, Fields]) -> list[Difference]:
    return [
        Difference(resource=resource, field=field, before=old, after=new)
        for resource, fields in changed.items() for field, (old, new) in fields.items()
    ]


def restart_differences(before: Config, after: Config) -> list[Difference]:
    """Of what takes effect when the daemon starts."""
    return differences_of({"": fields_changed(restart_part(before), restart_part(after))})
