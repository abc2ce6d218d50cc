"""What the host lacks is said in one line that tells what to do."""

import grp
import os
import pty
import resource
import select
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from synproxy.v1.config_pb2 import Tls
from synproxy.v1.rule_pb2 import ROLE_VIEWER

from appliance.config.attachment import attachment_of
from appliance.config.listening import Listening
from appliance.exit_codes import ExitCode
from appliance.host import listening as listening_module
from appliance.host.capabilities import CAP_CHOWN
from appliance.host.certificates import pem_read
from appliance.host.claim import claimed
from appliance.host.hugepages import hugepage_refusals
from appliance.host.interfaces import interface_notices, interface_refusals
from appliance.host.link import Link, link_read
from appliance.host.listening import listening_notices, listening_refusals
from appliance.host.lockable import (
    HUGE_PAGE_BYTES,
    LOCKED_BYTES,
    dma_refusals,
    lockable_refusals,
    pool_bytes,
)
from appliance.host.pci import pci_refusals
from appliance.host.processors import processor_refusals
from appliance.refusal import Refusal

from .certificates import Authority, openssl
from .daemon_process import as_root
from .disks import small

XDP = attachment_of("net_af_xdp0,iface=eth1")
PACKET = attachment_of("net_af_packet1,iface=eth2")
PCI = attachment_of("0000:03:00.0")
RING = attachment_of("net_ring0")
NOBODY = 65534


def said(refusals):
    return [str(refusal) for refusal in refusals]


@pytest.fixture
def may_lock(monkeypatch):
    """So many bytes, of a process with that right or without it."""

    def set_limit(limit, right=False):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
        monkeypatch.setattr("appliance.host.lockable.has_capability", lambda _: right)

    return set_limit


ONE, FOUR, SHARED = ("net_af_xdp0,iface=eth1", "net_af_xdp1,iface=eth2,queue_count=4",
                     "net_af_xdp2,iface=eth3,queue_count=8,shared_umem=1")


