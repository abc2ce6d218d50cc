"""Memory that this process may lock: AF_XDP's driver has the kernel lock all packet buffers, and a
PCI device's all memory that the device could read or write.

AF_XDP's in DPDK 22.11 locks as much as the buffers take, in 24.11 all that they lie in (measured
with 22.11.11 and 24.11.8): none lies across two pages, so that each has one to itself where none
is huge.

Reading list: Linux's Documentation/networking/af_xdp.rst (XDP_UMEM_REG), getrlimit(2), DPDK's
rte_mempool.h (rte_mempool_op_calc_mem_size_helper) and Getting Started Guide for Linux ("Running
DPDK Applications Without Root Privileges": RLIMIT_MEMLOCK).
"""

import re
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.config.attachment import Attachment, attachment_of
from appliance.config.rules import BUFFER_BYTES, MIB
from appliance.exit_codes import ExitCode
from appliance.host.capabilities import CAP_IPC_LOCK, has_capability
from appliance.host.pci import PCI_DEVICES, SHARING_DRIVERS, bound_driver
from appliance.refusal import Refusal
from cython_core.dataplane import DPDK_VERSION

# A buffer behind the header that its pool gives it (rte_mempool.h).
LOCKED_BYTES = BUFFER_BYTES + 64
KIB_PER_MIB = 1024
HUGE_PAGE_BYTES = 2 << 20       # the smallest, with which most is left over
LOCKING_DRIVERS = ("vfio-pci", *SHARING_DRIVERS)
WITH_GAPS = int(DPDK_VERSION.split(".")[0]) >= 24


def lockable_refusals(
    devices: Sequence[str], buffers: int, hugepages: bool
) -> Iterator[Refusal]:
    """`devices` as EAL is told them; `buffers` are those of one pool."""
    page_bytes = HUGE_PAGE_BYTES if hugepages else resource.getpagesize()
    # A page more, since a pool begins within one.
    need = _registrations(devices) * (
        pool_bytes(buffers, page_bytes, WITH_GAPS) + resource.getpagesize())
    yield from _refusals("AF_XDP locks memory.buffers for each queue", need, "memory.buffers")


def dma_refusals(
    attachments: Sequence[Attachment], memory_mib: int, devices: Path = PCI_DEVICES
) -> Iterator[Refusal]:
    """A device behind an IOMMU reaches all of `memory_mib`, which is locked for it."""
    locking = [one.pci for one in attachments
               if one.pci and bound_driver(devices / one.pci) in LOCKING_DRIVERS]
    if locking:
        yield from _refusals(
            f"{' and '.join(locking)}: memory.size_mib is locked for DMA", memory_mib * MIB,
            "memory.size_mib")


def _refusals(what: str, need: int, option: str) -> Iterator[Refusal]:
    """Where this process may not lock so many bytes."""
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit == resource.RLIM_INFINITY or need <= limit or has_capability(CAP_IPC_LOCK):
        return
    need_mib = -(-need // MIB)
    yield Refusal(
        f"{what}, {need_mib} MiB, and this process may lock {limit // KIB_PER_MIB} KiB;"
        f" `ulimit -l {need_mib * KIB_PER_MIB}` (LimitMEMLOCK={need_mib}M of systemd) or"
        f" `--ulimit memlock={need}` of a container, grant CAP_IPC_LOCK, or lower {option}",
        ExitCode.DENIED,
    )


def pool_bytes(buffers: int, page_bytes: int, with_gaps: bool) -> int:
    """Of so many that is locked, with what is left at the end of each page or without."""
    if not with_gaps:
        return buffers * LOCKED_BYTES
    pages, more = divmod(buffers, page_bytes // LOCKED_BYTES)
    return pages * page_bytes + more * LOCKED_BYTES


def _registrations(devices: Sequence[str]) -> int:
    """How often a pool is locked, and counted: once a queue, unless queues share it."""
    arguments = [device for device in devices if attachment_of(device).driver == "net_af_xdp"]
    own = [device for device in arguments if ",shared_umem=1" not in device]
    counts = [re.search(r",queue_count=(\d+)", device) for device in own]
    return sum(int(count[1]) if count else 1 for count in counts) + (len(own) < len(arguments))
