"""Authentication state of a request: worked out once, asked often, and never more lenient than its table."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    Key,
    TokenError,
    create_access_token,
    create_refresh_token,
    current_token,
    get_token,
    verify_token,
)
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.access import AccessPolicy
from asgi_jwt_claims.auth.authenticator import Authenticator
from asgi_jwt_claims.auth.options import ACCESS_TOKEN, OPTIONAL_TOKEN, Guard
from asgi_jwt_claims.auth.request import (
    authenticate_request,
    authenticator_for,
    complete_request,
    is_preflight,
    scope_of,
)
from asgi_jwt_claims.auth.result import UNREADABLE, AuthResult, AuthState
from asgi_jwt_claims.auth.settings import MiddlewareSettings
from asgi_jwt_claims.auth.state import RequestAuth, find_request_auth, request_auth
from asgi_jwt_claims.config.cookies import TokenCookies
from asgi_jwt_claims.errors import (
    CSRFTokenError,
    ExpiredTokenError,
    ForbiddenError,
    MissingTokenError,
    NotGuardedError,
    RevokedTokenError,
    RoleRefusedError,
    StoreUnavailableError,
    WrongTypeError,
)
from asgi_jwt_claims.jwks import FetchResponse, RemoteKeySet
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.sessions import revoke_token, start_session
from asgi_jwt_claims.sources import DEFAULT_SOURCES, Credentials
from asgi_jwt_claims.sources.csrf import CSRF_TOKEN_KEY, csrf_digest
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import NOW, HeldClock
from tests.raw_asgi import ask, bearer, finish, http_scope, talk
from tests.scopes import ScopeMiddleware, admit, admitted
from tests.support import SECRET


def authenticator_of(config: JWTConfig, store: Any = None, sources: Any = DEFAULT_SOURCES) -> Authenticator:
    return Authenticator(config, sources, store, ErrorResponder())


def prepared(scope: dict[str, Any], config: JWTConfig, store: Any = None, sources: Any = DEFAULT_SOURCES) -> Any:
    """A scope that a guard with a configuration of its own has prepared."""
    authenticator_for(scope, authenticator_of(config, store, sources))
    return scope


def test_bad_tokens_do_not_pile_up(config: JWTConfig) -> None:
    """A guard with its own sources may be asked about any number of copies; good tokens stay, bad ones do not."""
    scope = prepared(http_scope("/", bearer(create_access_token("alice", config))), config)
    other = authenticator_of(config, sources=(BearerHeader("X-Token", ""),))
    raws = [create_access_token("bob", config), *(f"a.b.{number}" for number in range(200))]
    states = []
    for raw in raws:
        copied = {**scope, "headers": [*scope["headers"], (b"x-token", raw.encode())]}
        assert scope[SCOPE_KEY] is request_auth(copied)
        states.append(authenticate_request(copied, other).state)
    assert [AuthState.ACCEPTED, *[AuthState.REFUSED] * 200] == states
    grants = scope[SCOPE_KEY].others
    assert "bob" == grants[0].result.token.identity
    assert 20 > len(grants)


def test_one_verification_for_any_number_of_questions(config: JWTConfig, verifications: list[str]) -> None:
    """However often it is asked, the token is verified once (trap: four signature checks for one request)."""
    raw = create_access_token("alice", config)
    scope = prepared(http_scope("/", bearer(raw)), config)
    tokens = {id(admit(scope, guard)) for guard in (ACCESS_TOKEN, OPTIONAL_TOKEN, ACCESS_TOKEN)}
    assert [raw] == verifications
    assert 1 == len(tokens)


def test_a_lax_question_answers_no_strict_one(config: JWTConfig, store: MemoryStore) -> None:
    """A revoked token that was let in where nothing asks for revocation is refused where something does."""
    raw = create_access_token("alice", config)
    finish(revoke_token(verify_token(raw, config), config, store))
    scope = prepared(http_scope("/", bearer(raw)), config, store)
    assert "alice" == admitted(scope, Guard(check_revocation=False)).identity
    with pytest.raises(RevokedTokenError):
        admit(scope)


def test_an_error_is_worked_out_once(config: JWTConfig, clock: HeldClock, verifications: list[str]) -> None:
    """A refusal is remembered: the same error, without the traceback of the time before."""
    scope = prepared(http_scope("/", bearer(create_access_token("alice", config))), config)
    clock.now += 3600
    caught = []
    for _ in range(3):
        with pytest.raises(ExpiredTokenError) as error:
            get_token(scope)
        caught.append((error.value, len(error.traceback)))
    assert 1 == len(verifications)
    assert caught[0][0] is caught[1][0] is caught[2][0]
    assert caught[0][1] == caught[1][1] == caught[2][1]


def test_absence_is_tolerated_only_when_optional(config: JWTConfig) -> None:
    """Nothing offered: None where the guard tolerates that, an error elsewhere."""
    scope = prepared(http_scope(), config)
    assert None is admit(scope, OPTIONAL_TOKEN)
    with pytest.raises(MissingTokenError):
        admit(scope)


@pytest.mark.parametrize("optional", [False, True])
def test_a_bad_token_is_never_tolerated(config: JWTConfig, clock: HeldClock, optional: bool) -> None:
    """Optional means that absence is tolerated; a bad token never becomes an anonymous user."""  # S129
    scope = prepared(http_scope("/", bearer(create_access_token("alice", config))), config)
    clock.now += 3600
    with pytest.raises(ExpiredTokenError):
        admit(scope, Guard(optional=optional))


@pytest.mark.parametrize("optional", [False, True])
def test_rules_hold_for_optional_guards_too(config: JWTConfig, optional: bool) -> None:
    """A token that was offered has to obey the rules (trap: checks skipped on optional routes)."""
    scope = prepared(http_scope("/", bearer(create_access_token("alice", config))), config)
    with pytest.raises(RoleRefusedError):
        admit(scope, Guard(allow="ADMIN", optional=optional))


def test_a_refusal_by_rule_is_not_remembered(config: JWTConfig) -> None:
    """One guard's rules say nothing about another's."""
    scope = prepared(http_scope("/", bearer(create_refresh_token("alice", config))), config)
    with pytest.raises(WrongTypeError):
        admit(scope)
    assert "refresh" == admitted(scope, Guard(type="refresh")).type


def test_an_error_that_is_not_ours_escapes(config: JWTConfig) -> None:
    """A broken source is a bug of the application: it is neither absence nor a refusal, and is asked again."""

    def broken(scope: Mapping[str, Any], max_size: int) -> None:
        raise ZeroDivisionError

    scope = prepared({}, config, sources=(broken,))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            admit(scope, OPTIONAL_TOKEN)


@pytest.mark.parametrize("foreign", [None, "alice", {"token": 1}, object(), SimpleNamespace(config=None)])
def test_only_our_own_objects_count(foreign: object) -> None:
    """Whatever else stands under the name in the scope tells nothing of the request."""  # S128
    scope = {SCOPE_KEY: foreign, "method": "OPTIONS"}
    assert None is find_request_auth(scope)
    assert not is_preflight(scope)
    with pytest.raises(NotGuardedError):
        request_auth(scope)


def test_a_result_is_found_by_its_configuration(config: JWTConfig, verifications: list[str]) -> None:
    """Each configuration has its own result, and equal ones are not the same (trap: shared state)."""
    scope = http_scope("/", bearer(create_access_token("alice", config)))
    own = [authenticator_of(one) for one in (config, config.replace(), config.replace(leeway=1))]
    found = [authenticate_request(scope, authenticator_for(scope, one)) for one in own]
    token = get_token(scope)
    assert found == [authenticate_request(scope, authenticator_for(scope, one)) for one in own]
    assert 3 == len(verifications) == len({id(result) for result in found})
    assert [one.verifier for one in own] == [result.config for result in found]
    assert token is found[0].token


def test_a_result_is_found_by_its_sources(config: JWTConfig) -> None:
    """A guard that looks elsewhere does not take over what was found here."""
    scope = prepared(http_scope("/", bearer(create_access_token("alice", config))), config)
    assert "alice" == admitted(scope).identity
    for _ in range(2):
        with pytest.raises(MissingTokenError):
            admit(scope, Guard(sources=[BearerHeader("X-Other")]))
    assert ["alice"] == [grant.result.token.identity for grant in scope[SCOPE_KEY].grants_for(scope)]


@pytest.mark.parametrize(("raw", "expected"), [("", None), ("a.b.c", None), ("good", "alice")])
def test_a_guard_without_a_middleware_fills_the_scope(config: JWTConfig, raw: str, expected: str | None) -> None:
    """The access token stands under `token`, over what stood there; None for a bad one, whose error is kept."""  # S128
    headers = [bearer(create_access_token("alice", config) if raw == "good" else raw)] if raw else []
    scope = prepared(http_scope("/", *headers, token="forged"), config)
    scope[SCOPE_KEY].fill(scope)
    assert expected == (scope["token"] and scope["token"].identity)
    if expected is None:
        with pytest.raises(TokenError):
            get_token(scope)


def test_a_store_that_another_guard_has_asked(config: JWTConfig, store: MemoryStore) -> None:
    """Of two guards with one configuration the second does not let in what the first one's store has revoked."""
    raw, other = create_access_token("alice", config), config.replace()
    finish(revoke_token(verify_token(raw, config), config, store))
    scope = prepared(http_scope("/", bearer(raw)), other)
    for own in (authenticator_of(config, store), authenticator_of(config)):
        result = authenticate_request(scope, authenticator_for(scope, own))
        assert RevokedTokenError is type(result.refusal(ACCESS_TOKEN))


