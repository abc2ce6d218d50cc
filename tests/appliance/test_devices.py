"""The ports' devices: interfaces and PCI devices that can't be had, and memory that is locked for
them."""

import os
import resource
import socket

import pytest

from appliance.config.attachment import attachment_of
from appliance.exit_codes import ExitCode
from appliance.host.claim import claimed
from appliance.host.interfaces import interface_notices, interface_refusals
from appliance.host.link import Link, link_read
from appliance.host.lockable import (
    HUGE_PAGE_BYTES,
    LOCKED_BYTES,
    dma_refusals,
    lockable_refusals,
    pool_bytes,
)
from appliance.host.pci import pci_refusals
from appliance.refusal import Refusal

from .refused import said

XDP = attachment_of("net_af_xdp0,iface=eth1")
PACKET = attachment_of("net_af_packet1,iface=eth2")
PCI = attachment_of("0000:03:00.0")
RING = attachment_of("net_ring0")


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
def may_lock(monkeypatch):
    """So many bytes, of a process with that right or without it."""

    def set_limit(limit, right=False):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
        monkeypatch.setattr("appliance.host.lockable.has_capability", lambda _: right)

    return set_limit


def may_lock_more(mib, limit):
    """What a refusal says of how much is to be locked, beyond a limit of so many bytes."""
    return (f"{mib} MiB, and this process may lock {limit // 1024} KiB;"
            f" `ulimit -l {mib * 1024}` (LimitMEMLOCK={mib}M of systemd)")


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
    assert may_lock_more(-(-need // (1 << 20)), need - 1) in str(refusal)


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


def test_no_such_pci_device(tmp_path):
    (line,) = said(pci_refusals([PCI], tmp_path, tmp_path))
    assert line.startswith("0000:03:00.0: no such PCI device")


@pytest.mark.parametrize("driver", ["vfio-pci", "mlx5_core"])
def test_all_memory_is_locked_for_a_device_behind_an_iommu(devices, may_lock, driver):
    here = devices(driver)
    may_lock(512 << 20)
    assert said(dma_refusals([PCI, XDP], 512, here)) == []
    may_lock((512 << 20) - 1)
    (refusal,) = dma_refusals([PCI, XDP], 512, here)
    assert refusal.code is ExitCode.DENIED
    assert str(refusal).startswith(
        "0000:03:00.0: memory.size_mib is locked for DMA, " + may_lock_more(512, (512 << 20) - 1))
    may_lock(0, right=True)
    assert said(dma_refusals([PCI, XDP], 512, here)) == []


def test_nothing_is_locked_for_a_device_without_an_iommu(devices, may_lock):
    may_lock(0)
    assert said(dma_refusals([PCI, XDP], 512, devices("uio_pci_generic"))) == []
