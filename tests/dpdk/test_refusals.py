"""What can't be started says so in one line, and leaves nothing behind."""

import os
from pathlib import Path

import pytest

from cython_core.dataplane import VECTORS
from cython_core.dpdk.cause import port_cause

from .conftest import WEB, plane_run, settings

RUNTIME = Path("/var/run/dpdk")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def refuse():
    """Runs what must be refused; returns the reason."""
    def run(command=(), services=((WEB,),), **differences):
        job = {"settings": settings(**differences), "services": services, "received": 0,
               "seconds": 0}
        told, stderr = plane_run(job, command)
        assert stderr == ""
        assert not (RUNTIME / job["settings"]["file_prefix"]).exists()
        (reason,) = told.values()
        assert "\n" not in reason
        return reason
    return run


@pytest.mark.parametrize("driver", ["net_af_packet0", "net_af_xdp0", "net_pcap0"])
def test_no_such_interface(refuse, driver):
    assert refuse(client_port=f"{driver},iface=nowhere") == (
        f"client port {driver},iface=nowhere:"
        " there is no such interface in this network namespace")


@pytest.mark.parametrize(("device", "reason"), [
    ("net_pcap0,rx_pcap=/nowhere.pcap", "there is no such file"),
    ("net_pcap0,colour=blue", "its arguments are not understood"),
    ("net_nonsense0", "DPDK has no driver of that name"),
])
def test_a_device_that_cannot_be_made(refuse, device, reason):
    assert refuse(server_port=device) == f"server port {device}: {reason}"


def test_a_pci_device_that_is_not_there(refuse):
    reason = refuse(server_port="ffff:1f:1f.7")
    assert reason.startswith("server port ffff:1f:1f.7: no such PCI device, or a driver has it")


@pytest.mark.parametrize(("client", "server", "what"), [
    ("net_ring0", "net_ring0", "net_ring0"),
    ("net_af_packet0,iface=lo", "net_af_xdp1,iface=lo", "lo"),
])
def test_one_device_for_both_ports(refuse, client, server, what):
    reason = refuse(client_port=client, server_port=server)
    assert reason == f"both ports are {what}; name two"


def test_hugepages_that_are_not_there(refuse):
    free = sum(int(file.read_text())
               for file in Path("/sys/kernel/mm/hugepages").glob("*/free_hugepages"))
    if free:
        pytest.skip("this machine has free hugepages")
    assert refuse(hugepages=True) == (
        "EAL does not start: no free hugepages; reserve some (vm.nr_hugepages), or do without"
        " them")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_no_rights(refuse):
    reason = refuse(NOBODY, client_port="net_af_packet0,iface=lo")
    assert reason.startswith("client port net_af_packet0,iface=lo: no permission")


def test_too_little_memory(refuse):
    assert refuse(connections=1 << 22) == (
        "no memory for a table of 4194304 connections (321 MiB): give more memory, or lower the"
        " limits")
    assert refuse(mbufs=1 << 17).startswith("no memory for 131072 frame buffers")


def test_a_service_that_comes_into_the_slot_of_one_that_stays(refuse):
    mail = WEB | {"name": "mail", "prefixes": ["10.1.0.0/24"]}
    assert refuse(services=((WEB,), (WEB, mail))) == "service mail: slot 0 twice"


def test_lcores_that_cannot_be_used(refuse):
    assert "not all different" in refuse(worker_lcores=(0,))
    assert "not all different" in refuse(worker_lcores=(1, 1))
    assert "there is no worker" in refuse(worker_lcores=())
    assert "may not use one of the lcores" in refuse(worker_lcores=(127,))


def test_vectors_that_are_not_there(refuse):
    assert refuse(vector="x86-64-v9") == (
        f"there are no vectors x86-64-v9 here, but {', '.join(VECTORS)}; name one")


def test_an_argument_that_eal_does_not_know(refuse):
    assert refuse(extra_eal_args=("--colour",)) == (
        "EAL does not start: EAL knows no argument --colour")


def test_a_device_that_is_too_long_for_dpdk_is_told_with_its_bound():
    """As 24.11.8 tells it; older ones have no bound."""
    assert port_cause("EAL: devargs truncated (len 192, max 128)\n", "Argument list too long") == (
        "its arguments have 192 characters, and DPDK takes less than 128: shorten them")
