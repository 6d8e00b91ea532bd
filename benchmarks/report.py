"""Write the report: Markdown to read, JSON to compute with, and a plot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import plot

if TYPE_CHECKING:
    from .sections import Section, Table, Target


def write(folder: Path, facts: Mapping[str, str], sections: Sequence[Section]) -> None:
    """Write `results.md`, `results.json` and `results.svg`, all of this run and nothing else."""
    folder.mkdir(exist_ok=True)
    (folder / "results.md").write_text(markdown(facts, sections), encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(document(facts, sections), indent=1) + "\n", encoding="utf-8")
    plot.draw(folder / "results.svg", [chart for section in sections for chart in section.charts])


def markdown(facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The report for people."""
    parts = [
        "# Results",
        (
            "Written by `python -m benchmarks`; [what is measured and how](../README.md). A ratio is the median of many "
            "rounds in which both sides were timed one right after the other. Times are for orientation."
        ),
        "![The same figures as charts](results.svg)",
        "## The machine",
        table(["what", "fact"], facts.items()),
    ]
    targets = [target for section in sections for target in section.targets]
    if targets:
        parts += ["## Targets", target_table(targets)]
    for section in sections:
        parts += [f"## {section.title}", section.text]
        parts += [text for shown in section.tables for text in (f"### {shown.title}", as_markdown(shown))]
        if section.notes:
            parts += ["\n".join(f"- {note}" for note in section.notes)]
    return "\n\n".join(parts) + "\n"


def document(facts: Mapping[str, str], sections: Sequence[Section]) -> dict[str, Any]:
    """The report for programs."""
    return {
        "machine": dict(facts),
        "sections": {
            section.name: {
                "targets": [
                    {
                        "what": target.what,
                        "measured": target.measured,
                        "limit": target.limit,
                        "unit": target.unit,
                        "verdict": target.verdict,
                    }
                    for target in section.targets
                ],
                "notes": section.notes,
                "figures": section.data,
            }
            for section in sections
        },
    }


def target_table(targets: Sequence[Target]) -> str:
    """Return the targets, each with its verdict, as a table."""
    rows = [
        [
            target.what,
            "" if target.measured is None else f"{target.measured:.3f} {target.unit}",
            f"{target.limit:.3g} {target.unit}",
            target.verdict,
        ]
        for target in targets
    ]
    return table(["figure", "measured", "at most", "target"], rows)


def as_markdown(shown: Table) -> str:
    """A table as text."""
    return table(shown.columns, shown.rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown; numbers need no alignment to be read."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
