"""The runner: the whole corpus at one adapter."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

from tests.corpus import algorithm, asymmetric, claims, crossing, framing, header, json_text, parties, signature
from tests.corpus.adapters import Adapter, Credentials, Offer, Verdict
from tests.corpus.entries import Entry, Oddity
from tests.corpus.issuers import ISSUERS
from tests.corpus.valid import ODDITIES

__all__ = ["ENTRIES", "EVERYTHING", "ODDITIES", "Report", "ordinary", "run"]

AREAS = (framing, json_text, algorithm, header, signature, asymmetric, claims, parties, crossing)

ENTRIES: list[Entry] = [entry for area in AREAS for entry in area.ENTRIES]
"""Every hostile token."""

EVERYTHING: list[Credentials] = [*ENTRIES, *ODDITIES]
"""Every token."""


OFFERS: dict[type[Credentials], int] = {Entry: 2, Oddity: 3}
"""How often in a row. A good signature is remembered when it comes for the second time, so the third finds it there."""


class Report(NamedTuple):
    """What came of the corpus at an adapter.

    Attributes:
        offered: How many tokens were offered.
        skipped: The names of those that cannot be offered there.
        failures: What did not become of them what should have, a line each.
    """

    offered: int
    skipped: list[str]
    failures: list[str]


@functools.cache
def ordinary(name: str) -> Oddity:
    """An ordinary access token of an issuer."""
    raw = ISSUERS[name].token({"jti": "between"})
    return Oddity("ordinary token in between", "S57", raw, "Nothing is wrong.", name)


async def run(adapter: Adapter, entries: Iterable[Credentials] = EVERYTHING) -> Report:
    """Offer tokens at an adapter, each of them repeatedly, with an ordinary token before and after those of one issuer."""
    report = Report(0, [], [])
    taken: dict[str, list[Credentials]] = {}
    for entry in entries:
        if adapter.takes(entry):
            taken.setdefault(entry.issuer, []).append(entry)
        else:
            report.skipped.append(entry.name)
    for name, offered in taken.items():
        between = ordinary(name)
        async with adapter.open(ISSUERS[name]) as offer:
            for entry in (between, *offered, between):
                report.failures.extend(await failures_of(adapter, offer, entry))
    return report._replace(offered=sum(map(len, taken.values())))


async def failures_of(adapter: Adapter, offer: Offer, entry: Credentials) -> list[str]:
    """What happened otherwise than expected, at any of the times the token was offered."""
    expected = adapter.expects(entry)
    failures = []
    for time in range(1, OFFERS[type(entry)] + 1):
        try:
            verdict = await offer(entry)
        except Exception as error:  # noqa: BLE001 -- an exception that comes out of an adapter is what is looked for
            failures.append(f"{adapter.name}: {entry.name} ({entry.items}): time {time} raised {error!r}")
            continue
        if not agrees(verdict, expected):
            failures.append(f"{adapter.name}: {entry.name} ({entry.items}): time {time} {verdict}, not {expected}")
    return failures


def agrees(verdict: Verdict, expected: Verdict) -> bool:
    """Whether the verdict is the expected one, as far as the adapter lets it be seen."""
    return verdict._replace(code=verdict.code or expected.code) == expected
