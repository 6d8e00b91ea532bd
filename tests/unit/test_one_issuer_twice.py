"""Several configurations of one issuer: `alg` and `aud` choose one of them, and a token that fits two is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asgi_jwt_claims import AuthEvent, IssuerTemplate, JWTConfig, JWTMiddleware, Key, create_access_token
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    InvalidClaimError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    SettingError,
    TokenError,
    WrongAudienceError,
    WrongIssuerError,
)
from asgi_jwt_claims.introspection import Introspection
from asgi_jwt_claims.jwks import RemoteKeySet, TenantKeySets
from asgi_jwt_claims.keys import KeyRing
from asgi_jwt_claims.sessions import revoke_identity
from asgi_jwt_claims.stores import MemoryStore
from asgi_jwt_claims.tokens.issuers import MultiIssuerVerifier
from tests.conftest import NOW
from tests.forging import b64, sealed
from tests.raw_asgi import Recorder, ask, bearer
from tests.support import SECRET
from tests.unit.jwks.provider import URL, Provider
from tests.unit.test_issuers import verdict

pytestmark = pytest.mark.anyio

ISSUER = "https://a.example"
EC, RS = Key.generate("ES256", kid="k"), Key.generate("RS256", kid="k")


def config(**settings: Any) -> JWTConfig:
    return JWTConfig(**{"issuer": ISSUER, "audience": "api", "clock": lambda: NOW, **settings})


OLD = config(secret_key=SECRET)
NEW = config(signing_key=EC)


async def test_a_secret_and_keys_of_one_issuer() -> None:
    """During a migration from HS256 to ES256 the tokens of both are good, each by its own key alone."""  # S45
    public = config(jwks=RemoteKeySet(URL, fetch=Provider(EC)))
    for _ in range(3):
        for minted in (OLD, NEW):
            assert "alice" == (await verdict(create_access_token("alice", minted), OLD, public)).identity
    claims = json.dumps({"iss": ISSUER, "sub": "alice", "aud": "api", "exp": NOW + 60}).encode()
    confused = sealed(b'{"alg":"HS256"}', claims, json.dumps(EC.public_jwk()))
    assert InvalidSignatureError is type(await verdict(confused, OLD, public))
    assert InvalidSignatureError is type(
        await verdict(create_access_token("alice", config(signing_key=Key.generate("ES256", kid="k"))), OLD, public)
    )


async def test_one_key_is_tried_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of the other configuration are never used, be the signature good or bad."""
    tried: list[str] = []
    verify = Key.verify

    def note(key: Key, message: bytes, signature: bytes) -> bool:
        tried.append(key.algorithm)
        return verify(key, message, signature)

    monkeypatch.setattr(Key, "verify", note)
    raw = create_access_token("alice", NEW)
    await verdict(raw, OLD, NEW)
    await verdict(raw[:-8] + "AAAAAAAA", OLD, NEW)
    assert ["ES256", "ES256"] == tried


async def test_two_audiences_of_one_issuer() -> None:
    """Each audience has rules of its own; a token for both fits two configurations, and is refused."""
    admin = config(signing_key=EC, audience=["admin", "root"], max_lifetime=60)
    for _ in range(3):
        assert "alice" == (await verdict(create_access_token("alice", NEW), NEW, admin)).identity
    assert "invalid_claim" == (await verdict(create_access_token("alice", NEW, audience="admin"), NEW, admin)).code
    for audience in (["api", "admin"], ["other", "api", "root"]):
        refused = await verdict(create_access_token("alice", config(signing_key=EC, audience=audience)), NEW, admin)
        assert (InvalidTokenError, 401) == (type(refused), refused.status)
        assert "several configurations of its issuer fit" == refused.evidence["reason"]
    assert WrongAudienceError is type(
        await verdict(create_access_token("alice", config(signing_key=EC, audience="other")), NEW, admin)
    )
    assert WrongAudienceError is type(
        await verdict(create_access_token("alice", config(signing_key=EC, audience=None)), NEW, admin)
    )


async def test_an_audience_and_none() -> None:
    """A configuration without an audience gets the tokens that name none, and no others."""
    bare = config(signing_key=RS, audience=None, session_claim="session")
    also = config(signing_key=RS)
    assert "alice" == (await verdict(create_access_token("alice", bare), also, bare)).identity
    assert "alice" == (await verdict(create_access_token("alice", also), also, bare)).identity


