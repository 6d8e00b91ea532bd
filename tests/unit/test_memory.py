"""The corpus and the memory of good signatures: it saves work, and changes no verdict on any token."""

from __future__ import annotations

import pytest

from asgi_jwt_claims import Key, KeySet
from asgi_jwt_claims.config._cache import MAX_REMEMBERED_SIZE
from asgi_jwt_claims.keys.key_set import FixedKeys
from tests.conftest import NOW, HeldClock
from tests.corpus.adapters import Credentials, Verdict, at_the_core, expected
from tests.corpus.entries import Entry
from tests.corpus.issuers import ISSUERS, Issuer
from tests.corpus.runner import ENTRIES, EVERYTHING, ODDITIES, ordinary

NEW_KEY = Key.generate("ES256", kid="new")
TIMES = (NOW, NOW + 9, NOW + 600, NOW + 3600, NOW + 10**9, NOW - 60, NOW)


def renewed(name: str, clock: HeldClock | None = None, size: int = 4096) -> Issuer:
    """An issuer whose configuration remembers nothing yet."""
    issuer = ISSUERS[name]
    config = issuer.config.replace(clock=clock or issuer.config.clock, signature_cache_size=size)
    return issuer._replace(config=config)


def verdicts(entries: list[Credentials], issuer: Issuer, times: int = 1) -> list[Verdict]:
    """What becomes of each token when it is offered for the last of some times in a row."""
    return [[at_the_core(entry, issuer) for _ in range(times)][-1] for entry in entries]


def of_issuer(entries: list[Credentials], name: str) -> list[Credentials]:
    return [entry for entry in entries if entry.issuer == name]


# S105
@pytest.mark.thorough
@pytest.mark.parametrize("name", ISSUERS)
def test_a_remembered_token_lets_no_neighbour_in(name: str) -> None:
    """Of the tokens that differ from a remembered one in one character, wherever it is, none is accepted."""
    issuer, entry = renewed(name), ordinary(name)
    assert Verdict(200, "alice") == verdicts([entry], issuer, 3)[0]
    raw = str(entry.token)
    assert 1 == len(issuer.config._prepared.token_cache)
    changed = [raw[:place] + ("B" if raw[place] == "A" else "A") + raw[place + 1 :] for place in range(len(raw))]
    statuses = [verdict.status for verdict in verdicts([entry._replace(token=other) for other in changed], issuer)]
    assert [401] * len(raw) == statuses
    assert Verdict(200, "alice") == verdicts([entry], issuer)[0]


# S106
@pytest.mark.thorough
@pytest.mark.parametrize("name", ISSUERS)
def test_what_is_remembered_is_judged_by_every_clock(name: str) -> None:
    """Whatever the time, and whether it goes forwards or backwards, a token is judged as without a memory."""
    clock, entries = HeldClock(), of_issuer(EVERYTHING, name)
    with_memory, without = renewed(name, clock), renewed(name, clock, 0)
    assert list(map(expected, entries)) == verdicts(entries, with_memory, 3)
    for now in TIMES:
        clock.now = now
        assert (now, verdicts(entries, without)) == (now, verdicts(entries, with_memory))
    assert len(with_memory.config._prepared.token_cache) > len(without.config._prepared.token_cache) == 0


# S107
@pytest.mark.parametrize("name", ISSUERS)
def test_what_a_key_has_verified_goes_with_it(name: str) -> None:
    """Once all keys of an issuer have been exchanged, none of its tokens is accepted, however well it is remembered."""
    issuer, entries = renewed(name), of_issuer([*ODDITIES], name)
    assert {200} == {verdict.status for verdict in verdicts(entries, issuer, 3)}
    object.__setattr__(issuer.config._prepared, "key_source", FixedKeys(KeySet([NEW_KEY])))
    assert {401} == {verdict.status for verdict in verdicts(entries, issuer)}
    assert 0 == len(issuer.config._prepared.token_cache)


# S108
@pytest.mark.parametrize("name", ISSUERS)
def test_only_good_tokens_take_up_room(name: str) -> None:
    """However often it comes, a hostile token is not remembered; valid ones all are, but for those that are too long."""
    issuer = renewed(name)
    # A token of another type than the one that is wanted is good elsewhere.
    bad = [
        entry
        for entry in of_issuer([*ENTRIES], name)
        if isinstance(entry, Entry) and entry.code != "invalid_token_type"
    ]
    assert 401 == max(verdict.status for verdict in verdicts([*bad], issuer, 3))
    assert 0 == len(issuer.config._prepared.token_cache)
    good = of_issuer([*ODDITIES], name)
    verdicts(good, issuer, 3)
    assert sum(len(entry.token) <= MAX_REMEMBERED_SIZE for entry in good) == len(issuer.config._prepared.token_cache)
