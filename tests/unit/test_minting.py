"""Minting: what stands in a token, what is refused, and that what is minted is accepted."""

from __future__ import annotations

import base64
import json
import uuid
from collections import UserDict
from datetime import timedelta
from typing import Any

import pytest

from asgi_jwt_claims import (
    ConfigurationError,
    JWTConfig,
    Key,
    Token,
    create_access_token,
    create_refresh_token,
    create_token_pair,
    verify_token,
)
from asgi_jwt_claims.errors import (
    MalformedTokenError,
    MintingError,
    SettingError,
    SigningKeyMissingError,
    WrongTypeError,
)
from tests.conftest import NOW, HeldClock
from tests.forging import sealed
from tests.support import SECRET, for_each


def parts(raw: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload, read without this library."""
    header, payload, _ = (base64.urlsafe_b64decode(part + "==") for part in raw.split("."))
    return json.loads(header), json.loads(payload)


def claims_of(raw: str) -> dict[str, Any]:
    return parts(raw)[1]


def test_an_access_token_as_it_comes(config: JWTConfig) -> None:
    """Without arguments an access token has the header and claims documented, and nothing else."""
    # S136
    header, claims = parts(create_access_token("alice", config))
    assert {"alg": "HS256", "typ": "JWT", "kid": Key.from_secret(SECRET).kid} == header
    jti = claims.pop("jti")
    expected = {"sub": "alice", "iat": NOW, "nbf": NOW, "exp": NOW + 900, "type": "access", "fresh": False}
    assert expected == claims
    assert jti == str(uuid.UUID(jti))


def test_a_refresh_token_as_it_comes(config: JWTConfig) -> None:
    """A refresh token has its own type and lifetime, and no freshness."""
    # S136
    header, claims = parts(create_refresh_token("alice", config))
    assert {"alg": "HS256", "typ": "JWT", "kid": Key.from_secret(SECRET).kid} == header
    uuid.UUID(claims.pop("jti"))
    expected = {"sub": "alice", "iat": NOW, "nbf": NOW, "exp": NOW + 14 * 86400, "type": "refresh"}
    assert expected == claims


@pytest.mark.parametrize("create", [create_access_token, create_refresh_token])
def test_a_token_with_everything(create: Any, config: JWTConfig) -> None:
    """Every argument and party has its claim, for access and refresh tokens alike."""
    full = config.replace(issuer="https://issuer.example", audience=["api", "web"])
    raw = create(
        "alice",
        full,
        user_claims={"VERI TAS": "LUX MEA"},
        scope=["read", "write"],
        roles=["admin", "editor"],
        lifetime=60,
        headers={"x": 1},
    )
    header, claims = parts(raw)
    assert 1 == header["x"]
    assert NOW + 60 == claims["exp"]
    assert ("https://issuer.example", ["api", "web"]) == (claims["iss"], claims["aud"])
    assert ({"VERI TAS": "LUX MEA"}, "read write") == (claims["user_claims"], claims["scope"])
    assert ["admin", "editor"] == claims["roles"]
    verified = verify_token(raw, full, type=claims["type"])
    assert frozenset({"read", "write"}) == verified.scopes


def test_every_token_has_its_own_identifier(config: JWTConfig) -> None:
    """No two tokens have the same `jti`."""
    # S136
    assert 100 == len({claims_of(create_access_token("alice", config))["jti"] for _ in range(100)})


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "ES256", "ES384", "ES512"])
def test_what_is_minted_is_accepted(algorithm: str, rsa_key: Key, clock: HeldClock) -> None:
    """With every kind of key, the configuration that minted a token accepts it, and so does its public half."""
    key = rsa_key if algorithm == "RS256" else Key.generate(algorithm)
    config = JWTConfig(signing_key=key, clock=clock)
    raw = create_access_token("alice", config)
    assert algorithm == verify_token(raw, config).headers["alg"]
    if not key.is_symmetric:
        assert "alice" == verify_token(raw, JWTConfig(verification_keys=[key.public()], clock=clock)).identity


def test_refresh_and_access_do_not_stand_for_each_other(config: JWTConfig) -> None:
    """An access token is no refresh token and the reverse."""
    # S137
    with pytest.raises(WrongTypeError):
        verify_token(create_refresh_token("alice", config), config)
    with pytest.raises(WrongTypeError):
        verify_token(create_access_token("alice", config), config, type="refresh")


# Identity -------------------------------------------------------------------------------------------------------------


# S57
@for_each("identity", [None, "", 7, True, 1.5, ["alice"], {"id": 7}, b"alice", object()])
@for_each("create", [create_access_token, create_refresh_token, create_token_pair])
def test_sub_is_a_non_empty_str(create: Any, identity: Any, config: JWTConfig) -> None:
    """Any other identity is refused, not converted."""
    with pytest.raises(MintingError, match="the identity must"):
        create(identity, config)


@pytest.mark.parametrize("identity", ["alice", 0, 7, False, 1.5, ["a", {"b": None}], {"id": 7}, {}])
def test_another_identity_claim_holds_any_value(identity: Any, config: JWTConfig) -> None:
    """Under another name the identity is any JSON value but null and "", and comes back the same."""
    config = config.replace(identity_claim="identity")
    raw = create_access_token(identity, config)
    assert "sub" not in claims_of(raw)
    assert identity == verify_token(raw, config).identity


@pytest.mark.parametrize(
    ("identity", "match"),
    [
        (None, "must not be None"),
        ("", "must not be ''"),
        (object(), "type object"),
        ("\ud800", "surrogate"),
        (2**60, "beyond"),
    ],
)
def test_another_identity_claim_holds_no_more_than_json(identity: Any, match: str, config: JWTConfig) -> None:
    """None, and what JSON cannot carry, is refused."""
    with pytest.raises(MintingError, match=match):
        create_access_token(identity, config.replace(identity_claim="identity"))


def test_a_sub_that_utf_8_cannot_carry_is_refused(config: JWTConfig) -> None:
    """Half of a surrogate pair is refused as an identity."""
    # S27
    with pytest.raises(MintingError, match="the identity must not contain a string with half"):
        create_access_token("\ud800", config)


# User claims ----------------------------------------------------------------------------------------------------------


def test_the_callers_claims_are_copied(config: JWTConfig) -> None:
    """The mapping handed in is not changed, and changing it later changes no token."""
    user_claims = {"team": {"ids": [1]}}
    raw = create_access_token("alice", config, user_claims=user_claims)
    assert {"team": {"ids": [1]}} == user_claims
    user_claims["team"]["ids"].append(2)
    assert {"team": {"ids": [1]}} == verify_token(raw, config).user_claims


def test_tokens_do_not_share_claims(config: JWTConfig) -> None:
    """One user's claims do not show in the next token."""
    create_access_token("alice", config, user_claims={"secret": 1})
    assert {} == verify_token(create_access_token("bob", config), config).user_claims
    assert "user_claims" not in claims_of(create_access_token("bob", config))


def test_empty_user_claims_are_an_object(config: JWTConfig) -> None:
    """An empty mapping is written and comes back as one."""
    raw = create_access_token("alice", config, user_claims={})
    assert {} == claims_of(raw)["user_claims"]
    assert {} == verify_token(raw, config).user_claims


def test_any_mapping_is_taken(config: JWTConfig) -> None:
    """User claims need not be a dict."""
    raw = create_access_token("alice", config, user_claims=UserDict(a=1))
    assert {"a": 1} == verify_token(raw, config).user_claims


# S63
def test_user_claims_shadow_nothing(config: JWTConfig) -> None:
    """In their own object user claims may have any name, and decide nothing."""
    shadows = {"sub": "mallory", "exp": 1, "type": "refresh", "fresh": True, "roles": ["admin"], "iss": "x"}
    token = verify_token(create_access_token("alice", config, user_claims=shadows), config)
    assert shadows == token.user_claims
    expected = ("alice", NOW + 900, "access", False, frozenset(), None)
    assert expected == (token.identity, token.expires_at, token.type, token.fresh, token.roles, token.issuer)


# S63
@pytest.mark.parametrize(
    "name",
    [
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "type", "fresh", "scope", "roles"),
        *("cnf", "act", "client_id", "azp", "acr", "amr", "auth_time", "nonce", "sid", "groups", "events"),
    ],
)
def test_flat_user_claims_may_not_take_registered_names(name: str, config: JWTConfig) -> None:
    """Beside the registered claims, one of their names is an error by name, never dropped."""
    flat = config.replace(user_claims_claim=None)
    with pytest.raises(MintingError, match=f"registered claims: {name}$"):
        create_access_token("alice", flat, user_claims={"team": 1, name: 1})
    with pytest.raises(MintingError, match=name):
        create_refresh_token("alice", flat, user_claims={name: 1})


