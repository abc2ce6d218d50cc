"""The rights that each way to a port needs: capabilities(7)."""

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
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
# For AF_PACKET's sake, too: starting its port writes the interface's flags, netdevice(7).
_NET_ADMIN = ("CAP_NET_ADMIN", CAP_NET_ADMIN)
# Not CAP_BPF: net_af_xdp looks up its program's map by its id, BPF_MAP_GET_FD_BY_ID of bpf(2).
_SYS_ADMIN = ("CAP_SYS_ADMIN", CAP_SYS_ADMIN)
_NEEDS = {
    "net_af_packet": (_NET_RAW, _NET_ADMIN),
    "net_af_xdp": (_NET_RAW, _NET_ADMIN, _SYS_ADMIN),
    "net_pcap": (_NET_RAW,),
}
# The program that fills net_af_xdp's map was loaded by somebody else, who left the map open to us.
_NEEDS_OF_GIVEN_MAP = (_NET_RAW, _NET_ADMIN)
_STATUS = Path("/proc/self/status")
_VERSION_3 = 0x20080522     # of capset(2)'s two structures


def capabilities_take() -> None:
    """Puts all that is permitted into effect.  A program that has its rights from its file alone
    (setcap(8) with `=p`), as one does in a container as a user other than root, begins with none
    that counts; with `=ep` it wouldn't begin at all where one of them is withheld.

    Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", _VERSION_3, 0)
    # Effective, permitted and inheritable, of the lower 32 capabilities, then of the others.
    sets = (ctypes.c_uint32 * 6)()
    if not libc.capget(header, sets):
        sets[0], sets[3] = sets[1], sets[4]
        if not libc.capset(header, sets):
            return
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def has_capability(bit: int, status: Path = _STATUS) -> bool:
    return bool(_set(status, "CapEff") >> bit & 1)


def capability_refusals(
    attachments: Sequence[Attachment], status: Path = _STATUS
) -> Iterator[Refusal]:
    effective = _set(status, "CapEff")
    for one in attachments:
        needs = _needs(one) if one.interface else ()
        lacking = {name: bit for name, bit in needs if not effective >> bit & 1}
        if lacking:
            yield Refusal(
                f"{one.interface}: {one.driver} needs {' and '.join(lacking)};"
                f" {_remedy(lacking.values(), status)}",
                ExitCode.DENIED,
            )


def _remedy(lacking: Iterable[int], status: Path) -> str:
    within_reach = _set(status, "CapBnd") & ~_set(status, "CapPrm")
    if _set(status, "NoNewPrivs") and all(within_reach >> bit & 1 for bit in lacking):
        return (
            "no-new-privileges keeps the program's file from giving what is granted: set"
            " allowPrivilegeEscalation: true (Kubernetes), leave out --security-opt"
            " no-new-privileges (Docker), or name it in AmbientCapabilities= (systemd)"
        )
    return (
        "run as root, or grant what is missing (AmbientCapabilities= of systemd, --cap-add of a"
        " container)"
    )


def _needs(one: Attachment) -> tuple[tuple[str, int], ...]:
    return _NEEDS_OF_GIVEN_MAP if one.given_map else _NEEDS.get(one.driver, ())


def _set(status: Path, name: str) -> int:
    """A set of bits, by its name in proc_pid_status(5)."""
    for line in status.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1], 16)
    return 0
