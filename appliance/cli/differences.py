"""What differs, as a table."""

from collections.abc import Sequence

from synproxy.v1.revision_pb2 import Difference

from appliance.cli.output import table_text

UNSET = "-"


def differences_text(
    differences: Sequence[Difference], before: str, after: str, total: int
) -> str:
    """`before` and `after` head their columns.  `total` counts what an answer had no room for,
    too."""
    if not total:
        return "nothing differs"
    rows = [(one.resource or UNSET, one.field, *_pair(one)) for one in differences]
    text = table_text(("RESOURCE", "FIELD", before, after), rows)
    more = total - len(rows)
    return f"{text}\n{more} more, for which an answer has no room" if more > 0 else text


def difference_words(difference: Difference) -> str:
    return " -> ".join(_pair(difference))


def _pair(difference: Difference) -> tuple[str, str]:
    return (
        difference.before if difference.HasField("before") else UNSET,
        difference.after if difference.HasField("after") else UNSET,
    )
