"""What the image takes of its build stage, walked here: with this host's DPDK and packages."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from . import gates
from .bom import complaints

SOURCE = Path(__file__).parents[2] / "docker/closure.py"
SPEC = importlib.util.spec_from_file_location("closure", SOURCE)
closure = importlib.util.module_from_spec(SPEC)
sys.modules["closure"] = closure        # where dataclasses look
SPEC.loader.exec_module(closure)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One without a module."""
    folder = tmp_path_factory.mktemp("environment")
    (folder / "lib/python3.11/site-packages").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """dpkg's folder of a runtime stage that has libc alone."""
    folder = tmp_path_factory.mktemp("dpkg")
    (folder / "info").mkdir()
    (folder / "updates").mkdir()
    stated = subprocess.run(["dpkg-query", "--status", "libc6"], capture_output=True, text=True,
                            check=True)
    (folder / "status").write_text(stated.stdout)
    return folder


@pytest.fixture(scope="module")
def into(tmp_path_factory):
    return tmp_path_factory.mktemp("into")


@pytest.fixture(scope="module")
def packages(environment, bare, into):
    return closure.collect(environment, bare, into)


def test_each_library_comes_with_all_that_it_needs_and_its_licence(packages, into):
    copied = [path for package in packages for path in package.files]
    names = {path.name for path in copied} | {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}
    assert any(name.startswith("librte_net_af_xdp.so") for name in names)
    for path in copied:
        here = into / path.relative_to("/")
        assert here.exists(), f"{path} leads nowhere"
        with here.open("rb") as stream:
            elf = ELFFile(stream)
            if elf.get_section_by_name(".dynamic"):
                assert set(gates.needed(elf)) <= names
    assert all((into / "usr/share/doc" / package.name / "copyright").exists()
               for package in packages)


def test_no_driver_comes_that_was_not_chosen(packages, into):
    found = {path.name.partition(".")[0].removeprefix("librte_")
             for path in into.rglob("librte_net_*")}
    assert found == {name for name in closure.DRIVERS if name.startswith("net_")}


def test_what_the_runtime_stage_has_stays_there(environment, tmp_path):
    assert closure.collect(environment, closure.DPKG, tmp_path / "into") == []


def test_a_library_that_nobody_has_is_named(tmp_path):
    (tmp_path / "one.c").write_text("int one(void) { return 1; }")
    assert shutil.which("gcc")
    for name, needed in (("libnowhere.so.1", []), ("module.so", ["libnowhere.so.1"])):
        subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", f"-Wl,-soname,{name}",
                        "-o", name, "one.c", *needed], cwd=tmp_path, check=True)
    with pytest.raises(closure.ClosureError, match=r"module\.so needs libnowhere\.so\.1"):
        closure.walk(tmp_path)


def test_the_list_has_the_files_of_each_package(packages, bare, environment):
    parts = json.loads(json.dumps(closure.sbom(packages, bare, environment)))["components"]
    by_name = {part["name"]: part for part in parts}
    assert by_name["libc6"]["purl"].startswith("pkg:deb/debian/libc6@")
    assert by_name["libc6"]["purl"].endswith("&upstream=glibc")
    (eal,) = (part for name, part in by_name.items() if name.startswith("librte-eal"))
    assert any("librte_eal.so" in fact["value"] for fact in eal["properties"])


@pytest.mark.parametrize(("package", "identity"), [
    (("libc6", "2.41-12", "amd64", "glibc", "2.41-12"),
     "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro={}&upstream=glibc"),
    (("libstdc++6", "14.2.0-19", "amd64", "gcc-14", "14.2.0-19"),
     "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro={}&upstream=gcc-14"),
    (("bash", "5.2.37-2+b5", "amd64", "bash", "5.2.37-2"),
     "pkg:deb/debian/bash@5.2.37-2%2Bb5?arch=amd64&distro={}&upstream=bash%405.2.37-2"),
    (("adduser", "3.152", "all", "adduser", "3.152"),
     "pkg:deb/debian/adduser@3.152?arch=all&distro={}"),
    (("passwd", "1:4.17.4-2", "amd64", "shadow", "1:4.17.4-2"),
     "pkg:deb/debian/passwd@1:4.17.4-2?arch=amd64&distro={}&upstream=shadow")])
def test_a_package_is_found_by_its_release_and_its_source(package, identity):
    part = closure.of_debian(closure.Package(*package))
    host = closure.platform.freedesktop_os_release()
    assert part["purl"] == identity.format(f"{host['ID']}-{host['VERSION_ID']}")
    assert complaints(bom_of(part)) == []


@pytest.mark.parametrize(("name", "identity"), [
    ("PyYAML", "pkg:pypi/pyyaml@6.0.2"), ("typing_extensions", "pkg:pypi/typing-extensions@6.0.2")])
def test_a_module_of_pythons_is_found_by_its_name_in_the_index(name, identity):
    part = closure.of_python(name, "6.0.2")
    assert part["purl"] == identity
    assert complaints(bom_of(part)) == []


def test_a_list_that_others_cannot_read_is_seen(packages, bare, environment):
    good = closure.sbom(packages, bare, environment)
    assert complaints(good) == []
    assert complaints(good | {"specVersion": 1.5})
    assert complaints(bom_of(closure.component("a_b", "1", "pkg:pypi/a_b@1")))


def bom_of(part):
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": [part]}