def test_flat_user_claims_may_not_take_the_names_of_settings(config: JWTConfig) -> None:
    """Names that the configuration gives are taken too; those it does not use are free."""
    # S63
    flat = config.replace(user_claims_claim=None, type_claim="use", roles_claim="role", identity_claim="who")
    for name in ("use", "role", "who", "sub"):
        with pytest.raises(MintingError, match=name):
            create_access_token("alice", flat, user_claims={name: 1})
    raw = create_access_token("alice", flat, user_claims={"type": "x", "team": [1]})
    assert {"type": "x", "team": [1]} == verify_token(raw, flat).user_claims


# S64, S146
@pytest.mark.parametrize(
    ("user_claims", "match"),
    [
        ([("a", 1)], "user_claims must be a mapping, not list"),
        ("a", "user_claims must be a mapping, not str"),
        ({"a": object()}, "user_claims must not contain a value of type object"),
        ({"a": {1, 2}}, "type set"),
        ({"a": b"x"}, "type bytes"),
        ({"a": float("nan")}, "NaN or Infinity"),
        ({"a": float("inf")}, "NaN or Infinity"),
        ({"a": 2**53 + 1}, "beyond"),
        ({"a": "\udfff"}, "surrogate"),
        ({1: "a"}, "a name of type int"),
    ],
)
@pytest.mark.parametrize("claim", ["user_claims", None])
def test_user_claims_are_json(user_claims: Any, match: str, claim: str | None, config: JWTConfig) -> None:
    """What is no JSON object, or not the same in every parser, is refused."""
    with pytest.raises(MintingError, match=match):
        create_access_token("alice", config.replace(user_claims_claim=claim), user_claims=user_claims)


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    assert isinstance(value, dict)
    return value