@pytest.mark.parametrize(("devices", "pools_locked"), [
    ([ONE, "net_af_packet1,iface=eth2"], 1), ([ONE, FOUR], 5), ([SHARED, SHARED], 1),
    ([FOUR, SHARED], 5),
])
@pytest.mark.parametrize("with_gaps", [False, True])
def test_each_queue_of_af_xdp_locks_a_pool_unless_it_shares_it(
        monkeypatch, may_lock, devices, pools_locked, with_gaps):
    monkeypatch.setattr("appliance.host.lockable.WITH_GAPS", with_gaps)
    need = pools_locked * (32767 * (4096 if with_gaps else LOCKED_BYTES) + 4096)
    may_lock(need)
    assert not list(lockable_refusals(devices, 32767, hugepages=False))
    may_lock(need - 1)
    (refusal,) = lockable_refusals(devices, 32767, hugepages=False)
    assert refusal.code is ExitCode.DENIED
    mib = -(-need // (1 << 20))
    assert f"{mib} MiB" in str(refusal)
    assert f"`ulimit -l {mib * 1024}` (LimitMEMLOCK={mib}M of systemd)" in str(refusal)


def test_of_a_huge_page_no_more_is_left_over_than_a_buffer():
    huge, each = HUGE_PAGE_BYTES, HUGE_PAGE_BYTES // LOCKED_BYTES
    assert pool_bytes(2 * each, huge, with_gaps=True) == 2 * huge
    assert pool_bytes(2 * each + 1, huge, with_gaps=True) == 2 * huge + LOCKED_BYTES
    assert pool_bytes(2 * each, huge, with_gaps=False) == 2 * each * LOCKED_BYTES < 2 * huge


def test_who_may_lock_memory_is_not_asked_how_much(may_lock):
    may_lock(0, right=True)
    assert not list(lockable_refusals([ONE], 32767, hugepages=True))
    may_lock(resource.RLIM_INFINITY)
    assert not list(lockable_refusals([ONE], 32767, hugepages=True))
    may_lock(0)
    assert not list(lockable_refusals(["0000:03:00.0", "net_ring0"], 32767, hugepages=True))


@pytest.fixture
def pools(tmp_path):
    """A /sys/kernel/mm/hugepages with free pages by size in kB."""

    def make(free):
        for size_kib, pages in free.items():
            pool = tmp_path / f"hugepages-{size_kib}kB"
            pool.mkdir()
            (pool / "free_hugepages").write_text(f"{pages}\n")
        return tmp_path

    return make


@pytest.mark.parametrize("free", [{2048: 256}, {2048: 0, 1048576: 1}, {2048: 200, 65536: 2}])
def test_enough_huge_pages_of_any_size_will_do(pools, free):
    assert said(hugepage_refusals(512, pools(free))) == []


@pytest.mark.parametrize(
    ("free", "pages"), [({2048: 0}, 256), ({2048: 255}, 1), ({2048: 100, 1048576: 0}, 156)]
)
def test_missing_huge_pages_are_counted(pools, free, pages):
    (line,) = said(hugepage_refusals(512, pools(free)))
    assert f"reserve {pages} more pages of 2 MiB (vm.nr_hugepages)" in line
    assert "set memory.hugepages to false" in line


def test_a_kernel_without_huge_pages(tmp_path):
    (line,) = said(hugepage_refusals(64, tmp_path / "missing"))
    assert "0 MiB are free" in line


def test_the_loopback_is_read_over_netlink():
    assert link_read("lo") == Link(
        socket.if_nametoindex("lo"), master=0, xdp_program=0, ethernet=False
    )


@pytest.mark.parametrize("name", ["nosuchif0", "a-name-that-is-longer-than-any"])
def test_no_such_interface_is_read_as_none(name):
    assert link_read(name) is None


@pytest.mark.parametrize(
    ("link", "program", "line"),
    [
        (Link(7, 0, 0), None, None),
        (None, None, "eth1: no such interface in this network namespace;"
                     " `ip link` lists those that are there"),
        (Link(7, 0, 42), "filter", "eth1: is in use, XDP program 42 is attached to it;"
                                   " stop its owner,"
                                   " or detach it with `ip link set dev eth1 xdp off`"),
        # What a killed daemon has left behind, or what may not be looked at.
        (Link(7, 0, 42), "xsk_def_prog", None),
        (Link(7, 0, 42), "xdp_dispatcher", None),
        (Link(7, 0, 42), None, None),
        # A bridge beside AF_XDP is what forwards when the daemon is gone.
        (Link(7, 3, 0), None, None),
    ],
)
def test_an_interface_for_af_xdp(link, program, line):
    refusals = interface_refusals([XDP, PCI, RING], lambda name: link, lambda number: program)
    assert said(refusals) == ([line] if line else [])


@pytest.mark.parametrize(("link", "fine"), [(Link(7, 0, 42), True), (Link(7, 3, 0), False)])
def test_an_interface_for_af_packet(link, fine):
    lines = said(interface_refusals([PACKET], lambda name: link))
    assert lines == [] if fine else "`ip link set dev eth2 nomaster`" in lines[0]


def test_one_interface_goes_to_one_daemon():
    device = attachment_of(f"net_af_packet0,iface=t{os.getpid()}")
    with (
        claimed([device, RING]),
        pytest.raises(Refusal, match="is in use by another synproxyd"),
        claimed([device]),
    ):
        pass
    with claimed([device]):
        pass


@pytest.fixture
def devices(tmp_path):
    """A /sys/bus/pci/devices with 0000:03:00.0 bound to a driver."""

    def make(driver):
        device = tmp_path / "devices" / "0000:03:00.0"
        device.mkdir(parents=True)
        if driver:
            (device / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
        (device / "iommu_group").symlink_to("../../../kernel/iommu_groups/17")
        return device.parent

    return make


@pytest.mark.parametrize("driver", ["vfio-pci", "mlx5_core"])
def test_a_pci_device_that_dpdk_can_have(devices, tmp_path, driver):
    (tmp_path / "17").touch()
    assert said(pci_refusals([PCI, XDP], devices(driver), tmp_path)) == []


@pytest.mark.parametrize(("driver", "word"), [("ixgbe", "ixgbe"), ("", "no driver")])
def test_a_pci_device_of_the_kernels(devices, tmp_path, driver, word):
    assert said(pci_refusals([PCI], devices(driver), tmp_path)) == [
        f"0000:03:00.0: is bound to {word};"
        " bind it with `dpdk-devbind.py --bind=vfio-pci 0000:03:00.0`"
    ]


def test_a_pci_device_without_access(devices, tmp_path):
    (refusal,) = pci_refusals([PCI], devices("vfio-pci"), tmp_path)
    assert refusal.code is ExitCode.DENIED
    assert f"no access to {tmp_path}/17" in str(refusal)


@pytest.mark.parametrize("driver", ["vfio-pci", "mlx5_core"])
def test_all_memory_is_locked_for_a_device_behind_an_iommu(devices, may_lock, driver):
    here = devices(driver)
    may_lock(512 << 20)
    assert said(dma_refusals([PCI, XDP], 512, here)) == []
    may_lock((512 << 20) - 1)
    (refusal,) = dma_refusals([PCI, XDP], 512, here)
    assert refusal.code is ExitCode.DENIED
    assert str(refusal).startswith(
        "0000:03:00.0: memory.size_mib is locked for DMA, 512 MiB, and this process may lock"
        " 524287 KiB; `ulimit -l 524288` (LimitMEMLOCK=512M of systemd)")
    may_lock(0, right=True)
    assert said(dma_refusals([PCI, XDP], 512, here)) == []


def test_nothing_is_locked_for_a_device_without_an_iommu(devices, may_lock):
    may_lock(0)
    assert said(dma_refusals([PCI, XDP], 512, devices("uio_pci_generic"))) == []


def test_no_such_pci_device(tmp_path):
    (line,) = said(pci_refusals([PCI], tmp_path, tmp_path))
    assert line.startswith("0000:03:00.0: no such PCI device")


def test_cores_outside_of_the_cpuset_are_named():
    usable = sorted(os.sched_getaffinity(0))
    assert said(processor_refusals(usable)) == []
    (line,) = said(processor_refusals([*usable, 1023, 1000]))
    assert line.startswith("workers names lcore 1000, 1023, but this process may use ")


def test_a_folder_for_the_socket_must_exist(tmp_path):
    (line,) = said(listening_refusals(Listening("management", f"unix:{tmp_path}/missing/api.sock")))
    assert f"the folder {tmp_path}/missing doesn't exist; create it with `mkdir -p" in line


@as_root
def test_a_folder_for_the_socket_may_lie_in_one_without_rights(tmp_path):
    (tmp_path / "closed" / "run").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    os.seteuid(NOBODY)
    try:
        (refusal,) = listening_refusals(
            Listening("management", f"unix:{tmp_path}/closed/run/api.sock"))
    finally:
        os.seteuid(0)
    assert f"no right to enter what {tmp_path}/closed/run lies in" in str(refusal)
    assert refusal.code is ExitCode.DENIED


@as_root
def test_a_folder_for_the_socket_that_is_read_only_is_told_from_one_without_rights(tmp_path):
    with small(tmp_path / "run"):
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "run"], check=True)
        (refusal,) = listening_refusals(Listening("management", f"unix:{tmp_path}/run/api.sock"))
    assert str(refusal).startswith(
        f"management.address: {tmp_path}/run is read-only; mount a tmpfs there (")
    assert refusal.code is ExitCode.UNAVAILABLE


