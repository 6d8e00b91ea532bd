"""`JWTConfig`: every setting changes something, nothing unusable is accepted, and text becomes settings."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from asgi_jwt_claims import (
    ConfigurationError,
    JWTConfig,
    JWTMiddleware,
    Key,
    KeySet,
    Token,
    TokenCookies,
    create_access_token,
    create_refresh_token,
    create_token_pair,
    set_token_cookies,
    verify_token,
    verify_token_async,
)
from asgi_jwt_claims.access import ScopeHierarchy, Scopes
from asgi_jwt_claims.config import MAX_LEEWAY
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    ExpiredTokenError,
    InvalidClaimError,
    KeyConfigurationError,
    MintingError,
    MissingClaimError,
    MissingScopeError,
    NotYetValidError,
    ReusedTokenError,
    SettingError,
    SigningKeyMissingError,
    TokenError,
    TokenTooLargeError,
    UnknownKeyError,
    WrongAudienceError,
    WrongIssuerError,
    WrongTypeError,
)
from asgi_jwt_claims.keys import KeyRing
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.sessions import rotate_refresh_token, start_session
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import NOW, HeldClock
from tests.forging import b64, forge
from tests.raw_asgi import bearer, finish, http_scope
from tests.support import SECRET, for_each
from tests.unit.introspection.server import AuthorizationServer, opaque

SECOND = "q7Lx2Vw9-Zt4Rk6Yp1Nc8Mb3Hs5Jd0_Fg"
LONG = "T8s-5Kq2Wz7Xc1Vb9Nm4Lp6Jh3Gf0Dd_Ya8Su5Io2Er7Tt1Qw9Ze4Rx6Cv3Bn0Ml"


def settings(**changes: Any) -> JWTConfig:
    return JWTConfig(**{"secret_key": SECRET, "clock": HeldClock(), **changes})


def token(config: JWTConfig, *, reader: JWTConfig | None = None, **arguments: Any) -> Token:
    return verify_token(create_access_token("alice", config, **arguments), reader or config)


def refused(raw: str, config: JWTConfig) -> type[TokenError]:
    with pytest.raises(TokenError) as error:
        verify_token(raw, config)
    return type(error.value)


def mints_and_verifies(config: JWTConfig) -> bool:
    return "alice" == token(config).identity


# Every setting does something -----------------------------------------------------------------------------------------


def secret_key_decides_what_verifies() -> None:
    raw = create_access_token("alice", settings(send_kid=False))
    assert "alice" == verify_token(raw, settings()).identity
    assert "InvalidSignatureError" == refused(raw, settings(secret_key=SECOND)).__name__


def algorithm_is_the_one_of_the_secret() -> None:
    assert "HS256" == token(settings(secret_key=LONG)).headers["alg"]
    assert "HS512" == token(settings(secret_key=LONG, algorithm="HS512")).headers["alg"]
    raw = create_access_token("alice", settings(secret_key=LONG, algorithm="HS384"))
    assert AlgorithmRefusedError is refused(raw, settings(secret_key=LONG))


def signing_key_signs() -> None:
    key = Key.generate("ES256")
    config = JWTConfig(signing_key=key, clock=HeldClock())
    assert ("ES256", key.kid) == (token(config).headers["alg"], token(config).headers["kid"])


def verification_keys_verify_too() -> None:
    old = create_access_token("alice", settings(secret_key=SECOND))
    assert UnknownKeyError is refused(old, settings())
    assert "alice" == verify_token(old, settings(verification_keys=[Key.from_secret(SECOND)])).identity


def key_ring_signs_and_verifies() -> None:
    first, second, clock = Key.generate("ES256"), Key.generate("ES256"), HeldClock()
    ring = KeyRing([(first, 0), (second, NOW + 60)], clock=clock)
    config = JWTConfig(key_ring=ring, clock=clock)
    before = create_access_token("alice", config)
    assert first.kid == verify_token(before, config).headers["kid"]
    clock.now += 60
    assert second.kid == token(config).headers["kid"]
    assert first.kid == verify_token(before, config).headers["kid"]


def introspection_verifies() -> None:
    server = AuthorizationServer(opaque={"sub": "alice"})
    config = opaque(server)
    assert "alice" == anyio.run(verify_token_async, "opaque", config).identity
    assert ["opaque"] == server.asked


def jwks_verifies() -> None:
    key, parties = Key.generate("ES256"), {"issuer": "https://a.example", "audience": "api", "clock": HeldClock()}
    raw = create_access_token("alice", JWTConfig(signing_key=key, **parties))
    assert "alice" == verify_token(raw, JWTConfig(jwks=KeyRing(key), **parties)).identity
    assert UnknownKeyError is refused(raw, JWTConfig(jwks=KeyRing(Key.generate("ES256")), **parties))


def issuer_is_minted_and_demanded() -> None:
    assert None is token(settings()).issuer
    assert "https://a.example" == token(settings(issuer="https://a.example")).issuer
    raw = create_access_token("alice", settings(issuer="https://a.example"))
    assert WrongIssuerError is refused(raw, settings(issuer="https://b.example"))
    assert MissingClaimError is refused(create_access_token("alice", settings()), settings(issuer="https://a.example"))


def audience_is_minted_and_demanded() -> None:
    assert () == token(settings()).audience
    assert ("api",) == token(settings(audience="api")).audience
    raw = create_access_token("alice", settings(audience="api"))
    assert WrongAudienceError is refused(raw, settings(audience="web"))
    assert WrongAudienceError is refused(raw, settings())
    assert ("api",) == verify_token(raw, settings(audience=["web", "api"])).audience


def access_lifetime_is_that_of_access_tokens() -> None:
    assert NOW + 900 == token(settings()).expires_at
    assert NOW + 60 == token(settings(access_lifetime=60)).expires_at
    never = settings(access_lifetime=None, refresh_lifetime=None, required_claims=())
    assert None is token(never).expires_at


def refresh_lifetime_is_that_of_refresh_tokens() -> None:
    def expiry(config: JWTConfig) -> float | None:
        return verify_token(create_refresh_token("alice", config), config, type="refresh").expires_at

    assert NOW + 14 * 86400 == expiry(settings())
    assert NOW + 3600 == expiry(settings(refresh_lifetime=timedelta(hours=1)))


def leeway_is_forgiven() -> None:
    raw = forge({"exp": NOW - 20})
    assert ExpiredTokenError is refused(raw, settings())
    assert "alice" == verify_token(raw, settings(leeway=21)).identity


def max_age_counts_from_iat() -> None:
    raw = forge({"iat": NOW - 100})
    assert "alice" == verify_token(raw, settings()).identity
    assert ExpiredTokenError is refused(raw, settings(max_age=60))


def max_lifetime_counts_from_iat_to_exp() -> None:
    raw = create_access_token("alice", settings())
    assert InvalidClaimError is refused(raw, settings(max_lifetime=899, access_lifetime=60))
    assert "alice" == verify_token(raw, settings(max_lifetime=900)).identity


def identity_claim_names_the_identity() -> None:
    config = settings(identity_claim="identity")
    assert {"id": 7} == verify_token(create_access_token({"id": 7}, config), config).identity
    assert MissingClaimError is refused(create_access_token("alice", settings()), config)


def user_claims_claim_names_the_user_claims() -> None:
    assert {"team": 1} == token(settings(), user_claims={"team": 1}).claims["user_claims"]
    assert {"team": 1} == token(settings(user_claims_claim="ctx"), user_claims={"team": 1}).claims["ctx"]
    flat = token(settings(user_claims_claim=None), user_claims={"team": 1})
    assert ({"team": 1}, 1) == (flat.user_claims, flat.claims["team"])


def type_claim_names_the_type() -> None:
    assert "access" == token(settings(type_claim="token_use")).claims["token_use"]
    assert MissingClaimError is refused(create_access_token("alice", settings()), settings(type_claim="token_use"))
    untyped = settings(type_claim=None)
    assert "type" not in token(untyped).claims
    assert "access" == verify_token(forge(without=("type",)), untyped).type


def accept_id_tokens_lets_id_tokens_pass() -> None:
    # S43
    untyped = settings(type_claim=None)
    raw = forge({"nonce": "n", "at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, without=("type",))
    assert WrongTypeError is refused(raw, untyped)
    assert "alice" == verify_token(raw, untyped.replace(accept_id_tokens=True)).identity


def roles_claim_names_the_roles() -> None:
    config = settings(roles_claim="groups")
    assert ["admin"] == token(config, roles=["admin"]).claims["groups"]
    assert frozenset() == verify_token(create_access_token("alice", settings(), roles="admin"), config).roles


def scope_claim_names_the_scopes() -> None:
    config = settings(scope_claim="scp")
    assert "read" == token(config, scope="read").claims["scp"]
    assert frozenset({"a", "b"}) == verify_token(forge({"scp": ["a", "b"]}), config).scopes
    assert frozenset() == verify_token(forge({"scp": ["a", "b"]}), settings()).scopes


def required_claims_are_required() -> None:
    # S60
    assert MissingClaimError is refused(forge(without=("jti",)), settings())
    assert None is verify_token(forge(without=("jti",)), settings(required_claims=["exp"])).jti
    assert MissingClaimError is refused(forge(), settings(required_claims=["exp", "tenant"]))
    with pytest.raises(MintingError, match="tenant"):
        create_access_token("alice", settings(required_claims=["tenant"]))


def send_kid_names_the_key() -> None:
    # S136
    assert Key.from_secret(SECRET).kid == token(settings()).headers["kid"]
    assert "kid" not in token(settings(send_kid=False)).headers


def max_token_size_caps_what_is_read_and_minted() -> None:
    raw = create_access_token("alice", settings())
    assert TokenTooLargeError is refused(raw, settings(max_token_size=len(raw) - 1))
    assert "alice" == verify_token(raw, settings(max_token_size=len(raw))).identity
    with pytest.raises(MintingError, match="may have 256"):
        create_access_token("alice", settings(max_token_size=256))


def clock_is_the_only_clock() -> None:
    # S147
    raw = create_access_token("alice", settings(clock=HeldClock(1000.9)))
    assert 1000 == verify_token(raw, settings(clock=lambda: 1000.0)).issued_at
    assert NotYetValidError is refused(raw, settings(clock=lambda: 500))
    assert ExpiredTokenError is refused(raw, settings(clock=lambda: 5000))


def signature_cache_size_bounds_what_is_remembered() -> None:
    for size in (0, 1, 3):
        config = JWTConfig(secret_key=SECRET, signature_cache_size=size)
        for raw in [create_access_token("alice", config) for _ in range(4)]:
            for _ in range(3):
                verify_token(raw, config)
        assert size == len(config._prepared.token_cache)


async def started(config: JWTConfig) -> Token:
    pair = await start_session("alice", config, MemoryStore(clock=config.clock))
    return verify_token(pair.refresh_token, config, type="refresh")


def session_lifetime_ends_refresh_tokens() -> None:
    brief = settings(session_lifetime=timedelta(days=1))
    assert NOW + 86400 == finish(started(brief)).expires_at < float(finish(started(settings())).expires_at)


def refresh_grace_is_how_long_an_answer_is_repeated() -> None:
    async def repeated(grace: float) -> bool:
        clock = HeldClock()
        config = settings(refresh_grace=grace, clock=clock)
        store = MemoryStore(clock=clock)
        pair = await start_session("alice", config, store)
        await rotate_refresh_token(pair.refresh_token, config, store)
        clock.now += 20
        try:
            return bool(await rotate_refresh_token(pair.refresh_token, config, store))
        except ReusedTokenError:
            return False

    assert (True, False, False) == (finish(repeated(30)), finish(repeated(10)), finish(repeated(0)))


def scope_hierarchy_says_what_scopes_imply() -> None:
    for hierarchy, expected in ((None, False), (ScopeHierarchy({"a": ["b"]}), True)):
        subject = verify_token(forge({"scope": "a"}), settings(scope_hierarchy=hierarchy))
        try:
            Scopes("b").check(subject)
        except MissingScopeError:
            assert not expected
        else:
            assert expected


def session_claim_names_the_session() -> None:
    named = finish(started(settings(session_claim="family")))
    assert (named.session_id, True) == (named.claims["family"], "sid" not in named.claims)
    assert None is verify_token(forge({"sid": "x"}), settings(session_claim=None)).session_id
    assert "x" == verify_token(forge({"sid": "x"}), settings()).session_id
    assert InvalidClaimError is refused(forge({"sid": 7}), settings())


def on_event_is_told() -> None:
    told: list[str] = []
    finish(started(settings(on_event=lambda event: told.append(event.name))))
    assert ["issued"] == told


def accepted_events_are_told() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    told: list[str] = []
    for is_on in (False, True):
        config = settings(on_event=lambda event: told.append(event.name), accepted_events=is_on)
        finish(JWTMiddleware(app, config)(http_scope("/", bearer(forge())), None, None))  # type: ignore[arg-type]
    assert ["accepted"] == told


def cookies_says_what_they_are_called() -> None:
    config = settings(cookies=TokenCookies(access_name="one", refresh_name="two", csrf_name="three"))
    headers: list[tuple[bytes, bytes]] = []
    set_token_cookies(headers, create_token_pair("alice", config), config)
    assert [b"one", b"two", b"three"] == [value.split(b"=")[0] for name, value in headers if name == b"set-cookie"]
    assert config.cookies == config.replace(leeway=0).cookies


EFFECTS: dict[str, Callable[[], None]] = {
    "secret_key": secret_key_decides_what_verifies,
    "algorithm": algorithm_is_the_one_of_the_secret,
    "signing_key": signing_key_signs,
    "verification_keys": verification_keys_verify_too,
    "key_ring": key_ring_signs_and_verifies,
    "jwks": jwks_verifies,
    "introspection": introspection_verifies,
    "issuer": issuer_is_minted_and_demanded,
    "audience": audience_is_minted_and_demanded,
    "access_lifetime": access_lifetime_is_that_of_access_tokens,
    "refresh_lifetime": refresh_lifetime_is_that_of_refresh_tokens,
    "session_lifetime": session_lifetime_ends_refresh_tokens,
    "refresh_grace": refresh_grace_is_how_long_an_answer_is_repeated,
    "scope_hierarchy": scope_hierarchy_says_what_scopes_imply,
    "session_claim": session_claim_names_the_session,
    "on_event": on_event_is_told,
    "accepted_events": accepted_events_are_told,
    "leeway": leeway_is_forgiven,
    "max_age": max_age_counts_from_iat,
    "max_lifetime": max_lifetime_counts_from_iat_to_exp,
    "identity_claim": identity_claim_names_the_identity,
    "user_claims_claim": user_claims_claim_names_the_user_claims,
    "type_claim": type_claim_names_the_type,
    "accept_id_tokens": accept_id_tokens_lets_id_tokens_pass,
    "roles_claim": roles_claim_names_the_roles,
    "scope_claim": scope_claim_names_the_scopes,
    "required_claims": required_claims_are_required,
    "send_kid": send_kid_names_the_key,
    "max_token_size": max_token_size_caps_what_is_read_and_minted,
    "signature_cache_size": signature_cache_size_bounds_what_is_remembered,
    "cookies": cookies_says_what_they_are_called,
    "clock": clock_is_the_only_clock,
}


@for_each("name", EFFECTS)
def test_a_setting_changes_what_is_minted_or_accepted(name: str) -> None:
    """Set otherwise, each setting makes another token or another verdict."""
    EFFECTS[name]()


def test_a_configuration_shows_its_settings_and_nothing_that_follows_from_them() -> None:
    """The fields of a configuration are its settings, and so are its public names but for what it can be asked."""
    settings = {name for name in JWTConfig.__dataclass_fields__ if name not in ("secret_key", "algorithm")}
    assert settings == {field.name for field in dataclasses.fields(JWTConfig)}
    methods = {
        "for_introspection",
        "for_issuer",
        "for_provider",
        "from_env",
        "from_mapping",
        "is_remote",
        "keys",
        "replace",
    }
    public = {name for name in dir(JWTConfig(secret_key=SECRET)) if not name.startswith("_")}
    assert settings | methods == public - {"secret_key", "algorithm"}


def test_a_copied_configuration_works() -> None:
    """A configuration cannot change, so its copy is itself."""
    config = settings()
    assert config is copy.copy(config)


def test_no_setting_does_nothing() -> None:
    """There is a test of its effect for every setting, and for nothing else."""
    assert set(EFFECTS) == set(JWTConfig.__dataclass_fields__)


# What cannot be used --------------------------------------------------------------------------------------------------

PRIVATE = Key.generate("ES256", kid="mine")


@for_each(
    ("changes", "match"),
    [
        # S150
        ({"secret_key": None}, "no key: set secret_key or signing_key .*make a secret with: python -c"),
        ({"secret_key": None, "verification_keys": []}, "no key: set secret_key"),
        ({"signing_key": PRIVATE}, "secret_key and signing_key are both set"),
        ({"secret_key": None, "signing_key": PRIVATE, "algorithm": "ES256"}, "algorithm goes with secret_key"),
        ({"secret_key": None, "signing_key": "pem"}, "signing_key must be a Key, not str; see Key.from_pem"),
        ({"secret_key": None, "signing_key": PRIVATE.public()}, "signing_key is a public key"),
        ({"on_event": 7}, "on_event must be a function"),
        ({"accepted_events": 1, "on_event": print}, "accepted_events must be True or False"),
        ({"cookies": {"access_name": "one"}}, r"cookies must be TokenCookies\(...\)"),
        ({"cookies": TokenCookies}, r"cookies must be TokenCookies\(...\)"),
        ({"cookies": None}, r"cookies must be TokenCookies\(...\)"),
        ({"refresh_grace": 61}, "refresh_grace must be at most 60 seconds"),
        ({"refresh_grace": -1}, "refresh_grace"),
        ({"session_lifetime": 0}, "session_lifetime"),
        ({"session_claim": ""}, "session_claim"),
        ({"session_claim": "sub"}, "sub"),
        ({"session_claim": "auth_time"}, "auth_time"),
        ({"secret_key": ""}, "0 bytes and needs at least 32"),  # S33
        ({"secret_key": "secret"}, "6 bytes and needs at least 32"),
        ({"secret_key": 7}, "a secret must be str or bytes"),
        ({"algorithm": "HS512"}, "has 32 bytes and needs at least 64"),
        ({"algorithm": "RS256"}, r"it can be HS256 .*load a private key: signing_key=Key\.from_pem\(text, 'RS256'\)"),
        ({"algorithm": "none"}, "algorithm 'none' does not go with this key"),  # S145
        ({"algorithm": ""}, "algorithm '' does not go with this key"),
        ({"verification_keys": "pem"}, "verification_keys must be a KeySet or a list"),
        ({"verification_keys": b"pem"}, "verification_keys must be a KeySet or a list"),
        ({"verification_keys": PRIVATE}, "verification_keys must be a KeySet or a list"),
        ({"verification_keys": 1}, "verification_keys must be a KeySet or a list"),
        ({"verification_keys": ["pem"]}, "a KeySet holds Key objects, not str"),
        ({"verification_keys": [PRIVATE.public()]}, "secrets and public keys do not mix"),  # S32
        ({"verification_keys": [Key.from_secret(SECRET)]}, "two keys have the kid"),
        (  # S35
            {"secret_key": None, "verification_keys": [PRIVATE]},
            r"holds the private key 'mine'; pass its public half: key\.public\(\)",
        ),
        ({"issuer": ""}, "issuer must be a non-empty str"),
        ({"issuer": ["a", 7]}, "issuer must be a non-empty str"),
        ({"issuer": []}, "issuer must be a non-empty str"),
        ({"issuer": 7}, "issuer must be a non-empty str"),
        ({"audience": ""}, "audience must be a non-empty str"),
        ({"audience": []}, "audience must be a non-empty str"),
        ({"audience": ["a", ""]}, "audience must be a non-empty str"),
        ({"audience": ["a", None]}, "audience must be a non-empty str"),
        ({"audience": b"api"}, "audience must be a non-empty str"),
        ({"audience": 0}, "audience must be a non-empty str"),
        ({"audience": 1}, "audience must be a non-empty str"),
        ({"access_lifetime": 0}, "access_lifetime must be more than zero"),
        ({"access_lifetime": timedelta(0)}, "access_lifetime must be more than zero"),
        ({"access_lifetime": -1}, "access_lifetime must be more than zero"),
        ({"access_lifetime": True}, "access_lifetime must be a timedelta or seconds, not bool"),
        ({"access_lifetime": "60"}, "access_lifetime must be a timedelta or seconds, not str"),
        ({"refresh_lifetime": 0}, "refresh_lifetime must be more than zero"),
        ({"access_lifetime": 61, "refresh_lifetime": 60}, "must not be longer than refresh_lifetime"),  # S142
        ({"access_lifetime": None, "required_claims": ()}, "must not be longer than refresh_lifetime"),
        ({"access_lifetime": None, "refresh_lifetime": None}, "lacks 'exp': take it out of required_claims"),
        ({"refresh_lifetime": None}, "lacks 'exp': take it out of required_claims"),
        ({"leeway": -1}, "leeway must be zero or more"),
        ({"leeway": 301}, "leeway must be at most 300 seconds"),  # S54
        ({"leeway": None}, "leeway must be a timedelta or seconds, not NoneType"),
        ({"leeway": float("nan")}, "leeway must be a number of seconds within reason"),
        ({"leeway": float("inf")}, "leeway must be a number of seconds within reason"),
        ({"max_age": 0}, "max_age must be more than zero"),
        ({"max_age": 10**400}, "max_age must be a number of seconds within reason"),
        ({"max_lifetime": timedelta(0)}, "max_lifetime must be more than zero"),
        ({"identity_claim": None}, "identity_claim must be a non-empty str"),
        ({"identity_claim": ""}, "identity_claim must be a non-empty str"),
        ({"user_claims_claim": ""}, "user_claims_claim must be a non-empty str or None"),
        ({"type_claim": 1}, "type_claim must be a non-empty str or None"),
        ({"roles_claim": None}, "roles_claim must be a non-empty str"),
        ({"scope_claim": None}, "scope_claim must be a non-empty str"),
        ({"roles_claim": "scope"}, "must be different names"),
        ({"user_claims_claim": "type"}, "must be different names"),
        ({"required_claims": "exp"}, "required_claims must be a list of claim names"),
        ({"required_claims": None}, "required_claims must be a list of claim names"),
        ({"required_claims": ["exp", ""]}, "required_claims must be a non-empty str, or a tuple of them"),
        ({"required_claims": ["exp", 1]}, "required_claims must be a non-empty str, or a tuple of them"),
        ({"send_kid": None}, "send_kid must be True or False"),
        ({"send_kid": 1}, "send_kid must be True or False"),
        ({"type_claim": None, "accept_id_tokens": 1}, "accept_id_tokens must be True or False"),
        ({"accept_id_tokens": None}, "accept_id_tokens must be True or False"),
        ({"accept_id_tokens": True}, "accept_id_tokens needs type_claim=None"),
        ({"max_token_size": 255}, "max_token_size must be an int from 256 to 65536"),
        ({"max_token_size": 65537}, "max_token_size must be an int from 256 to 65536"),
        ({"max_token_size": 1000.0}, "max_token_size must be an int"),
        ({"max_token_size": True}, "max_token_size must be an int"),
        ({"signature_cache_size": -1}, "signature_cache_size must be an int from 0 to 1000000"),
        ({"signature_cache_size": 1_000_001}, "signature_cache_size must be an int from 0 to 1000000"),
        ({"signature_cache_size": None}, "signature_cache_size must be an int"),
        ({"signature_cache_size": True}, "signature_cache_size must be an int"),
        ({"clock": NOW}, "clock must be a function"),
        ({"clock": lambda: "now"}, "clock must be a function"),
        ({"clock": lambda: True}, "clock must be a function"),
        ({"clock": lambda: timedelta(1)}, "clock must be a function"),
    ],
)
def test_what_cannot_be_used_is_refused_when_built(changes: dict[str, Any], match: str) -> None:
    """A configuration that could not do what it says is not built, and the message says what to write instead."""
    with pytest.raises(ConfigurationError, match=match):
        settings(**changes)


@for_each("claim", ["iss", "aud", "exp", "nbf", "iat", "jti", "fresh", "cnf"])
@for_each("name", ["identity_claim", "user_claims_claim", "type_claim", "roles_claim", "scope_claim"])
def test_no_claim_has_two_meanings(name: str, claim: str) -> None:
    """A claim with a meaning of its own cannot be given another."""
    with pytest.raises(SettingError, match="must be different names, and none of"):
        settings(**{name: claim})


@pytest.mark.parametrize("name", ["user_claims_claim", "type_claim", "roles_claim", "scope_claim"])
def test_sub_can_only_be_the_identity(name: str) -> None:
    """`sub` is read as a string always, so nothing else can be put there."""
    with pytest.raises(SettingError, match="only identity_claim may be sub"):
        settings(identity_claim="identity", **{name: "sub"})


def test_a_configuration_is_frozen() -> None:
    """No setting can be changed later, and none added."""
    config = settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.issuer = "https://a.example"  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        config.other = 1  # type: ignore[attr-defined]


def test_settings_are_keywords() -> None:
    """A positional argument is refused: a secret is never mistaken for something else."""
    with pytest.raises(TypeError):
        JWTConfig(SECRET)  # type: ignore[misc]


def test_the_repr_shows_no_secret() -> None:
    """Neither the secret nor its encodings stand in the repr."""
    # S149
    assert SECRET not in repr(settings())
    assert "signing_key=<Key HS256" in repr(settings())


def test_two_configurations_share_nothing() -> None:
    """What one mints the other refuses, in both directions."""
    one, other = settings(), settings(secret_key=SECOND)
    assert UnknownKeyError is refused(create_access_token("alice", one), other)
    assert UnknownKeyError is refused(create_access_token("alice", other), one)


def test_the_defaults_are_those_documented() -> None:
    """Lifetimes, leeway and size are what the documentation says."""
    config = JWTConfig(secret_key=SECRET)
    expected = (timedelta(minutes=15), timedelta(days=14), timedelta(seconds=10), 8192)
    assert expected == (config.access_lifetime, config.refresh_lifetime, config.leeway, config.max_token_size)
    assert timedelta(seconds=300) == MAX_LEEWAY
    assert ("exp", "iat", "jti", "sub", "type") == config._prepared.required


def test_both_lifetimes_may_be_the_same() -> None:
    """An access token may live exactly as long as a refresh token."""
    # S142
    assert timedelta(hours=1) == settings(access_lifetime=3600, refresh_lifetime=3600).refresh_lifetime


# S54
def test_the_cap_of_the_leeway_is_usable() -> None:
    """Exactly 300 seconds, and none at all, are acceptable."""
    assert 300 == settings(leeway=300)._prepared.leeway_seconds
    assert 0 == settings(leeway=0)._prepared.leeway_seconds


def test_durations_are_kept_as_timedelta() -> None:
    """Seconds and timedelta mean the same."""
    config = settings(access_lifetime=60, refresh_lifetime=1.5e3, max_age=timedelta(hours=1), max_lifetime=7200)
    assert (timedelta(minutes=1), timedelta(minutes=25)) == (config.access_lifetime, config.refresh_lifetime)
    assert (3600, 7200) == (config._prepared.max_age_seconds, config._prepared.max_lifetime_seconds)
    assert timedelta(seconds=0) == as_duration(0, "it", zero=True)


@pytest.mark.parametrize("given", ["api", ["api"], ("api",), {"api"}, iter(["api"])])
def test_an_audience_is_kept_whatever_holds_it(given: Any) -> None:
    """Any collection of names is an audience, and is read once."""
    config = settings(audience=given)
    assert frozenset({"api"}) == config._prepared.audiences
    assert ("api",) == token(config).audience


def test_required_claims_and_keys_may_be_iterators() -> None:
    """What can be read only once is kept."""
    config = settings(required_claims=iter(["exp"]), verification_keys=iter([Key.from_secret(SECOND)]))
    assert ("exp",) == config.required_claims
    assert 2 == len(config.keys)
    assert mints_and_verifies(config)


def test_a_set_of_keys_verifies() -> None:
    """A KeySet alone makes a configuration that verifies and cannot mint."""
    config = JWTConfig(verification_keys=KeySet([PRIVATE.public()]), clock=HeldClock())
    raw = create_access_token("alice", JWTConfig(signing_key=PRIVATE, clock=HeldClock()))
    assert "alice" == verify_token(raw, config).identity
    with pytest.raises(SigningKeyMissingError, match="only verifies"):
        create_access_token("alice", config)


def test_the_signing_key_may_stand_among_the_verification_keys() -> None:
    """The signing key itself in the list is the same key, not a second one."""
    config = JWTConfig(signing_key=PRIVATE, verification_keys=[PRIVATE], clock=HeldClock())
    assert [PRIVATE] == list(config.keys)
    assert mints_and_verifies(config)


# replace --------------------------------------------------------------------------------------------------------------


def test_replace_changes_what_it_names_and_keeps_the_rest() -> None:
    """A copy has the changed settings and all others, and the original has neither changed."""
    config = settings(issuer="https://a.example", audience=["a", "b"], leeway=5, required_claims=["exp"])
    changed = config.replace(issuer="https://b.example", access_lifetime=30)
    assert ("https://b.example", timedelta(seconds=30)) == (changed.issuer, changed.access_lifetime)
    assert (("a", "b"), 5, ("exp",)) == (changed.audience, changed._prepared.leeway_seconds, changed.required_claims)
    assert ("https://a.example", timedelta(minutes=15)) == (config.issuer, config.access_lifetime)
    assert config.signing_key is changed.signing_key


def test_replace_rotates_the_secret() -> None:
    """A new secret takes the place of the old one, which can stay to verify."""
    # S144
    config = settings()
    old = create_access_token("alice", config)
    rotated = config.replace(secret_key=SECOND, verification_keys=[config.signing_key])
    assert "alice" == verify_token(old, rotated).identity
    assert Key.from_secret(SECOND).kid == token(rotated).headers["kid"]
    assert UnknownKeyError is refused(old, config.replace(secret_key=SECOND))
    assert "HS512" == token(config.replace(secret_key=LONG, algorithm="HS512")).headers["alg"]


def test_replace_takes_another_signing_key() -> None:
    """A signing key replaces a secret."""
    assert "ES256" == token(settings().replace(signing_key=PRIVATE)).headers["alg"]
    verifying = settings().replace(signing_key=None, verification_keys=[PRIVATE.public()])
    assert None is verifying.signing_key
    assert SECRET not in repr(verifying.replace(secret_key=SECRET, verification_keys=[]))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"leeway": 301}, "at most 300"),
        ({"secret_key": "short"}, "needs at least 32"),
        ({"secret_key": SECOND, "signing_key": PRIVATE}, "both set"),
        ({"algorithm": "HS512"}, "algorithm goes with secret_key"),
    ],
)
def test_replace_checks_like_any_other(changes: dict[str, Any], match: str) -> None:
    """A change that cannot be used is refused."""
    with pytest.raises(ConfigurationError, match=match):
        settings().replace(**changes)


@pytest.mark.parametrize("name", ["isuer", "keys", "leeway_seconds"])
def test_replace_knows_only_settings(name: str) -> None:
    """A name that is no setting is refused."""
    with pytest.raises(TypeError, match=name):
        settings().replace(**{name: 1})


# Text ------------------------------------------------------------------------------------------------------------------


def pem(key: Key, *, private: bool) -> str:
    loaded: Any = key._loaded
    if private:
        form = serialization.PrivateFormat.PKCS8
        text: bytes = loaded.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    else:
        text = loaded.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    return text.decode()


def test_id_tokens_are_accepted_by_the_environment() -> None:
    """The setting for issuers that have nothing but ID tokens is text like the others."""
    environ = {"JWT_SECRET_KEY": SECRET, "JWT_TYPE_CLAIM": "none", "JWT_ACCEPT_ID_TOKENS": "True"}
    assert True is JWTConfig.from_env(environ=environ).accept_id_tokens
    with pytest.raises(SettingError, match="JWT_ACCEPT_ID_TOKENS must be true or false"):
        JWTConfig.from_env(environ={**environ, "JWT_ACCEPT_ID_TOKENS": "yes"})


@for_each(
    ("name", "text", "value"),
    [
        ("issuer", "https://a.example", "https://a.example"),
        ("audience", "api", ("api",)),
        ("audience", "api, web", ("api", "web")),
        ("access_lifetime", "60", timedelta(minutes=1)),
        ("access_lifetime", "1.5", timedelta(seconds=1.5)),
        ("refresh_lifetime", "86400", timedelta(days=1)),
        ("leeway", "0", timedelta(0)),
        ("max_age", "3600", timedelta(hours=1)),
        ("max_lifetime", "7200", timedelta(hours=2)),
        ("identity_claim", "identity", "identity"),
        ("user_claims_claim", "ctx", "ctx"),
        ("user_claims_claim", "None", None),
        ("type_claim", "none", None),
        ("type_claim", "token_use", "token_use"),
        ("roles_claim", "role", "role"),
        ("scope_claim", "scp", "scp"),
        ("required_claims", "exp,tenant", ("exp", "tenant")),
        ("send_kid", "false", False),
        ("accepted_events", "false", False),
        ("send_kid", "TRUE", True),
        ("accept_id_tokens", "false", False),
        ("max_token_size", "1024", 1024),
        ("signature_cache_size", "0", 0),
    ],
)
def test_text_becomes_a_setting(name: str, text: str, value: Any) -> None:
    """In the environment each setting is text, and means what it would mean as a value."""
    environ = {"JWT_SECRET_KEY": SECRET, f"JWT_{name.upper()}": text, "PATH": "/bin"}
    assert value == getattr(JWTConfig.from_env(environ=environ), name)


def test_text_makes_tokens_that_never_expire() -> None:
    """`none` for the lifetimes is understood."""
    environ = {
        "JWT_SECRET_KEY": SECRET,
        "JWT_ACCESS_LIFETIME": "None",
        "JWT_REFRESH_LIFETIME": "none",
        "JWT_REQUIRED_CLAIMS": "iat",
    }
    config = JWTConfig.from_env(environ=environ)
    assert (None, None) == (config.access_lifetime, config.refresh_lifetime)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping the environment of the process is read, under the prefix asked for."""
    monkeypatch.setenv("SHOP_SECRET_KEY", SECRET)
    monkeypatch.setenv("SHOP_ISSUER", "https://shop.example")
    assert "https://shop.example" == JWTConfig.from_env("SHOP_").issuer