# S64
@pytest.mark.parametrize(("claim", "levels"), [("user_claims", 15), (None, 16)])
def test_user_claims_nest_as_deep_as_is_accepted(claim: str | None, levels: int, config: JWTConfig) -> None:
    """The deepest user claims that are minted are accepted, and one level more is not minted."""
    config = config.replace(user_claims_claim=claim)
    token = verify_token(create_access_token("alice", config, user_claims=nested(levels)), config)
    assert nested(levels) == token.user_claims
    with pytest.raises(MintingError, match=r"^user_claims must not contain more than 16 levels of nesting"):
        create_access_token("alice", config, user_claims=nested(levels + 1))


# S64
def test_an_identity_nests_as_deep_as_is_accepted(config: JWTConfig) -> None:
    """The deepest identity that is minted is accepted, and one level more is not minted."""
    config = config.replace(identity_claim="identity")
    assert nested(15) == verify_token(create_access_token(nested(15), config), config).identity
    with pytest.raises(MintingError, match="the identity must not contain more than 16 levels"):
        create_access_token(nested(16), config)


# S64
def test_a_token_is_no_longer_than_is_accepted(config: JWTConfig) -> None:
    """The longest token that is minted is accepted, and one character more is not minted."""
    base = len(create_access_token("alice", config, user_claims={"a": ""}))
    room = (8192 - base) * 3 // 4
    longest = create_access_token("alice", config, user_claims={"a": "x" * (room - 3)})
    assert 8180 < len(longest) <= 8192
    assert room - 3 == len(verify_token(longest, config).user_claims["a"])
    with pytest.raises(MintingError, match=r"characters .* may have 8192 .*raise max_token_size"):
        create_access_token("alice", config, user_claims={"a": "x" * (room + 3)})


