"""An UpdateServiceRequest's edit: what of the service it takes, by its field mask (AIP-134)."""

from collections.abc import Iterator
from typing import Any, cast

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2 import UpdateServiceRequest

from appliance.config.options import overlay
from appliance.config.schema import fields_of, is_group
from appliance.config.violation import Violation

CHANGEABLE = ("options", "prefixes", "ports")


def mask_violations(mask: FieldMask) -> Iterator[Violation]:
    for path in mask.paths:
        if not FieldMask(paths=[path]).IsValidForDescriptor(cast(Any, Service.DESCRIPTOR)):
            yield Violation("update_mask", f"{path} is no field of a service")
        elif path.partition(".")[0] not in CHANGEABLE:
            yield Violation(
                "update_mask",
                f"{path} can't be changed, only prefixes, ports and what is below options",
            )


def mask_apply(request: UpdateServiceRequest, service: Service) -> None:
    """Make the request's change to `service`.  The mask has no violations."""
    asked = request.service
    wanted = Service(options=asked.options, prefixes=asked.prefixes, ports=asked.ports)
    if not request.update_mask.paths:
        overlay(service.options, wanted.options)
        if wanted.prefixes:
            service.prefixes[:] = wanted.prefixes
        if wanted.ports:
            service.ports[:] = wanted.ports
        return
    # A path is reset where it is unset in the request; MergeMessage would skip it where the
    # message around it is unset, too.
    _set_groups(wanted.options)
    request.update_mask.MergeMessage(
        wanted, service, replace_message_field=True, replace_repeated_field=True)


def _set_groups(message: Message) -> None:
    for field in fields_of(message.DESCRIPTOR):
        if is_group(field):
            group = getattr(message, field.name)
            group.SetInParent()
            _set_groups(group)
