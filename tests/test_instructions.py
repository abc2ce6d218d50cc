"""No stage takes more instructions than the kept file allows: tests/bench/instructions.py.

Instructions are counted, not timed, so it may be a test.
"""

import importlib.util
import json
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

BENCH = Path(__file__).parent / "bench"
REPEATED = "third ACK, IPv6"        # with the most state; few services and many
GROWN = f"{REPEATED}, few services"
NOISE = 0.001

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="counts are of x86-64")


def bench(name):
    """A module of tests/bench that needs no other of them."""
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


callgrind = bench("callgrind")
counts = bench("instruction_counts")


def run(*words):
    return subprocess.run([sys.executable, BENCH / "instructions.py", *words],
                          capture_output=True, text=True)


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """The program's run over all cases, and its figures."""
    path = tmp_path_factory.mktemp("counted") / "counts.json"
    return run("--json", path), path


def test_no_stage_takes_more_instructions_than_the_kept_file_allows(counted):
    done, _ = counted
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def grown(counted, tmp_path_factory):
    """The program's run over the repeated cases, held against a file that says less of a stage of
    GROWN, and its figures."""
    folder = tmp_path_factory.mktemp("grown")
    kept, path = folder / "kept.json", folder / "counts.json"
    _, first = counted
    figures = json.loads(first.read_text())
    figures["instructions"][GROWN]["burst_decide"] /= 1.06
    kept.write_text(json.dumps(figures))
    return run("--case", REPEATED, "--kept", kept, "--json", path), path


def test_counts_are_the_same_when_they_are_taken_again(counted, grown):
    _, first = counted
    _, again = grown
    before = json.loads(first.read_text())["instructions"]
    after = json.loads(again.read_text())["instructions"]
    assert len(after) == 2
    for case, stages in after.items():
        assert stages == pytest.approx(before[case], rel=NOISE)


KEPT = counts.Counts(
    "gcc 12", "3.3.1", "x86-64-v3",
    {"SYN": {"burst_parse": 100.0, "burst_hash": 200.0}, "ACK": {"burst_parse": 80.0}})


def counts_with(parse, hash_=200.0, **differs):
    instructions = KEPT.instructions | {"SYN": {"burst_parse": parse, "burst_hash": hash_}}
    return replace(KEPT, instructions=instructions, **differs)


@pytest.mark.parametrize("parse", [95.1, 100.0, 104.9])
def test_what_differs_by_less_than_5_percent_is_not_told(parse):
    assert counts.compare(counts_with(parse), KEPT) == counts.Comparison([], [])


def test_a_stage_that_grew_by_over_5_percent_is_named():
    found = counts.compare(counts_with(105.1), KEPT)
    assert found == counts.Comparison(
        ["GREW    burst_parse of SYN: 105.1 instructions a frame, 100.0 in the file, +5.1%"], [])


def test_a_stage_that_shrank_by_over_5_percent_is_told():
    found = counts.compare(counts_with(94.9), KEPT)
    assert found == counts.Comparison(
        [], ["shrank  burst_parse of SYN: 94.9 instructions a frame, 100.0 in the file, -5.1%"])


def test_a_case_that_the_file_lacks_and_one_that_it_has_alone_fail():
    without = KEPT.only("SYN")
    assert counts.compare(KEPT, without).failures == ["NEW     burst_parse of ACK: not in the file"]
    assert counts.compare(without, KEPT).failures == [
        "GONE    burst_parse of ACK: in the file alone"]


def test_with_another_compiler_half_as_much_again_passes_and_more_fails():
    assert counts.compare(counts_with(149.0, compiler="gcc 14"), KEPT).failures == []
    found = counts.compare(counts_with(151.0, compiler="gcc 14"), KEPT)
    assert [line.split(":")[0] for line in found.failures] == ["GREW    burst_parse of SYN"]
    assert found.notes[0].startswith(
        "ANOTHER COMPILER: the file is of gcc 12, this build of gcc 14")


def test_another_vector_width_takes_only_its_stages_out_of_the_comparison():
    found = counts.compare(counts_with(106.0, 600.0, vector="x86-64-v2"), KEPT)
    assert [line.split(":")[0] for line in found.failures] == ["GREW    burst_parse of SYN"]
    assert found.notes[0].startswith("NOT COMPARED: burst_verify, burst_hash, burst_prove.")


def test_a_growth_ends_the_program_with_1_and_says_how_the_file_is_renewed(grown):
    done, _ = grown
    assert done.returncode == 1
    assert f"GREW    burst_decide of {GROWN}" in done.stdout
    assert "instructions.py --write" in done.stdout


@pytest.mark.parametrize(("comment", "compiler"), [
    (b"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0\0", "gcc 12"),
    (b"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0\0Debian clang version 14.0.6\0", "clang 14"),
    (b"", "an unknown compiler"),
])
def test_a_module_names_its_compiler(comment, compiler):
    assert counts.compiler_named(comment) == compiler


def test_calls_count_from_their_caller_alone():
    inclusive = callgrind.part_read(
        ["fn=door", "0 5", "cfn=stage", "calls=2 0 ", "0 70", "",
         "fn=stage", "0 30", "cfn=within", "calls=1 0 ", "0 40", "",
         "fn=other", "cfn=stage", "calls=9 0 ", "0 900", "", "fn=door", "cfn=stage",
         "calls=1 0 ", "0 7"], "do*r")
    assert inclusive == {"stage": 77}
