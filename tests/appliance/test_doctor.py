"""What the doctor finds, on this host and on hosts that are drawn up for it."""

import json
import os
import re
import subprocess
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from click.testing import CliRunner

from appliance.cli.main import main
from appliance.doctor import configured, host
from appliance.doctor.finding import State
from appliance.exit_codes import ExitCode
from appliance.host import topology
from appliance.host.offloads import offloads_read
from appliance.host.pmds import PciId
from appliance.host.topology import cpu_list
from appliance.lab.namespace import synproxy_command

from .daemon_process import CONFIGURATION, LCORES, as_root, two_cores


def run(*arguments):
    return CliRunner().invoke(main, ["doctor", *arguments])


@pytest.fixture
def pair(veth):
    """Two ends of a cable, which are up."""
    for name in veth:
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    return veth


@pytest.fixture
def configuration(tmp_path):
    def write(client, server, **other):
        path = tmp_path / "synproxy.yaml"
        path.write_text(CONFIGURATION.format(**{
            "client": client, "server": server, "worker": LCORES[-1], "control": LCORES[0],
            "hugepages": "false", "size_mib": 128, "prefix": "doctor",
            "address": f"unix:{tmp_path}/doctor.sock", **other}))
        return path

    return write


def findings_of(result):
    return {(one["state"], one["subject"]): one for one in json.loads(result.stdout)}


@two_cores
def test_a_host_without_a_configuration():
    result = run("-o", "json")
    assert result.exit_code == ExitCode.OK
    assert {subject for _, subject in findings_of(result)} >= {
        "kernel", "cores", "huge pages", "rights for net_af_xdp", "drivers", "interfaces"}
    assert yaml.safe_load(run("-o", "yaml").stdout) == json.loads(result.stdout)
    lines = run().stdout.splitlines()
    assert lines[0].split() == ["STATE", "WHAT", "FOUND", "DO"]
    assert re.fullmatch(r"0 bad, \d+ to note, \d+ ok", lines[-1])


@as_root
@two_cores
def test_interfaces_that_will_do_and_their_offloads(pair, configuration):
    driver = "{{interface: {}, driver: AF_PACKET}}"
    path = configuration(*(driver.format(name) for name in pair))
    for name in pair:
        subprocess.run(["ethtool", "-K", name, "gro", "on"], check=True)
    assert "gro" in offloads_read(pair[0])
    found = findings_of(run("--config", str(path), "-o", "json"))
    assert ("ok", "start") in found
    assert found["note", pair[0]]["advice"] == f"`ethtool -K {pair[0]} gro off`"
    for name in pair:
        subprocess.run(["ethtool", "-K", name, "gro", "off"], check=True)
    assert "gro" not in offloads_read(pair[0])
    assert ("ok", pair[0]) in findings_of(run("--config", str(path), "-o", "json"))


@as_root
@two_cores
def test_what_the_daemon_would_refuse_is_bad(pair, configuration):
    path = configuration("{interface: nosuchif0}", f"{{interface: {pair[1]}}}")
    result = run("--config", str(path), "-o", "json")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "no such interface" in findings_of(result)["bad", "start"]["found"]
    assert "`ip link` lists" in findings_of(result)["bad", "start"]["advice"]


@as_root
@two_cores
def test_what_it_says_of_lockable_memory_is_enough(veth, configure, start):
    """Of few buffers, since a container may lock no more than 8 MiB."""
    path = configure(
        client=f"{{interface: {veth[0]}}}", size_mib="256, buffers: 3071",
        server="{device: net_ring1}\n  rx_descriptors: 256\n  tx_descriptors: 256")
    without = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-all"]
    doctor = subprocess.run(
        [*without, "prlimit", f"--memlock={6 << 20}",
         *synproxy_command("doctor", "--config", path, "-o", "json")],
        capture_output=True, text=True)
    assert doctor.returncode == ExitCode.DENIED, doctor.stderr
    (found,) = (one for one in json.loads(doctor.stdout) if one["state"] == "bad")
    assert re.search(r"locks .* (7|12) MiB, and this process may lock 6144 KiB", found["found"])
    (kib,) = re.findall(r"`ulimit -l (\d+)`", found["advice"])
    enough = ["prlimit", f"--memlock={int(kib) << 10}"]
    if subprocess.run([*enough, "true"], capture_output=True).returncode != 0:
        pytest.skip(f"nothing here may lock {kib} KiB, as this DPDK wants")
    start(path, before=[*without, *enough])


@two_cores
def test_a_bad_configuration_is_told_as_by_check(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("ports: {}\n")
    result = run("--config", str(path))
    assert result.exit_code == ExitCode.INVALID
    assert "ports.client" in result.stderr
    assert run("--config", str(tmp_path / "missing")).exit_code == ExitCode.USAGE
    unreadable = run("--config", "/proc/self/mem")
    assert (unreadable.exit_code, unreadable.stderr) == (
        ExitCode.FAILED, "synproxy: /proc/self/mem: can't be read: Input/output error\n")


@pytest.mark.parametrize(("usable", "isolated", "state"), [
    ({3}, "", State.BAD), ({0, 1}, "", State.NOTE), ({0, 1}, "1", State.OK),
])
def test_cores(monkeypatch, usable, isolated, state):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: usable)
    monkeypatch.setattr(host, "isolated_cores", lambda: cpu_list(isolated))
    (found,) = [one for one in host.host_findings() if one.subject == "cores"]
    assert found.state is state