async def test_an_empty_audience_is_none() -> None:
    """An empty `aud` counts as absent when a configuration is chosen, too; own tokens never have one."""  # S56
    fetch, demanded = Provider(EC), {"client_id": "c"}
    bare = JWTConfig.for_issuer(
        ISSUER, audience=None, jwks=RemoteKeySet(URL, fetch=fetch), clock=lambda: NOW, required_claims=demanded
    )
    named = JWTConfig.for_issuer(ISSUER, audience="api", jwks=RemoteKeySet(URL, fetch=fetch), clock=lambda: NOW)
    claims = {"iss": ISSUER, "sub": "alice", "iat": NOW, "exp": NOW + 60, "client_id": "c", "type": "access", "aud": []}
    header = b64(json.dumps({"alg": "ES256", "kid": "k"}).encode())
    signed = header + b"." + b64(json.dumps(claims).encode())
    raw = (signed + b"." + b64(EC.sign(signed))).decode()
    assert "alice" == (await verdict(raw, bare, named)).identity
    own = config(signing_key=EC, audience=None, required_claims=("exp",))
    assert InvalidClaimError is type(await verdict(raw, own, config(signing_key=EC)))
    assert WrongAudienceError is type(await verdict(raw, named, named.replace(audience="admin")))


@pytest.mark.parametrize(
    ("header", "claims", "error"),
    [
        ({"alg": "none"}, {}, AlgorithmRefusedError),
        ({"alg": "RS256"}, {}, AlgorithmRefusedError),
        ({"alg": "hs256"}, {}, AlgorithmRefusedError),
        ({"alg": None}, {}, AlgorithmRefusedError),
        ({"alg": ["HS256"]}, {}, AlgorithmRefusedError),
        ({}, {}, AlgorithmRefusedError),
        ([], {}, MalformedTokenError),
        ({"alg": "HS256", "x": [1] * 200}, {}, MalformedTokenError),
        ({"alg": "HS256"}, {"aud": "other"}, WrongAudienceError),
        ({"alg": "HS256"}, {"groups": [1] * 300}, MalformedTokenError),
        ({"alg": "HS256"}, {"iss": "https://b.example"}, WrongIssuerError),
        ({"alg": "HS256"}, {}, InvalidSignatureError),
    ],
    ids=str,
)
async def test_a_token_that_fits_none_is_refused(header: Any, claims: dict[str, Any], error: type[TokenError]) -> None:
    """What chooses is read strictly and in bounds; no token is refused in another way than with 401."""
    payload = {"iss": ISSUER, "sub": "alice", "aud": "api", "exp": NOW + 60, **claims}
    text = b64(json.dumps(header).encode()) + b"." + b64(json.dumps(payload).encode())
    refused = await verdict(text + b"." + b64(b"x" * 32), OLD, NEW)
    assert (error, 401) == (type(refused), refused.status)


def of_tenants(**options: Any) -> JWTConfig:
    template = IssuerTemplate("https://{tenant}.example", allow={"a", "b"})
    keys = RemoteKeySet(URL, fetch=Provider(EC), algorithms=["ES256"])
    return config(**{"issuer": template, "jwks": keys, **options})


async def test_a_template_among_several() -> None:
    """Tokens of other issuers than the listed ones are for the template that they fit; those that fit two are refused."""
    other = config(signing_key=EC, issuer="https://own.invalid")
    tenants = of_tenants()
    raw = create_access_token("alice", config(signing_key=EC, issuer="https://b.example"))
    for _ in range(3):
        assert "https://b.example" == (await verdict(raw, other, tenants)).issuer
    for foreign in ("https://c.example", "https://d.invalid"):
        forged = create_access_token("alice", config(signing_key=EC, issuer=foreign))
        assert WrongIssuerError is type(await verdict(forged, other, tenants))
    wider = of_tenants(issuer=IssuerTemplate("https://{host}/", allow={"b.example"}))
    assert "https://b.example" == (await verdict(raw, wider, tenants)).issuer
    same = of_tenants(issuer=IssuerTemplate("https://b.{tld}", allow={"example"}))
    assert InvalidTokenError is type(await verdict(raw, same, tenants))
    assert "https://a.example" == (await verdict(create_access_token("alice", OLD), OLD, tenants)).issuer
    assert "https://a.example" == (await verdict(create_access_token("alice", NEW), OLD, tenants)).issuer


