"""Reasons by their names, as requests ask for them: what is said of a name that is none."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from appliance.config.violation import Violation
from appliance.management.errors import VIOLATIONS_MAX

REASON_SHOWN = 32       # characters; the longest name has fewer


def reason_violations(
    reasons: Sequence[str], known: Sequence[str], what: str, listed: str
) -> Iterator[Violation]:
    """`what` is said of one that isn't `known`, `listed` is the command that shows those that
    are."""
    wrong = [(at, reason) for at, reason in enumerate(reasons) if reason not in known]
    for count, (at, reason) in enumerate(wrong):
        shown = reason[:REASON_SHOWN]
        # Looked for as long as it is shown: there may be as many names as a request has room for.
        near = get_close_matches(shown.lower(), known, n=1) if count < VIOLATIONS_MAX else []
        meant = f"did you mean {near[0]}? " if near else ""
        yield Violation(f"reasons[{at}]", f"{shown} {what}; {meant}`{listed}` lists them")
