"""Rights: which a way to a port needs, and which this process has."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.config.attachment import attachment_of
from appliance.exit_codes import ExitCode
from appliance.host.capabilities import CAP_CHOWN, capability_refusals, has_capability
from appliance.host.interfaces import interface_refusals
from appliance.host.link import Link

from .daemon_process import as_root

XDP = attachment_of("net_af_xdp0,iface=eth1")
GIVEN = "net_af_xdp0,iface=eth1,use_{}=1"
PACKET = attachment_of("net_af_packet1,iface=eth2")
PCI = attachment_of("0000:03:00.0")
RING = attachment_of("net_ring0")

NET_ADMIN, NET_RAW, SYS_ADMIN, BPF = (1 << bit for bit in (12, 13, 21, 39))


@pytest.fixture
def status(tmp_path):
    """A /proc/self/status with these effective capabilities."""

    def write(capabilities, permitted=2**40, bounding=0, no_new_privileges=0):
        path = tmp_path / "status"
        path.write_text(
            f"Name:\tpython\nCapPrm:\t{permitted:016x}\nCapEff:\t{capabilities:016x}\n"
            f"CapBnd:\t{bounding:016x}\nNoNewPrivs:\t{no_new_privileges}\n")
        return path

    return write


@pytest.mark.parametrize(
    ("capabilities", "lacking"),
    [
        (NET_ADMIN | NET_RAW | BPF, ["eth1: net_af_xdp needs CAP_SYS_ADMIN"]),
        (NET_ADMIN | NET_RAW | SYS_ADMIN, []),
        (NET_RAW | SYS_ADMIN, ["eth1: net_af_xdp needs CAP_NET_ADMIN",
                               "eth2: net_af_packet needs CAP_NET_ADMIN"]),
        (NET_RAW, ["eth1: net_af_xdp needs CAP_NET_ADMIN and CAP_SYS_ADMIN",
                   "eth2: net_af_packet needs CAP_NET_ADMIN"]),
        (0, ["eth1: net_af_xdp needs CAP_NET_RAW and CAP_NET_ADMIN and CAP_SYS_ADMIN",
             "eth2: net_af_packet needs CAP_NET_RAW and CAP_NET_ADMIN"]),
    ],
)
def test_rights_that_a_driver_needs_are_named(status, capabilities, lacking):
    refusals = list(capability_refusals([XDP, PACKET, PCI, RING], status(capabilities)))
    assert [str(refusal).partition(";")[0] for refusal in refusals] == lacking
    assert all(refusal.code is ExitCode.DENIED for refusal in refusals)


@pytest.mark.parametrize("way", ["pinned_map", "cni"])
def test_af_xdp_with_a_map_that_it_is_given_needs_no_right_to_a_program(status, way):
    given = attachment_of(GIVEN.format(way))
    assert list(capability_refusals([given], status(NET_ADMIN | NET_RAW))) == []
    assert list(interface_refusals([given], lambda _: Link(7, 0, 42), lambda _: "plugin")) == []
    (refusal,) = capability_refusals([given], status(NET_RAW))
    assert "needs CAP_NET_ADMIN;" in str(refusal)


@pytest.mark.parametrize(("permitted", "bounding", "no_new_privileges", "kept"), [
    (0, NET_RAW | NET_ADMIN, 1, True),
    (NET_RAW, NET_RAW | NET_ADMIN, 1, False),       # permitted, and dropped since
    (0, NET_RAW, 1, False),                         # the other one was never granted
    (0, NET_RAW | NET_ADMIN, 0, False),
])
def test_rights_that_no_new_privileges_keeps_are_told_from_those_that_were_not_granted(
        status, permitted, bounding, no_new_privileges, kept):
    (refusal,) = capability_refusals([PACKET], status(0, permitted, bounding, no_new_privileges))
    found, _, remedy = str(refusal).partition("; ")
    assert found == "eth2: net_af_packet needs CAP_NET_RAW and CAP_NET_ADMIN"
    assert ("allowPrivilegeEscalation: true" in remedy) is kept
    assert ("--cap-add of a container" in remedy) is not kept


@as_root
def test_no_new_privileges_is_told_by_the_kernels_own_status():
    """With the rights of no file, which is what is left of one there."""
    ran = subprocess.run(
        ["setpriv", "--no-new-privs", "--reuid=65534", "--clear-groups", "--inh-caps=-all",
         sys.executable, "-P", "-c", REFUSED], capture_output=True, text=True, check=True)
    assert "no-new-privileges keeps the program's file from giving" in ran.stdout


def test_a_capability_is_one_bit(status):
    assert has_capability(CAP_CHOWN, status(1))
    assert not has_capability(CAP_CHOWN, status(NET_RAW))


REFUSED = """\
from appliance.config.attachment import attachment_of
from appliance.host.capabilities import capability_refusals
print(*capability_refusals([attachment_of("net_af_packet1,iface=eth2")]))
"""
TAKE = """\
from appliance.host.capabilities import capabilities_take, has_capability
print(has_capability(13), end=" ")
capabilities_take()
print(has_capability(13), has_capability(12))
"""
REVISION_2 = 0x02000000     # of security.capability: linux/capability.h


@as_root
def test_rights_of_the_programs_file_are_taken_up_as_far_as_they_are_left(tmp_path):
    """As in a container as a user other than root: no right by the uid, and CAP_NET_ADMIN, which
    the file has, too, withheld."""
    program = tmp_path / "python"
    program.write_bytes(Path(sys.executable).resolve().read_bytes())
    program.chmod(0o700)
    os.setxattr(program, "security.capability",
                struct.pack("<5I", REVISION_2, NET_RAW | NET_ADMIN, 0, 0, 0))
    ran = subprocess.run(
        ["setpriv", "--bounding-set", "-all,+net_raw", "--inh-caps=-all",
         "--securebits=+noroot,+noroot_locked", program, "-P", "-c", TAKE],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHOME": sys.base_prefix},
        capture_output=True, text=True, check=True)
    assert ran.stdout == "False True False\n"
