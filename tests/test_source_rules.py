"""Rules of the source that no compiler holds us to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CYTHON = sorted(
    path for path in (ROOT / "cython_core").rglob("*") if path.suffix in {".pyx", ".pxd"}
)
HOT = [path for path in CYTHON if path.parent.name in {"wire", "proxy", "dpdk"}]

# Strings come first, so that a `#` in one is no comment and a quote in a comment opens nothing.
TRIVIA = re.compile(
    r"""(\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|\#[^\n]*""", re.DOTALL
)


def statements(text):
    """Logical lines without comments and strings, brackets closed."""
    text = TRIVIA.sub(lambda match: '""' if match[1] else "", text).replace("\\\n", " ")
    statement = ""
    for line in text.split("\n"):
        statement = f"{statement} {line.strip()}".strip() if statement else line.rstrip()
        depth = sum(map(statement.count, "([{")) - sum(map(statement.count, ")]}"))
        if depth <= 0:
            if statement.strip():
                yield statement
            statement = ""


def without_noexcept(text):
    """Signatures that say nogil and not noexcept: such a function takes the GIL on some values.

    `with nogil:` is a block, and what an extern block declares is noexcept by itself.
    """
    return [
        s
        for s in statements(text)
        if re.search(r"\bnogil\b", s)
        and not re.search(r"\bnoexcept\b", s)
        and not re.search(r"\bwith\s+(no)?gil\b|\bextern\s+from\b", s)
    ]


def compile_time_tricks(text):
    return [s for s in statements(text) if re.match(r"\s*((DEF|IF|ELIF)\b|include\s)", s)]


def by_path(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", HOT, ids=by_path)
def test_every_nogil_function_says_noexcept(path):
    assert without_noexcept(path.read_text()) == []


@pytest.mark.parametrize("path", CYTHON, ids=by_path)
def test_nothing_is_decided_or_pasted_at_cythons_compile_time(path):
    assert compile_time_tricks(path.read_text()) == []


@pytest.mark.parametrize("path", CYTHON, ids=by_path)
def test_directives_come_from_the_build_alone(path):
    assert not re.search(r"^#\s*(cython|distutils):", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "text",
    [
        "cdef uint32_t f(int a) nogil\n",
        "cdef uint32_t f(int a,\n                int b) nogil:\n    return a\n",
        "ctypedef int (*Callback)(void *) nogil\n",
        "cdef int f() except -1 nogil:  # noexcept\n    pass\n",
        'cdef inline int f(const char *s="# noexcept") nogil\n',
    ],
)
def test_a_missing_noexcept_is_seen(text):
    assert len(without_noexcept(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "cdef uint32_t f(int a,\n                int b) noexcept nogil:\n    return a\n",
        'cdef extern from "x.h" nogil:\n    int f(int)\n',
        "    with nogil:\n        f()\n",
        '"""Every hot function is nogil."""\n# nogil\n',
    ],
)
def test_a_present_noexcept_is_not(text):
    assert without_noexcept(text) == []


@pytest.mark.parametrize("text", ["DEF N = 3\n", "IF X:\n", "    ELIF X:\n", 'include "x.pxi"\n'])
def test_a_compile_time_trick_is_seen(text):
    assert compile_time_tricks(text)


@pytest.mark.parametrize("path", CYTHON, ids=by_path)
def test_a_cimport_names_its_module(path):
    """`from package cimport module` is missing from the build's dependencies: the module's structs
    could change and this file keep their former layout."""
    packages = {".".join(p.parent.relative_to(ROOT).parts) for p in CYTHON}
    cimported = re.findall(r"^from ([\w.]+) cimport", path.read_text(), re.MULTILINE)
    assert not packages & set(cimported)
