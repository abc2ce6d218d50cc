"""Which list gets how many lines."""

from collections.abc import Sequence

LEAST = 2       # a head and a row; what has less room than that isn't shown


def lines_shared(room: int, wanted: Sequence[int], chosen: int) -> list[int]:
    """Lines for each list, of `room`; none gets more than it wants.  The chosen one comes first,
    with half of all, then the others in their order."""
    order = [chosen, *(at for at in range(len(wanted)) if at != chosen)]
    lines = [0] * len(wanted)
    for at in order:
        if room >= LEAST:
            lines[at] = min(wanted[at], max(room // 2, LEAST)) if at == chosen else LEAST
            room -= lines[at]
    growing = [at for at in order if lines[at]]
    while room and any(lines[at] < wanted[at] for at in growing):
        for at in growing:
            if room and lines[at] < wanted[at]:
                lines[at] += 1
                room -= 1
    return lines