def test_an_algorithm_in_text_is_that_of_the_secret() -> None:
    """`JWT_ALGORITHM` goes with the secret where there is one."""
    config = JWTConfig.from_mapping({"JWT_SECRET_KEY": LONG, "JWT_ALGORITHM": "HS512"})
    assert "HS512" == next(iter(config.keys)).algorithm


@pytest.mark.parametrize("form", ["pem", "jwk", "mapping", "bytes", "key"])
def test_a_signing_key_is_text_too(form: str, rsa_key: Key) -> None:
    """A signing key is PEM, a JWK or a Key, and `JWT_ALGORITHM` then says what it is bound to."""
    numbers = rsa_key._loaded.private_numbers()  # type: ignore[union-attr]
    d = numbers.d.to_bytes(256)
    text = pem(rsa_key, private=True)
    unbound = {name: value for name, value in rsa_key.public_jwk().items() if name in ("kty", "n", "e")}
    jwk = {**unbound, "d": text_of(d)}
    value = {"pem": text, "jwk": "\n" + json.dumps(jwk), "mapping": jwk, "bytes": text.encode(), "key": rsa_key}[form]
    config = JWTConfig.from_mapping({"JWT_SIGNING_KEY": value, "JWT_ALGORITHM": "RS512"})
    assert config.signing_key is not None
    assert ("RS256" if form == "key" else "RS512") == config.signing_key.algorithm
    assert rsa_key.kid == config.signing_key.kid


