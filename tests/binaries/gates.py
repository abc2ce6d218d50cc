"""What every module that we build must be, read out of ELF: each gate returns its complaints.

Reading list: elf(5); ld(1), -z relro, now, noexecstack, x86-64-v2; the x86-64 psABI's
.note.gnu.property; DPDK's ABI policy (doc/guides/contributing/abi_policy.rst): stable symbols have
the version DPDK_<ABI>, the others EXPERIMENTAL and INTERNAL.
"""

from collections.abc import Iterator

from elftools.elf.constants import P_FLAGS
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import NoteSection

DF_BIND_NOW = 0x8       # of DT_FLAGS, elf.h
DF_1_NOW = 0x1          # of DT_FLAGS_1
ISA_V2 = 0x2            # GNU_PROPERTY_X86_ISA_1_V2
DPDK = "librte_"
# What the worker and its set-up call, the log in a library of its own since 23.11; buses and
# drivers are EAL's to load.
DPDK_LIBRARIES = {
    "librte_eal", "librte_ethdev", "librte_log", "librte_mbuf", "librte_mempool", "librte_ring"}
# libc, and its loader for what is thread-local.
OTHERS = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
FLOOR = ("dpdk", "_testing_stages", "_testing_buffers")      # what may be linked with DPDK


def dynamic_of(elf: ELFFile) -> DynamicSection:
    section = elf.get_section_by_name(".dynamic")
    assert isinstance(section, DynamicSection), "it is no shared object"
    return section


def needed(elf: ELFFile) -> list[str]:
    """Names of DT_NEEDED."""
    return [tag.needed  # type: ignore[attr-defined]
            for tag in dynamic_of(elf).iter_tags("DT_NEEDED")]


def dpdk_versions(elf: ELFFile) -> Iterator[tuple[str, str]]:
    """(library, version) of every symbol version that is needed of DPDK."""
    section = elf.get_section_by_name(".gnu.version_r")
    if isinstance(section, GNUVerNeedSection):
        for library, versions in section.iter_versions():
            name = str(library.name)
            if name.startswith(DPDK):
                yield from ((name, version.name) for version in versions)


def relocations_stay_writable(elf: ELFFile) -> list[str]:
    """Full RELRO: the tables are bound at once, and read-only from then on."""
    dynamic = dynamic_of(elf)
    kinds = [segment.header.p_type for segment in elf.iter_segments()]
    at_once = any(
        tag.entry.d_val & bit for name, bit in (("DT_FLAGS", DF_BIND_NOW), ("DT_FLAGS_1", DF_1_NOW))
        for tag in dynamic.iter_tags(name)) or any(dynamic.iter_tags("DT_BIND_NOW"))
    return [*([] if "PT_GNU_RELRO" in kinds else ["no PT_GNU_RELRO"]),
            *([] if at_once else ["no BIND_NOW"])]


def runs_data(elf: ELFFile) -> list[str]:
    """A stack that holds code, or a segment that is both written and run."""
    segments = list(elf.iter_segments())
    stacks = [one for one in segments if one.header.p_type == "PT_GNU_STACK"]
    both = P_FLAGS.PF_W | P_FLAGS.PF_X
    return [*([] if stacks else ["no PT_GNU_STACK"]),
            *(f"{one.header.p_type} is executable" for one in stacks
              if one.header.p_flags & P_FLAGS.PF_X),
            *(f"{one.header.p_type} at {one.header.p_vaddr:#x} is written and run"
              for one in segments if one.header.p_type == "PT_LOAD"
              and one.header.p_flags & both == both)]


def names_folders(elf: ELFFile) -> list[str]:
    """A search path of its own: RPATH or RUNPATH."""
    dynamic = dynamic_of(elf)
    return [*(f"RPATH {tag.rpath}"  # type: ignore[attr-defined]
              for tag in dynamic.iter_tags("DT_RPATH")),
            *(f"RUNPATH {tag.runpath}"  # type: ignore[attr-defined]
              for tag in dynamic.iter_tags("DT_RUNPATH"))]


def asks_for_another_processor(elf: ELFFile) -> list[str]:
    """Than x86-64-v2, by the note that the loader looks at."""
    levels = [
        fact.pr_data for section in elf.iter_sections() if isinstance(section, NoteSection)
        for note in section.iter_notes() if note.n_type == "NT_GNU_PROPERTY_TYPE_0"
        for fact in note.n_desc if fact.pr_type == "GNU_PROPERTY_X86_ISA_1_NEEDED"]
    return [] if levels == [ISA_V2] else [f"x86 ISA needed: {levels}, not [{ISA_V2}]"]


def needs_beyond_its_floor(elf: ELFFile, path: str, abi: str) -> list[str]:
    """Libraries that a module at this path has no use for, or of another DPDK than `abi` = "23"."""
    above = not any(word in path for word in FLOOR)
    mine = set() if above else {f"{name}.so.{abi}" for name in DPDK_LIBRARIES}
    return sorted(set(needed(elf)) - OTHERS - mine)


def needs_unstable(elf: ELFFile, abi: str) -> list[str]:
    """Symbols of DPDK that another release of the same ABI may not have, as `abi` = "23"."""
    return [f"{library}: {version}" for library, version in dpdk_versions(elf)
            if version != f"DPDK_{abi}"]
