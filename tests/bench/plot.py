"""A figure's plot beside its JSON: points by name, joined, from zero on."""

from collections.abc import Sequence
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
