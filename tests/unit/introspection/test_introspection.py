"""`Introspection` under load, floods and outages: how often it asks, what it sends, and which answers count."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any
from urllib.parse import unquote_plus

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    IssuerTemplate,
    JWTConfig,
    Key,
    TokenError,
    create_access_token,
    verify_token,
    verify_token_async,
)
from asgi_jwt_claims.errors import (
    InactiveTokenError,
    IntrospectionUnavailableError,
    KeysUnavailableError,
    MalformedTokenError,
    SettingError,
    SigningKeyMissingError,
    TokenTooLargeError,
)
from asgi_jwt_claims.introspection import Introspection
from asgi_jwt_claims.introspection._answers import MAX_ANSWERS, AnswerCache, read_answer
from asgi_jwt_claims.introspection.endpoint import MAX_CALLS
from asgi_jwt_claims.jwks._documents import RefusedDocumentError
from asgi_jwt_claims.tokens.issuers import MultiIssuerVerifier
from tests.conftest import NOW
from tests.support import Hidden
from tests.unit.introspection.server import CLIENT, URL, AuthorizationServer, opaque
from tests.unit.jwks.provider import MovingClock
from tests.unit.jwks.test_remote import together

pytestmark = pytest.mark.anyio

ALICE = {"sub": "alice", "exp": NOW + 600}


def nothing_known() -> AuthorizationServer:
    return AuthorizationServer()


async def outcome(raw: str | bytes, config: JWTConfig) -> Any:
    """The identity, or the code of the refusal."""
    try:
        return (await verify_token_async(raw, config)).identity
    except TokenError as error:
        return error.code


# What is asked --------------------------------------------------------------------------------------------------------


async def test_the_endpoint_is_asked_as_the_rfc_says() -> None:
    """By POST with the token in a form, as a client by Basic, both of whose parts are encoded as in a form first."""  # S103
    server = AuthorizationServer(opaque=ALICE)
    assert "alice" == await outcome("opaque", opaque(server))
    ((url, form, headers),) = server.calls
    assert (URL, {"token": "opaque", "token_type_hint": "access_token"}) == (url, form)
    scheme, _, value = headers["authorization"].partition(" ")
    pair = base64.b64decode(value).decode()
    assert ("Basic", "orders+api:s3cr%25t%3A%C3%BC") == (scheme, pair)
    assert list(CLIENT) == [unquote_plus(part) for part in pair.split(":")]


async def test_the_token_says_what_the_answer_says() -> None:
    """Scopes, roles, session and claims are read as those of a token are; there is no header."""
    claims = {
        "sub": "alice",
        "scope": "read write",
        "roles": ["admin"],
        "sid": "s",
        "jti": "j",
        "iss": "https://issuer.example",
        "aud": "orders",
        "iat": NOW - 5,
        "exp": NOW + 5,
        "team": "blue",
        "token_type": "Bearer",
    }
    server = AuthorizationServer(opaque=claims)
    config = opaque(server, settings={"audience": "orders", "issuer": "https://issuer.example"})
    token = await verify_token_async("opaque", config)
    assert (frozenset({"read", "write"}), frozenset({"admin"}), "s", "j") == (
        token.scopes,
        token.roles,
        token.session_id,
        token.jti,
    )
    assert ({"active": True, **claims}, {}, "access", "blue") == (
        token.claims,
        token.headers,
        token.type,
        token.user_claims["team"],
    )
    assert token.claims is not (await verify_token_async("opaque", config)).claims  # S109
    assert 1 == len(server.asked)


async def test_a_hundred_requests_with_one_token_make_one_call() -> None:
    """Those that come while the endpoint is asked share the call; later ones share its answer."""  # S103
    server = AuthorizationServer(opaque=ALICE)
    server.delay = 0.05
    config = opaque(server)
    assert ["alice"] * 100 == await together(*[lambda: outcome("opaque", config)] * 100)
    assert "alice" == verify_token("opaque", config).identity
    assert ["opaque"] == server.asked


async def test_an_answer_is_for_the_token_that_was_asked_about() -> None:
    """Tokens that differ in one character, asked about at once or later, get answers of their own."""  # S103, S105
    names = [f"{'x' * 100}{number}" for number in range(MAX_CALLS)]
    server = AuthorizationServer(**{name: {"sub": name} for name in names})
    server.delay = 0.02
    config = opaque(server)
    for _ in range(2):
        assert names == await together(*(lambda name=name: outcome(name, config) for name in names))
    assert names == sorted(server.asked)
    assert "token_inactive" == await outcome("x" * 100, config)


async def test_ten_calls_run_at_once() -> None:
    """A flood of made-up tokens costs the authorization server ten calls at a time; the others are answered with 503."""  # S103
    server = AuthorizationServer()
    server.delay = 0.1
    config = opaque(server)
    codes = await together(*(lambda number=number: outcome(f"made-up-{number}", config) for number in range(50)))
    assert (MAX_CALLS, MAX_CALLS) == (len(server.asked), server.most)
    assert MAX_CALLS == codes.count("token_inactive")
    assert 50 - MAX_CALLS == codes.count("introspection_unavailable")
    assert "token_inactive" == await outcome("another", config)


async def test_calls_leave_nothing_behind() -> None:
    """Whichever of them ends first: afterwards the event loop keeps nothing of the calls, and new ones may run."""
    server = AuthorizationServer(opaque=ALICE)
    config = opaque(server, ttl=0, negative_ttl=0)
    assert config.introspection is not None
    calls = config.introspection._calls

    async def after(seconds: float, raw: str, delay: float) -> Any:
        await anyio.sleep(seconds)
        server.delay = delay
        return await outcome(raw, config)

    for delays in ((0.02, 0.1), (0.1, 0.02)):
        first, second = delays
        expected = ["alice", "token_inactive"]
        assert expected == await together(
            lambda first=first: after(0, "opaque", first), lambda second=second: after(0.01, "unknown", second)
        )
        assert {} == calls.running
        assert calls._running not in calls._running._current_vars
    assert 4 == calls.started


async def test_cancelling_the_first_waiter_cancels_nobody_else() -> None:
    """The request that began the call goes away; the others get its answer all the same."""
    server = AuthorizationServer(opaque=ALICE)
    server.delay = 0.1
    config, first = opaque(server), anyio.CancelScope()

    async def begin() -> str:
        with first:
            await verify_token_async("opaque", config)
        return "cancelled"

    async def cancel() -> None:
        await anyio.sleep(0.02)
        first.cancel()

    results = await together(begin, cancel, *[lambda: outcome("opaque", config)] * 5)
    assert ["cancelled", None, *["alice"] * 5] == results
    assert ["opaque"] == server.asked


async def test_a_call_that_is_cancelled_leaves_nobody_waiting() -> None:
    """When the event loop ends the call itself, those that wait are refused with 503."""
    server = AuthorizationServer(opaque=ALICE)
    server.delay = 3600.0
    config = opaque(server)

    async def cancel() -> None:
        await anyio.sleep(0.02)
        assert config.introspection is not None
        (call,) = config.introspection._calls.running.values()
        call.cancel()

    results = await together(lambda: outcome("opaque", config), cancel)
    assert "introspection_unavailable" == results[0]


@pytest.mark.parametrize(
    "raw",
    ["", " ", "a b", "tab\t", "a\n", "\x7f", b"\xff", "ü"],
    ids=["empty", "space", "words", "tab", "line", "delete", "byte", "letter"],
)
async def test_what_no_token_is_asks_for_nothing(raw: str | bytes) -> None:
    """Empty text, white space, control characters and others are refused here."""
    server = AuthorizationServer()
    for verify in (verify_token_async, lambda raw, config: anyio.to_thread.run_sync(verify_token, raw, config)):
        with pytest.raises(MalformedTokenError):
            await verify(raw, opaque(server))
    assert [] == server.asked


async def test_a_token_that_is_too_long_asks_for_nothing() -> None:
    """`max_token_size` counts for opaque tokens, too."""
    server = AuthorizationServer()
    with pytest.raises(TokenTooLargeError):
        await verify_token_async("x" * 257, opaque(server, settings={"max_token_size": 256}))
    assert [] == server.asked


# How long an answer is kept -------------------------------------------------------------------------------------------


async def test_answers_are_kept_for_a_short_time() -> None:
    """60 seconds if the token is active and 5 if not, unless set; counted from the question, in monotonic seconds."""  # S103, S104
    for options, active, inactive in (({}, 60, 5), ({"ttl": 100, "negative_ttl": 1}, 100, 1)):
        server, clock = AuthorizationServer(opaque=ALICE), MovingClock()
        config = opaque(server, monotonic=clock, **options)
        for raw, ttl in (("opaque", active), ("unknown", inactive)):
            for _ in range(2):
                server.asked.clear()
                first = await outcome(raw, config)
                clock.advance(ttl - 0.1)
                assert first == await outcome(raw, config)
                assert [raw] == server.asked
                clock.advance(0.2)


@pytest.mark.parametrize("raw", ["opaque", "unknown"])
async def test_zero_keeps_nothing(raw: str) -> None:
    """With `ttl=0` and `negative_ttl=0` each request is a call, and still has its answer."""
    server = AuthorizationServer(opaque=ALICE)
    config = opaque(server, ttl=0, negative_ttl=0)
    first = await outcome(raw, config)
    assert [first] * 3 == [await outcome(raw, config) for _ in range(3)]
    assert 4 == len(server.asked)
    with pytest.raises(IntrospectionUnavailableError):
        verify_token(raw, config)


async def test_no_answer_outlives_the_token() -> None:
    """An answer is forgotten at the `exp` of its token, even if the leeway would let that pass."""  # S103
    now = NOW
    server = AuthorizationServer(opaque={"sub": "alice", "exp": NOW + 10})
    config = opaque(server, settings={"clock": lambda: now, "leeway": 20})
    assert "alice" == await outcome("opaque", config)
    now = NOW + 9
    assert "alice" == await outcome("opaque", config)
    assert 1 == len(server.asked)
    now = NOW + 10
    assert "alice" == await outcome("opaque", config)
    assert 2 == len(server.asked)
    server.known.clear()
    assert "token_inactive" == await outcome("opaque", config)
    server.known["opaque"] = {"active": True, "sub": "alice", "exp": NOW - 60}
    config = opaque(server)
    assert ["token_expired"] * 2 == [await outcome("opaque", config) for _ in range(2)]


async def test_a_revoked_token_stays_good_for_no_longer_than_the_answer() -> None:
    """After `ttl` the authorization server is asked again, and its new answer takes the place of the old one."""
    server, clock = AuthorizationServer(opaque=ALICE), MovingClock()
    config = opaque(server, monotonic=clock)
    assert "alice" == await outcome("opaque", config)
    server.known.clear()
    clock.advance(61)
    assert "token_inactive" == await outcome("opaque", config)
    server.known["opaque"] = {"active": True, **ALICE}
    clock.advance(6)
    assert "alice" == await outcome("opaque", config)


def test_few_answers_are_kept() -> None:
    """Each kind has a place of its own: made-up tokens do not push out good ones."""  # S103
    cache = AnswerCache()

    def fill(body: bytes, start: int) -> list[bytes]:
        digests = [number.to_bytes(32, "big") for number in range(start, start + MAX_ANSWERS + 1)]
        for digest in digests:
            answer = read_answer(body, digest)
            answer.kept_until = 1.0
            cache.remember(answer)
        return digests

    good, bad = fill(b'{"active": true}', 0), fill(b'{"active": false}', 10_000)
    assert 2 * MAX_ANSWERS == len(cache)
    for first, *others in (good, bad):
        assert cache.find(first, 0.0, NOW) is None
        for digest in others:
            found = cache.find(digest, 0.0, NOW)
            assert found is not None
            assert digest == found.digest
        assert cache.find(others[0], 1.0, NOW) is None


# Answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"active": "true"}, "the answer has no active that is true or false"),
        ({"active": 1}, "the answer has no active that is true or false"),
        ({"active": None}, "the answer has no active that is true or false"),
        ({"active": [True]}, "the answer has no active that is true or false"),
        ({}, "the answer has no active that is true or false"),
        ({"error": "invalid_client"}, "the answer has no active that is true or false"),
        ([{"active": True}], "the answer is not a JSON object"),
        (True, "the answer is not a JSON object"),
        (b"", "the answer: not JSON"),
        (b"<html>", "the answer: not JSON"),
        (b"\xff", "the answer: not UTF-8"),
        (b'{"active": false, "active": true, "sub": "alice"}', "the answer: repeated member name"),
        (b'{"active": true, "sub": "alice", "exp": NaN}', "the answer: JSON constant NaN"),
        (b'{"active": true, "x": ' + b"[" * 30 + b"]" * 30 + b"}", "the answer: nested too deeply"),
        (b'{"active": true, "x": ' + b"[" * 90_000, "the answer is longer than 65536 bytes"),
        ({"active": True, "sub": "alice", "x": "y" * 65536}, "the answer is longer than 65536 bytes"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_an_answer_that_cannot_be_used_is_503(body: Any, reason: str, caplog: Any) -> None:
    """`active` is true or false and nothing that looks like it; an answer is small, JSON and read in one way only."""  # S103
    server = AuthorizationServer()
    server.always(body)
    config = opaque(server)
    for _ in range(2):
        with pytest.raises(IntrospectionUnavailableError) as refused:
            await verify_token_async("opaque", config)
        assert (reason, URL, 1) == (
            refused.value.evidence["reason"],
            refused.value.evidence["endpoint"],
            refused.value.retry_after,
        )
    assert 2 == len(server.asked)  # a failure is not remembered
    assert f"{URL} could not be asked about a token: {reason}" in caplog.messages


async def test_a_byte_order_mark_does_no_harm() -> None:
    """Some servers write one."""
    server = AuthorizationServer()
    server.always(b'\xef\xbb\xbf {"active": true, "sub": "alice"}')
    assert "alice" == await outcome("opaque", opaque(server))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (201, "the call was answered with status 201"),
        (302, "the call was answered with status 302"),
        (401, "the client is refused with status 401; check its secret and rights"),
        (403, "the client is refused with status 403; check its secret and rights"),
        (500, "the call was answered with status 500"),
    ],
)
async def test_another_status_than_200_is_503(status: int, reason: str) -> None:
    """Whatever the body says: a redirect is not followed, and a page of an error is no answer."""  # S103
    server = AuthorizationServer()
    server.always({"active": True, "sub": "alice"}, status, location="https://elsewhere.example/")
    with pytest.raises(IntrospectionUnavailableError) as refused:
        await verify_token_async("opaque", opaque(server))
    assert reason == refused.value.evidence["reason"]
    assert 1 == len(server.asked)


@pytest.mark.parametrize(("said", "expected"), [("7", 7), ("100000", 60), ("soon", 1), ("-3", 1)])
async def test_retry_after_is_passed_on(said: str, expected: int) -> None:
    """Up to a minute, if the endpoint says that it is busy."""
    server = AuthorizationServer()
    server.always(b"", 429, retry_after=said)
    with pytest.raises(IntrospectionUnavailableError) as refused:
        await verify_token_async("opaque", opaque(server))
    assert expected == refused.value.retry_after


async def test_an_endpoint_that_is_slow_or_down_is_503(caplog: Any) -> None:
    """A call ends after `timeout`; neither the error nor the log quotes the token, the secret or a foreign message."""  # S103
    server = AuthorizationServer(opaque=ALICE)
    server.delay = 3600.0
    config = opaque(server, timeout=0.05)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(IntrospectionUnavailableError) as refused:
        await verify_token_async("opaque-secret", config)
    assert "no answer within 0.05 seconds" == refused.value.evidence["reason"]
    server.delay, server.answer = 0.0, server.break_down
    with pytest.raises(IntrospectionUnavailableError) as refused:
        await verify_token_async("opaque-secret", config)
    assert "ConnectionError" == refused.value.evidence["reason"]
    server.answer = server.tell
    assert "alice" == await outcome("opaque", config)
    shown = caplog.text + repr(refused.value) + str(vars(refused.value)) + repr(config.introspection)
    for secret in ("opaque-secret", CLIENT[1], "s3cr", "nobody's business"):
        assert secret not in shown


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists).map(
    lambda value: json.dumps({"active": value}).encode()
))  # fmt: skip
def test_any_bytes_are_an_answer_or_refused(body: bytes) -> None:
    """What is read as active has an `active` that is true to any JSON parser; all else is inactive or refused."""
    try:
        answer = read_answer(body, b"")
    except RefusedDocumentError:
        return
    assert json.loads(body)["active"] is answer.is_active


CLAIMS = st.dictionaries(
    st.sampled_from(
        ["sub", "exp", "iat", "nbf", "aud", "iss", "jti", "scope", "token_type", "token_use", "cnf", "sid"]
    ),
    st.none()
    | st.booleans()
    | st.integers(-5, 2**40)
    | st.floats()
    | st.text(max_size=8)
    | st.lists(st.text(max_size=3)),
)


@given(CLAIMS)
def test_any_claims_are_a_token_or_refused(claims: dict[str, Any]) -> None:
    """Whatever types the members have, an active answer makes a token with an identity, or one of our refusals."""
    server = AuthorizationServer(opaque=claims)
    config = opaque(server)

    async def verify() -> None:
        try:
            token = await verify_token_async("opaque", config)
        except TokenError:
            return
        assert claims["sub"] == token.identity
        assert token.jti
        assert token.claims["active"] is True

    anyio.run(verify)


# Claims ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "settings", "code"),
    [
        ({"sub": "alice"}, {}, "alice"),
        ({}, {}, "missing_claim"),
        ({"username": "alice"}, {"identity_claim": "username"}, "alice"),
        ({"sub": "alice"}, {"audience": "orders"}, "missing_claim"),
        ({"sub": "alice", "aud": "billing"}, {"audience": "orders"}, "invalid_audience"),
        ({"sub": "alice", "aud": ["billing", "orders"]}, {"audience": "orders"}, "alice"),
        ({"sub": "alice", "aud": "billing"}, {}, "invalid_audience"),
        ({"sub": "alice"}, {"issuer": "https://a.example"}, "missing_claim"),
        ({"sub": "alice", "iss": "https://b.example"}, {"issuer": "https://a.example"}, "invalid_issuer"),
        ({"sub": "alice"}, {"required_claims": ["exp"]}, "missing_claim"),
        ({"sub": "alice", "exp": NOW - 60}, {}, "token_expired"),
        ({"sub": "alice", "exp": "never"}, {}, "invalid_claim"),
        ({"sub": "alice", "nbf": NOW + 60}, {}, "token_not_yet_valid"),
        ({"sub": 7}, {}, "invalid_claim"),
        ({"sub": "alice", "cnf": {}}, {}, "token_bound"),
        ({"sub": "alice", "cnf": {"jkt": "x"}}, {}, "token_bound"),
        ({"sub": "alice", "token_type": "bearer"}, {}, "alice"),
        ({"sub": "alice", "token_type": "access_token"}, {}, "alice"),
        ({"sub": "alice", "token_type": "DPoP"}, {}, "invalid_token_type"),
        ({"sub": "alice", "token_type": "refresh_token"}, {}, "invalid_token_type"),
        ({"sub": "alice", "token_type": None}, {}, "invalid_claim"),
        ({"sub": "alice", "token_use": "refresh_token"}, {}, "invalid_token_type"),
        ({"sub": "alice", "token_use": "access_token"}, {}, "alice"),
        ({"sub": "alice", "token_use": "refresh"}, {}, "invalid_token_type"),
        ({"sub": "alice", "typ": "Refresh"}, {}, "invalid_token_type"),
        ({"sub": "alice"}, {"required_claims": ["token_type"]}, "missing_claim"),
        ({"sub": "alice", "client_id": "c"}, {"required_claims": {"client_id": "c"}}, "alice"),
        ({"sub": "alice", "client_id": "d"}, {"required_claims": {"client_id": "c"}}, "invalid_claim"),
        ({"sub": "alice", "client_id": "c"}, {"required_claims": {"client_id": "c", "exp": None}}, "missing_claim"),
    ],
)
async def test_what_is_demanded(claims: dict[str, Any], settings: dict[str, Any], code: str) -> None:
    """All but `active` may be absent, unless a setting demands it; what is there has to be right, the second time too."""  # S103, S106
    server = AuthorizationServer(opaque=claims)
    config = opaque(server, settings=settings)
    assert [code] * 2 == [await outcome("opaque", config) for _ in range(2)]
    assert 1 <= len(server.asked) <= 2


async def test_a_refusal_says_whose_token_it_is() -> None:
    """For events, the facts of an answer that is refused are those of its token; an inactive one has none."""
    server = AuthorizationServer(opaque={"sub": "alice", "aud": "billing", "iss": "https://a.example"})
    server.known["bad"] = {"active": True, "sub": "bob", "exp": "never"}
    config = opaque(server)
    for raw, facts in (
        ("opaque", {"identity": "alice", "issuer": "https://a.example", "type": "access", "session_id": None}),
        ("bad", {"identity": "bob"}),
        ("unknown", {}),
    ):
        with pytest.raises(TokenError) as refused:
            await verify_token_async(raw, config)
        refused.value.verified.pop("jti", None)
        assert facts == refused.value.verified


async def test_two_configurations_share_an_endpoint_and_read_for_themselves() -> None:
    """An answer is asked for once, and each configuration reads it by its own settings."""
    server = AuthorizationServer(opaque={"sub": "alice", "username": "al", "aud": "orders"})
    first = opaque(server, settings={"audience": "orders"})
    second = first.replace(identity_claim="username")
    third = first.replace(audience="billing")
    assert ["alice", "al", "invalid_audience"] * 2 == [
        await outcome("opaque", config) for config in (first, second, third) * 2
    ]
    assert 1 == len(server.asked)


async def test_a_token_without_an_identifier_has_its_digest_for_one() -> None:
    """So that it can be revoked like any other; an identifier of the authorization server counts more."""
    server = AuthorizationServer(one={"sub": "alice"}, two={"sub": "alice"}, three={"sub": "alice", "jti": "j"})
    jtis = [(await verify_token_async(raw, opaque(server))).jti for raw in ("one", "two", "three")]
    assert "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" == jtis[0]
    assert jtis[1] not in (None, jtis[0])
    assert "j" == jtis[2]


def test_what_cannot_wait_is_told_what_to_call() -> None:
    """`verify_token` has no answer before someone has asked, and opaque tokens have no keys and mint nothing."""
    server = AuthorizationServer(opaque=ALICE)
    config = opaque(server)
    with pytest.raises(IntrospectionUnavailableError) as refused:
        verify_token("opaque", config)
    assert "must be asked; await verify_token_async" == refused.value.evidence["reason"]
    with pytest.raises(KeysUnavailableError):
        _ = config.keys
    with pytest.raises(SigningKeyMissingError):
        create_access_token("alice", config)
    assert (True, []) == (config.is_remote, server.asked)


# Beside other configurations ------------------------------------------------------------------------------------------


def beside(server: AuthorizationServer, **settings: Any) -> tuple[MultiIssuerVerifier, JWTConfig, JWTConfig]:
    own = JWTConfig(secret_key="x" * 32, issuer="https://own.example", clock=lambda: NOW)
    config = opaque(server, settings=settings)
    return MultiIssuerVerifier([config, own]), own, config


@pytest.mark.parametrize("raw", [b"opaque", b"a.b", b".", b"a.b.c.d", b"a.b.c.d.e", b"...."])
def test_what_has_not_three_parts_is_opaque(raw: bytes) -> None:
    """The other configurations could not verify it anyway; that is decided each time, and not remembered."""
    verifier, _, config = beside(nothing_known())
    assert (config, None) == verifier.config_for(raw)
    verifier.remember(raw, config)
    assert {} == verifier._issuer_cache


def test_a_token_of_three_parts_is_never_sent() -> None:
    """One's own and a foreign, forged or malformed token of three parts are judged here."""  # S103
    verifier, own, _ = beside(nothing_known())
    raw = create_access_token("alice", own).encode()
    assert own is verifier.config_for(raw)[0]
    foreign = create_access_token("alice", own.replace(issuer="https://foreign.example")).encode()
    for bad in (foreign, b"a.b.c", b"..", b"a..b"):
        with pytest.raises(TokenError):
            verifier.config_for(bad)


