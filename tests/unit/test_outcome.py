"""The outcome of a request: worked out once, asked often, and found wherever a framework keeps its scope."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from asgi_jwt_claims import (
    BearerHeader,
    JWTConfig,
    TokenError,
    create_access_token,
    create_refresh_token,
    current_token,
    get_token,
    verify_token,
)
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.options import ACCESS_TOKEN, OPTIONAL_TOKEN, Guard
from asgi_jwt_claims.auth.request import (
    Outcome,
    attach,
    is_preflight,
    noted_error,
    outcome_for,
    outcome_of,
    outcomes_from,
    scope_of,
)
from asgi_jwt_claims.errors import (
    ExpiredTokenError,
    MissingTokenError,
    NotGuardedError,
    RevokedTokenError,
    RoleRefusedError,
    WrongTypeError,
)
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.sources import DEFAULT_SOURCES
from asgi_jwt_claims.stores import MemoryStore
from tests.by_hand import bearer, finish, http_scope
from tests.conftest import HeldClock


def outcome_under(config: JWTConfig) -> Outcome:
    return Outcome(config, DEFAULT_SOURCES, ErrorResponder())


def test_one_verification_for_any_number_of_questions(config: JWTConfig, verifications: list[str]) -> None:
    """However often it is asked, the token is verified once (trap: four signature checks for one request)."""
    raw = create_access_token("alice", config)
    scope, outcome = http_scope("/", bearer(raw)), outcome_under(config)
    tokens = {id(outcome.admit(scope, Guard(optional=optional))) for optional in (False, True, False)}
    assert [raw] == verifications
    assert 1 == len(tokens)


def test_a_lax_question_answers_no_strict_one(config: JWTConfig, store: MemoryStore) -> None:
    """A revoked token that was let in where nothing asks for revocation is refused where something does."""
    raw = create_access_token("alice", config)
    finish(revoke_token(verify_token(raw, config), config, store))
    scope, outcome = http_scope("/", bearer(raw)), Outcome(config, DEFAULT_SOURCES, ErrorResponder(), store)
    assert "alice" == outcome.admit(scope, Guard(check_revocation=False)).identity
    with pytest.raises(RevokedTokenError):
        outcome.admit(scope, ACCESS_TOKEN)


def test_an_error_is_worked_out_once(config: JWTConfig, clock: HeldClock, verifications: list[str]) -> None:
    """A refusal is remembered: the same error, without the traceback of the time before."""
    scope, outcome = http_scope("/", bearer(create_access_token("alice", config))), outcome_under(config)
    clock.now += 3600
    caught = []
    for _ in range(3):
        with pytest.raises(ExpiredTokenError) as error:
            outcome.admit(scope, ACCESS_TOKEN)
        caught.append((error.value, len(error.traceback)))
    assert 1 == len(verifications)
    assert caught[0][0] is caught[1][0] is caught[2][0]
    assert caught[1][1] == caught[2][1]


def test_the_answer_does_not_change_with_the_scope(config: JWTConfig) -> None:
    """What an outcome has found stands; `is_of` says for which scopes."""
    scope, outcome = http_scope("/", bearer(create_access_token("alice", config))), outcome_under(config)
    first = outcome.admit(scope, ACCESS_TOKEN)
    assert outcome.is_of(scope)
    scope["headers"] = [bearer(create_access_token("mallory", config))]
    assert first is outcome.admit(scope, ACCESS_TOKEN)
    assert not outcome.is_of(scope)


def test_absence_is_tolerated_only_when_optional(config: JWTConfig) -> None:
    """Nothing offered: None where the guard tolerates that, an error elsewhere."""
    outcome = outcome_under(config)
    assert None is outcome.admit(http_scope(), OPTIONAL_TOKEN)
    with pytest.raises(MissingTokenError):
        outcome.admit(http_scope(), ACCESS_TOKEN)


@pytest.mark.parametrize("optional", [False, True])
def test_a_bad_token_is_never_tolerated(config: JWTConfig, clock: HeldClock, optional: bool) -> None:
    """Optional means that absence is tolerated; a bad token never becomes an anonymous user."""  # S129
    scope = http_scope("/", bearer(create_access_token("alice", config)))
    clock.now += 3600
    with pytest.raises(ExpiredTokenError):
        outcome_under(config).admit(scope, Guard(optional=optional))


@pytest.mark.parametrize("optional", [False, True])
def test_rules_hold_for_optional_guards_too(config: JWTConfig, optional: bool) -> None:
    """A token that was offered has to obey the rules (trap: checks skipped on optional routes)."""
    scope, outcome = http_scope("/", bearer(create_access_token("alice", config))), outcome_under(config)
    with pytest.raises(RoleRefusedError):
        outcome.admit(scope, Guard(allow="ADMIN", optional=optional))


def test_a_refusal_by_rule_is_not_remembered(config: JWTConfig) -> None:
    """One guard's rules say nothing about another's."""
    scope, outcome = http_scope("/", bearer(create_refresh_token("alice", config))), outcome_under(config)
    with pytest.raises(WrongTypeError):
        outcome.admit(scope, ACCESS_TOKEN)
    assert "refresh" == outcome.admit(scope, Guard(type="refresh")).type


def test_an_error_that_is_not_ours_escapes(config: JWTConfig) -> None:
    """A broken source is a bug of the application: it is neither absence nor a refusal, and is asked again."""

    def broken(scope: Mapping[str, Any], max_size: int) -> None:
        raise ZeroDivisionError

    outcome = Outcome(config, (broken,), ErrorResponder())
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            outcome.admit({}, OPTIONAL_TOKEN)


@pytest.mark.parametrize("foreign", [None, "alice", {"token": 1}, object(), SimpleNamespace(config=None)])
def test_only_our_own_outcomes_count(foreign: object) -> None:
    """Whatever else stands under the name in the scope is not an outcome."""  # S128
    scope = {SCOPE_KEY: foreign}
    assert None is outcome_of(scope)
    assert [] == list(outcomes_from(foreign))
    assert not is_preflight(scope)
    assert None is noted_error(scope)


def test_an_outcome_is_found_by_its_configuration(config: JWTConfig) -> None:
    """Each configuration has its own outcome, and equal ones are not the same (trap: shared state)."""
    other = config.replace()
    first, second = outcome_under(config), outcome_under(other)
    first.following = second
    scope = {SCOPE_KEY: first}
    assert first is outcome_of(scope)
    assert first is outcome_for(scope, config)
    assert second is outcome_for(scope, other)
    assert None is outcome_for(scope, config.replace())


def test_an_outcome_is_found_by_its_sources(config: JWTConfig) -> None:
    """A guard that looks elsewhere does not take over what was found here."""
    outcome = outcome_under(config)
    scope = {SCOPE_KEY: outcome}
    assert outcome is outcome_for(scope, config, DEFAULT_SOURCES)
    assert None is outcome_for(scope, config, (BearerHeader("X-Other"),))


def test_the_first_outcome_fills_the_scope(config: JWTConfig) -> None:
    """Attached to a bare scope, an outcome also becomes `scope["token"]`."""
    scope = http_scope("/", bearer(create_access_token("alice", config)))
    attach(scope, outcome_under(config))
    assert "alice" == scope["token"].identity
    assert scope["token"] is get_token(scope)


def test_a_refused_outcome_fills_the_scope_with_none(config: JWTConfig) -> None:
    """A bad token leaves None in the scope, over whatever stood there, and the error in the outcome."""  # S128
    scope = http_scope("/", bearer("a.b.c"), token="forged")
    attach(scope, outcome_under(config))
    assert None is scope["token"]
    with pytest.raises(TokenError):
        get_token(scope)


def test_further_outcomes_stand_behind_the_first(config: JWTConfig) -> None:
    """Another configuration's outcome changes nothing for handlers, and every one of them is found again."""
    scope = http_scope("/", bearer(create_access_token("alice", config)))
    outcomes = [outcome_under(config.replace(leeway=leeway)) for leeway in (1, 2, 3)]
    for outcome in outcomes:
        attach(scope, outcome)
    token = scope["token"]
    assert outcomes == [outcome_for(scope, outcome.config) for outcome in outcomes]
    assert token is get_token(scope)
    assert outcomes[0] is outcome_of(scope)