def test_a_store_of_a_middleware_for_several_issuers(config: JWTConfig, store: MemoryStore) -> None:
    """A guard for one of the issuers asks the middleware's store, also about a token that only the guard finds."""
    config = config.replace(issuer="https://issuer.example")
    raw = create_access_token("alice", config)
    finish(revoke_token(verify_token(raw, config), config, store))
    other = JWTConfig(secret_key=SECRET, issuer="https://other.example")
    scope = http_scope("/", (b"x-token", raw.encode()))
    ScopeMiddleware([other, config], required=False, store=store).open(scope)
    own = authenticator_for(scope, authenticator_of(config, sources=(BearerHeader("X-Token", ""),)))
    assert AuthState.REVOKED is authenticate_request(scope, own).state


@pytest.mark.anyio
async def test_keys_that_another_guard_has_fetched() -> None:
    """A result that needed keys is worked out again when they are there (trap: 503 with the keys in hand)."""
    key = Key.generate("ES256", kid="first")
    fetches: list[str] = []

    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        fetches.append(url)
        document = {"keys": [{**key.public_jwk(), "alg": "ES256"}]}
        return FetchResponse(200, {}, json.dumps(document).encode())

    parties = {"issuer": "https://issuer.example", "audience": "api"}
    raw = create_access_token("alice", JWTConfig(signing_key=key, **parties))
    config = JWTConfig(jwks=RemoteKeySet("https://issuer.example/jwks", fetch=fetch), **parties)
    scope = http_scope("/", bearer(raw), (b"x-token", raw.encode()))
    first = prepared(scope, config, sources=(BearerHeader("X-Other", ""), BearerHeader("X-Token", "")))
    own, beside = authenticator_of(config), authenticator_of(config, sources=(BearerHeader("X-Token", ""),))
    states = [authenticate_request(first, one).state for one in (None, own, beside)]
    assert [AuthState.NEEDS_KEYS] * 3 == states
    await complete_request(first, authenticate_request(first, beside))
    assert "alice" == get_token(first).identity
    assert [AuthState.ACCEPTED] * 2 == [authenticate_request(first, one).state for one in (None, own)]
    assert 1 == len(fetches)


