"""What SECURITY.md and RELIABILITY.md promise has tests by the names that stand there."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("SECURITY.md", "RELIABILITY.md")
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
TARGET = re.compile(r"`make ([\w-]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def words(document: str) -> str:
    """Without what is still to be filled in."""
    return re.sub(r"<!--.*?-->\n?", "", (ROOT / document).read_text(), flags=re.DOTALL)


@cache
def names_in(path: str) -> frozenset[str]:
    source = ROOT / "tests" / path
    return frozenset(re.findall(r"def (test_\w+)\(", source.read_text())
                     if source.exists() else ())


@cache
def anchors(document: Path) -> frozenset[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return frozenset(re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings)


def missing_tests(text: str) -> list[str]:
    return [f"{path}::{name}" for path, name in TEST.findall(text) if name not in names_in(path)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_test_that_is_named_is_there(document):
    assert len(TEST.findall(words(document))) > 40
    assert missing_tests(words(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_command_that_is_named_is_there(document):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(TARGET.findall(words(document))) <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_link_leads_somewhere(document):
    for path, anchor in LINK.findall(words(document)):
        there = ROOT / (path or document)
        assert there.exists(), path
        if anchor:
            assert anchor in anchors(there), (path, anchor)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_row_of_a_promise_names_what_shows_it(document):
    """Of tables whose last column says so."""
    for table in re.findall(r"^\|.*shown by \|\n\|[-|]+\|\n((?:\|.*\n)*)", words(document),
                            re.MULTILINE):
        for row in re.findall(r"^\|.*$", table, re.MULTILINE):
            assert TEST.search(row) or TARGET.search(row), row


def test_a_test_that_is_not_there_is_seen():
    told = "`proxy/test_warm.py::test_cold` and `proxy/test_cold.py::test_what_is_learned_goes_on`"
    assert missing_tests(told) == [
        "proxy/test_warm.py::test_cold", "proxy/test_cold.py::test_what_is_learned_goes_on"]
