"""What is refused to the daemon, whoever has got hold of it: by the container's seccomp profile,
and by the unit's SystemCallFilter."""

import json
import subprocess
import sys

import pytest

from appliance.lab.namespace import python_module

from .confinement import (
    AF_XDP,
    CAPABILITIES,
    FAMILIES,
    allowed,
    container_profile,
    unit_profile,
    unit_words,
)
from .daemon_process import as_root

# With arguments that can't do anything: a number of syscall(2), and what goes in.
REFUSED = {
    "ptrace": (-1, 0, 0, 0), "process_vm_readv": (-1, 0, 0, 0, 0, 0),
    "process_vm_writev": (-1, 0, 0, 0, 0, 0), "kcmp": (-1, -1, 0, 0, 0),
    "mount": (0, 0, 0, 0, 0), "umount2": (0, 0), "pivot_root": (0, 0), "chroot": (0,),
    "move_mount": (-1, 0, -1, 0, 0), "fsopen": (0, 0), "open_tree": (-1, 0, -1),
    "mount_setattr": (-1, 0, -1, 0, 0), "setns": (-1, 0), "unshare": (-1,),
    "kexec_load": (-1, -1, 0, 0), "kexec_file_load": (-1, -1, 0, 0, 0),
    "init_module": (0, 0, 0), "finit_module": (-1, 0, 0), "delete_module": (0, 0),
    "reboot": (0, 0, 0, 0), "swapon": (0, 0), "swapoff": (0,), "acct": (1,),
    "settimeofday": (1, 1), "clock_settime": (-1, 0), "adjtimex": (0,),
    "perf_event_open": (0, 0, -1, -1, 0), "userfaultfd": (-1,), "io_uring_setup": (0, 0),
    "keyctl": (-1, 0, 0, 0, 0), "add_key": (0, 0, 0, 0, 0), "request_key": (0, 0, 0, 0),
    "open_by_handle_at": (-1, 0, 0), "name_to_handle_at": (-1, 0, 0, 0, 0),
    "fanotify_init": (-1, -1), "lookup_dcookie": (0, 0, 0), "quotactl": (-1, 0, 0, 0),
    "iopl": (-1,), "ioperm": (-1, -1, 0), "syslog": (-1, 0, 0), "vhangup": (),
}
EPERM, ENOSYS, EINVAL = 1, 38, 22
PROFILES = {"container": container_profile, "unit": unit_profile}
# Reads {"calls": {name: arguments}}; the errno of each, or 0.
PROBE = """
import ctypes, json, sys
libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
told = {}
for name, arguments in json.load(sys.stdin).items():
    number = seccomp.seccomp_syscall_resolve_name(name.split(" ")[0].encode())
    ctypes.set_errno(0)
    done = libc.syscall(number, *map(ctypes.c_long, arguments))
    told[name] = ctypes.get_errno() if done < 0 else 0
print(json.dumps(told))
"""

pytestmark = as_root


@pytest.fixture(params=PROFILES)
def profile(request):
    return PROFILES[request.param]()


def probed(calls, tmp_path, profile=None, capabilities=CAPABILITIES["AF_PACKET"]):
    """By name, the errno of each call: under the profile, or without any."""
    command = [sys.executable, "-P", "-c", PROBE]
    if profile is not None:
        (tmp_path / "profile.json").write_text(json.dumps(profile))
        command = python_module("appliance.lab.confined", str(tmp_path / "profile.json"),
                                ",".join(capabilities), *command)
    done = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True,
                          check=True)
    return json.loads(done.stdout)


def test_what_no_packet_needs_is_refused(profile, tmp_path):
    told = probed(REFUSED, tmp_path, profile)
    assert {name: errno for name, errno in told.items() if errno != EPERM} == {}


def test_without_it_the_kernel_would_have_done_most_of_that(tmp_path):
    """So that the test before says something: arguments are looked at, and found to be none."""
    calls = {name: REFUSED[name] for name in (
        "ptrace", "process_vm_readv", "mount", "pivot_root", "setns", "unshare", "finit_module",
        "reboot", "swapon", "clock_settime", "keyctl")}
    assert EPERM not in probed(calls, tmp_path).values()


def test_a_container_gets_to_bpf_where_it_was_given_the_right_to_it(tmp_path):
    calls = {"bpf": (-1, 0, 0)}
    profile = container_profile()
    assert probed(calls, tmp_path, profile) == {"bpf": EPERM}
    for capabilities in (CAPABILITIES["AF_XDP"], ["NET_RAW", "NET_ADMIN", "BPF"]):
        assert probed(calls, tmp_path, profile, capabilities) == {"bpf": EINVAL}


def test_it_makes_no_namespace_with_a_process(tmp_path):
    told = probed({"clone": (0x10000000 | 17, 0, 0, 0, 0), "clone3": (0, 0)}, tmp_path,
                  container_profile())
    assert told == {"clone": EPERM, "clone3": ENOSYS}


def test_sockets_are_of_the_families_that_it_speaks(profile, tmp_path):
    """socket(2) says EINVAL to a type that there isn't: it was asked, at least."""
    families = {f"socket {family}": (family, -1, 0) for family in range(46)}
    told = probed(families, tmp_path, profile)
    assert {name for name, errno in told.items() if errno != EPERM} == {
        f"socket {family}" for family in FAMILIES.values()}


def test_both_let_it_call_what_it_was_seen_to_call():
    container, unit = container_profile(), allowed(unit_profile())
    seen, *_ = container["syscalls"]
    assert set(seen["names"]) <= unit
    assert "bpf" in unit
    assert not (allowed(container) | unit) & set(REFUSED)
    assert set(unit_words("RestrictAddressFamilies")) == set(FAMILIES)
    assert FAMILIES["AF_XDP"] == AF_XDP
    (errno,) = unit_words("SystemCallErrorNumber")
    assert errno == "EPERM"
