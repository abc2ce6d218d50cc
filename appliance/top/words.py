"""Numbers as they are read at a glance."""

_UNITS = ("", " k", " M", " G", " T")


def short(value: float) -> str:
    """ "0", "9.5", "9999", "12.3 k": at most 7 characters below 10^15; whole numbers stay whole."""
    unit = 0
    while value >= (999.95 if unit else 9999.5) and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    digits = 1 if unit or (value < 9.95 and value != int(value)) else 0
    return f"{value:.{digits}f}{_UNITS[unit]}"


def percent(part: float) -> str:
    return f"{100 * part:.1f} %"
