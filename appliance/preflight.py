"""Everything that a configuration needs of the host, looked at before anything is touched."""

from collections.abc import Iterator, Sequence

from appliance.config.attachment import Attachment, attachment_of
from appliance.config.listening import Listening
from appliance.host.capabilities import capability_refusals
from appliance.host.cgroup import cpu_quota, groups_of
from appliance.host.hugepages import hugepage_refusals
from appliance.host.interfaces import interface_notices, interface_refusals
from appliance.host.listening import listening_notices, listening_refusals
from appliance.host.lockable import dma_refusals, lockable_refusals
from appliance.host.pci import pci_refusals
from appliance.host.processors import processor_refusals, vector_refusals
from appliance.refusal import Refusal
from cython_core.dataplane import Settings


def attachments_of(settings: Settings) -> list[Attachment]:
    return [attachment_of(port.device) for port in (settings.client_port, settings.server_port)]


def preflight_refusals(
    settings: Settings, listening: Sequence[Listening]
) -> Iterator[Refusal]:
    """`listening` is where the gRPC server is to listen."""
    attachments = attachments_of(settings)
    lacking = list(capability_refusals(attachments))
    yield from lacking
    if not lacking:     # run as root, which is a remedy for that, it may lock any memory
        yield from lockable_refusals(
            [settings.client_port.device, settings.server_port.device], settings.mbufs,
            settings.hugepages)
        yield from dma_refusals(attachments, settings.memory_mib)
    yield from interface_refusals(attachments)
    yield from pci_refusals(attachments)
    groups = groups_of()
    yield from processor_refusals(
        (settings.main_lcore, *settings.worker_lcores), cpu_quota(groups))
    yield from vector_refusals(settings.vector)
    if settings.hugepages:
        yield from hugepage_refusals(settings.memory_mib, groups=groups)
    for one in listening:
        yield from listening_refusals(one)


def preflight_notices(settings: Settings, listening: Sequence[Listening]) -> Iterator[str]:
    """What the operator should know, though it refuses nothing."""
    yield from interface_notices(attachments_of(settings))
    for one in listening:
        yield from listening_notices(one)
