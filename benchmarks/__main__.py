"""Run all sections, or some, and write the report: `python -m benchmarks [--quick] [--only core,requests]`."""

from __future__ import annotations

import argparse
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import machine, report
from .measure import FULL, QUICK

if TYPE_CHECKING:
    from .sections import Section

SECTIONS: Final = (
    "core",
    "requests",
    "rules",
    "anonymous",
    "growth",
    "remote",
    "tenants",
    "providers",
    "revocation",
    "connections",
    "imports",
    "memory",
    "trips",
    "server",
)
RESULTS: Final = Path(__file__).parent / "results"


def main() -> None:
    """Measure and write."""
    options = _options()
    # The deprecations of other packages are theirs; shown, they would be part of what is timed.
    warnings.simplefilter("ignore")
    sections: list[Section] = []
    for name in options.only:
        began = time.perf_counter()
        print(f"{name} ...", end=" ", flush=True)
        # Each section is imported when its turn comes: what a section needs is no weight on the others.
        sections.append(import_module(f".{name}", __package__).run(QUICK if options.quick else FULL))
        print(f"{time.perf_counter() - began:.0f} s", flush=True)
    report.write(options.output, machine.facts(), sections)
    print()
    for section in sections:
        for shown in section.tables:
            print(f"{shown.title}\n\n{report.as_markdown(shown)}\n")
        print(*section.notes, sep="\n", end="\n\n")
    print(report.target_table([target for section in sections for target in section.targets]))
    print(f"\nWritten to {options.output}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, for a first look")
    parser.add_argument(
        "--only",
        type=_names,
        default=SECTIONS,
        metavar="NAMES",
        help=f"some sections, separated by commas: {', '.join(SECTIONS)}",
    )
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FOLDER", help="where the report goes")
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names).difference(SECTIONS):
        raise argparse.ArgumentTypeError(f"no such section: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    main()
