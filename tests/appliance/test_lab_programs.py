"""What the lab's programs say where they can't do what they are asked.  No lab is laid here."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from rich.console import Console

from appliance.lab import churn, datastore, demo, loginserver, prober
from appliance.lab.certificate import make_certificate
from appliance.lab.churn import Churn
from appliance.lab.compare import __main__ as compare
from appliance.lab.compare import table
from appliance.lab.compare.rows import ROWS
from appliance.lab.namespace import TOOLS, LabError, Namespace, require, run_tool
from appliance.lab.program import lab_program
from appliance.lab.topology import Lab

ROOT = Path(__file__).parents[2]


def bench(name: str) -> ModuleType:
    """A program of tests/bench."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tests/bench/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAMS = {"churn": churn, "compare": compare, "demo": demo, "prober": prober,
            "faults": bench("faults"), "first_byte": bench("first_byte")}


@pytest.fixture
def _as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("signal.signal", lambda *_: None)


@pytest.fixture
def _no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def given(monkeypatch: pytest.MonkeyPatch, program: str, words: Sequence[str]) -> Any:
    monkeypatch.setattr("sys.argv", [program, *words])
    return PROGRAMS[program].arguments()


@pytest.mark.parametrize(("command", "words"), [
    ("faults --flows 0", "--flows: a whole number from 1 to 1851, not '0'"),
    ("faults --flows 1852", "--flows: a whole number from 1 to 1851, not '1852'"),
    ("faults --mib nan", "--mib: a number from 0.0 to 64.0, not 'nan'"),
    ("faults --handshakes 0", "--handshakes: a whole number from 1 to 3702, not '0'"),
    ("faults --handshakes many", "--handshakes: a whole number from 1 to 3702, not 'many'"),
    ("first_byte --requests 0", "--requests: a whole number from 1 to 188, not '0'"),
    ("first_byte --rounds 0", "--rounds: a whole number from 1 to 20, not '0'"),
    ("demo --pps 0", "--pps: a whole number from 1 to 10000000, not '0'"),
    ("prober localhost --count 1 --concurrency 0", "--concurrency: a whole number from 1 to"),
    ("churn 10.71.0.1,10.71.0.2 --count 1 --concurrency 0", "--concurrency: a whole number from 1"),
    ("churn 10.71.0.1 --count 1", "two addresses of one family, as 10.71.0.1,10.71.0.2, not "),
    ("churn 10.71.0.1,fd00:71::2 --count 1", "two addresses of one family"),
    ("churn client,server --count 1", "two addresses of one family"),
    ("compare --rows G1,G18,g2", "no row is named 'G18', 'g2'; there are G1 to G17"),
    ("compare --write /nonexistent/README.md", "No such file or directory: '/nonexistent/READ"),
    ("compare --write /dev/null", "/dev/null has no line <!-- make compare: begin --> followed"),
    (f"compare --rows G1 --write {ROOT}/README.md", "--write: not allowed with argument --rows"),
])
def test_what_can_not_be_is_refused_with_the_range(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str,
        words: str) -> None:
    program, *arguments = command.split()
    with pytest.raises(SystemExit) as refused:
        given(monkeypatch, program, arguments)
    assert refused.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("command", "name", "value"), [
    ("faults", "handshakes", 1000),
    ("faults --flows 1851", "flows", 1851),
    ("faults --mib 0.5", "mib", 0.5),
    ("first_byte --requests 188", "requests", 188),
    ("churn fd00:71::1,fd00:71::2 --count 1", "routes", [("fd00:71::1", "fd00:71::2")]),
    ("compare --rows G7,G1", "rows", [ROWS[0], ROWS[6]]),
    (f"compare --write {ROOT}/README.md", "write", ROOT / "README.md"),
])
def test_what_can_be_is_taken(monkeypatch: pytest.MonkeyPatch, command: str, name: str,
                              value: object) -> None:
    program, *arguments = command.split()
    assert getattr(given(monkeypatch, program, arguments), name) == value


def test_every_request_has_a_port_of_its_own() -> None:
    """Also at the ranges' ends."""
    faults, first_byte = PROGRAMS["faults"], PROGRAMS["first_byte"]
    assert faults.FIRST_PORT + 1851 * len(faults.COMBINATIONS) <= 1 << 16
    assert faults.FIRST_PORT + 3702 * len(faults.ASKED) <= 1 << 16
    assert first_byte.FIRST_PORT + 20 * 2 * len(first_byte.ROUND_TRIPS_MS) * 379 <= 1 << 16


