"""Define the parts of a section of the report: tables, targets, charts and raw figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .measure import Figure


@dataclass(frozen=True)
class Table:
    """Rows of text under columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Target:
    """A figure that should not be above a limit.

    Attributes:
        what: In words.
        measured: None: it could not be measured.
        limit: The highest value that is good.
        unit: Written behind both.
    """

    what: str
    measured: float | None
    limit: float
    unit: str = "x"

    @property
    def verdict(self) -> str:
        """Met, missed or not measured; what is printed decides, so that no figure contradicts its verdict."""
        if self.measured is None:
            return "not measured"
        return "met" if round(self.measured, 3) <= self.limit else "missed"


@dataclass(frozen=True)
class Chart:
    """One picture of the plot.

    Attributes:
        title: Above it.
        label: Of the axis with the values.
        series: By name: the values by their position. Numbers as positions make lines, words make bars.
        mark: A value to draw a line at.
    """

    title: str
    label: str
    series: Mapping[str, Mapping[Any, float]]
    mark: float | None = None


@dataclass
class Section:
    """All about one question.

    Attributes:
        name: As `--only` calls it.
        title: The heading.
        text: What was compared, in a sentence or two.
        tables: The figures for people.
        targets: What should hold.
        charts: Pictures.
        notes: What could not be measured, and why.
        data: The figures for programs.
    """

    name: str
    title: str
    text: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def keep(self, name: str, figures: Mapping[str, Figure]) -> None:
        """Put a comparison among the data."""
        self.data[name] = {task: dataclasses.asdict(figure) for task, figure in figures.items()}


def ratio(value: float) -> str:
    """A ratio, for a table."""
    return f"{value:.2f}"


def micros(value: float) -> str:
    """Microseconds, for a table."""
    return f"{value:.1f}"