def text_of(data: bytes) -> str:
    return b64(data).decode()


def test_a_signing_key_in_json_bytes_is_a_jwk() -> None:
    """JSON is told from PEM in bytes as in text."""
    made = ec.generate_private_key(ec.SECP256R1())
    private = made.private_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": text_of(private.public_numbers.x.to_bytes(32)),
        "y": text_of(private.public_numbers.y.to_bytes(32)),
        "d": text_of(private.private_value.to_bytes(32)),
    }
    config = JWTConfig.from_mapping({"JWT_SIGNING_KEY": json.dumps(jwk).encode()})
    assert config.signing_key is not None
    assert "ES256" == config.signing_key.algorithm


PUBLIC = PRIVATE.public()
JWK = {**PUBLIC.public_jwk()}


@pytest.mark.parametrize(
    "value",
    [
        pem(PRIVATE, private=False),
        pem(PRIVATE, private=False).encode(),
        JWK,
        json.dumps(JWK),
        {"keys": [JWK]},
        json.dumps({"keys": [JWK]}),
        json.dumps({"keys": [JWK]}).encode(),
        KeySet([PUBLIC]),
        [PUBLIC],
        [pem(PRIVATE, private=False)],
        (JWK,),
        iter([json.dumps(JWK)]),
    ],
    ids=range(12),
)
def test_verification_keys_are_text_too(value: Any) -> None:
    """Verification keys are PEM, a JWK, a JWK Set, a KeySet, or a collection of keys."""
    config = JWTConfig.from_mapping({"JWT_VERIFICATION_KEYS": value})
    assert [PUBLIC.public_jwk() | {"kid": key.kid} for key in config.keys] == [key.public_jwk() for key in config.keys]


