"""The corpus at the core: nothing hostile is accepted, nothing valid is refused, and no other error comes out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from asgi_jwt_claims.errors import InvalidTokenError
from tests.corpus.adapters import Core, Credentials, Offer, SignatureStep, Verdict, at_the_core, expected, on_the_wire
from tests.corpus.entries import ERRORS, Entry, Oddity
from tests.corpus.issuers import ISSUERS, Issuer
from tests.corpus.runner import AREAS, ENTRIES, EVERYTHING, ODDITIES, ordinary, run
from tests.support import ROOT

CHECKLIST = ROOT / "docs" / "security-checklist.md"

BY_AREA: dict[str, list[Credentials]] = {
    **{area.__name__.rpartition(".")[2]: [*area.ENTRIES] for area in AREAS},
    "valid": [*ODDITIES],
}


# S105, S106, S108
@pytest.mark.parametrize("area", BY_AREA)
def test_the_core(area: str) -> None:
    """The core decides every entry as written: after a good token, three times in a row, as text and as bytes."""
    failures: list[object] = []
    for entry in BY_AREA[area]:
        as_bytes = entry._replace(token=on_the_wire(entry.token))
        offered = [ordinary(entry.issuer), entry, entry, as_bytes]
        verdicts = [at_the_core(each, ISSUERS[entry.issuer]) for each in offered]
        if verdicts != [expected(each) for each in offered]:
            failures.append((entry.name, entry.items, verdicts))
    assert [] == failures


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_signature_step() -> None:
    """The signature step refuses what is wrong up to the signature, and returns the signed bytes of all the rest."""
    report = await run(SignatureStep())
    assert [] == report.failures
    assert [] == report.skipped


# The runner -----------------------------------------------------------------------------------------------------------


class Broken(Core):
    """An adapter that answers everything in one way."""

    name = "broken"

    def __init__(self, answer: Verdict | Exception) -> None:
        self._answer = answer

    @asynccontextmanager
    async def open(self, issuer: Issuer) -> AsyncIterator[Offer]:
        """See `Adapter`."""

        async def offer(_: Credentials) -> Verdict:
            if isinstance(self._answer, Exception):
                raise self._answer
            return self._answer

        yield offer


@pytest.mark.anyio
async def test_the_runner_notices() -> None:
    """An adapter that lets everybody in, answers 500, gives another reason or raises fails for every entry, each time."""
    entries = [entry for entry in ENTRIES if entry.code == "invalid_signature" and entry.issuer == "hs256"]
    for answer in (
        Verdict(200, "alice"),
        Verdict(200, "mallory"),
        Verdict(500),
        Verdict(401, None, "The token is malformed."),
        Verdict(401, None, ERRORS["unknown_key"].description, "unknown_key"),
        RuntimeError("foreign"),
    ):
        failures = (await run(Broken(answer), entries)).failures
        hostile = [failure for failure in failures if "in between" not in failure]
        assert (answer, 2 * len(entries)) == (answer, len(hostile))
        assert (answer, answer != Verdict(200, "alice")) == (answer, len(failures) > len(hostile))


# The corpus -----------------------------------------------------------------------------------------------------------


def numbers_of(entry: Credentials) -> set[int]:
    assert re.fullmatch(r"S\d+(, S\d+)*", entry.items), entry.name
    return {int(number) for number in re.findall(r"\d+", entry.items)}


def represented(entries: list[Entry] | list[Oddity]) -> set[int]:
    return {number for entry in entries for number in numbers_of(entry)}


def test_the_corpus_is_large() -> None:
    """There are more than two hundred hostile tokens, some in each area, and no name or token stands twice."""
    assert len(ENTRIES) >= 200
    assert len(ODDITIES) >= 100
    assert [] == [area.__name__ for area in AREAS if len(area.ENTRIES) < 20]
    for values in ([entry.name for entry in EVERYTHING], [on_the_wire(entry.token) for entry in EVERYTHING]):
        assert [] == [value for value, times in Counter(values).items() if times > 1]


# What becomes of good tokens; nothing in them shows it.
ONLY_OTHERS_KNOW = {"wrong_client", "identity_refused", "token_revoked", "token_reused", "token_inactive"}
# What only a connection has, which was opened by somebody.
ONLY_RENEWAL_ASKS = {"wrong_identity"}


def test_the_corpus_names_what_there_is() -> None:
    """Every number is on the checklist and built, every code is an error's, every issuer has a configuration."""
    rows = dict(re.findall(r"^\| S(\d+) \|.*\| ([^|]+) \|$", CHECKLIST.read_text(), re.MULTILINE))
    built = {int(number) for number, place in rows.items() if place not in ("later part", "not our business")}
    assert set() == (represented(ENTRIES) | represented(ODDITIES)) - built
    assert set(ISSUERS) == {entry.issuer for entry in ENTRIES} == {entry.issuer for entry in ODDITIES}
    reasons = {code for code, kind in ERRORS.items() if issubclass(kind, InvalidTokenError)}
    assert reasons - {InvalidTokenError.code} - ONLY_OTHERS_KNOW - ONLY_RENEWAL_ASKS == {
        entry.code for entry in ENTRIES
    }


# What is decided when keys and settings are loaded or tokens minted; no token in hand can break it.
NOT_ABOUT_A_TOKEN_IN_HAND = {
    35: "where a private key may stand",
    36: "which JWK is for signatures",
    63: "what may be minted",
    64: "what may be minted",
}
# Rules that refuse nothing, so that only the valid side can be shown.
REFUSES_NOTHING = {58: "a client's token is accepted, and told from a user's"}
# Rules without a boundary: on their other side stands every ordinary token.
NO_BOUNDARY = {15, 16, 18, 19, 26, 29, 32, 33, 34, 41, 42, 44, 45, 46, 47, 61, 65, 66}


def test_every_rule_about_tokens_is_represented() -> None:
    """Format, header and claims: each rule has hostile tokens, and valid ones on its other side where it has one."""
    rules = {*range(15, 67)} - NOT_ABOUT_A_TOKEN_IN_HAND.keys()
    assert REFUSES_NOTHING.keys() == rules - represented(ENTRIES)
    assert NO_BOUNDARY == rules - represented(ODDITIES)


def test_every_entry_says_what_is_wrong() -> None:
    """Each entry has one or two sentences of its own, and no white space around them."""
    for entry in EVERYTHING:
        sentence = entry.wrong if isinstance(entry, Entry) else entry.why
        assert (entry.name, True) == (entry.name, re.fullmatch(r"\S.{2,98}[.?]", sentence) is not None)
