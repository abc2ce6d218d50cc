"""Which drivers DPDK can load, and which of its libraries a file needs: read out of ELF.

A driver says what it is in strings of its read-only data (buildtools/pmdinfogen of DPDK):
`PMD_INFO_STRING= {"name": "net_ixgbe", "params": ..., "kmod": ..., "pci_ids": [[vendor, device,
subsystem vendor, subsystem device], ...]}`.  Where EAL looks for drivers stands in the same way in
librte_eal: `DPDK_PLUGIN_PATH=/usr/lib/.../pmds-23.0`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

_INFO = re.compile(rb"PMD_INFO_STRING= (\{.*?\})\x00", re.DOTALL)
_PLUGINS = re.compile(rb"DPDK_PLUGIN_PATH=([^\x00]*)\x00")
_ANY = 0xFFFF       # RTE_PCI_ANY_ID


@dataclass(frozen=True)
class PciId:
    """None where any will do."""

    vendor: int
    device: int
    subsystem_vendor: int | None
    subsystem_device: int | None

    def __str__(self) -> str:
        text = f"{self.vendor:04x}:{self.device:04x}"
        if self.subsystem_vendor is None or self.subsystem_device is None:
            return text
        return f"{text} ({self.subsystem_vendor:04x}:{self.subsystem_device:04x})"


@dataclass(frozen=True)
class Pmd:
    """`kernel_modules` are those that a device may be bound to, as the driver writes it; `file` is
    the library's name."""

    name: str
    file: str
    pci_ids: tuple[PciId, ...]
    kernel_modules: str
    parameters: str


def pmds_of(library: Path) -> list[Pmd]:
    """The drivers in one file; none where it is no ELF file."""
    try:
        with library.open("rb") as stream:
            data = _read_only_data(ELFFile(stream))
    except (ELFError, OSError):
        return []
    return [_pmd(json.loads(info), library.name) for info in _INFO.findall(data)]


def pmds_in(folder: Path) -> list[Pmd]:
    """Of every driver library there, each once: by name."""
    libraries = {path.resolve() for path in folder.glob("librte_*.so*")}
    return sorted(
        (pmd for library in libraries for pmd in pmds_of(library)), key=lambda pmd: pmd.name)


def plugin_folder(eal: Path) -> Path | None:
    """Where this librte_eal looks for drivers; None where it doesn't say."""
    try:
        with eal.open("rb") as stream:
            found = _PLUGINS.search(_read_only_data(ELFFile(stream)))
    except (ELFError, OSError):
        return None
    return Path(found[1].decode()) if found and found[1] else None


def dpdk_folder() -> Path | None:
    """Where the DPDK that the worker is linked with looks; None where it names no folder."""
    # What is loaded says more than any search path; nothing of it is started.
    import cython_core.dataplane  # noqa: F401

    eal = loaded_library("librte_eal.so")
    folder = plugin_folder(eal) if eal else None
    return folder if folder and folder.is_dir() else None


def loaded_library(prefix: str, maps: Path = Path("/proc/self/maps")) -> Path | None:
    """A library that this process has loaded, by how its file's name begins."""
    for line in maps.read_text().splitlines():
        path = line.partition("/")[2]
        if path and Path(path).name.startswith(prefix):
            return Path("/" + path)
    return None


def _pmd(info: dict[str, object], file: str) -> Pmd:
    ids = info.get("pci_ids") or []
    assert isinstance(ids, list)
    return Pmd(
        str(info["name"]), file, tuple(sorted({_pci_id(*one) for one in ids}, key=str)),
        str(info.get("kmod", "")), str(info.get("params", "")),
    )


def _pci_id(vendor: int, device: int, subsystem_vendor: int, subsystem_device: int) -> PciId:
    return PciId(
        vendor, device,
        None if subsystem_vendor == _ANY else subsystem_vendor,
        None if subsystem_device == _ANY else subsystem_device,
    )


def _read_only_data(elf: ELFFile) -> bytes:
    section = elf.get_section_by_name(".rodata")
    return bytes(section.data()) if section is not None else b""


def pci_devices(devices: Path = Path("/sys/bus/pci/devices")) -> Iterator[tuple[str, PciId]]:
    """The Ethernet controllers of this host: address, and what it is."""
    for device in sorted(devices.glob("*")):
        try:
            if not (device / "class").read_text().startswith("0x0200"):
                continue
            numbers = [int((device / name).read_text(), 16) for name in (
                "vendor", "device", "subsystem_vendor", "subsystem_device")]
        except (OSError, ValueError):
            continue
        yield device.name, PciId(*numbers)


def drives(pmd: Pmd, device: PciId) -> bool:
    return any(
        (one.vendor, one.device) == (device.vendor, device.device)
        and one.subsystem_vendor in (None, device.subsystem_vendor)
        and one.subsystem_device in (None, device.subsystem_device)
        for one in pmd.pci_ids
    )
