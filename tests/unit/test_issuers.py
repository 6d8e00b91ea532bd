"""Several issuers behind one adapter: each token is held to the rules and keys of the issuer it names, and to no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    AuthEvent,
    JWTConfig,
    JWTMiddleware,
    Key,
    create_access_token,
    current_token,
)
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    InvalidClaimError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    MissingClaimError,
    SettingError,
    TokenError,
    WrongAudienceError,
    WrongIssuerError,
)
from asgi_jwt_claims.jose.compact import split_compact
from asgi_jwt_claims.tokens.issuers import _MAX_CACHED_TOKENS, MultiIssuerVerifier, verifier_for
from asgi_jwt_claims.tokens.unverified import issuer_in
from tests.conftest import NOW
from tests.forging import b64, sealed
from tests.raw_asgi import Recorder, ask
from tests.support import SECRET

A, B = "https://a.example", "https://b.example"
KEY_A, KEY_B = Key.generate("ES256", kid="the-key"), Key.generate("ES256", kid="the-key")


def config(issuer: str | None, key: Key, **settings: Any) -> JWTConfig:
    return JWTConfig(**{"signing_key": key, "issuer": issuer, "audience": "api", "clock": lambda: NOW, **settings})


CONFIG_A, CONFIG_B = config(A, KEY_A), config(B, KEY_B)


async def verdict(raw: str | bytes, *configs: JWTConfig, **options: Any) -> Any:
    """What the application sees as its token, or the error that the middleware refuses with."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["token"] is current_token()
        seen.append(scope["token"])

    def note(error: TokenError, _: Any, scope: Any) -> None:
        seen.append(error)

    async def send(_: Any) -> None:
        pass

    raw = raw.encode() if isinstance(raw, str) else raw
    guarded = JWTMiddleware(app, configs, on_error=note, **options)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"authorization", b"Bearer " + raw)]}
    await guarded(scope, None, send)  # type: ignore[arg-type]  # nothing is received
    (result,) = seen
    return result


pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop. What waits, and so could tell loops apart, is tested on both elsewhere."""
    return "asyncio"


async def test_each_issuer_is_accepted_by_its_own_key() -> None:
    """Tokens of either issuer pass, again and again, and say whose they are."""
    for _ in range(3):
        for one in (CONFIG_A, CONFIG_B):
            token = await verdict(create_access_token("alice", one), CONFIG_A, CONFIG_B)
            assert ("alice", one.issuer) == (token.identity, token.issuer)


async def test_the_same_name_is_another_identity_at_another_issuer() -> None:
    """`sub` is unique for its issuer only: two tokens of one name are told apart by `issuer`, and are not equal."""  # S57
    tokens = [await verdict(create_access_token("alice", one), CONFIG_A, CONFIG_B) for one in (CONFIG_A, CONFIG_B)]
    assert [(A, "alice"), (B, "alice")] == [(token.issuer, token.identity) for token in tokens]
    assert tokens[0] != tokens[1]


async def test_keys_never_cross_issuers() -> None:
    """A token that names one issuer and is signed by the key of the other is refused, though the kids are the same."""  # S99
    for named, signing in ((A, KEY_B), (B, KEY_A)):
        raw = create_access_token("alice", config(named, signing))
        for _ in range(3):
            assert InvalidSignatureError is type(await verdict(raw, CONFIG_A, CONFIG_B))


async def test_rules_never_cross_issuers() -> None:
    """Each issuer has its audience, its names and its limits; those of the other do not help."""
    lenient = config(B, KEY_B, audience="other", user_claims_claim=None, type_claim=None, required_claims=())
    raw = create_access_token("alice", lenient, user_claims={"team": "blue"})
    assert {"team": "blue"} == (await verdict(raw, CONFIG_A, lenient)).user_claims
    assert WrongAudienceError is type(
        await verdict(create_access_token("alice", config(A, KEY_A, audience="other")), CONFIG_A, lenient)
    )
    assert MissingClaimError is type(
        await verdict(create_access_token("alice", config(A, KEY_A, type_claim=None)), CONFIG_A, lenient)
    )


def payload(**claims: Any) -> str:
    return f"{b64(b'{}').decode()}.{b64(json.dumps(claims).encode()).decode()}.AAAA"


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (payload(iss="https://c.example"), WrongIssuerError),  # S99
        (payload(iss=A.upper()), WrongIssuerError),  # S55
        (payload(iss=f"{A}/"), WrongIssuerError),
        (payload(sub="alice"), MissingClaimError),
        (payload(iss=None), InvalidClaimError),
        (payload(iss=[A]), InvalidClaimError),
        (payload(iss=""), InvalidClaimError),
        (payload(iss=7), InvalidClaimError),
        (payload(iss=A), AlgorithmRefusedError),  # now held to the rules of A, which find an empty header
        ("a.b", MalformedTokenError),
        ("e30.bm90IEpTT04.AAAA", MalformedTokenError),
        ("e30.W10.AAAA", MalformedTokenError),
        (sealed(b'{"alg":"HS256"}', json.dumps({"iss": A}).encode()), AlgorithmRefusedError),
    ],
    ids=str,
)
async def test_a_token_of_nobody_known_is_refused(raw: str, error: type[TokenError]) -> None:
    """The issuer named has to be one of those configured, code point for code point; nothing else is even tried."""
    seen = await verdict(raw, CONFIG_A, CONFIG_B)
    assert (error, 401) == (type(seen), seen.status)


ISSUERS = st.sampled_from([A, B, "https:\\u002f\\u002fa.example", 'a"b', "\u00fc", "", "x" * 3000, None, 1, ["iss"]])
MEMBERS = st.sampled_from(["iss", "x", "\u00fc", '"iss"', "iss\\\\"])
PAYLOADS = st.recursive(
    ISSUERS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(MEMBERS, inner, max_size=3), max_leaves=6
)


@given(PAYLOADS, st.sampled_from([None, 1]), st.booleans(), st.sampled_from([b"iss", rb"\u0069ss", rb"i\u0073\u0073"]))
def test_the_issuer_is_the_one_that_a_parser_finds(
    claims: Any, indent: int | None, ascii_only: bool, spelled: bytes
) -> None:
    """Without parsing, where that is possible, the same issuer is found as by parsing, or one that must be refused."""
    payload = json.dumps(claims, indent=indent, ensure_ascii=ascii_only).encode()
    payload = payload.replace(b'"iss"', b'"' + spelled + b'"', 1)  # the first of them, so that both spellings meet
    try:
        found = issuer_in(payload)
    except InvalidTokenError:
        found = None
    named = claims.get("iss") if isinstance(claims, dict) else None
    if isinstance(named, str) and named:
        assert named == found
    # Where no issuer is named, that of a member further in may be found: verification then misses the claim.


@pytest.mark.parametrize("more", [{"y": {"iss": B}}, {"y": "ESCAPED"}], ids=["two of the name", "an escape"])
async def test_many_members_are_not_parsed_for_an_issuer(more: dict[str, Any]) -> None:
    """A payload that has to be parsed for its issuer may have so many members, and any other may have more."""
    header = json.dumps({"alg": "ES256", "kid": "the-key"}).encode()
    claims = {"iss": A, "sub": "alice", "aud": "api", "iat": NOW, "exp": NOW + 60, "jti": "1", "type": "access"}
    for count, extra, expected in ((1000, {}, "alice"), (240, more, "alice"), (260, more, None)):
        payload = json.dumps({**claims, "x": [1] * count, **extra}).encode().replace(b"ESCAPED", rb"\u0069")
        signing_input = b64(header) + b"." + b64(payload)
        seen = await verdict(signing_input + b"." + b64(KEY_A.sign(signing_input)), CONFIG_A, CONFIG_B)
        if expected:
            assert expected == seen.identity
        else:
            assert "too many members to look for an issuer among them" == seen.evidence["reason"]


async def test_a_choice_that_is_remembered_lets_nobody_in() -> None:
    """Which issuer a token names is remembered after it was verified; remembered wrongly, it would only be refused."""
    issuers = MultiIssuerVerifier([CONFIG_A, CONFIG_B])
    raw = create_access_token("alice", CONFIG_A).encode()
    assert (CONFIG_A, split_compact(raw)) == issuers.config_for(raw)
    issuers.remember(raw, CONFIG_B)
    assert (CONFIG_B, None) == issuers.config_for(raw)


async def test_the_memory_of_choices_is_bounded() -> None:
    """However many tokens come, no more are remembered than there is room for."""
    issuers = MultiIssuerVerifier([CONFIG_A, CONFIG_B])
    for number in range(3 * _MAX_CACHED_TOKENS):
        issuers.remember(str(number).encode(), CONFIG_A)
    assert _MAX_CACHED_TOKENS >= len(issuers._issuer_cache)


def test_several_configurations_are_frozen() -> None:
    """No attribute can be set or deleted, not even the cache of issuers."""
    issuers = MultiIssuerVerifier([CONFIG_A, CONFIG_B])
    for name in (*MultiIssuerVerifier.__slots__, "other"):
        with pytest.raises(AttributeError, match="a MultiIssuerVerifier is frozen"):
            setattr(issuers, name, {})
        with pytest.raises(AttributeError, match="a MultiIssuerVerifier is frozen"):
            delattr(issuers, name)
    assert [CONFIG_A, CONFIG_B] == list(issuers)


async def test_every_listener_hears_of_a_refusal() -> None:
    """A refused token belongs to nobody, so each function that one of the configurations has is told once."""
    told: list[str] = []

    def first(event: AuthEvent) -> None:
        told.append(f"first {event.code}")
        raise RuntimeError("full")

    async def second(event: AuthEvent) -> None:
        told.append(f"second {event.code}")

    configs = [
        JWTConfig(secret_key=SECRET, issuer=f"https://{number}.example", on_event=listener)
        for number, listener in enumerate((first, second, second, None))
    ]
    assert 401 == (await ask(JWTMiddleware(Recorder(), configs))).status
    assert ["first token_missing", "second token_missing"] == told
    assert {} == MultiIssuerVerifier([CONFIG_A, CONFIG_B]).on_event.of(None)


async def test_absence_is_absence_for_all_of_them() -> None:
    """Without a token there is no issuer, and with `required=False` the request goes on without one."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["token"])

    guarded = JWTMiddleware(app, [CONFIG_A, CONFIG_B], required=False)
    await guarded({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)  # type: ignore[arg-type]  # neither is used
    assert [None] == seen


@pytest.mark.parametrize(
    ("configs", "match"),
    [
        (list, "config is empty: pass a JWTConfig or a non-empty list"),
        (lambda: None, "config must be a JWTConfig or a list of them, not NoneType"),
        (lambda: "config", "config must be a JWTConfig or a list of them, not str"),
        (lambda: [CONFIG_A, SECRET], "config must be a JWTConfig or a list of them, not str"),
        (lambda: [SECRET], "config must be a JWTConfig or a list of them, not str"),
        (lambda: [CONFIG_A, config(None, KEY_B)], "each of several configurations needs an issuer"),
        (lambda: [CONFIG_A, config(A, KEY_B)], "two configurations have the issuer 'https://a.example'"),
    ],
)
def test_configurations_that_cannot_be_told_apart_are_refused(configs: Callable[[], Any], match: str) -> None:
    """Each needs an issuer of its own; the message says so when the middleware is built."""  # S150
    with pytest.raises(SettingError, match=match):
        JWTMiddleware(Recorder(), configs())


def test_one_of_several_is_one() -> None:
    """A list of one configuration is that configuration; lists of the same ones are equal."""
    assert CONFIG_A is verifier_for([CONFIG_A])
    assert verifier_for([CONFIG_A, CONFIG_B]) == verifier_for((CONFIG_A, CONFIG_B))
    assert hash(verifier_for([CONFIG_A, CONFIG_B])) == hash(verifier_for((CONFIG_A, CONFIG_B)))
    assert verifier_for([CONFIG_A, CONFIG_B]) != verifier_for([CONFIG_A, config(B, KEY_B)])
    assert verifier_for([CONFIG_A, CONFIG_B]) != CONFIG_A