def test_remote_keys_are_text_too() -> None:
    """`JWT_JWKS` is the address of the keys, or says that the issuer is to be asked for it; nothing is asked yet."""
    parties = {"JWT_ISSUER": "https://a.example", "JWT_AUDIENCE": "api"}
    for text, where in (("https://a.example/jwks", "https://a.example/jwks"), ("discover", "https://a.example")):
        config = JWTConfig.from_mapping({"JWT_JWKS": text, **parties})
        assert f"<RemoteKeySet {where} new, 0 keys>" == repr(config.jwks)
    assert config.jwks is config.replace(leeway=0).jwks


def test_the_configuration_of_a_provider_can_be_changed() -> None:
    """`for_issuer` sets what the tokens of providers have in common, and any of it can be set otherwise."""
    config = JWTConfig.for_issuer("https://a.example", audience="api")
    assert (None, None, ("exp", "iat")) == (config.type_claim, config.user_claims_claim, config.required_claims)
    assert "<RemoteKeySet https://a.example new, 0 keys>" == repr(config.jwks)
    other = JWTConfig.for_issuer("https://a.example", audience="api", type_claim="typ", scope_claim="scp")
    assert ("typ", "scp") == (other.type_claim, other.scope_claim)
    with pytest.raises(SigningKeyMissingError):
        create_access_token("alice", config)


