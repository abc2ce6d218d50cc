"""What is in the image: no more than it needs, and a list of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from ..binaries import gates
from ..binaries.bom import complaints
from .container import USER, capabilities_of
from .engine import engine, image_facts

DPDK_ABI = "25"             # of 24.11
MOST_BYTES = 120 << 20      # that it adds to its base, unpacked

# A container for one command, which has no rights nor network at all.
BARE = ["run", "--rm", "--network", "none", "--cap-drop", "all", "--read-only", "--no-healthcheck"]
LOOK = """
import json, pathlib, shutil, sys
from cython_core.dataplane import Dataplane
from appliance.host.pmds import dpdk_folder, pmds_in
print(json.dumps({
    "drivers": [pmd.name for pmd in pmds_in(dpdk_folder())],
    "libraries": [str(path.resolve())
                  for path in pathlib.Path("/usr/lib").rglob("librte_*.so*")],
    "compilers": [tool for tool in ("cc", "gcc", "ld", "make", "pip") if shutil.which(tool)],
    "sbom": json.load(open(sys.argv[1])),
}))
"""


@pytest.fixture(scope="module")
def found(image: str) -> dict[str, Any]:
    """By Python, in a container of the image."""
    return dict(json.loads(engine(
        *BARE, "--entrypoint", "/opt/synproxy/bin/python", image, "-P", "-c", LOOK,
        image_facts(image)["Labels"]["synproxy.sbom"])))


@pytest.fixture
def modules(image: str, tmp_path: Path) -> list[Path]:
    """Of ours, as files of this host."""
    engine(*BARE, "--user", "0", "--volume", f"{tmp_path}:/host",
           "--entrypoint", "/usr/bin/cp", image, "--recursive", "/opt/synproxy/lib", "/host")
    return [path for package in ("appliance", "cython_core")
            for path in tmp_path.glob(f"lib/python3*/site-packages/{package}/**/*.so")]


def test_its_modules_pass_the_gates(modules: list[Path]) -> None:
    assert modules
    for path in modules:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            assert [
                *gates.relocations_stay_writable(elf), *gates.runs_data(elf),
                *gates.names_folders(elf), *gates.asks_for_another_processor(elf),
                *gates.needs_beyond_its_floor(elf, path.parent.name, DPDK_ABI),
                *gates.needs_unstable(elf, DPDK_ABI)] == [], path


def test_it_adds_little_to_its_base(
        image: str, base: str, figure: Callable[[str], None]) -> None:
    added = image_facts(image)["Size"] - image_facts(base)["Size"]
    figure(f"{added / (1 << 20):.1f} MiB")
    assert added <= MOST_BYTES


def test_it_has_the_drivers_that_were_chosen_and_no_compiler(found: dict[str, Any]) -> None:
    assert {"net_af_packet", "net_af_xdp", "net_memif", "net_ice", "mlx5_eth"} <= set(
        found["drivers"])
    assert "net_null" not in found["drivers"]
    assert found["compilers"] == []


def test_its_list_names_each_library_of_dpdks_and_each_module_of_pythons(
        found: dict[str, Any]) -> None:
    listed = {fact["value"] for part in found["sbom"]["components"]
              for fact in part["properties"]}
    assert set(found["libraries"]) <= listed
    names = {part["name"] for part in found["sbom"]["components"]}
    assert {"synproxy-appliance", "grpcio", "libc6", "python3", "librte-eal25"} <= names
    assert not any(name.endswith("-dev") for name in names)


def test_its_list_is_as_scanners_read_it(found: dict[str, Any]) -> None:
    assert complaints(found["sbom"]) == []
    purls = {part["name"]: part["purl"] for part in found["sbom"]["components"]}
    assert purls["librte-eal25"].endswith("?arch=amd64&distro=debian-13&upstream=dpdk")


def test_it_runs_as_a_user_of_its_own_and_says_what_each_driver_needs(image: str) -> None:
    facts = image_facts(image)
    assert facts["User"] == f"{USER}:{USER}"
    assert capabilities_of(image, "AF_PACKET") == ["NET_ADMIN", "NET_RAW"]
    assert set(capabilities_of(image, "AF_PACKET")) < set(capabilities_of(image, "AF_XDP"))
    assert facts["Healthcheck"]["Test"]
