"""Memory that this process may lock: AF_XDP's driver has the kernel lock all packet buffers.

Reading list: Linux's Documentation/networking/af_xdp.rst (XDP_UMEM_REG), getrlimit(2).
"""

import re
import resource
from collections.abc import Iterator, Sequence

from appliance.config.attachment import attachment_of
from appliance.config.rules import BUFFER_BYTES, MIB
from appliance.exit_codes import ExitCode
from appliance.host.capabilities import CAP_IPC_LOCK, has_capability
from appliance.refusal import Refusal

# A buffer behind the header that its pool gives it (rte_mempool.h).
LOCKED_BYTES = BUFFER_BYTES + 64
KIB_PER_MIB = 1024


def lockable_refusals(devices: Sequence[str], buffers: int) -> Iterator[Refusal]:
    """`devices` as EAL is told them; `buffers` are those of one pool."""
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    # A page more, since a pool begins within one.
    need = _registrations(devices) * (buffers * LOCKED_BYTES + resource.getpagesize())
    if limit == resource.RLIM_INFINITY or need <= limit or has_capability(CAP_IPC_LOCK):
        return
    need_mib = -(-need // MIB)
    yield Refusal(
        f"AF_XDP locks memory.buffers for each queue, {need_mib} MiB, and this process may lock"
        f" {limit // KIB_PER_MIB} KiB; `ulimit -l {need_mib * KIB_PER_MIB}` (LimitMEMLOCK="
        f"{need_mib}M of systemd) or `--ulimit memlock={need}` of a container, grant CAP_IPC_LOCK,"
        " or lower memory.buffers",
        ExitCode.DENIED,
    )


def _registrations(devices: Sequence[str]) -> int:
    """How often a pool is locked, and counted: once a queue, unless queues share it."""
    arguments = [device for device in devices if attachment_of(device).driver == "net_af_xdp"]
    own = [device for device in arguments if ",shared_umem=1" not in device]
    counts = [re.search(r",queue_count=(\d+)", device) for device in own]
    return sum(int(count[1]) if count else 1 for count in counts) + (len(own) < len(arguments))