def test_one_configuration_of_several_is_for_opaque_tokens() -> None:
    """It needs no issuer, and may have that of another one; two of them cannot be told apart."""
    server = AuthorizationServer()
    verifier, own, config = beside(server, issuer="https://own.example")
    assert {own, config} == set(verifier)
    assert verifier == MultiIssuerVerifier([own, config])
    assert verifier != MultiIssuerVerifier([own, opaque(server)])
    assert verifier != own
    with pytest.raises(SettingError, match="two configurations have introspection"):
        MultiIssuerVerifier([config, own, opaque(server)])


# Settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "http://issuer.example/introspect"}, "the url is http, and only loopback may be asked without TLS"),
        ({"url": "http://127.0.0.1/introspect"}, "the url is http, .*, with loopback_http=True$"),
        ({"url": "http://issuer.example/", "loopback_http": True}, "the url is http"),
        ({"url": "https://user:pass@issuer.example/"}, "the url holds a user name or a password"),
        ({"url": 7}, "the url is not a str"),
        ({"client": "id:secret"}, "client must be the identifier and the secret of a client"),
        ({"client": ("id",)}, "client must be the identifier and the secret of a client"),
        ({"client": ("id", "")}, "client must be the identifier and the secret of a client"),
        ({"client": ("id", b"secret")}, "client must be the identifier and the secret of a client"),
        ({"client": ("id", "\ud800")}, "client holds half of a surrogate pair"),
        ({"ttl": 3601}, "ttl must be at most 3600 seconds, not 3601"),
        ({"ttl": -1}, "ttl must be zero or more"),
        ({"negative_ttl": 61}, "negative_ttl must be at most 60 seconds, not 61"),
        ({"timeout": 0}, "timeout must be more than zero"),
        ({"timeout": 61}, "timeout must be at most 60 seconds"),
        ({"post": "fetch"}, "post must be a function, not str"),
        ({"loopback_http": 1}, "loopback_http must be True or False, not 1"),
        ({"monotonic": lambda: "now"}, "monotonic must be a callable that returns seconds"),
    ],
)
def test_options_are_checked_when_built(arguments: dict[str, Any], message: str) -> None:
    """An address without TLS, a client that cannot be sent, or a time without bounds: the message says what to write."""
    with pytest.raises(SettingError, match="^" + message.replace("(", r"\(")) as refused:
        Introspection(**{"url": URL, "client": CLIENT, "post": nothing_known(), **arguments})
    assert "secret" not in str(refused.value).replace("the secret of", "").replace('("orders-api", secret)', "")
    assert None is refused.value.__context__
    assert "not built" in repr(Introspection.__new__(Introspection))


