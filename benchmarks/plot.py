"""Draw the charts in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sections import Chart

COLUMNS = 2
WIDE = 20
"""From this ratio of the longest bar to the shortest, a logarithmic scale shows more."""
TICKS = [digit * 10.0**power for power in range(-3, 5) for digit in (1, 2, 5)]


def draw(path: Path, charts: Sequence[Chart]) -> None:
    """Draw all charts into one SVG file."""
    if not charts:
        return
    # Imported here so that its weight is not in the memory and the collector of what is measured.
    matplotlib = import_module("matplotlib")
    matplotlib.use("svg")
    pyplot = import_module("matplotlib.pyplot")
    # Text stays text, and identifiers do not change from run to run.
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 8})
    rows = math.ceil(len(charts) / COLUMNS)
    figure, grid = pyplot.subplots(rows, COLUMNS, figsize=(13, 3.6 * rows), squeeze=False)
    axes = list(grid.flat)
    for axis, chart in zip(axes, charts, strict=False):
        (_lines if _has_numbers(chart) else _bars)(axis, chart)
        axis.set_title(chart.title)
    for axis in axes[len(charts) :]:
        axis.set_axis_off()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _has_numbers(chart: Chart) -> bool:
    return all(isinstance(position, (int, float)) for values in chart.series.values() for position in values)


def _lines(axis: Any, chart: Chart) -> None:
    """A line for each series; positions far apart stand as near to each other as their logarithms."""
    points = list(next(iter(chart.series.values())))
    for name, values in chart.series.items():
        axis.plot(points, [values[point] for point in points], marker="o", label=name)
    axis.set_xscale("log")
    axis.minorticks_off()
    axis.set_xticks(points, [f"{point:,}" for point in points])
    axis.set_ylim(0, 1.1 * max(_values(chart)))
    axis.set_ylabel(chart.label)
    axis.grid(visible=True, axis="y", alpha=0.3)
    axis.legend(fontsize=7)


def _bars(axis: Any, chart: Chart) -> None:
    """A row for each series, a bar in it for each position."""
    groups = list(dict.fromkeys(position for values in chart.series.values() for position in values))
    height = 0.8 / len(groups)
    for number, group in enumerate(groups):
        rows = [row for row, values in enumerate(chart.series.values()) if group in values]
        lengths = [values[group] for values in chart.series.values() if group in values]
        axis.barh([row - 0.4 + (number + 0.5) * height for row in rows], lengths, height, label=group)
    axis.set_yticks(range(len(chart.series)), list(chart.series))
    axis.invert_yaxis()
    axis.set_xlabel(chart.label)
    if min(_values(chart)) > 0 and max(_values(chart)) > WIDE * min(_values(chart)):
        axis.set_xscale("log")
        axis.minorticks_off()
        ticks = [tick for tick in TICKS if min(_values(chart)) / 2 < tick < max(_values(chart)) * 2]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.grid(visible=True, axis="x", alpha=0.3)
    if chart.mark is not None:
        axis.axvline(chart.mark, color="black", linewidth=0.8)
    if len(groups) > 1:
        axis.legend(fontsize=7)


def _values(chart: Chart) -> list[float]:
    return [value for values in chart.series.values() for value in values.values()]