def test_what_another_guard_has_let_in_is_of_the_request(config: JWTConfig) -> None:
    """A renewal finds the tokens that guards with other authenticators have let in, for a safe method as for others."""
    for method in ("GET", "POST"):
        scope = {**http_scope("/", bearer(create_access_token("alice", config))), "method": method}
        auth = request_auth(prepared(scope, config))
        result = auth.result_for(scope, authenticator_of(config.replace(leeway=1)))
        auth.grant(result, ACCESS_TOKEN)
        assert [result] == [grant.result for grant in auth.grants_for(scope)]


@pytest.mark.anyio
async def test_the_store_of_the_outermost_of_three_middlewares(config: JWTConfig) -> None:
    """What it revokes stays out below a middleware of another configuration, and on a path that the outermost exempts."""
    store, raw = MemoryStore(clock=config.clock), create_access_token("alice", config)
    await revoke_token(verify_token(raw, config), config, store)

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("a revoked token was let in")

    other, elsewhere = JWTConfig(secret_key=SECRET[::-1]), [BearerHeader("X-Token", "")]
    between = JWTMiddleware(JWTMiddleware(handler, config), other, required=False, sources=elsewhere)
    outermost = JWTMiddleware(between, config, store=store, exempt=["/"])
    assert 401 == (await ask(outermost, "/", bearer(raw))).status