def test_a_file_in_the_sockets_place_is_not_removed(tmp_path):
    (tmp_path / "api.sock").write_text("mine")
    (line,) = said(listening_refusals(Listening("management", f"unix:{tmp_path}/api.sock")))
    assert "exists and is no socket; choose another path" in line


def test_a_socket_that_answers_is_another_daemons_and_one_that_does_not_is_stale(tmp_path):
    path = str(tmp_path / "api.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        (line,) = said(listening_refusals(Listening("management", f"unix:{path}")))
        assert f"another daemon listens at {path}" in line
    assert said(listening_refusals(Listening("management", f"unix:{path}"))) == []


def test_tcp_is_for_bind_to_find_out():
    assert said(listening_refusals(Listening("management", "127.0.0.1:50051"))) == []


def test_a_group_that_is_not_there_or_not_ours_is_told(monkeypatch):
    listening = Listening("management.listeners[0]", "unix:/tmp/x.sock", ROLE_VIEWER, "nosuch")
    (line,) = said(listening_refusals(listening))
    assert line == (
        "management.listeners[0].group: there is no group nosuch;"
        " create it with `groupadd --system nosuch`"
    )
    others = grp.getgrall()[-1].gr_name
    monkeypatch.setattr(listening_module, "has_capability", lambda bit: False)
    monkeypatch.setattr(os, "getegid", lambda: 2**31)
    monkeypatch.setattr(os, "getgroups", lambda: [])
    (refusal,) = listening_refusals(replace(listening, group=others))
    assert f"no right to give a socket to the group {others}" in str(refusal)
    assert refusal.code == ExitCode.DENIED
    monkeypatch.setattr(listening_module, "has_capability", lambda bit: bit == CAP_CHOWN)
    assert said(listening_refusals(replace(listening, group=others))) == []


@pytest.fixture
def tls(tmp_path):
    """A listener whose files are right."""
    authority = Authority(tmp_path / "pki")
    made = authority.daemon_certificate()
    made.key.chmod(0o600)
    tls = Tls(
        certificate_file=str(made.file), key_file=str(made.key),
        client_ca_file=str(authority.file),
    )
    return Listening("management.listeners[0]", "127.0.0.1:1", tls=tls)


def test_files_of_tls_that_fit_are_taken(tls):
    assert said(listening_refusals(tls)) == []
    assert list(listening_notices(tls)) == []


def test_every_file_of_tls_that_is_missing_is_told(tls):
    for path in (tls.tls.certificate_file, tls.tls.key_file, tls.tls.client_ca_file):
        os.unlink(path)
    assert [line.split(": ")[0] for line in said(listening_refusals(tls))] == [
        f"management.listeners[0].tls.{name}"
        for name in ("certificate_file", "key_file", "client_ca_file")
    ]


def test_files_of_tls_that_hold_something_else_are_told_without_what_they_hold(tls):
    for path in (tls.tls.certificate_file, tls.tls.client_ca_file):
        Path(path).write_text("hunter2")
    lines = said(listening_refusals(tls))
    assert [line.split(": ")[0] for line in lines] == [
        "management.listeners[0].tls.certificate_file",
        "management.listeners[0].tls.client_ca_file",
    ]
    assert "hunter2" not in "".join(lines)


def test_an_encrypted_key_is_told_and_asks_nobody(tls):
    openssl("ec", "-in", tls.tls.key_file, "-aes128", "-passout", "pass:x",
            "-out", tls.tls.key_file)
    (line,) = said(listening_refusals(tls))
    assert "no certificate with its unencrypted key in PEM" in line
    # With a terminal of its own OpenSSL would ask there, and wait.
    pid, terminal = pty.fork()
    if pid == 0:
        script = "import sys; from appliance.host.certificates import *; pair_misfit(*sys.argv[1:])"
        os.execv(sys.executable, [
            sys.executable, "-P", "-c", script, tls.tls.certificate_file, tls.tls.key_file])
    answered, _, _ = select.select([terminal], [], [], 20)
    assert answered == [terminal]
    with suppress(OSError):     # EIO: it has ended
        assert os.read(terminal, 1000) == b""
    os.close(terminal)
    os.waitpid(pid, 0)


def test_a_key_that_others_may_read_is_told_and_taken(tls):
    os.chmod(tls.tls.key_file, 0o644)
    (notice,) = listening_notices(tls)
    assert notice.startswith("management.listeners[0].tls.key_file: ")
    assert f"`chmod 600 {tls.tls.key_file}`" in notice
    assert said(listening_refusals(tls)) == []


def test_what_is_read_of_tls_shows_no_key(tls):
    pem = pem_read(tls.tls)
    assert b"PRIVATE KEY" in pem.key
    assert "PRIVATE KEY" not in repr(pem)
    assert set(pem.fingerprints()) == {"certificate_file", "client_ca_file"}


def test_dumps_are_forbidden_for_good():
    script = (
        "from appliance.host.dumps import *; a = dumps_allowed(); dumps_forbid();"
        "print(a, dumps_allowed())"
    )
    said = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert said.stdout == "True False\n"


def test_what_carries_no_ethernet_is_no_port():
    loopback = Link(1, master=0, xdp_program=0, ethernet=False)
    (line,) = said(interface_refusals([XDP, RING], read=lambda name: loopback))
    assert line.startswith("eth1: is no Ethernet interface")


@pytest.mark.parametrize(
    ("up", "carrier", "notice"),
    [
        (True, True, None),
        (False, False, "eth1: is down, nothing passes until `ip link set dev eth1 up`"),
        (True, False, "eth1: has no carrier, nothing passes; look at its cable or peer"),
    ],
)
def test_a_link_that_carries_nothing_is_told(up, carrier, notice):
    link = Link(1, master=0, xdp_program=0, up=up, carrier=carrier)
    assert list(interface_notices([XDP, RING], lambda name: link)) == [notice] * bool(notice)


def test_a_file_in_the_folders_place_is_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    (line,) = said(listening_refusals(Listening("management", f"unix:{tmp_path}/file/api.sock")))
    assert line == f"management.address: {tmp_path}/file is no folder; choose another path"
