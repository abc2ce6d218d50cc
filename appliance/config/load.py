"""A configuration file, read and checked in whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synproxy.v1.config_pb2 import Config

from appliance.config.constraints import constraint_violations
from appliance.config.document import DocumentError, Position, document_parse
from appliance.config.reader import Reader
from appliance.config.rules import config_violations
from appliance.config.violation import Violation, parent
from appliance.uncollected import uncollected

# Far more than the most services, prefixes and ports that the data plane takes.
FILE_BYTES_MAX = 16 << 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file."""

    file: str
    position: Position
    violation: Violation

    def __str__(self) -> str:
        line, column = self.position.line, self.position.column
        path = self.violation.path or "document"
        text = f"{self.file}:{line}:{column}: {path}: {self.violation.reason}"
        # Keys and values are the file's: none may end the line, or speak to the terminal.
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ConfigError(Exception):
    """The file can't be used; `problems` are all that are wrong, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def config_load(path: Path) -> Config:
    """Raises ConfigError, or OSError where the file can't be read."""
    with path.open("rb") as file:
        # A device may have no end.
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        reason = f"is longer than {FILE_BYTES_MAX >> 20} MiB; is it the right file?"
        raise ConfigError([Problem(str(path), Position(1, 1), Violation("", reason))])
    return config_parse(content, str(path))


def config_parse(content: bytes, file: str) -> Config:
    """Raises ConfigError."""
    # The document, which is the most of it, has gone when there are collections again.
    with uncollected():
        config, located = _read(content, file)
    if located:
        located.sort(key=lambda found: (found[0].line, found[0].column))
        raise ConfigError([Problem(file, *found) for found in located])
    return config


def _read(content: bytes, file: str) -> tuple[Config, list[tuple[Position, Violation]]]:
    try:
        root = document_parse(content)
    except DocumentError as error:
        problem = Problem(file, error.position, Violation("", str(error)))
        raise ConfigError([problem]) from None
    reader = Reader()
    config = Config()
    reader.read(root, config)
    return config, reader.refused + _follow_ups(reader, config)


def _follow_ups(reader: Reader, config: Config) -> list[tuple[Position, Violation]]:
    """What is wrong with the message itself, but for what follows from a refused value."""
    tainted: set[str] = set()
    refused = {violation.path for _, violation in reader.refused}
    if "" in refused:
        return []
    for path in refused:
        tainted.update((path, *_holders(path)))
    found = []
    for violation in (*constraint_violations(config), *config_violations(config)):
        inside = any(path in refused for path in _holders(violation.path))
        if violation.path not in tainted and not inside:
            found.append((_nearest(reader.positions, violation.path), violation))
    return found


def _holders(path: str) -> Iterator[str]:
    """The paths of all that holds what stands at `path`, but for the whole."""
    while path := parent(path):
        yield path


def _nearest(positions: dict[str, Position], path: str) -> Position:
    """Where a path stands, or what would hold it."""
    while path not in positions and path:
        path = parent(path)
    return positions.get(path, Position(1, 1))
