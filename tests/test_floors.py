"""Who may import whom: every import and cimport line held against the table of floors.

    5  appliance/              Python control plane        imports cython_core.dataplane only
    4  cython_core/dataplane   the one door from Python    dpdk, proxy, and beside it
       cython_core/roster      services, compiled          proxy
    3  cython_core/dpdk/       the only folder that knows DPDK    proxy, wire
    2  cython_core/proxy/      the protocol                wire
    1  cython_core/wire/       bytes                       libc

The doors for tests (cython_core/_testing*) stand beside the tower and open on floors 1 to 4.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = ("appliance", "cython_core")
WIRE, PROXY, DPDK = "cython_core.wire", "cython_core.proxy", "cython_core.dpdk"
DATAPLANE = "cython_core.dataplane"
ROSTER = "cython_core.roster"
TESTING = "cython_core._testing"

# Of the project's modules: a floor may import itself and these.
FLOORS = {
    "appliance": {DATAPLANE},
    DATAPLANE: {DPDK, PROXY, ROSTER},
    ROSTER: {PROXY},
    DPDK: {PROXY, WIRE},
    PROXY: {WIRE},
    WIRE: set(),
    TESTING: {DATAPLANE, DPDK, PROXY, WIRE},
}
# Of others' modules, where a floor isn't free to choose.
OTHERS = {WIRE: {"libc"}, PROXY: {"libc"}}

FROM = re.compile(
    r"^[ \t]*from[ \t]+([\w.]+)[ \t]+c?import[ \t]*(\([^)]*\)|[^\n]*)", re.MULTILINE
)
IMPORT = re.compile(r"^[ \t]*c?import[ \t]+([\w., \t]+)", re.MULTILINE)
NAME = re.compile(r"[\w.]+")
SOURCES = sorted(
    path
    for folder in PROJECT
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".pyi", ".pyx", ".pxd"}
)


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module):
    """The floor that `module` stands on; None where it is not one of the project's."""
    for floor in FLOORS:
        if module == floor or module.startswith(floor + "."):
            return floor
    return TESTING if module.startswith(TESTING) else None


def absolute(name, path):
    """`name` without leading dots, as seen from the file at `path`."""
    dots = len(name) - len(name.lstrip("."))
    if dots == 0:
        return name
    package = path.relative_to(ROOT).parent.parts
    return ".".join([*package[: len(package) - dots + 1], *filter(None, [name[dots:]])])


def imports(text, path):
    """Every module that the source names, as far down as the line tells."""
    text = re.sub(r"#[^\n]*", "", text)
    for match in FROM.finditer(text):
        package = absolute(match[1], path)
        if floor_of(package):
            yield package
            continue
        names = [] if package not in PROJECT else re.sub(r"\bas\s+\w+", "", match[2])
        yield from [f"{package}.{name}" for name in NAME.findall(names or "")] or [package]
    for match in IMPORT.finditer(text):
        for clause in match[1].split(","):
            yield NAME.findall(clause)[0]


def trespasses(text, path):
    floor = floor_of(module_of(path))
    for module in imports(text, path):
        target = floor_of(module)
        if target is None:
            inside = module.split(".")[0] in PROJECT
            allowed = OTHERS.get(floor)
            if inside or (allowed is not None and module.split(".")[0] not in allowed):
                yield module
        elif target != floor and target not in FLOORS[floor]:
            yield module


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_imports_only_what_stands_below_it(path):
    if module_of(path) == "cython_core":
        assert not path.read_text().strip()
        return
    assert floor_of(module_of(path)) is not None, "a source outside every floor"
    assert list(trespasses(path.read_text(), path)) == []


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if DPDK.replace(".", "/") not in str(p)], ids=lambda p: p.name
)
def test_only_floor_3_names_a_header_of_dpdk(path):
    assert not re.search(r"extern from\s+[\"'<]+(rte_|.*shim\.h)", path.read_text())


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("cython_core/wire/x.pyx", "from cython_core.proxy.cookie cimport cookie_make"),
        ("cython_core/wire/x.pyx", "cimport cython_core.proxy.cookie"),
        ("cython_core/wire/x.pyx", "from cython_core.proxy cimport (\n    cookie,\n)"),
        ("cython_core/wire/x.pyx", "from ..proxy cimport cookie"),
        ("cython_core/wire/x.pyx", "import time"),
        ("cython_core/proxy/x.pyx", "from cython_core cimport dpdk"),
        ("cython_core/proxy/x.pxd", "from cython_core.dpdk.rte cimport rte_mbuf"),
        ("cython_core/proxy/x.pyx", "    from posix.time cimport clock_gettime"),
        ("cython_core/dpdk/x.pyx", "from cython_core.dataplane import Dataplane"),
        ("cython_core/dpdk/x.pyx", "from appliance import config"),
        ("cython_core/dataplane.pyx", "from cython_core.wire.segment cimport Segment"),
        ("appliance/x.py", "from cython_core import wire"),
        ("appliance/x.py", "import json, cython_core.dpdk.eal as eal"),
        ("appliance/cli/x.py", "from cython_core._testing_wire import parse"),
        ("cython_core/_testing_wire.pyx", "from appliance import config"),
    ],
)
def test_a_line_that_climbs_is_seen(path, line):
    assert list(trespasses(line + "\n", ROOT / path))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("cython_core/wire/x.pyx", "from libc.stdint cimport uint8_t  # from time import sleep"),
        ("cython_core/wire/x.pyx", "from .segment cimport Segment"),
        ("cython_core/proxy/x.pyx", "from cython_core.wire cimport segment, seq as s"),
        ("cython_core/dpdk/x.pyx", "from cython_core cimport proxy, wire"),
        ("cython_core/dataplane.pyx", "from cython_core.dpdk.worker cimport Worker"),
        ("appliance/x.py", "import asyncio\nfrom cython_core import dataplane as d"),
        ("appliance/cli/x.py", "from ..config import load\nfrom . import table"),
    ],
)
def test_a_line_that_stays_below_is_not(path, line):
    assert list(trespasses(line + "\n", ROOT / path)) == []
