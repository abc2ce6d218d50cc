"""Which variants there are, and that each is what its name says."""

import platform
import re
import subprocess
from pathlib import Path

import pytest

from cython_core import _testing_wire as wire
from cython_core.wire import segment, siphash, vector

X86_64 = platform.machine() == "x86_64"
# What /proc/cpuinfo calls what a level adds to the one before it: x86-64 psABI, table 3.1.
ADDED = {
    "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}


def test_the_narrowest_is_always_there():
    assert vector.VECTORS[0] == vector.NAMES[0] == ("x86-64-v2" if X86_64 else "baseline")
    assert vector.NAMES[:len(vector.VECTORS)] == vector.VECTORS


def test_the_others_are_there_as_the_kernel_tells_the_processors_flags():
    flags = set(Path("/proc/cpuinfo").read_text().split())
    expected = [vector.NAMES[0]]
    for name in vector.NAMES[1:]:
        if not ADDED[name] <= flags:
            break
        expected.append(name)
    assert list(vector.VECTORS) == expected


def registers(module, symbol) -> set[str]:
    """The kinds of vector registers that a function of a module names."""
    shown = subprocess.run(["objdump", "-d", f"--disassemble={symbol}", module.__file__],
                           capture_output=True, text=True, check=True).stdout
    assert f"<{symbol}>:" in shown
    return set(re.findall(r"%([xyz]mm)", shown))


@pytest.mark.parametrize("work", [(siphash, "synproxy_siphash"), (segment, "synproxy_verify")])
def test_each_uses_registers_of_its_width_and_none_wider(work):
    module, symbol = work
    for level, widest, wider in (("v3", "ymm", {"zmm"}), ("v4", "zmm", set())):
        if f"x86-64-{level}" in vector.NAMES:
            used = registers(module, f"{symbol}_{level}")
            assert widest in used
            assert not wider & used


def test_who_asks_for_what_is_not_there_is_told_what_is():
    there = ", ".join(vector.VECTORS)
    with pytest.raises(ValueError, match=f"no vectors x86-64-v9 here, but {there}; name one"):
        wire.siphash_lanes([], [], "x86-64-v9")
