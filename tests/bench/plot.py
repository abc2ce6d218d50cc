"""A figure's plot beside its JSON: points by name, joined, from zero on; or what it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("svg")           # no display
from matplotlib import pyplot


@dataclass(frozen=True)
class Curve:
    name: str
    at: Sequence[str]
    values: Sequence[float]


def plot_write(path: Path, title: str, unit: str, curves: Sequence[Curve]) -> None:
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for curve in curves:
        axes.plot(curve.at, curve.values, marker="o", label=curve.name)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(unit)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.tick_params(axis="x", labelrotation=30)
    if len(curves) > 1:
        axes.legend()
    figure.savefig(path)
    pyplot.close(figure)


def stacks_write(path: Path, unit: str, parts: Mapping[str, Mapping[str, float]],
                 beside: str, values: Sequence[float]) -> None:
    """A bar of each name's parts, and a mark on it for the value that stands beside."""
    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    names, below = list(parts), [0.0] * len(parts)
    for part in parts[names[0]]:
        wide = [one.get(part, 0.0) for one in parts.values()]
        axes.barh(names, wide, left=below, label=part)
        below = [low + value for low, value in zip(below, wide, strict=True)]
    axes.scatter(values, names, marker="|", s=400, color="black", label=beside)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path)
    pyplot.close(figure)