@for_each(
    ("mapping", "match"),
    [
        # S150
        ({"JWT_JWKS": "discover"}, "give either the url of a JWK Set, or the issuer"),
        ({"JWT_JWKS": "jwks.json", "JWT_ISSUER": "a", "JWT_AUDIENCE": "b"}, "the url is not a URL that begins with"),
        ({"JWT_SECRET_KEY": None, "JWT_KEY_RING": "ring"}, "key_ring must be a KeyRing, not str"),
        ({"JWT_ISUER": "x"}, r"^JWT_ISUER is not a setting; did you mean JWT_ISSUER\?$"),
        ({"JWT_zzz": "x"}, "^JWT_zzz is not a setting$"),
        ({"JWT_issuer": "x"}, r"^JWT_issuer is not a setting; did you mean JWT_ISSUER\?$"),
        ({"JWT_": "x"}, "^JWT_ is not a setting$"),
        ({"JWT_KEYS": "x"}, "^JWT_KEYS is not a setting"),
        ({"JWT_LEEWAY": "soon"}, "^JWT_LEEWAY must be a number, not 'soon'$"),
        ({"JWT_LEEWAY": "nan"}, "leeway must be a number of seconds within reason"),
        ({"JWT_LEEWAY": "none"}, "^JWT_LEEWAY must be a number, not 'none'$"),
        ({"JWT_MAX_TOKEN_SIZE": "8k"}, "^JWT_MAX_TOKEN_SIZE must be a number, not '8k'$"),
        ({"JWT_MAX_TOKEN_SIZE": "1e3"}, "^JWT_MAX_TOKEN_SIZE must be a number"),
        ({"JWT_SEND_KID": "yes"}, "^JWT_SEND_KID must be true or false, not 'yes'$"),
        ({"JWT_ACCESS_LIFETIME": "0"}, "access_lifetime must be more than zero"),
        ({"JWT_AUDIENCE": ""}, "audience must be a non-empty str"),
        ({"JWT_AUDIENCE": "a,,b"}, "audience must be a non-empty str"),
        ({"JWT_ISSUER": ""}, "issuer must be a non-empty str"),
        ({"JWT_SECRET_KEY": ""}, "0 bytes and needs at least 32"),
        ({"JWT_SECRET_KEY": None, "JWT_SIGNING_KEY": "x"}, "not PEM that can be read"),
        ({"JWT_SECRET_KEY": None, "JWT_SIGNING_KEY": 7}, "a key must be a Key, PEM text or a JWK, not int"),
        ({"JWT_SECRET_KEY": None, "JWT_VERIFICATION_KEYS": "x"}, "not PEM that can be read"),
        ({"JWT_SECRET_KEY": None, "JWT_VERIFICATION_KEYS": "[" * 100_000}, "not PEM that can be read"),
        ({"JWT_SECRET_KEY": None, "JWT_VERIFICATION_KEYS": "7"}, "a key must be a Key, PEM text or a JWK, not int"),
        ({"JWT_SECRET_KEY": None, "JWT_VERIFICATION_KEYS": 7}, "verification_keys must be a KeySet or a list"),
        ({"JWT_SECRET_KEY": None, "JWT_VERIFICATION_KEYS": [7]}, "a key must be a Key, PEM text or a JWK, not int"),
        ({"JWT_SECRET_KEY": None, "JWT_ALGORITHM": "RS256"}, "no key: set JWT_SECRET_KEY"),
        (
            {"JWT_SECRET_KEY": None},
            r"no key: set JWT_SECRET_KEY, .*JWT_JWKS; make a secret with: python -c .import secrets",
        ),
    ],
)
def test_text_that_cannot_be_used_is_refused(mapping: dict[str, Any], match: str) -> None:
    """A misspelt setting, text that cannot be converted, or an unusable value is refused by its name."""
    with pytest.raises(ConfigurationError, match=match):
        JWTConfig.from_mapping({"JWT_SECRET_KEY": SECRET, **mapping})


def test_what_is_not_ours_is_left_alone() -> None:
    """Names without the prefix, and names that are no text, are passed over."""
    mapping = {"SECRET_KEY": 1, 7: "x", "jwt_issuer": "x", "JWT_SECRET_KEY": SECRET}
    assert None is JWTConfig.from_mapping(mapping).issuer  # type: ignore[arg-type]


def test_values_that_are_no_text_are_taken_as_they_are() -> None:
    """A mapping may hold settings already converted, a clock among them."""
    mapping = {"JWT_SECRET_KEY": SECRET, "JWT_LEEWAY": timedelta(0), "JWT_SEND_KID": False, "JWT_CLOCK": HeldClock()}
    config = JWTConfig.from_mapping(mapping)
    assert (0, False, NOW) == (config._prepared.leeway_seconds, config.send_kid, config.clock())


def test_a_key_error_is_a_configuration_error() -> None:
    """Whatever is wrong with a key in text is an error of the application."""
    with pytest.raises(KeyConfigurationError):
        JWTConfig.from_env(environ={"JWT_VERIFICATION_KEYS": '{"keys":[]}'})
