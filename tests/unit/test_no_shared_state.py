"""What a handler does to its token stays with it: requests with the same bytes share only what cannot change."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_jwt_claims import JWTConfig, Token, create_access_token, verify_token
from asgi_jwt_claims.tokens.digests import digests_of
from tests.conftest import HeldClock
from tests.support import SECRET

CONFIG = JWTConfig(secret_key=SECRET, clock=HeldClock(), identity_claim="who")
READ = sorted(name for name, member in vars(Token).items() if isinstance(member, property) and not name.startswith("_"))


@pytest.fixture(params=[0, 3], ids=["verified each time", "remembered"])
def config(request: pytest.FixtureRequest) -> JWTConfig:
    """Once without the cache of signatures, once with it."""
    return CONFIG.replace(signature_cache_size=request.param)


@pytest.fixture
def raw(config: JWTConfig) -> str:
    """A token with a container in every place that can have one."""
    return create_access_token(
        {"id": 7, "groups": ["a"]},
        config,
        user_claims={"plan": "free", "teams": ["a", {"b": ["c"]}]},
        roles=["user"],
        scope="read",
        headers={"x": {"y": ["z"]}},
        fresh=True,
    )


def spoil(value: Any) -> Iterator[Any]:
    """Change all that can be changed in a value and in all that it holds, and yield what was changed."""
    if isinstance(value, dict):
        for member in list(value.values()):
            yield from spoil(member)
        value.clear()
        value["spoilt"] = True
        yield value
    elif isinstance(value, list):
        for member in list(value):
            yield from spoil(member)
        value[:] = ["spoilt"]
        yield value
    elif isinstance(value, tuple | frozenset):
        for member in value:
            yield from spoil(member)


def test_the_next_token_is_as_good_as_the_first(config: JWTConfig, raw: str) -> None:
    """After changes through any property of a token, the next one with the same bytes says what it should."""
    untouched = {name: copy.deepcopy(getattr(verify_token(raw, config), name)) for name in READ}
    for _ in range(3):
        token = verify_token(raw, config)
        changed = [part for name in READ for part in spoil(getattr(token, name))]
        assert len(changed) >= 10
        for name in READ:
            with contextlib.suppress(AttributeError):
                setattr(token, name, "spoilt")
        again = verify_token(raw, config)
        assert untouched == {name: getattr(again, name) for name in READ}


def test_a_token_shows_nothing_that_is_shared(raw: str, config: JWTConfig) -> None:
    """No public name of a token gives out what other requests with the same bytes see."""
    one, other = verify_token(raw, config), verify_token(raw, config)
    for name in READ:
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine is not theirs or isinstance(mine, str | int | float | tuple | frozenset | None)
    assert not hasattr(one, "fields")


def test_what_verification_read_cannot_be_set(raw: str, config: JWTConfig) -> None:
    """Even behind its private name, what was read has no item and no attribute that could be set."""
    fields: Any = verify_token(raw, config)._verified[0]
    with pytest.raises(TypeError):
        fields["identity"] = "root"
    with pytest.raises(AttributeError):
        fields.identity = "root"


def test_marks_are_made_once_for_each_issuer() -> None:
    """The marks of a remembered token are kept for all that bring it, and those of one issuer are not another's."""
    config = CONFIG.replace(identity_claim="sub")
    raw = create_access_token("alice", config)
    for _ in range(3):
        verify_token(raw, config)
    one, other = verify_token(raw, config), verify_token(raw, config)
    assert digests_of(one, config) is digests_of(other, config)
    elsewhere = config.replace(issuer="https://elsewhere.example")
    assert digests_of(one, config) != digests_of(one, elsewhere)
    assert digests_of(other, elsewhere) is digests_of(one, elsewhere)
    assert {None, "https://elsewhere.example"} == one._verified[0].cache.keys()


def test_copies_say_the_same(raw: str, config: JWTConfig) -> None:
    """A copied and a pickled token say what the token said when it was verified."""
    token = verify_token(raw, config)
    said = {name: copy.deepcopy(getattr(token, name)) for name in READ}
    list(spoil(token.user_claims))
    for again in (copy.copy(token), copy.deepcopy(token), pickle.loads(pickle.dumps(token))):
        assert said == {name: getattr(again, name) for name in READ}