@pytest.mark.parametrize(
    "pair",
    [
        lambda: (NEW, NEW),
        lambda: (NEW, config(signing_key=EC, leeway=5)),
        lambda: (config(signing_key=EC, audience=None), config(signing_key=EC, audience=None, leeway=5)),
        lambda: (NEW, config(jwks=RemoteKeySet(URL, fetch=Provider()))),
        lambda: (NEW, config(key_ring=KeyRing(RS, retain=14 * 86400 + 20))),
        lambda: (NEW, config(signing_key=EC, issuer=["https://b.example", ISSUER])),
        lambda: (NEW, of_tenants()),
        lambda: (of_tenants(), NEW),
        lambda: (NEW, of_tenants(jwks=TenantKeySets())),
        lambda: (config(jwks=RemoteKeySet(URL, fetch=Provider(), algorithms=["ES256", "RS256"])), NEW),
    ],
)
def test_what_cannot_be_told_apart_is_refused_when_built(pair: Any) -> None:
    """Two configurations of one issuer whose algorithms and audiences overlap are refused, and the message names it."""  # S150
    with pytest.raises(
        SettingError, match=r"two configurations have the issuer 'https://a\.example', and no algorithm"
    ):
        JWTMiddleware(Recorder(), pair())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://{a}.example", "https://{a}.example"),
        ("https://{a}.example", "https://{b}.example"),
        ("https://a.example/{a}/{b}", "https://a.example/{a}/x"),
        ("https://a.example/{a}/v2", "https://{a}/{b}/v2"),
    ],
)
def test_templates_of_the_same_issuers_are_refused_when_built(one: str, other: str) -> None:
    """Two templates of one text refuse each other's tokens, also with other tenants; so does one that includes the other."""  # S150
    several = [
        of_tenants(issuer=IssuerTemplate(text, allow=[("x",) * text.count("{")])) for text in (one, other, "u:{c}")
    ]
    for pair in (several[:2], several[1::-1]):
        with pytest.raises(SettingError, match=r"two configurations have the issuer 'https://.*\{[ab]\}"):
            JWTMiddleware(Recorder(), pair)
    JWTMiddleware(Recorder(), several[1:])
    JWTMiddleware(Recorder(), [several[0], several[1].replace(audience="another")])


async def test_listeners_get_the_events_of_their_issuers() -> None:
    """A listener hears of all names of its issuer and of the tenants of its template, and of no other issuer."""
    told: dict[str, list[str | None]] = {"names": [], "tenants": [], "old": [], "new": []}

    def listener(name: str) -> Any:
        def note(event: AuthEvent) -> None:
            told[name].append(event.issuer)

        return note

    names = ["https://n.invalid", "n.invalid"]
    template = IssuerTemplate("https://{tenant}.tenant.invalid", allow={"a", "b"})
    configs = [
        config(signing_key=EC, issuer=names, on_event=listener("names")),
        of_tenants(issuer=template, on_event=listener("tenants")),
        OLD.replace(on_event=listener("old")),
        NEW.replace(on_event=listener("new")),
    ]
    store = MemoryStore(clock=lambda: NOW)
    app = JWTMiddleware(Recorder(), configs, store=store)
    for name in (*names, "https://b.tenant.invalid", ISSUER):
        expired = create_access_token("alice", config(signing_key=EC, issuer=name, clock=lambda: NOW - 86400))
        assert 401 == (await ask(app, "/", bearer(expired))).status
    assert {"names": names, "tenants": ["https://b.tenant.invalid"], "old": [ISSUER], "new": [ISSUER]} == told
    assert 401 == (await ask(app)).status
    assert [None] * 4 == [issuers[-1] for issuers in told.values()]
    await revoke_identity("alice", configs[0], store, issuer=names[1])
    assert names[0] == told["names"][-1]


async def test_a_listener_hears_of_no_issuer_of_another_configuration() -> None:
    """The listener for opaque tokens gets the events of issuers that no other configuration has, and of its own."""
    told: list[str | None] = []
    asked = Introspection("https://b.example/introspect", client=("c", SECRET), post=Provider(EC))  # type: ignore[arg-type]  # never called
    for issuer, of_own in ((None, []), (ISSUER, [ISSUER])):
        opaque = JWTConfig.for_introspection(asked, issuer=issuer, on_event=lambda event: told.append(event.issuer))
        expired = create_access_token("alice", config(signing_key=EC, clock=lambda: NOW - 86400))
        told.clear()
        app = JWTMiddleware(Recorder(), [NEW, opaque])
        assert 401 == (await ask(app, "/", bearer(expired))).status
        assert of_own == told
        assert [opaque.on_event] == list(MultiIssuerVerifier([NEW, opaque]).on_event.of("https://b.example"))


def test_the_same_configurations_are_the_same_verifier() -> None:
    """The order makes no difference, neither to equality nor to the hash."""
    one, other = MultiIssuerVerifier([OLD, NEW]), MultiIssuerVerifier([NEW, OLD])
    assert (one, hash(one)) == (other, hash(other))
    assert one != MultiIssuerVerifier([OLD, of_tenants()])