@pytest.mark.parametrize(("free", "state", "word"), [
    ((0, []), State.NOTE, "memory.hugepages to false"), ((0, [2]), State.NOTE, "nr_hugepages"),
    ((512, [2, 1024]), State.OK, ""),
])
def test_huge_pages(monkeypatch, free, state, word):
    monkeypatch.setattr(host, "hugepages_free", lambda: free)
    (found,) = [one for one in host.host_findings() if one.subject == "huge pages"]
    assert (found.state, word in found.advice) == (state, True)


IXGBE = PciId(0x8086, 0x10FB, 0x8086, 0x0003)       # an 82599, which DPDK has a driver for
UNKNOWN = PciId(0xFFFE, 1, 0xFFFE, 1)


@pytest.mark.parametrize(("device", "bound", "state", "found", "advice"), [
    (IXGBE, "vfio-pci", State.OK, "is bound to vfio-pci, for net_ixgbe", ""),
    (IXGBE, "ixgbe", State.NOTE, "is bound to ixgbe; net_ixgbe could drive it",
     "`dpdk-devbind.py --bind=vfio-pci 0000:03:00.0`"),
    (IXGBE, "", State.NOTE, "is bound to no driver; net_ixgbe could drive it",
     "`dpdk-devbind.py --bind=vfio-pci 0000:03:00.0`"),
    (UNKNOWN, "virtio-pci", State.OK,
     "is bound to virtio-pci; name its interface with AF_XDP or AF_PACKET", ""),
])
def test_what_a_device_is_bound_to(monkeypatch, device, bound, state, found, advice):
    monkeypatch.setattr(host, "pci_devices", lambda: [("0000:03:00.0", device)])
    monkeypatch.setattr(host, "bound_driver", lambda path: bound)
    (told,) = [one for one in host.host_findings() if one.subject == "0000:03:00.0"]
    assert told.state is state
    assert told.found.endswith(found)
    assert advice in told.advice


NET_ADMIN, NET_RAW = 1 << 12, 1 << 13       # linux/capability.h


def test_missing_rights_are_named_by_driver(monkeypatch):
    held = NET_RAW
    monkeypatch.setattr(
        "appliance.host.capabilities._set", lambda _, name: held * (name == "CapEff"))
    found = {one.subject: one for one in host.host_findings()}
    assert found["rights for net_af_packet"].found == "net_af_packet needs CAP_NET_ADMIN"
    assert "CAP_NET_ADMIN and CAP_SYS_ADMIN" in found["rights for net_af_xdp"].found
    held |= NET_ADMIN
    found = {one.subject: one for one in host.host_findings()}
    assert found["rights for net_af_packet"].state is State.OK
    assert "needs CAP_SYS_ADMIN" in found["rights for net_af_xdp"].found


@pytest.mark.parametrize(("release", "state"), [
    ("4.19.0-20-amd64", State.NOTE), ("6.1.0", State.OK), ("5.4-rc1", State.OK),
])
def test_an_old_kernel(monkeypatch, release, state):
    monkeypatch.setattr("platform.release", lambda: release)
    assert next(iter(host.host_findings())).state is state


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A /sys/devices/system with two nodes of two cores of two threads."""
    for node, cores in ((0, "0-1,4-5"), (1, "2-3,6-7")):
        folder = tmp_path / "node" / f"node{node}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(cores + "\n")
    for core in range(8):
        folder = tmp_path / "cpu" / f"cpu{core}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology/thread_siblings_list").write_text(f"{core % 4},{core % 4 + 4}\n")
        (folder / "cpufreq").mkdir()
        (folder / "cpufreq/scaling_governor").write_text("powersave\n" if core == 2 else
                                                         "performance\n")
    (tmp_path / "cpu/isolated").write_text("2-3,6-7\n")
    for name in ("node_of_core", "siblings_of_core", "governor_of_core"):
        monkeypatch.setattr(configured, name, partial(getattr(topology, name), system=tmp_path))
    return tmp_path


def test_a_hosts_topology_is_read(system):
    assert [topology.node_of_core(core, system) for core in (0, 2, 5, 9)] == [0, 1, 0, None]
    assert topology.siblings_of_core(1, system) == {5}
    assert topology.isolated_cores(system) == {2, 3, 6, 7}
    (system / "numa_node").write_text("-1\n")
    assert topology.node_of_device(system) is None


@pytest.mark.usefixtures("system")
def test_workers_far_from_their_device_on_a_slow_or_shared_core(monkeypatch, tmp_path):
    monkeypatch.setattr(configured, "DEVICES", tmp_path)
    monkeypatch.setattr(configured, "preflight_refusals", lambda *_: [])
    for address, node in (("0000:03:00.0", 0), ("0000:83:00.0", 1)):
        (tmp_path / address).mkdir()
        (tmp_path / address / "numa_node").write_text(f"{node}\n")
    settings = cast(Any, SimpleNamespace(
        client_port=SimpleNamespace(device="0000:03:00.0"),
        server_port=SimpleNamespace(device="0000:83:00.0"), main_lcore=6, worker_lcores=(2,)))
    found = [(one.subject, one.advice) for one in configured.configured_findings(settings, [])
             if one.state is State.NOTE]
    assert found == [
        ("0000:03:00.0", "name cores of node 0 in workers.lcores"),
        ("clock", "`cpupower frequency-set --governor performance`"),
        ("cores", "give each worker a core of its own"),
    ]


@pytest.mark.parametrize(("text", "cores"), [
    ("", set()), ("0", {0}), ("0-2,5\n", {0, 1, 2, 5}),
])
def test_lists_of_cores(text, cores):
    assert cpu_list(text) == cores