# Scopes, roles, audience ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "claim", "read"),
    [
        ("admin", "admin", {"admin"}),
        (["admin"], ["admin"], {"admin"}),
        (("a", "b"), ["a", "b"], {"a", "b"}),
        (iter(["a"]), ["a"], {"a"}),
        ([], [], set()),
    ],
)
def test_roles_are_written_as_given(roles: Any, claim: Any, read: set[str], config: JWTConfig) -> None:
    """One role is a string, several are an array."""
    raw = create_access_token("alice", config, roles=roles)
    assert claim == claims_of(raw)["roles"]
    assert read == verify_token(raw, config).roles


@pytest.mark.parametrize("argument", ["roles", "audience"])
@pytest.mark.parametrize("value", ["", [""], ["a", ""], ["a", 1], [None], [["a"]], b"api", {"a": "b"}.items()])
def test_names_are_non_empty_strings(argument: str, value: Any, config: JWTConfig) -> None:
    """A role or an audience that no verifier would accept is refused."""
    with pytest.raises(MintingError, match=argument):
        create_access_token("alice", config, **{argument: value})


@pytest.mark.parametrize("argument", ["roles", "audience"])
@pytest.mark.parametrize("value", [0, False, 7])
def test_a_value_that_is_no_collection_is_a_mistake(argument: str, value: Any, config: JWTConfig) -> None:
    """A number is not silently nobody."""
    with pytest.raises(MintingError, match=argument):
        create_access_token("alice", config, **{argument: value})


# S59
@pytest.mark.parametrize("scope", [" ", "a  b", "a\tb", ["a b"], ["a\nb"], [""], 0, False])
def test_scopes_no_verifier_would_accept_are_refused(scope: Any, config: JWTConfig) -> None:
    """A scope cannot bring further scopes with it."""
    with pytest.raises(MintingError, match="scope must be"):
        create_access_token("alice", config, scope=scope)


@pytest.mark.parametrize("scope", [None, "", [], (), frozenset(), iter(())])
def test_no_scopes(scope: Any, config: JWTConfig) -> None:
    """Where no scopes are granted the claim is left out, however that is said."""
    pair = create_token_pair("alice", config, scope=scope)
    single = create_access_token("alice", config, scope=scope)
    assert pair.scope is None
    for raw in (pair.access_token, pair.refresh_token, single):
        assert "scope" not in claims_of(raw)


@pytest.mark.parametrize(
    ("audience", "claim"), [("api", "api"), (["api"], "api"), (["api", "web"], ["api", "web"]), (iter(["a"]), "a")]
)
def test_an_audience_can_be_named_per_token(audience: Any, claim: Any, config: JWTConfig) -> None:
    """The audience of the token takes the place of the configuration's; one is written as a string."""
    raw = create_access_token("alice", config.replace(audience="own"), audience=audience)
    assert claim == claims_of(raw)["aud"]


def test_an_audience_that_is_demanded_cannot_be_left_out(config: JWTConfig) -> None:
    """A token without the audience that its own configuration demands is not minted."""
    # S56
    with pytest.raises(MintingError, match="names 'aud', which this token would not carry"):
        create_access_token("alice", config.replace(audience="own"), audience=[])


# Times ----------------------------------------------------------------------------------------------------------------