class OwnServerRequest:
    """As Sanic's request on its own server: `scope` exists and raises."""

    def __init__(self, **ctx: object) -> None:
        self.ctx = SimpleNamespace(**ctx)

    @property
    def scope(self) -> Mapping[str, Any]:
        raise NotImplementedError


SCOPE = {"type": "http"}


@pytest.mark.parametrize(
    "connection",
    [
        SCOPE,
        SimpleNamespace(scope=SCOPE),
        SimpleNamespace(scope=SCOPE, ctx=SimpleNamespace()),
        OwnServerRequest(**{SCOPE_KEY: SCOPE}),
    ],
    ids=["scope", "request", "request with ctx", "own server"],
)
def test_the_scope_of_anything(connection: object) -> None:
    """A scope, a request that has one, and a request for which one was made all lead to the scope."""
    assert SCOPE is scope_of(connection)


@pytest.mark.parametrize(
    "connection",
    [None, "request", object(), SimpleNamespace(scope="x"), OwnServerRequest(), OwnServerRequest(**{SCOPE_KEY: "x"})],
)
def test_what_has_no_scope_says_how_to_mend_it(connection: object) -> None:
    """Anything else is a mistake of the application, and the message names the way out."""
    with pytest.raises(NotGuardedError, match=r"asgi_jwt_claims\.sanic\.install"):
        scope_of(connection)


def test_a_scope_that_nobody_prepared() -> None:
    """Without a middleware there is no token to be had, optional or not."""
    for optional in (False, True):
        with pytest.raises(NotGuardedError, match="JWTMiddleware"):
            get_token(http_scope(), optional=optional)


def test_a_forged_token_in_the_scope_is_not_read() -> None:
    """`get_token` asks the outcome, not whatever stands in `scope["token"]`."""  # S128
    with pytest.raises(NotGuardedError):
        get_token(http_scope(token=SimpleNamespace(identity="mallory")))


def test_no_request_no_token() -> None:
    """Outside of any request there is no current token."""
    assert None is current_token()
