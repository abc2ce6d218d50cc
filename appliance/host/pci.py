"""Whether PCI devices are there, and bound to a driver through which DPDK gets at them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.config.attachment import Attachment
from appliance.config.formats import is_pci_variable
from appliance.exit_codes import ExitCode
from appliance.refusal import Refusal

PCI_DEVICES = Path("/sys/bus/pci/devices")
USER_SPACE_DRIVERS = ("vfio-pci", "uio_pci_generic", "igb_uio")
# Kernel drivers that stay bound while DPDK uses the device beside them.
SHARING_DRIVERS = ("mlx4_core", "mlx5_core", "mana")


def pci_refusals(
    attachments: Sequence[Attachment],
    devices: Path = PCI_DEVICES,
    vfio: Path = Path("/dev/vfio"),
) -> Iterator[Refusal]:
    for one in attachments:
        if not one.pci:
            continue
        if is_pci_variable(one.pci):
            yield Refusal(
                f"{one.pci}: is a variable of a container's environment; start synproxy-entrypoint"
                " there, or name a PCI address")
            continue
        device = devices / one.pci
        if not device.exists():
            yield Refusal(f"{one.pci}: no such PCI device; `lspci -D` lists those that are there")
            continue
        driver = bound_driver(device)
        if driver not in USER_SPACE_DRIVERS + SHARING_DRIVERS:
            yield Refusal(
                f"{one.pci}: is bound to {driver or 'no driver'};"
                f" bind it with `dpdk-devbind.py --bind=vfio-pci {one.pci}`"
            )
        elif driver == "vfio-pci":
            group = vfio / _link_name(device / "iommu_group")
            if not os.access(group, os.R_OK | os.W_OK):
                yield Refusal(
                    f"{one.pci}: no access to {group}; run as root, or give this user the file",
                    ExitCode.DENIED,
                )


def bound_driver(device: Path) -> str:
    """The kernel's driver of a device's folder; "" where there is none."""
    return _link_name(device / "driver")


def _link_name(link: Path) -> str:
    return link.readlink().name if link.is_symlink() else ""