def test_a_result_that_is_not_of_the_request(config: JWTConfig) -> None:
    """What is unknown to a request is neither recorded nor replaced."""
    raw = create_access_token("alice", config)
    scope, other = (prepared(http_scope("/", bearer(raw)), one) for one in (config, config.replace()))
    result, auth = authenticate_request(other), request_auth(scope)
    auth.grant(result, ACCESS_TOKEN)
    assert (result, None) == finish(complete_request(scope, result))
    assert [] == auth.scopes_asked_of(result) == auth.grants_for(scope)


def test_a_renewal_while_a_store_is_asked(config: JWTConfig) -> None:
    """What a store says of the token of before does not take the place of the new one."""
    scope = http_scope("/", bearer(create_access_token("alice", config)))
    later = verify_token(create_access_token("alice", config), config)

    class Renewing(MemoryStore):
        def is_revoked_locally(self, token: Any, config: Any) -> Any:
            return None

        async def is_revoked(self, digests: Any) -> bool:
            auth = request_auth(scope)
            auth.renew([auth], later)
            return False

    prepared(scope, config, Renewing())
    result, _ = finish(complete_request(scope, authenticate_request(scope)))
    assert result.state is AuthState.ACCEPTED
    assert result.token is later is get_token(scope)


def test_a_copy_below_two_middlewares(config: JWTConfig, store: MemoryStore) -> None:
    """In a copied scope a guard finds the store of the outer middleware, and what `get_token` raises stays in the copy."""
    raw = create_access_token("alice", config)
    finish(revoke_token(verify_token(raw, config), config, store))
    scope = http_scope("/")
    ScopeMiddleware(config, required=False, store=store).open(scope)
    ScopeMiddleware(config.replace(), required=False).open(scope)
    part = {**scope, "headers": [bearer(raw)]}
    result = authenticate_request(part, authenticator_for(part, authenticator_of(config, sources=())))
    assert RevokedTokenError is type(result.refusal(ACCESS_TOKEN))
    with pytest.raises(TokenError):
        get_token({**scope, "headers": [bearer("a.b.c")]})
    assert None is scope[SCOPE_KEY].raised is scope[SCOPE_KEY].outer.raised
    with pytest.raises(MissingTokenError) as error:
        get_token(scope)
    assert error.value is scope[SCOPE_KEY].raised
    assert None is scope[SCOPE_KEY].outer.raised


