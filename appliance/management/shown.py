"""A service as callers see it: what is set for it, what is in effect, and its etag."""

from collections.abc import Collection

from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.options import effective_options
from appliance.management.draft import etag_of

FIELDS = frozenset(field.name for field in Service.DESCRIPTOR.fields)


def service_show(
    service: Service, defaults: ServiceOptions, shown: Service, fields: Collection[str] = FIELDS
) -> None:
    """Sets `fields` of `shown`, which is empty.  `service` is one that runs, or has run:
    service_own has made it."""
    shown.CopyFrom(service)
    if "effective_options" in fields:
        shown.effective_options.CopyFrom(effective_options(defaults, service.options))
    if "etag" in fields:
        shown.etag = etag_of(service)
    for field in FIELDS.difference(fields):
        shown.ClearField(field)
