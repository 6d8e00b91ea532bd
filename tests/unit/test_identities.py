"""What an identity is: the same for minting, revoking and listing, and the same however it is spelled in JSON."""

from __future__ import annotations

import enum
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    JWTConfig,
    create_access_token,
    create_refresh_token,
    verify_token,
)
from asgi_jwt_claims.errors import MintingError
from asgi_jwt_claims.sessions import list_sessions, revoke_identity, start_session
from asgi_jwt_claims.stores import MemoryStore
from asgi_jwt_claims.tokens.digests import _cached_digest, digest, digests_of
from asgi_jwt_claims.tokens.minted_claims import check_identity
from tests.conftest import HeldClock
from tests.forging import forge
from tests.raw_asgi import finish
from tests.support import SECRET

Adapter = Callable[[Any, JWTConfig, MemoryStore], Awaitable[Any]]


class Name(str, enum.Enum):  # noqa: UP042 -- the form whose str() is not its value
    """A str that is shown as another."""

    ALICE = "alice"


async def mint_access(identity: Any, config: JWTConfig, store: MemoryStore) -> Any:
    return create_access_token(identity, config)


async def mint_refresh(identity: Any, config: JWTConfig, store: MemoryStore) -> Any:
    return create_refresh_token(identity, config)


OTHER = JWTConfig(secret_key=SECRET, identity_claim="who")
ADAPTERS: tuple[Adapter, ...] = (mint_access, mint_refresh, start_session, revoke_identity, list_sessions)


@pytest.fixture
def store(clock: HeldClock) -> MemoryStore:
    """A store on the held clock."""
    return MemoryStore(clock=clock)


def refusal(adapter: Adapter, identity: Any, config: JWTConfig, store: MemoryStore) -> str:
    with pytest.raises(MintingError) as refused:
        finish(adapter(identity, config, store))
    return str(refused.value)


@pytest.mark.parametrize(
    "identity", [None, "", 42, 42.0, True, b"alice", ["alice"], {"id": 1}, uuid.UUID(int=1), object(), "\ud83d"]
)
def test_no_adapter_takes_what_another_refuses(identity: Any, config: JWTConfig, store: MemoryStore) -> None:
    """What cannot be minted as `sub` cannot be revoked or listed either, with the very same words."""  # S143
    messages = {refusal(adapter, identity, config, store) for adapter in ADAPTERS}
    assert 1 == len(messages)


@pytest.mark.parametrize("identity", [None, b"alice", object(), float("nan"), 2**60, {"a": {1}}, {1: 1}, "\ud83d"])
def test_an_identity_of_another_claim(identity: Any, config: JWTConfig, store: MemoryStore) -> None:
    """Under another name the identity is any JSON value but null, at every adapter."""
    config = config.replace(identity_claim="who")
    messages = {refusal(adapter, identity, config, store) for adapter in ADAPTERS}
    assert 1 == len(messages)


@pytest.mark.parametrize(
    ("login", "revoked"),
    [
        ("alice", Name.ALICE),
        (Name.ALICE, "alice"),
        (
            {"id": 1, "org": {"b": 2, "a": [3, {"y": 1, "x": 2}]}},
            {"org": {"a": [3, {"x": 2, "y": 1}], "b": 2}, "id": 1},
        ),
        (7, 7.0),
        ({"id": 7.0}, {"id": 7}),
        ([1, 2], (1, 2)),
    ],
)
def test_one_identity_in_two_spellings(login: Any, revoked: Any, clock: HeldClock, store: MemoryStore) -> None:
    """Members in another order, a number written otherwise, a subclass of str: the tokens of the identity are revoked."""
    claim = "sub" if isinstance(login, str) else "who"
    config = JWTConfig(secret_key=SECRET, clock=clock, identity_claim=claim)
    pair = finish(start_session(login, config, store))
    assert 1 == finish(revoke_identity(revoked, config, store))
    assert finish(store.check(verify_token(pair.access_token, config), config))


@pytest.mark.parametrize(
    ("login", "revoked"),
    [(7, "7"), (7, "\0" + "7"), (True, 1), (True, "true"), ([1, 2], [2, 1]), ({}, []), (0.5, "0.5"), ('"a"', ["a"])],
)
def test_two_identities(login: Any, revoked: Any, clock: HeldClock, store: MemoryStore) -> None:
    """Revoking one identity leaves another alone, however alike the two are written."""
    config = JWTConfig(secret_key=SECRET, clock=clock, identity_claim="who")
    token = verify_token(create_access_token(login, config), config)
    finish(revoke_identity(revoked, config, store))
    assert not finish(store.check(token, config))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def spelled(value: Any) -> str:
    """A JSON value in one spelling: members sorted, whole numbers without a fraction."""
    return json.dumps(
        json.loads(
            json.dumps(value), parse_float=lambda text: int(float(text)) if float(text).is_integer() else float(text)
        ),
        sort_keys=True,
    )


@given(VALUES, VALUES)
def test_marks_are_equal_where_values_are(one: Any, two: Any) -> None:
    """Two JSON values have one mark exactly if they are the same value."""
    assert (spelled(one) == spelled(two)) == (digest("identity", None, one) == digest("identity", None, two))


@given(VALUES)
def test_a_mark_survives_the_token(value: Any) -> None:
    """The identity that comes out of a token has the mark of the one that went in."""
    if value is not None and value != "":
        token = verify_token(create_access_token(value, OTHER), OTHER)
        assert digest("identity", None, check_identity(value, "who")) == digests_of(token, OTHER).identity


def test_what_is_long_is_not_remembered() -> None:
    """A client fills no memory with names that it makes up: only short ones are kept beside their marks."""
    digest("session", None, "x" * 256)
    before = _cached_digest.cache_info().currsize
    for number in range(20):
        assert 16 == len(digest("session", None, f"{number:03}" + "x" * 254))
    assert before == _cached_digest.cache_info().currsize


def test_a_clock_that_was_ahead(config: JWTConfig, clock: HeldClock, store: MemoryStore) -> None:
    """A token of no session that another node has minted, its clock a leeway ahead, is revoked with its identity."""
    tokens = [verify_token(forge({"iat": clock.now + ahead}), config) for ahead in (0, 9, 10)]
    finish(revoke_identity("alice", config, store))
    assert [True] * 3 == [finish(store.check(token, config)) for token in tokens]
    clock.now += 11
    later = verify_token(create_access_token("alice", config), config)
    assert not finish(store.check(later, config))


def test_a_token_without_a_time_of_issue(clock: HeldClock, store: MemoryStore) -> None:
    """A token that does not say when it was issued counts as issued before every revocation."""
    lax = JWTConfig(secret_key=SECRET, clock=clock, required_claims=["exp"])
    token = verify_token(forge(without=("iat", "nbf")), lax)
    finish(revoke_identity("alice", lax, store))
    assert finish(store.check(token, lax))
