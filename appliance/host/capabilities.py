"""The rights that each way to a port needs: capabilities(7)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.config.attachment import Attachment
from appliance.exit_codes import ExitCode
from appliance.refusal import Refusal

# linux/capability.h
CAP_CHOWN = 0
CAP_NET_ADMIN = 12
CAP_NET_RAW = 13
CAP_IPC_LOCK = 14
CAP_SYS_ADMIN = 21

# (name, bit), by the driver that needs them.
_NET_RAW = ("CAP_NET_RAW", CAP_NET_RAW)
_NET_ADMIN = ("CAP_NET_ADMIN", CAP_NET_ADMIN)
# Not CAP_BPF: net_af_xdp looks up its program's map by its id, BPF_MAP_GET_FD_BY_ID of bpf(2).
_SYS_ADMIN = ("CAP_SYS_ADMIN", CAP_SYS_ADMIN)
_NEEDS = {
    "net_af_packet": (_NET_RAW,),
    "net_af_xdp": (_NET_RAW, _NET_ADMIN, _SYS_ADMIN),
    "net_pcap": (_NET_RAW,),
}
_STATUS = Path("/proc/self/status")


def has_capability(bit: int, status: Path = _STATUS) -> bool:
    return bool(_effective(status) >> bit & 1)


def capability_refusals(
    attachments: Sequence[Attachment], status: Path = _STATUS
) -> Iterator[Refusal]:
    effective = _effective(status)
    for one in attachments:
        needs = _NEEDS.get(one.driver, ()) if one.interface else ()
        lacking = [name for name, bit in needs if not effective >> bit & 1]
        if lacking:
            yield Refusal(
                f"{one.interface}: {one.driver} needs {' and '.join(lacking)};"
                " run as root, or grant what is missing (AmbientCapabilities= of systemd, --cap-add"
                " of a container)",
                ExitCode.DENIED,
            )


def _effective(status: Path) -> int:
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
