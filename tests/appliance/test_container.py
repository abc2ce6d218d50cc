"""What a container leaves to be chosen is chosen by what it was given, and said."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from synproxy.v1.config_pb2 import Config, Memory, Workers

from appliance.config.load import config_parse
from appliance.config.rules import config_violations
from appliance.container.choices import config_surrounded
from appliance.container.surroundings import Surroundings, surroundings_read
from appliance.refusal import Refusal

from .control_groups import MIB, control_groups, pools_of
from .daemon_process import as_root

PAGE = Path(__file__).parents[2] / "docs/container.md"
AROUND = Surroundings("synproxy-4026532613", cores=range(64))
PORTS = """\
ports:
  client: {pci: PCIDEVICE_EXAMPLE_COM_CLIENT}
  server: {pci: PCIDEVICE_EXAMPLE_COM_SERVER}
"""


@pytest.fixture
def system(tmp_path):
    """A host with a thousand cores."""
    (tmp_path / "system" / "cpu").mkdir(parents=True)
    (tmp_path / "system" / "cpu" / "online").write_text("0-999\n")
    return tmp_path / "system"


def chosen(config=None, **around):
    return config_surrounded(config or Config(), replace(AROUND, **around))


@pytest.mark.parametrize(("around", "control", "lcores"), [
    ({"cores": [2, 3, 6, 7], "confined": True}, 2, [3, 6, 7]),
    ({"cpu_quota": 3}, 0, [1, 2]),
    ({"cpu_quota": 2.5}, 0, [1, 2]),
    ({"cores": [8, 9], "confined": True, "cpu_quota": 16}, 8, [9]),
    ({"cores": [2, 127, 128, 130], "confined": True}, 2, [127]),
    ({"cores": [2, 127, 130], "cpu_quota": 3}, 2, [127]),
])
def test_workers_take_the_cores_that_the_container_was_given(around, control, lcores):
    config, lines = chosen(**around)
    assert (config.workers.control_lcore, list(config.workers.lcores)) == (control, lcores)
    assert lines[0].startswith(f"workers.control_lcore {control}: the first of the cpuset ")
    assert lines[1] == f"workers.lcores {', '.join(map(str, lcores))}: the others of it"


@pytest.mark.parametrize(("cores", "cpuset", "left"), [
    ([130, 131], "130-131", "none"), ([2, 130, 131], "2,130-131", "2")])
def test_a_cpuset_of_cores_that_are_no_lcores_is_refused_with_those_that_are(cores, cpuset, left):
    with pytest.raises(Refusal) as refused:
        chosen(cores=cores, confined=True)
    assert str(refused.value) == (
        f"workers: an lcore is one of the cores 0-127, and of the cpuset {cpuset} that is {left};"
        " give the container a cpuset with two of them")
    config, _ = chosen(cores=cores, confined=True, cpu_quota=1)
    assert not config.workers.lcores        # which is refused for the quota's sake


def test_where_cores_were_left_out_is_said():
    _, lines = chosen(cores=[2, 127, 130], confined=True, cpu_quota=4)
    assert lines[0] == ("workers.control_lcore 2: the first of the cpuset 2,127,130 up to 127"
                        " and 4 of CPU time (cpu.max)")


@pytest.mark.parametrize(("workers", "around"), [
    # The whole host's, one core, and what the file says.
    (Workers(), {}),
    (Workers(), {"cores": [3], "confined": True}),
    (Workers(), {"cpu_quota": 1}),
    (Workers(lcores=[5]), {"cores": [2, 3], "confined": True}),
    (Workers(control_lcore=5), {"cores": [2, 3], "confined": True}),
])
def test_else_workers_stay_as_they_are(workers, around):
    config, _ = chosen(Config(workers=workers), **around)
    assert config.workers == workers


@pytest.mark.parametrize(("cpus", "confined"), [("0-3", True), ("", False)])
def test_a_cpuset_of_all_the_host_counts_where_it_was_given(tmp_path, monkeypatch, cpus, confined):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "online").write_text("0-3\n")
    groups = control_groups(tmp_path, f"cpuset.cpus: {cpus}")
    around = surroundings_read({}, groups, tmp_path / "pools", tmp_path)
    assert around.confined is confined
    config, _ = config_surrounded(Config(), around)
    assert list(config.workers.lcores) == [1, 2, 3] * confined


def test_huge_pages_are_taken_as_far_as_the_container_may(tmp_path, system):
    groups = control_groups(tmp_path, f"hugetlb.2MB.max: {256 * MIB}")
    around = surroundings_read({}, groups, pools_of(tmp_path, free=512), system)
    config, lines = config_surrounded(Config(), around)
    assert config.memory.size_mib == 256
    assert "memory.size_mib 256: the container's huge pages (hugetlb.*.max)" in lines


@pytest.mark.parametrize(("limits", "taken_mib"), [
    (f"hugetlb.2MB.max: {256 * MIB}", 256),
    (f"hugetlb.2MB.max: {256 * MIB}\nhugetlb.1GB.max: max", 256),
    (f"hugetlb.2MB.max: 0\nhugetlb.1GB.max: {2048 * MIB}", 2048),
    (f"hugetlb.2MB.max: {256 * MIB}\nhugetlb.1GB.max: {1024 * MIB}", 1280),
    ("hugetlb.2MB.max: max", None),
])
def test_huge_pages_of_a_size_that_is_not_limited_are_the_hosts(
        tmp_path, system, limits, taken_mib):
    pools_of(tmp_path, free=4, size_kib=1 << 20)
    pools = pools_of(tmp_path, free=512)
    around = surroundings_read({}, control_groups(tmp_path, limits), pools, system)
    assert around.hugepages_mib == taken_mib


@pytest.mark.parametrize(("memory", "hugepages_mib"), [
    (Memory(size_mib=128), 1024), (Memory(hugepages=False), 1024), (Memory(), None), (Memory(), 0),
])
def test_else_memory_stays_as_it_is(memory, hugepages_mib):
    config, _ = chosen(Config(memory=memory), hugepages_mib=hugepages_mib)
    assert config.memory == memory


@pytest.mark.parametrize(("cores", "descriptors", "buffers", "need"), [
    (7, None, 65535, 36864), (9, None, 65535, 49152), (12, None, 131071, 67584),
    (64, None, 524287, 387072), (3, 8192, 65535, 36864),
])
def test_buffers_suffice_for_the_workers_that_there_are(cores, descriptors, buffers, need):
    config, lines = chosen(Config(ports={"rx_descriptors": descriptors}), cores=range(cores),
                           confined=True)
    assert config.memory.buffers == buffers
    assert (f"memory.buffers {buffers}: the queues of {cores - 1} workers can hold {need}"
            in lines)
    assert list(config_violations(config)) == []


@pytest.mark.parametrize(("memory", "cores"), [
    (Memory(), 6), (Memory(buffers=32767), 9), (Memory(buffers=65535), 9)])
def test_else_buffers_stay_as_they_are(memory, cores):
    config, lines = chosen(Config(memory=memory), cores=range(cores), confined=True)
    assert config.memory == memory
    assert not any(line.startswith("memory.") for line in lines)


@pytest.mark.parametrize("memory", [Memory(), Memory(hugepages=False)])
def test_memory_grows_with_buffers_where_nothing_limits_it(memory):
    config, lines = chosen(Config(memory=memory), cores=range(32), confined=True)
    assert lines[3] == (
        "memory.size_mib 1596: twice what tables and buffers take at the least (798 MiB)")
    assert config.memory.size_mib == 1596
    assert list(config_violations(config)) == []


@pytest.mark.parametrize(("memory", "hugepages_mib"), [
    (Memory(size_mib=512), None), (Memory(), 512), (Memory(), 0),
])
def test_too_little_memory_of_the_file_or_a_limit_is_refused(memory, hugepages_mib):
    config, _ = chosen(Config(memory=memory), cores=range(32), confined=True,
                       hugepages_mib=hugepages_mib)
    (refused,) = config_violations(config)
    assert refused.reason.endswith("; memory.size_mib is 512")


def test_what_is_chosen_is_held_against_the_rules_of_a_file():
    config, _ = chosen(config_parse(f"{PORTS}memory: {{buffers: 32767}}".encode(), "f"),
                       cores=range(9), confined=True, hugepages_mib=64, devices={
                           "PCIDEVICE_EXAMPLE_COM_CLIENT": ["0000:03:02.0"],
                           "PCIDEVICE_EXAMPLE_COM_SERVER": ["0000:03:02.1"]})
    of_memory, of_queues = config_violations(config)
    assert {of_memory.path, of_queues.path} == {"memory.buffers"}
    assert of_memory.reason.endswith("; memory.size_mib is 64")
    assert of_queues.reason.startswith("must be 49152 at least")


def test_a_variable_stands_for_its_devices_in_their_order(system):
    environment = {"PCIDEVICE_EXAMPLE_COM_CLIENT": "0000:03:02.0",
                   "PCIDEVICE_EXAMPLE_COM_CLIENT_INFO": '{"0000:03:02.0": {}}',
                   "PCIDEVICE_EXAMPLE_COM_SERVER": "0000:03:0a.1, 0000:03:0a.2", "PATH": "/bin"}
    around = surroundings_read(environment, [], system=system)
    assert set(around.devices) == {name for name in environment if name.endswith(("NT", "ER"))}
    config, lines = config_surrounded(config_parse(PORTS.encode(), "f"), around)
    assert (config.ports.client.pci, config.ports.server.pci) == ("0000:03:02.0", "0000:03:0a.1")
    assert lines[:2] == ["ports.client.pci 0000:03:02.0: PCIDEVICE_EXAMPLE_COM_CLIENT",
                         "ports.server.pci 0000:03:0a.1: PCIDEVICE_EXAMPLE_COM_SERVER"]
    both = config_parse(PORTS.replace("CLIENT", "SERVER").encode(), "f")
    config, _ = config_surrounded(both, around)
    assert (config.ports.client.pci, config.ports.server.pci) == ("0000:03:0a.1", "0000:03:0a.2")


@pytest.mark.parametrize(("devices", "known"), [
    ({}, "none"), ({"PCIDEVICE_OTHER": ["0000:03:02.0"]}, "PCIDEVICE_OTHER=0000:03:02.0"),
])
def test_a_variable_without_a_device_is_refused_with_those_that_there_are(devices, known):
    with pytest.raises(Refusal) as refused:
        chosen(config_parse(PORTS.encode(), "f"), devices=devices)
    assert str(refused.value) == (
        "ports.client.pci: PCIDEVICE_EXAMPLE_COM_CLIENT has no device for it; ask for one in the"
        f" container's resources, or name another variable; there is {known}")


@as_root
def test_no_two_containers_of_a_host_have_one_name(system):
    script = ("from pathlib import Path; from appliance.container.surroundings import *;"
              f"print(surroundings_read({{}}, [], system=Path('{system}')).name)")
    other = subprocess.run(["unshare", "--mount", sys.executable, "-P", "-c", script],
                           capture_output=True, text=True, check=True)
    assert other.stdout.strip() != surroundings_read({}, [], system=system).name


def test_its_name_keeps_the_files_of_eal_apart_unless_the_file_has_one():
    config, lines = chosen()
    assert config.eal.file_prefix == AROUND.name
    assert lines == [f"eal.file_prefix {AROUND.name}: the container's mount namespace"]
    assert chosen(Config(eal={"file_prefix": "ours"}))[0].eal.file_prefix == "ours"


def test_the_page_shows_what_would_be_shown():
    _, lines = config_surrounded(config_parse(PORTS.encode(), "f"), Surroundings(
        "synproxy-4026532613", cores=[2, 3, 4, 5], confined=True, hugepages_mib=1024,
        devices={"PCIDEVICE_EXAMPLE_COM_CLIENT": ["0000:03:02.0"],
                 "PCIDEVICE_EXAMPLE_COM_SERVER": ["0000:03:0a.1"]}))
    section = PAGE.read_text().partition("## What it is given\n")[2]
    shown = section.partition("```\n")[2].partition("```")[0]
    assert shown == "".join(f"synproxyd: {line}\n" for line in lines)