# The table -------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_an_application_that_empties_its_scope(config: JWTConfig) -> None:
    """A connection ends with its token all the same, and accepting it is no error."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        del scope[SCOPE_KEY]
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    raw = create_access_token("alice", config)
    exchange = await talk(JWTMiddleware(app, config), "/", bearer(raw))  # type: ignore[arg-type]
    assert ["websocket.accept", "websocket.close"] == exchange.types


def test_a_token_that_no_guard_has_let_in(config: JWTConfig) -> None:
    """A connection goes by no token as long as no guard has let one in."""
    scope = prepared(http_scope("/", bearer(create_access_token("alice", config))), config)
    assert AuthState.ACCEPTED is authenticate_request(scope).state
    assert None is scope[SCOPE_KEY].held()
    assert [] == scope[SCOPE_KEY].grants_for(scope)


class AnyStore(MemoryStore):
    """A store of which it is set what it says without and with being asked; it counts the questions."""

    def __init__(self, known: Any, answer: Any) -> None:
        super().__init__()
        self.known, self.answer, self.asked = known, answer, 0

    def is_revoked_locally(self, token: Any, config: Any) -> Any:
        if isinstance(self.known, Exception):
            raise self.known
        return self.known

    async def is_revoked(self, digests: Any) -> bool:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return bool(self.answer)


CONFIG = JWTConfig(secret_key=SECRET, clock=lambda: NOW, cookies=TokenCookies())
GOOD, REFRESH = create_access_token("alice", CONFIG), create_refresh_token("alice", CONFIG)
AWAY = StoreUnavailableError(reason="away")
LAX = Guard(check_revocation=False)
FORM = (b"content-type", b"application/x-www-form-urlencoded")


def cookie(raw: str) -> tuple[bytes, bytes]:
    return (b"cookie", b"__Host-access_token=" + raw.encode())


def scope_with(raw: str | None, csrf: Any) -> dict[str, Any]:
    """A request with the token in a header; or, with a CSRF value, in a cookie, the value in a form."""
    if csrf is None:
        return http_scope("/", *([] if raw is None else [bearer(raw)]))
    return http_scope("/", *([] if raw is None else [cookie(raw)]), FORM, method="POST")


@pytest.mark.parametrize(
    ("raw", "csrf", "known", "state", "has", "needs", "strict", "lax"),
    [
        (None, None, False, "ABSENT", "", None, MissingTokenError, MissingTokenError),
        ("a.b.c", None, False, "REFUSED", "error", None, TokenError, TokenError),
        (GOOD, True, False, "NEEDS_FORM", "token", "form", CSRFTokenError, CSRFTokenError),
        (GOOD, True, None, "NEEDS_FORM", "token", "form", CSRFTokenError, CSRFTokenError),
        (GOOD, True, AWAY, "NEEDS_FORM", "token", "form", CSRFTokenError, CSRFTokenError),
        (GOOD, True, True, "REFUSED", "error", None, RevokedTokenError, RevokedTokenError),
        (GOOD, None, None, "NEEDS_STORE", "token", "store", StoreUnavailableError, None),
        (GOOD, None, "yes", "NEEDS_STORE", "token", "store", StoreUnavailableError, None),
        (GOOD, None, False, "ACCEPTED", "token", None, None, None),
        (GOOD, None, True, "REVOKED", "token error", None, RevokedTokenError, None),
        (GOOD, None, AWAY, "UNCHECKED", "token error", None, StoreUnavailableError, None),
    ],
)
def test_the_table(
    raw: str | None, csrf: Any, known: Any, state: str, has: str, needs: str | None, strict: Any, lax: Any
) -> None:
    """Each state has what its row says, and answers a guard that cannot wait as its row says."""
    scope = prepared(scope_with(raw, csrf), CONFIG, AnyStore(known, False), (BearerHeader(), Cookie()))
    result = authenticate_request(scope)
    assert (AuthState[state], needs) == (result.state, result.state.needs)
    assert ("token" in has, "error" in has) == (result.token is not None, result.error is not None)
    for guard, expected in ((ACCESS_TOKEN, strict), (LAX, lax)):
        error = result.refusal(guard)
        assert (error is None) if expected is None else isinstance(error, expected)
        assert None is error or None is error.__traceback__
    assert (result.state is AuthState.ABSENT) == (None is result.refusal(OPTIONAL_TOKEN) and result.token is None)


@pytest.mark.parametrize(("answers", "is_let_in"), [([False, False], True), ([False, True], False)])
def test_two_guards_that_wait_at_once(answers: list[bool], is_let_in: bool) -> None:
    """The answer for one of two guards that ask at once is that for both, but a token that turns out revoked is refused."""
    store = AnyStore(None, False)
    scope = prepared(scope_with(GOOD, None), CONFIG, store)
    before = authenticate_request(scope)
    results = []
    for answer in answers:  # as if both had asked before either was answered
        grant = scope[SCOPE_KEY]
        results.append(grant.replace(before, grant.authenticator.after_question(before, answer)))
    assert is_let_in == (results[0] is results[1])
    assert results[1].state is (AuthState.ACCEPTED if is_let_in else AuthState.REVOKED)
    assert results[0] is scope[SCOPE_KEY].result


RAWS = st.sampled_from([None, GOOD, REFRESH, "a.b.c", GOOD[:-2]])
CSRF = st.sampled_from([None, "right", "wrong", ""])
ANSWERS = st.sampled_from([False, True, AWAY, ZeroDivisionError])
GUARDS = st.builds(
    Guard,
    optional=st.booleans(),
    check_revocation=st.booleans(),
    type=st.sampled_from(["access", "refresh"]),
    scopes=st.sampled_from(["", "admin"]),
)


@given(
    raw=RAWS,
    csrf=CSRF,
    known=st.sampled_from([None, False, True]),
    answer=st.sampled_from([False, True, AWAY]),
    guards=st.lists(st.tuples(GUARDS, st.booleans(), st.booleans()), min_size=1, max_size=5),
)
def test_nothing_undecided_is_ever_let_in(
    raw: str | None, csrf: str | None, known: Any, answer: Any, guards: list[tuple[Guard, bool, bool]]
) -> None:
    """However many guards ask, waiting or not: one verification, one form, one question, and what the rules say."""
    store = AnyStore(known, answer)
    scope = prepared(scope_with(raw, csrf), CONFIG, store, (BearerHeader(), Cookie()))
    value = csrf_digest(GOOD.encode()).decode() if csrf == "right" else csrf
    bodies = [f"csrf_token={value}".encode()]
    keys: set[Any] = set()
    has_read = has_asked = False

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": bodies.pop()}  # a second time there is none

    for guard, waits, reads in guards:
        result = authenticate_request(scope)
        keys.add(result[:3])
        before = (result, copy.copy(vars(result.error) if result.error else None), scope[SCOPE_KEY].grants_for(scope))
        first = result.refusal(guard)
        assert type(first) is type(result.refusal(guard))  # asked twice, it says the same
        assert before[1] == (vars(result.error) if result.error else None)
        assert before[2] == scope[SCOPE_KEY].grants_for(scope)
        if waits and result.state.needs is not None:
            result, _ = finish(
                complete_request(scope, result, receive if reads else None, check_revocation=guard.check_revocation)
            )
            has_read = has_read or (reads and csrf is not None and raw == GOOD)
        error = result.refusal(guard)
        has_asked = store.asked > 0
        assert store.asked <= 1
        # What the rules say of this request, worked out from nothing but what it consists of.
        is_good = raw in (GOOD, REFRESH)
        if raw is None:
            assert (error is None) == guard.optional
            continue
        if error is None:
            assert is_good
            assert csrf is None or (csrf == "right" and raw == GOOD and has_read)
            assert (guard.policy == AccessPolicy(type="access")) if raw == GOOD else True
            assert not guard.policy.scopes
            if guard.check_revocation:
                is_known = known is False and raw == GOOD
                assert known is not True
                assert is_known or raw == REFRESH or (has_asked and answer is False)
        elif is_good and csrf is None and not guard.check_revocation:
            assert isinstance(error, WrongTypeError | ForbiddenError)
    assert len(keys) <= 2  # a form that was read is another offer


def test_a_form_is_read_before_the_store_is_asked() -> None:
    """Keys, form, store: a forged value never causes a question, and a question is not asked twice."""
    for value, state, asked in (("x", "REFUSED", 0), (csrf_digest(GOOD.encode()).decode(), "ACCEPTED", 1)):
        store = AnyStore(None, False)
        scope = prepared(scope_with(GOOD, True), CONFIG, store, (Cookie(),))
        body = f"csrf_token={value}".encode()

        async def receive(body: bytes = body) -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        result, again = finish(complete_request(scope, authenticate_request(scope), receive))
        assert (AuthState[state], asked) == (result.state, store.asked)
        assert result is authenticate_request(scope)
        assert {"type": "http.request", "body": body} == finish(again())
        assert scope[CSRF_TOKEN_KEY] == value.encode()


def test_a_source_that_invents_a_field() -> None:
    """What a source of the application says of a form that has no such field is no reason to read one."""
    source: Callable[..., Any] = lambda scope, _: Credentials(GOOD.encode(), "mine", csrf_field=7)  # type: ignore[arg-type]  # noqa: E731
    scope = prepared(http_scope("/"), CONFIG, sources=(source,))

    async def receive() -> dict[str, Any]:
        raise AssertionError("read")

    result, _ = finish(complete_request(scope, authenticate_request(scope), receive))
    assert CSRFTokenError is type(result.refusal(ACCESS_TOKEN))


@pytest.mark.parametrize("answer", [None, 0, "", "no", 1])
def test_an_answer_that_is_none(answer: Any) -> None:
    """What is neither True nor False says nothing, and so lets no token in."""
    scope = prepared(http_scope("/", bearer(GOOD)), CONFIG, AnyStore(None, False))
    result = authenticator_of(CONFIG).after_question(authenticate_request(scope), answer)
    assert AuthState.UNCHECKED is result.state
    assert StoreUnavailableError is type(result.refusal(ACCESS_TOKEN))


def test_a_refresh_token_of_a_session(config: JWTConfig, store: MemoryStore) -> None:
    """A store that knows every revocation is asked all the same whether the session of a refresh token has ended."""
    pair = finish(start_session("alice", config, store))
    for raw, state in ((pair.access_token, AuthState.ACCEPTED), (pair.refresh_token, AuthState.NEEDS_STORE)):
        assert state is authenticate_request(prepared(http_scope("/", bearer(raw)), config, store)).state


def test_what_cannot_be_read_is_refused_anew_each_time() -> None:
    """Two requests that cannot be read are never the same, and neither is one that a source makes up."""
    source: Callable[..., Any] = lambda scope, _: Credentials(b"", "")  # noqa: E731
    scope = prepared(http_scope("/", (b"authorization", b"\xff")), CONFIG)
    first = authenticate_request(scope)
    assert first is authenticate_request(scope)
    assert first is not authenticate_request({**scope, "headers": [(b"authorization", b"\xfe")]})
    assert first is authenticate_request(scope)
    made_up = authenticator_of(CONFIG, sources=(source,))
    assert made_up.authenticate(scope, [first]) is not first
    assert UNREADABLE is first.credentials
    assert not authenticator_of(CONFIG).finds(scope, first)
    assert not made_up.finds({"type": "http"}, first._replace(is_safe=False))


VALUES = (
    AuthResult(None, None, True, AuthState.ABSENT),
    Credentials(b"x", "header"),
    authenticator_of(CONFIG),
    MiddlewareSettings(CONFIG),
    ACCESS_TOKEN,
    ACCESS_TOKEN.policy,
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_do_not_change(value: Any) -> None:
    """Assigning to an attribute raises; one that was never there, too."""
    names = getattr(type(value), "_fields", None) or vars(value)
    for name in (*names, "other"):
        with pytest.raises(AttributeError):
            setattr(value, name, None)


def test_equal_authenticators() -> None:
    """Verifier, sources and store count; how refusals are answered does not."""
    store = MemoryStore()
    one = Authenticator(CONFIG, (BearerHeader(),), store, ErrorResponder())
    assert one == Authenticator(CONFIG, DEFAULT_SOURCES, store, ErrorResponder("other"))
    assert 1 == len({one, Authenticator(CONFIG, DEFAULT_SOURCES, store, ErrorResponder("other"))})
    assert one != Authenticator(CONFIG.replace(), DEFAULT_SOURCES, store, ErrorResponder())
    assert one != Authenticator(CONFIG, (Cookie(),), store, ErrorResponder())
    assert one != Authenticator(CONFIG, DEFAULT_SOURCES, MemoryStore(), ErrorResponder())
    assert one != "one"


def test_a_request_of_an_exempt_path_in_another_middleware(config: JWTConfig, verifications: list[str]) -> None:
    """Where the outer middleware has not asked, the inner one does; a guard below asks nothing more."""
    raw = create_access_token("alice", config)
    scope = http_scope("/open", bearer(raw))
    assert None is ScopeMiddleware(config, exempt=["/open"]).open(scope)
    assert None is scope["token"]
    assert None is ScopeMiddleware(config).open(scope)
    assert scope["token"] is admit(scope)
    assert [raw] == verifications
    assert RequestAuth is type(scope[SCOPE_KEY].outer)


# Scopes ----------------------------------------------------------------------------------------------------------------


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
    """`get_token` does not believe what stands in `scope["token"]`."""  # S128
    with pytest.raises(NotGuardedError):
        get_token(http_scope(token=SimpleNamespace(identity="mallory")))


def test_no_request_no_token() -> None:
    """Outside of any request there is no current token."""
    assert None is current_token()