# S147
@pytest.mark.parametrize(("now", "expected"), [(1000, 1000), (1000.0, 1000), (1000.999, 1000)])
def test_times_are_whole_seconds_of_the_clock(now: float, expected: int, config: JWTConfig) -> None:
    """A token is minted at the second that has begun, so it is valid at once."""
    config = config.replace(clock=HeldClock(now), leeway=0)
    raw = create_access_token("alice", config)
    claims = claims_of(raw)
    assert (expected, expected, expected + 900) == (claims["iat"], claims["nbf"], claims["exp"])
    assert [int] * 3 == [type(claims[name]) for name in ("iat", "nbf", "exp")]
    assert "alice" == verify_token(raw, config).identity


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [(60, 60), (timedelta(minutes=2), 120), (1.4, 1), (1.6, 2), (0.001, 1), (timedelta(milliseconds=1), 1)],
)
def test_a_lifetime_can_be_given(lifetime: Any, seconds: int, config: JWTConfig) -> None:
    """A lifetime is a timedelta or seconds, rounded, and never none."""
    for create in (create_access_token, create_refresh_token):
        assert NOW + seconds == claims_of(create("alice", config, lifetime=lifetime))["exp"]


@pytest.mark.parametrize("lifetime", [0, timedelta(0), -1, True, "60", float("nan"), float("inf"), 10**400])
def test_no_lifetime_means_never(lifetime: Any, config: JWTConfig) -> None:
    """Zero, negative, endless and mistyped lifetimes are refused."""
    # S136
    with pytest.raises(SettingError, match="lifetime"):
        create_access_token("alice", config, lifetime=lifetime)


def test_a_lifetime_can_be_given_where_tokens_never_expire(config: JWTConfig) -> None:
    """Where tokens need not expire, one without a lifetime does not and one with a lifetime does."""
    forever = config.replace(access_lifetime=None, refresh_lifetime=None, required_claims=["iat"])
    for create in (create_access_token, create_refresh_token):
        assert "exp" not in claims_of(create("alice", forever))
        assert NOW + 5 == claims_of(create("alice", forever, lifetime=5))["exp"]
    assert None is verify_token(create_access_token("alice", forever), forever).expires_at


def test_a_token_outliving_max_lifetime_is_not_minted(config: JWTConfig) -> None:
    """What `max_lifetime` would refuse is refused first; exactly that long is minted."""
    # S53
    capped = config.replace(max_lifetime=900)
    assert "alice" == verify_token(create_access_token("alice", capped), capped).identity
    with pytest.raises(MintingError, match="901 seconds is longer than max_lifetime"):
        create_access_token("alice", capped, lifetime=901)
    with pytest.raises(MintingError, match="longer than max_lifetime"):
        create_refresh_token("alice", capped)


@pytest.mark.parametrize(
    ("fresh", "claim"),
    [
        (True, True),
        (False, False),
        (timedelta(minutes=5), NOW + 300),
        (timedelta(seconds=0.2), NOW + 1),
    ],
)
def test_fresh_is_a_boolean_or_for_a_time(fresh: Any, claim: Any, config: JWTConfig) -> None:
    """A login is fresh, not fresh, or fresh for a time."""
    raw = create_access_token("alice", config, fresh=fresh)
    assert claim == claims_of(raw)["fresh"]
    assert type(claim) is type(claims_of(raw)["fresh"])
    assert bool(fresh) is verify_token(raw, config).fresh


def test_freshness_ends(config: JWTConfig, clock: HeldClock) -> None:
    """Freshness for a time ends with it, without leeway, while the token lives on."""
    raw = create_access_token("alice", config, fresh=timedelta(minutes=5))
    clock.now += 299
    assert True is verify_token(raw, config).fresh
    clock.now += 1
    assert False is verify_token(raw, config).fresh


@pytest.mark.parametrize(
    ("fresh", "error"),
    [(1, MintingError), ("x", MintingError), (None, MintingError), (300.0, MintingError), (timedelta(0), SettingError)],
)
def test_fresh_of_another_type_is_refused(fresh: Any, error: type[ConfigurationError], config: JWTConfig) -> None:
    """Numbers, text and no time at all are refused."""
    with pytest.raises(error, match="fresh must be"):
        create_access_token("alice", config, fresh=fresh)


