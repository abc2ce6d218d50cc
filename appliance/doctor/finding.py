"""One thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum

from appliance.exit_codes import ExitCode


class State(StrEnum):
    OK = "ok"
    NOTE = "note"       # it will run, but not as well as it could
    BAD = "bad"         # it won't


@dataclass(frozen=True)
class Finding:
    """`advice` is what to do, "" where there is nothing; `code` is how a command ends that has
    met it."""

    state: State
    subject: str
    found: str
    advice: str = ""
    code: ExitCode = ExitCode.OK


def ok(subject: str, found: str) -> Finding:
    return Finding(State.OK, subject, found)


def note(subject: str, found: str, advice: str) -> Finding:
    return Finding(State.NOTE, subject, found, advice)


def bad(subject: str, found: str, advice: str, code: ExitCode = ExitCode.UNAVAILABLE) -> Finding:
    return Finding(State.BAD, subject, found, advice, code)
