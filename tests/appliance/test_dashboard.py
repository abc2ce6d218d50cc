"""The dashboard is one as Grafana has them: its own schema, as its project publishes it in Python,
knows every field."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

DASHBOARD = json.loads(
    (Path(__file__).parents[2] / "docker" / "grafana" / "dashboard.json").read_text())

register_default_plugins()      # without which a panel's own options are anything


def unknown(dashboard: dict[str, Any]) -> list[str]:
    """Paths of what isn't there, or is another, once Grafana's types have had it."""
    taken = json.loads(JSONEncoder().encode(Dashboard.from_json(deepcopy(dashboard))))
    return list(differing(dashboard, taken, ""))


def differing(ours: Any, taken: Any, path: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(taken, dict):
        for name, value in ours.items():
            if name in taken:
                yield from differing(value, taken[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(ours, list) and isinstance(taken, list) and len(ours) == len(taken):
        for at, (one, other) in enumerate(zip(ours, taken, strict=True)):
            yield from differing(one, other, f"{path}[{at}]")
    elif ours != taken:
        yield path


def test_grafana_knows_each_field_of_it() -> None:
    assert unknown(DASHBOARD) == []


@pytest.mark.parametrize(("path", "name"), [
    ([], "refreshes"), (["templating", "list", 0], "lable"), (["panels", 0], "titel"),
    (["panels", 0, "targets", 0], "exprs"), (["panels", 0, "gridPos"], "width"),
    (["panels", 0, "options"], "colourMode"), (["panels", 0, "fieldConfig", "defaults"], "units"),
])
def test_a_misspelt_field_is_seen(path: list[str | int], name: str) -> None:
    wrong = deepcopy(DASHBOARD)
    place = wrong
    for step in path:
        place = place[step]
    place[name] = "x"
    assert len(unknown(wrong)) == 1
    assert unknown(wrong)[0].endswith(f".{name}")