async def test_a_secret_that_hides_itself() -> None:
    """The secret of the client may be one of pydantic's, and is sent as any other."""
    server = nothing_known()
    for secret in (CLIENT[1], Hidden(CLIENT[1])):
        introspection = Introspection(URL, (CLIENT[0], secret), post=server)
        with pytest.raises(InactiveTokenError):
            await verify_token_async("unknown", JWTConfig.for_introspection(introspection))
        assert CLIENT[1] not in repr(introspection)
    (_, _, plain), (_, _, hidden) = server.calls
    assert plain == hidden


def test_opaque_tokens_have_no_template() -> None:
    """One endpoint cannot be asked about the tokens of all tenants."""
    with pytest.raises(SettingError, match="an IssuerTemplate needs jwks"):
        opaque(nothing_known(), settings={"issuer": IssuerTemplate("https://{tenant}.example", allow={"a"})})


def test_http_is_for_loopback() -> None:
    """With `loopback_http=True`, as for remote keys."""
    url = "http://127.0.0.1:8000/introspect"
    assert f"<Introspection {url}>" == repr(Introspection(url, CLIENT, post=nothing_known(), loopback_http=True))


@pytest.mark.parametrize(
    "other",
    [
        {"secret_key": "x" * 32},
        {"signing_key": Key.generate("ES256")},
        {"verification_keys": [Key.generate("ES256").public()]},
        {"key_ring": object()},
        {"jwks": object()},
    ],
    ids=lambda other: next(iter(other)),
)
def test_introspection_stands_alone(other: dict[str, Any]) -> None:
    """A configuration has keys or an endpoint; whoever has both writes two."""
    with pytest.raises(SettingError, match="introspection cannot be combined with secret_key"):
        opaque(nothing_known(), settings=other)
    with pytest.raises(SettingError, match=r"introspection must be Introspection\(url, client\)"):
        JWTConfig.for_introspection("https://issuer.example/introspect")  # type: ignore[arg-type]  # what is tested


async def test_inactive_is_a_refusal_of_its_own() -> None:
    """With a fixed phrase and no evidence."""
    with pytest.raises(InactiveTokenError) as refused:
        await verify_token_async("unknown", opaque(nothing_known()))
    assert ("The token is not active.", {}, 401) == (str(refused.value), refused.value.evidence, refused.value.status)