# Headers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "JWT", "jwt"])
def test_typ_can_be_that_of_rfc_9068(typ: str, config: JWTConfig) -> None:
    """An access token may say `at+jwt`, and is accepted."""
    # S136
    raw = create_access_token("alice", config, headers={"typ": typ})
    assert typ == verify_token(raw, config).headers["typ"]


@pytest.mark.parametrize("typ", ["dpop+jwt", "JWE", "", None, 1])
def test_a_typ_that_no_verifier_accepts_is_refused(typ: Any, config: JWTConfig) -> None:
    """A `typ` for another purpose is not minted."""
    # S43
    with pytest.raises(MintingError, match="would not be accepted for a token of type 'access'"):
        create_access_token("alice", config, headers={"typ": typ})


def test_a_refresh_token_is_never_at_jwt(config: JWTConfig) -> None:
    """`at+jwt` on a refresh token is refused, for itself and in a pair."""
    # S137
    for create in (create_refresh_token, create_token_pair):
        with pytest.raises(MintingError, match="type 'refresh'"):
            create("alice", config, headers={"typ": "at+jwt"})  # type: ignore[operator]


# S145
@pytest.mark.parametrize("name", ["alg", "kid", "crit", "b64", "zip", "cty", "jwk", "jku", "x5u", "x5c"])
def test_headers_that_decide_something_cannot_be_set(name: str, config: JWTConfig) -> None:
    """The algorithm, the key, and what no verifier accepts cannot be put into the header."""
    with pytest.raises(MintingError, match=f"must not set {name}$"):
        create_access_token("alice", config, headers={name: "none", "x": 1})


def test_headers_are_json(config: JWTConfig) -> None:
    """Headers are copied and checked like user claims."""
    with pytest.raises(MintingError, match="headers must not contain a value of type object"):
        create_access_token("alice", config, headers={"x": object()})
    headers = {"x": [1]}
    raw = create_access_token("alice", config, headers=headers)
    assert {"x": [1]} == headers
    assert [1] == verify_token(raw, config).headers["x"]


def test_the_header_is_no_longer_than_is_accepted(config: JWTConfig) -> None:
    """A header over its limit is refused, though the token is not."""
    # S25
    config = config.replace(max_token_size=65536)
    base = len(create_access_token("alice", config, headers={"x": ""}).split(".")[0])
    room = (2048 - base) * 3 // 4
    raw = create_access_token("alice", config, headers={"x": "x" * (room - 3)})
    assert room - 3 == len(verify_token(raw, config).headers["x"])
    with pytest.raises(MintingError, match="in its header"):
        create_access_token("alice", config, headers={"x": "x" * (room + 3)})


def test_the_header_has_no_more_members_than_are_accepted(config: JWTConfig) -> None:
    """A header of 128 commas is minted and read, and one of 129 is neither."""
    # S25
    raw = create_access_token("alice", config, headers={"x": [0] * 126})
    assert 128 == base64.urlsafe_b64decode(raw.split(".")[0] + "==").count(b",")
    assert [0] * 126 == verify_token(raw, config).headers["x"]
    with pytest.raises(MintingError, match="headers have more than 128 commas; put less into them"):
        create_access_token("alice", config, headers={"x": [0] * 127})
    header = json.dumps({"alg": "HS256", "x": [0] * 129}).encode()
    with pytest.raises(MalformedTokenError) as caught:
        verify_token(sealed(header, b"{}"), config)
    assert "too many members in the header" == caught.value.evidence["reason"]


def test_without_a_type_claim_there_are_no_refresh_tokens(config: JWTConfig) -> None:
    """Without a type claim every token is an access token, so no refresh token is minted."""
    # S137
    untyped = config.replace(type_claim=None)
    assert "access" == verify_token(create_access_token("alice", untyped), untyped).type
    for create in (create_refresh_token, create_token_pair):
        with pytest.raises(MintingError, match="a refresh token needs a type_claim"):
            create("alice", untyped)  # type: ignore[operator]


