"""Every extension module as it is built and installed, and each gate on an object that is bad."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import appliance
import cython_core
from appliance.host.pmds import dpdk_folder

from . import gates

PACKAGES = [Path(package.__path__[0]) for package in (appliance, cython_core)]
MODULES = sorted(path for folder in PACKAGES for path in folder.rglob("*.so"))

x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="a note of x86-64's")


def by_name(path):
    return str(path).partition("site-packages/")[2].partition(".")[0]


every_module = pytest.mark.parametrize("path", MODULES, ids=by_name)


@pytest.fixture
def module(path):
    with path.open("rb") as stream:
        yield ELFFile(stream)


@pytest.fixture(scope="module")
def abi():
    """Of the DPDK that the modules are linked with: its folder of drivers is named for it."""
    return dpdk_folder().name.partition("-")[2].partition(".")[0]


@pytest.fixture
def bad(tmp_path):
    """Links an object, as the build does unless told otherwise."""
    def make(*options, source="int one(void) { return 1; }", name="bad.so"):
        (tmp_path / "bad.c").write_text(source)
        path = tmp_path / name
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-Wl,-z,relro,-z,now,-z,noexecstack", "-o", path,
             tmp_path / "bad.c", *options], check=True)
        return ELFFile(path.open("rb"))

    assert shutil.which("gcc")
    return make


def test_there_are_modules():
    assert {path.name.partition(".")[0] for path in MODULES} >= {"worker", "dataplane", "cookie"}


@every_module
def test_nothing_of_it_can_be_redirected_once_it_runs(module):
    assert gates.relocations_stay_writable(module) == []


@every_module
def test_it_runs_no_data(module):
    assert gates.runs_data(module) == []


@every_module
def test_it_names_no_folder_of_the_machine_that_built_it(module):
    assert gates.names_folders(module) == []


@x86_64
@every_module
def test_the_loader_refuses_a_processor_below_its_floor(module):
    assert gates.asks_for_another_processor(module) == []


@every_module
def test_it_is_linked_with_what_its_floor_may_call(module, path, abi):
    assert gates.needs_beyond_its_floor(module, by_name(path), abi) == []


@every_module
def test_it_calls_stable_symbols_of_dpdk_alone(module, abi):
    assert gates.needs_unstable(module, abi) == []


@pytest.mark.parametrize(("option", "complaint"), [
    ("-Wl,-z,lazy", "no BIND_NOW"), ("-Wl,-z,norelro", "no PT_GNU_RELRO")])
def test_a_table_that_stays_writable_is_seen(bad, option, complaint):
    assert gates.relocations_stay_writable(bad()) == []
    assert gates.relocations_stay_writable(bad(option)) == [complaint]


@pytest.mark.parametrize(("options", "complaint"), [
    (["-Wl,-z,execstack"], "PT_GNU_STACK is executable"),
    (["-Wl,--omagic", "-nostdlib"], "is written and run")])
def test_data_that_runs_is_seen(bad, options, complaint):
    assert gates.runs_data(bad()) == []
    assert any(complaint in line for line in gates.runs_data(bad(*options)))


@pytest.mark.parametrize("kind", ["RPATH", "RUNPATH"])
def test_a_search_path_is_seen(bad, kind):
    tags = "enable" if kind == "RUNPATH" else "disable"
    assert gates.names_folders(bad()) == []
    assert gates.names_folders(bad(f"-Wl,--{tags}-new-dtags,-rpath,/x")) == [f"{kind} /x"]


@x86_64
@pytest.mark.parametrize("options", [["-Wl,-z,x86-64-v3"], []])
def test_another_processor_is_seen(bad, options):
    assert gates.asks_for_another_processor(bad("-Wl,-z,x86-64-v2")) == []
    assert gates.asks_for_another_processor(bad(*options)) != []


@pytest.mark.parametrize("version", ["EXPERIMENTAL", "INTERNAL", "DPDK_1"])
def test_an_unstable_symbol_is_seen(bad, tmp_path, version):
    (tmp_path / "versions").write_text(f"{version} {{ global: rte_two; local: *; }};")
    bad(f"-Wl,--version-script={tmp_path}/versions,-soname,librte_two.so.1",
        source="int rte_two(void) { return 2; }", name="librte_two.so.1")
    caller = bad(str(tmp_path / "librte_two.so.1"),
                 source="int rte_two(void); int one(void) { return rte_two(); }")
    assert gates.needed(caller)[0] == "librte_two.so.1"
    assert gates.needs_unstable(caller, "1") == (
        [] if version == "DPDK_1" else [f"librte_two.so.1: {version}"])
    assert gates.needs_unstable(caller, "2") == [f"librte_two.so.1: {version}"]


@pytest.mark.parametrize(("library", "path", "abi"), [
    ("librte_ring.so.1", "cython_core/dpdk/worker", "2"),
    ("librte_ring.so.1", "cython_core/wire/ip", "1"),
    ("librte_acl.so.1", "cython_core/dpdk/worker", "1"),
    ("libm.so.6", "cython_core/dpdk/worker", "1")])
def test_a_library_beyond_its_floor_is_seen(bad, tmp_path, library, path, abi):
    bad(f"-Wl,-soname,{library}", name=library)
    module = bad("-Wl,--no-as-needed", str(tmp_path / library))
    assert gates.needs_beyond_its_floor(module, path, abi) == [library]


def test_a_library_of_its_floor_is_fine(bad, tmp_path):
    bad("-Wl,-soname,librte_ring.so.1", name="librte_ring.so.1")
    module = bad("-Wl,--no-as-needed", str(tmp_path / "librte_ring.so.1"))
    assert gates.needs_beyond_its_floor(module, "cython_core/dpdk/worker", "1") == []