@pytest.mark.parametrize("program", ["compare", "demo", "faults", "first_byte"])
def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str], program: str) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.argv", [program])
    assert PROGRAMS[program].main() == 1
    assert "run it as root" in capsys.readouterr().out


@pytest.mark.usefixtures("_as_root")
@pytest.mark.parametrize("error", [
    LabError("ip: [/] is no [red] thing"), TimeoutError("waited 5 s for [nothing]"),
    subprocess.TimeoutExpired("[sleep]", 5)])
def test_an_error_is_printed_as_it_is(capsys: pytest.CaptureFixture[str],
                                      error: Exception) -> None:
    def fail() -> int:
        raise error

    assert lab_program(Console(), fail) == 1
    assert capsys.readouterr().out == f"{error}\n"


@pytest.mark.usefixtures("_no_tools", "_as_root")
def test_compare_misses_nft_before_it_runs(capsys: pytest.CaptureFixture[str],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["compare"])
    assert compare.main() == 1
    assert "nft is not installed: Debian's nftables has it" in capsys.readouterr().out


@pytest.mark.usefixtures("_no_tools")
def test_a_tool_that_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="openssl is not installed: Debian's openssl has it"):
        make_certificate(tmp_path)
    with pytest.raises(LabError, match=r"^ss is not installed: Debian's iproute2 has it"):
        Namespace("nowhere").run(["ss"])
    with pytest.raises(LabError, match=r"/nonexistent/sshd is not installed: .* openssh-server "):
        require(Path("/nonexistent/sshd"))


def test_a_server_that_is_missing_is_named_before_it_is_set_up(
        monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = cast(Lab, None)
    monkeypatch.setattr(loginserver, "SSHD", Path("/nonexistent/sshd"))
    with pytest.raises(LabError, match="Debian's openssh-server has it"):
        loginserver.start_loginserver(nowhere)
    monkeypatch.setattr(datastore, "BINARY", "/nonexistent/redis-check-rdb")
    with pytest.raises(LabError, match="Debian's redis-tools has it"):
        datastore.start_datastore(nowhere)


def test_a_tool_that_fails_has_the_last_word() -> None:
    with pytest.raises(LabError, match=r"^sh: exit 3: no reason$"):
        run_tool(["sh", "-c", "echo no reason >&2; exit 3"])
    with pytest.raises(LabError, match=r"^sleep: not done in 0\.1 s$"):
        run_tool(["sleep", "10"], seconds=0.1)


def test_make_setup_installs_every_tool() -> None:
    makefile = (ROOT / "Makefile").read_text()
    packages = re.search(r"^PACKAGES := ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert packages
    # Of which one program is taken.
    alone = set(" ".join(re.findall(r": packages := (.*)", makefile)).split())
    assert {*TOOLS.values(), "prometheus"} <= {*packages[1].split(), *alone}
    assert {"openssh-server", "prometheus"} <= alone, "installed, they start services"
    assert not alone & {*packages[1].split()}


def test_a_new_table_in_readme_is_no_new_build() -> None:
    def steps(*arguments: str) -> str:
        return run_tool(["make", "-n", *arguments, "build/installed"], cwd=ROOT).stdout

    assert steps("--what-if=README.md") == steps()


def test_a_source_that_is_not_ours_fails_by_name() -> None:
    """TEST-NET-1 (RFC 5737) is nobody's."""
    report = Churn([("192.0.2.1", "192.0.2.2")], timeout_s=5).run(10, concurrency=3)
    assert (report.attempted, report.succeeded) == (10, 0)
    assert report.failures == {"EADDRNOTAVAIL": 10}


def test_the_marks_are_looked_for_in_readme() -> None:
    assert table.around_block(ROOT / "README.md")


@pytest.mark.parametrize(("skips", "status", "word"), [
    ({}, 0, "skipped"), ({"LAB_SKIPS": "fail"}, 1, "network namespaces need root")])
def test_what_is_asked_for_by_name_is_not_skipped(skips: dict[str, str], status: int,
                                                  word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import os, sys, pytest; os.geteuid = lambda: 1000;"
         "sys.exit(pytest.main(['-q', 'tests/system/test_turnover.py']))"],
        cwd=ROOT, env={"PATH": "", **skips}, capture_output=True, text=True)
    assert done.returncode == status
    assert word in done.stdout
