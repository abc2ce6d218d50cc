"""A YAML document as nodes with positions.

Only YAML's structure is used: what a scalar means is the schema's to say, so none of YAML 1.1's
guesses (010 is 8, yes is true, 1:30 is 90) ever reaches a value.
"""

from dataclasses import dataclass
from typing import Any

import yaml

# Far beyond the schema's own depth, and far below what would overflow the C parser's stack.
DEPTH_MAX = 64
TOO_DEEP = f"is nested more than {DEPTH_MAX} levels deep"
# What libyaml says of its own bound, 1000; it reads ahead, so it may come upon that one first.
LIBYAML_TOO_DEEP = "exceeded maximum nesting depth"

# What to do about libyaml's most frequent complaints, which say what its parser had looked for.
_INDENTED = "is it indented like what it belongs to, which begins in line {}?"
_HINTS = {
    "did not find expected '-' indicator": _INDENTED,
    "did not find expected key": _INDENTED,
    "could not find expected ':'": "behind a key there is a colon and a space",
    "did not find expected node content": "write in quotes what isn't plain letters and digits",
    "found character that cannot start any token":
        "write in quotes what isn't plain letters and digits",
    "mapping values are not allowed in this context":
        "is the line before indented otherwise? A value with a colon and a space stands in quotes",
}


@dataclass(frozen=True)
class Position:
    """Line and column of a file, both from 1."""

    line: int
    column: int


class DocumentError(Exception):
    """The text isn't one YAML document; the message is the reason."""

    def __init__(self, reason: str, position: Position) -> None:
        super().__init__(reason)
        self.position = position


def document_parse(content: bytes) -> yaml.Node:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        raise DocumentError("is not UTF-8", _position_after(before)) from None
    try:
        _check_depth(text)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.reader.ReaderError as error:
        position = _position_after(text[: error.position])
        raise DocumentError("holds a control character", position) from None
    except yaml.MarkedYAMLError as error:
        raise DocumentError(_reason(error, text), mark_position(error.problem_mark)) from None
    if root is None:
        raise DocumentError("is empty", Position(1, 1))
    return root


def _reason(error: yaml.MarkedYAMLError, text: str) -> str:
    problem, mark = str(error.problem), error.problem_mark
    if problem == LIBYAML_TOO_DEEP:
        return TOO_DEEP
    if mark and text[mark.index : mark.index + 1] == "\t":
        return "is indented with a tab; YAML takes spaces alone"
    reason = ", ".join(filter(None, (error.context, problem)))
    hint = _HINTS.get(problem, "").format(mark_position(error.context_mark).line)
    return f"{reason}; {hint}" if hint else reason


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                raise DocumentError(TOO_DEEP, mark_position(event.start_mark))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def mark_position(mark: Any) -> Position:
    """Of one of PyYAML's marks, whose class differs with the parser; None is the beginning."""
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


def _position_after(text: str) -> Position:
    return Position(text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1)