# Keys -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create", [create_access_token, create_refresh_token, create_token_pair])
def test_without_a_signing_key_nothing_is_minted(create: Any, rsa_key: Key, clock: HeldClock) -> None:
    """A configuration that only verifies mints nothing, above all nothing unsigned."""
    # S145
    config = JWTConfig(verification_keys=[rsa_key.public()], clock=clock)
    with pytest.raises(SigningKeyMissingError, match="only verifies"):
        create("alice", config)


def test_required_claims_are_minted_or_refused(config: JWTConfig) -> None:
    """A required claim that the token would lack is refused by name, and one that it has is not."""
    # S60
    strict = config.replace(required_claims=["exp", "tenant"], user_claims_claim=None)
    with pytest.raises(MintingError, match="names 'tenant', which"):
        create_access_token("alice", strict)
    raw = create_access_token("alice", strict, user_claims={"tenant": "a"})
    assert "a" == verify_token(raw, strict).claims["tenant"]


# Pairs ----------------------------------------------------------------------------------------------------------------


def test_a_pair_is_two_tokens_for_one_identity(config: JWTConfig) -> None:
    """Both tokens of a pair have the identity, claims, scopes, roles and audience given, also from iterators."""
    pair = create_token_pair(
        "alice",
        config,
        user_claims={"team": 1},
        fresh=True,
        scope=iter(["read", "write"]),
        roles=iter(["admin"]),
        audience=iter(["api"]),
        headers={"x": 1},
    )
    assert (900, "read write", "Bearer") == (pair.expires_in, pair.scope, pair.token_type)
    reader = config.replace(audience="api")
    tokens: list[Token] = [
        verify_token(pair.access_token, reader),
        verify_token(pair.refresh_token, reader, type="refresh"),
    ]
    for token in tokens:
        assert ("alice", {"team": 1}) == (token.identity, token.user_claims)
        assert (frozenset({"read", "write"}), frozenset({"admin"})) == (token.scopes, token.roles)
        assert (("api",), 1) == (token.audience, token.headers["x"])
    assert [True, False] == [token.fresh for token in tokens]
    assert tokens[0].jti != tokens[1].jti


def test_a_pair_with_strings(config: JWTConfig) -> None:
    """One scope, role and audience as str are written as in a single token."""
    claims = claims_of(create_token_pair("alice", config, scope="a b", roles="admin", audience="api").access_token)
    assert ("a b", "admin", "api") == (claims["scope"], claims["roles"], claims["aud"])


def test_a_pair_says_when_it_expires(config: JWTConfig) -> None:
    """`expires_in` is the lifetime written into the access token; None where there is none."""
    assert 2 == create_token_pair("alice", config.replace(access_lifetime=1.6)).expires_in
    forever = config.replace(access_lifetime=None, refresh_lifetime=None, required_claims=())
    pair = create_token_pair("alice", forever)
    assert (None, None) == (pair.expires_in, pair.scope)


def test_a_retired_key_still_verifies(clock: HeldClock) -> None:
    """After a rotation the new key signs and the old one verifies; tokens name their key."""
    # S144
    old, new = Key.generate("ES256", kid="old"), Key.generate("ES256", kid="new")
    before = JWTConfig(signing_key=old, clock=clock)
    after = JWTConfig(signing_key=new, verification_keys=[old.public()], clock=clock)
    assert "old" == verify_token(create_access_token("alice", before), after).headers["kid"]
    assert "new" == verify_token(create_access_token("alice", after), after).headers["kid"]


def test_the_claim_of_a_client_is_readable_and_not_for_users(config: JWTConfig) -> None:
    """A token of a client is told from a user's by `client_id`, which no flat user claim can set."""
    # S58
    with pytest.raises(MintingError, match="client_id"):
        create_access_token("app", config.replace(user_claims_claim=None), user_claims={"client_id": "app"})
    assert "client_id" not in verify_token(create_access_token("app", config), config).claims
