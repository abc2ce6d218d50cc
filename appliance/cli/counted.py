"""What the workers count, in words: the names that `synproxy stats` has."""

_INDENT = "  "


def counted_names() -> tuple[str, ...]:
    # The data plane's, which other commands start without.
    from cython_core.dataplane import COUNTERS

    return tuple(COUNTERS)


def counted_lines(name: str) -> list[str]:
    """Of one of them: what it means, and where it is seen."""
    from cython_core.dataplane import COUNTER_HELP, DROP_REASONS, EVENT_REASONS

    drops = name in DROP_REASONS
    metric = f'synproxy_dropped_total{{reason="{name}"}}' if drops else f"synproxy_{name}_total"
    lines = [
        name, f"{_INDENT}{COUNTER_HELP[name]}",
        f"{_INDENT}{'A reason for drops' if drops else 'A counter'} of `synproxy stats`;"
        f" {metric} of Prometheus.",
    ]
    if name in EVENT_REASONS:
        lines.append(f"{_INDENT}As it happens: `synproxy event watch --reason {name}`.")
    if drops:
        lines.append(f"{_INDENT}The frames: `synproxy capture --reason {name} --write FILE`.")
    return lines
