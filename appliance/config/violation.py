"""What is wrong with a value, and where it stands in its message."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """`path` names fields and indices, as in "services[0].options.mss"; "" is the message."""

    path: str
    reason: str


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def parent(path: str) -> str:
    """The path without its last field or index."""
    return path[: max(path.rfind("."), path.rfind("["), 0)]
