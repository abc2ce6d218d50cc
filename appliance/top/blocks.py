"""Sparklines and meters, of characters."""

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*%#"


def sparkline(points: Sequence[float], width: int, plain: bool = False) -> str:
    """The newest `width` points, the last at the right; the highest of all fills its column.
    `plain` is for terminals that know ASCII alone."""
    blocks = _ASCII if plain else _BLOCKS
    highest = max(points, default=0.0)
    if width <= 0 or not highest:
        return (blocks[0] * len(points[-width:]) if width > 0 else "").rjust(max(width, 0))
    line = (blocks[min(int(len(blocks) * point / highest), len(blocks) - 1)]
            for point in points[-width:])
    return "".join(line).rjust(width)


def meter(share: float, width: int, plain: bool = False) -> str:
    """Any use at all shows."""
    filled = min(max(round(share * width), 1 if share > 0 else 0), width)
    return ("#" if plain else "█") * filled + ("." if plain else "░") * (width - filled)
