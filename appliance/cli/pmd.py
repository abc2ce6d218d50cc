"""synproxy pmd list: the poll-mode drivers that DPDK finds on this host."""

import sys
from pathlib import Path
from typing import Any

import click

from appliance.cli.output import fields_text, format_option, table_text
from appliance.exit_codes import ExitCode
from appliance.host.pmds import Pmd, dpdk_folder, drives, pci_devices, pmds_in


@click.group("pmd")
def command() -> None:
    """Show DPDK's poll-mode drivers."""


@command.command("list")
@click.option("--all", "every", is_flag=True, help="Show crypto, event and other drivers, too.")
@click.option("--ids", is_flag=True, help="Show the PCI ids that each driver takes.")
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER",
    help="Where to look.  [default: where this DPDK looks]")
@format_option
def list_pmds(every: bool, ids: bool, folder: Path | None, output: str) -> None:
    """List the drivers with what they drive.

    It is read out of the libraries themselves. HERE are the PCI devices of this host that a driver
    takes. A device needs one of the driver's kernel modules bound to it ("*": any host driver must
    go); those without stay in the kernel's hands, and are named as `interface` with AF_XDP or
    AF_PACKET.
    """
    pmds = [pmd for pmd in pmds_in(folder or _folder()) if every or pmd.name.startswith("net_")]
    here = {pmd.name: _devices(pmd) for pmd in pmds}
    if output != "table":
        click.echo(fields_text([_fields(pmd, here[pmd.name]) for pmd in pmds], output))
        return
    rows = [
        (pmd.name, pmd.kernel_modules or "-", len(pmd.pci_ids), " ".join(here[pmd.name]) or "-",
         pmd.file, *([" ".join(map(str, pmd.pci_ids))] if ids else []))
        for pmd in pmds
    ]
    head = ("DRIVER", "KERNEL MODULES", "PCI IDS", "HERE", "LIBRARY", *(["IDS"] if ids else []))
    click.echo(table_text(head, rows, numbers=(2,), prose=ids))


def _folder() -> Path:
    folder = dpdk_folder()
    if folder is None:
        click.echo("synproxy: DPDK names no folder of drivers; give it with --folder", err=True)
        sys.exit(ExitCode.UNAVAILABLE)
    return folder


def _devices(pmd: Pmd) -> list[str]:
    return [address for address, device in pci_devices() if drives(pmd, device)]


def _fields(pmd: Pmd, here: list[str]) -> dict[str, Any]:
    return {
        "name": pmd.name, "library": pmd.file, "kernel_modules": pmd.kernel_modules,
        "parameters": pmd.parameters, "pci_ids": [str(one) for one in pmd.pci_ids], "here": here,
    }
