"""DPDK's drivers, read out of their libraries: against this host's own DPDK."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from appliance.cli.main import main
from appliance.exit_codes import ExitCode
from appliance.host.pmds import (
    PciId,
    Pmd,
    dpdk_folder,
    drives,
    pci_devices,
    plugin_folder,
    pmds_in,
    pmds_of,
)

ENOUGH = 30     # a DPDK of Debian's has twice as many drivers for networks


def run(*arguments):
    return CliRunner().invoke(main, ["pmd", "list", *arguments])


@pytest.fixture(scope="module")
def folder():
    found = dpdk_folder()
    assert found is not None
    return found


def test_dpdk_says_itself_where_its_drivers_are(folder):
    asked = subprocess.run(
        ["pkg-config", "--variable=libdir", "libdpdk"],
        capture_output=True, text=True, check=True)
    assert folder.parent == Path(asked.stdout.strip()) / "dpdk"


def test_each_driver_is_read_once_with_what_it_drives(folder):
    pmds = {pmd.name: pmd for pmd in pmds_in(folder)}
    assert len(pmds) == len(pmds_in(folder)) > ENOUGH
    assert PciId(0x8086, 0x10FB, None, None) in pmds["net_ixgbe"].pci_ids      # 82599
    assert "vfio-pci" in pmds["net_ixgbe"].kernel_modules
    assert "iface=" in pmds["net_af_xdp"].parameters
    assert pmds["net_af_xdp"].pci_ids == ()


def test_the_list_is_for_networks_unless_all_are_asked_for(folder):
    some, every = (json.loads(run("-o", "json", *how).stdout) for how in ((), ("--all",)))
    assert {pmd["name"] for pmd in some} < {pmd["name"] for pmd in every}
    assert all(pmd["name"].startswith("net_") for pmd in some)
    assert yaml.safe_load(run("-o", "yaml").stdout) == some


def test_the_table_has_a_line_for_each():
    lines = run().stdout.splitlines()
    assert lines[0].split() == ["DRIVER", "KERNEL", "MODULES", "PCI", "IDS", "HERE", "LIBRARY"]
    assert any(line.startswith("net_af_packet ") for line in lines)
    assert "8086:10fb" in run("--ids").stdout


def test_a_file_that_is_none_of_dpdks_has_none(tmp_path):
    torn = tmp_path / "librte_net_torn.so"
    torn.write_bytes(Path(sys.executable).resolve().read_bytes()[:100])
    text = tmp_path / "librte_net_text.so"
    text.write_text("PMD_INFO_STRING= {\"name\": \"net_text\"}\0")
    assert pmds_of(torn) == pmds_of(text) == pmds_in(tmp_path) == []
    assert pmds_of(tmp_path / "missing") == []
    assert plugin_folder(torn) is None


def test_a_folder_without_drivers_is_an_empty_list(tmp_path):
    result = run("--folder", str(tmp_path), "-o", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (ExitCode.OK, [])
    assert run("--folder", str(tmp_path / "missing")).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(("device", "driven"), [
    (PciId(0x8086, 0x10FB, 0x8086, 3), True), (PciId(0x8086, 0x10FC, 0x8086, 3), False),
    (PciId(0x1D0F, 1, 7, 8), True), (PciId(0x1D0F, 1, 7, 9), False),
])
def test_a_device_is_driven_by_who_names_it(device, driven):
    pmd = Pmd("net_x", "x.so", (PciId(0x8086, 0x10FB, None, None), PciId(0x1D0F, 1, 7, 8)), "", "")
    assert drives(pmd, device) is driven


def test_only_the_ethernet_controllers_of_a_host_are_devices(tmp_path):
    for address, kind in (("0000:03:00.0", "0x020000"), ("0000:04:00.0", "0x010802")):
        device = tmp_path / address
        device.mkdir()
        for name, text in (("class", kind), ("vendor", "0x8086"), ("device", "0x10fb"),
                           ("subsystem_vendor", "0x8086"), ("subsystem_device", "0x0003")):
            (device / name).write_text(text + "\n")
    (tmp_path / "0000:05:00.0").mkdir()
    assert list(pci_devices(tmp_path)) == [("0000:03:00.0", PciId(0x8086, 0x10FB, 0x8086, 3))]
