"""What the workers count, and what else is told of them, in words: the names that `synproxy stats`
and `synproxy event watch` have."""

from appliance.worker_events import WORKER_EVENTS

_INDENT = "  "


def counted_names() -> tuple[str, ...]:
    # The data plane's, which other commands start without.
    from cython_core.dataplane import COUNTERS

    return (*COUNTERS, *WORKER_EVENTS)


def counted_lines(name: str) -> list[str]:
    """Of one of them: what it means, and where it is seen."""
    if name in WORKER_EVENTS:
        return [name, f"{_INDENT}{WORKER_EVENTS[name]}", _seen(name),
                f"{_INDENT}synproxy_worker_stuck and synproxy_worker_stalls_total of Prometheus."]
    from cython_core.dataplane import COUNTER_HELP, DROP_REASONS, EVENT_REASONS

    drops = name in DROP_REASONS
    metric = f'synproxy_dropped_total{{reason="{name}"}}' if drops else f"synproxy_{name}_total"
    lines = [
        name, f"{_INDENT}{COUNTER_HELP[name]}",
        f"{_INDENT}{'A reason for drops' if drops else 'A counter'} of `synproxy stats`;"
        f" {metric} of Prometheus.",
    ]
    if name in EVENT_REASONS:
        lines.append(_seen(name))
    if drops:
        lines.append(f"{_INDENT}The frames: `synproxy capture --reason {name} --write FILE`.")
    return lines


def _seen(event: str) -> str:
    return f"{_INDENT}As it happens: `synproxy event watch --reason {event}`."
