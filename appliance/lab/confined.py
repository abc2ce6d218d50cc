"""A command under a container's seccomp profile, without a container:

    python -m appliance.lab.confined PROFILE CAPABILITIES COMMAND...

CAPABILITIES, as "NET_RAW,NET_ADMIN", are those that the container would be given, which `includes`
of the profile is bound to.  The command gets no right that it hasn't, and none is taken from it.

Reading list: seccomp(2), seccomp_rule_add(3), https://docs.docker.com/engine/security/seccomp.
"""

import ctypes
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# <seccomp.h>
SCMP_ACT_ALLOW = 0x7FFF0000
SCMP_ACT_ERRNO = 0x00050000
SCMP_FLTATR_CTL_NNP = 3
UNKNOWN = -1                # a name: __NR_SCMP_ERROR
OPERATIONS = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}


class Comparison(ctypes.Structure):
    """scmp_arg_cmp of <seccomp.h>."""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("datum_a", ctypes.c_uint64),
                ("datum_b", ctypes.c_uint64)]


def entries(profile: Mapping[str, Any], capabilities: Iterable[str]) -> list[Mapping[str, Any]]:
    """Those of its `syscalls` that count for such a container."""
    given = {f"CAP_{name}" for name in capabilities}
    return [entry for entry in profile["syscalls"]
            if given.issuperset(entry.get("includes", {}).get("caps", []))]


def action_of(name: str, errno: int) -> int:
    return SCMP_ACT_ALLOW if name == "SCMP_ACT_ALLOW" else SCMP_ACT_ERRNO | errno


def confine(profile: Mapping[str, Any], capabilities: Iterable[str]) -> None:
    """This thread, and what comes of it, from here on.  Raises OSError."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(
        action_of(profile["defaultAction"], profile["defaultErrnoRet"])))
    # Set, programs would get no rights by their files any more: that is the container's to say.
    seccomp.seccomp_attr_set(rules, SCMP_FLTATR_CTL_NNP, 0)
    for entry in entries(profile, capabilities):
        action = action_of(entry["action"], entry.get("errnoRet", 1))
        compared = [Comparison(one["index"], OPERATIONS[one["op"]], one["value"],
                               one.get("valueTwo", 0)) for one in entry.get("args", [])]
        for name in entry["names"]:
            number = seccomp.seccomp_syscall_resolve_name(name.encode())
            if number == UNKNOWN:       # passed over, as runtimes do
                continue
            _done(seccomp.seccomp_rule_add_array(
                rules, action, number, len(compared), (Comparison * len(compared))(*compared)),
                name)
    _done(seccomp.seccomp_load(rules), "the filter")


def _done(code: int, what: str) -> None:
    if code:
        raise OSError(-code, f"{what}: {os.strerror(-code)}")


def main() -> None:
    profile, capabilities, *command = sys.argv[1:]
    confine(json.loads(Path(profile).read_text()), capabilities.split(","))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
