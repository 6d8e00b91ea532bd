"""Good tokens at the wrong adapter: of another type, issuer, audience, protocol or format than the one they are offered to."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.conftest import NOW
from tests.corpus.entries import Entry
from tests.corpus.issuers import BASE, EC, ISSUERS, LONG_SECRET, OTHER_KEYS, text
from tests.corpus.signers import ecdsa, hmac_sha
from tests.forging import b64
from tests.support import SECRET

__all__ = ["ENTRIES"]

HS, RS, ES, RING = (ISSUERS[name] for name in ("hs256", "rs256", "es256", "ring"))
STRICT, PROVIDER, LENIENT = (ISSUERS[name] for name in ("strict", "provider", "lenient"))
MALFORMED, ENCRYPTED, HEADER = "token_malformed", "token_encrypted", "invalid_header"
ALGORITHM, SIGNATURE, MISSING = "invalid_algorithm", "invalid_signature", "missing_claim"
TYPE, AUDIENCE, ISSUER = "invalid_token_type", "invalid_audience", "invalid_issuer"


def kinds() -> Iterator[Entry]:
    """AccessPolicy, refresh and whatever else an application names."""
    # S137
    for kind in ("refresh", "id", "AccessPolicy", "access ", "acces", "ACCESS", "api", "bearer", "access,refresh"):
        why = "It is not the type that is wanted."
        yield Entry(f"type: {kind!r}", "S137", HS.token({"type": kind}), TYPE, why, signed=True)
    for kind in ("access", "Refresh", "refresh ", "id"):
        raw = HS.token({"type": kind, "jti": f"wanted: refresh, {kind}"})
        why = "A refresh token is wanted."
        yield Entry(f"type: {kind!r} for refresh", "S137", raw, TYPE, why, type="refresh", signed=True)
    raw = HS.token({"type": "refresh", "jti": "fresh"}, without=("fresh",))
    yield Entry("refresh token as minted", "S137", raw, TYPE, "What is minted as refresh has no fresh.", signed=True)
    raw = LENIENT.token({"type": "refresh"})
    # Where tokens have no type, all are access tokens: what is asked for then is another claim, which the issuer sets.
    yield Entry(
        "access where types are not told, for refresh",
        "S137",
        raw,
        TYPE,
        "All of this issuer's tokens are access tokens.",
        "lenient",
        "refresh",
        signed=True,
    )
    # S43
    for typ in ("at+jwt", "application/at+jwt", "AT+JWT"):
        raw = HS.token({"type": "refresh"}, {"typ": typ})
        why = "The header says access, the claims say refresh."
        yield Entry(f"{typ} on a refresh token", "S43, S137", raw, TYPE, why, signed=True)
        raw = HS.token({"type": "refresh", "jti": "wanted: refresh"}, {"typ": typ})
        name = f"{typ} on a refresh token, for refresh"
        yield Entry(name, "S43, S137", raw, TYPE, why, type="refresh", signed=True)


CLIENT = {"iss": PROVIDER.claims["iss"], "iat": NOW, "exp": NOW + 300, "sub": "alice", "identity": "alice"}
ID_TOKEN = {
    "nonce": "n-0S6_WzA2Mj",
    "at_hash": "77QmUPtjPfzWtF2AnpK9RQ",
    "c_hash": "LDktKdoQak3Pk0cnXxCltA",
    "typ": "ID",
}
THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def protocols() -> Iterator[Entry]:
    """Other tokens of the same provider, signed with the same key, as their own standards write them."""
    # S43
    events = {"http://schemas.openid.net/event/backchannel-logout": {}}
    tokens: tuple[tuple[str, dict[str, Any], dict[str, Any], str], ...] = (
        ("id token", {}, {**CLIENT, "aud": "s6BhdRkqt3"}, AUDIENCE),
        ("id token with a nonce", {}, {**CLIENT, "aud": "s6BhdRkqt3", "nonce": "n-0S6_WzA2Mj"}, TYPE),
        ("logout token", {"typ": "logout+jwt"}, {**CLIENT, "aud": "s6BhdRkqt3", "events": events}, HEADER),
        (
            "logout token for us",
            {"typ": "logout+jwt"},
            {**CLIENT, "aud": "https://api.example", "events": events},
            HEADER,
        ),
        ("security event", {"typ": "secevent+jwt"}, {**CLIENT, "aud": "https://api.example", "events": events}, HEADER),
        ("client assertion", {}, {**CLIENT, "iss": "s6BhdRkqt3", "aud": "https://provider.example/token"}, ISSUER),
        ("request object", {"typ": "oauth-authz-req+jwt"}, {**CLIENT, "aud": "https://api.example"}, HEADER),
        ("introspection answer", {"typ": "token-introspection+jwt"}, {**CLIENT, "aud": "https://api.example"}, HEADER),
        ("status list", {"typ": "statuslist+jwt"}, {**CLIENT, "aud": "https://api.example", "ttl": 60}, HEADER),
        ("access token for another api", {"typ": "at+jwt"}, {**CLIENT, "aud": "https://other.example"}, AUDIENCE),
        ("access token for nobody", {"typ": "at+jwt"}, CLIENT, MISSING),
        (
            "access token of a client at another issuer",
            {},
            {**CLIENT, "iss": "https://b.example", "aud": "https://api.example"},
            ISSUER,
        ),
    )
    ours = {"aud": "https://api.example", "events": events}
    tokens += (
        ("logout token that does not say so", {}, {**CLIENT, **ours}, TYPE),
        ("logout token as an access token", {"typ": "at+jwt"}, {**CLIENT, **ours, "sid": "1"}, TYPE),
        ("security event without events", {}, {**CLIENT, **ours, "events": {}}, TYPE),
        ("security event: null", {}, {**CLIENT, **ours, "events": None}, TYPE),
        *(
            (f"id token for us: {name}", {}, {**CLIENT, "aud": "https://api.example", name: value}, TYPE)
            for name, value in ID_TOKEN.items()
        ),
    )
    for name, header, claims, code in tokens:
        raw = PROVIDER.seal(text({**PROVIDER.header, **header}), text(claims))
        why = "Made for something else by the same provider."
        items = "S43" if code in (HEADER, TYPE) else "S55, S56"
        yield Entry(name, items, raw, code, why, "provider", signed=code != HEADER)
    raw = LENIENT.token({"events": events})
    why = "Whoever has no claim for the type cannot tell an event otherwise."
    yield Entry("security event, to lenient", "S43", raw, TYPE, why, "lenient", signed=True)
    # S43, S39: a proof of possession
    numbers = EC.public_key().public_numbers()
    jwk = {name: b64(getattr(numbers, name).to_bytes(32, "big")).decode() for name in ("x", "y")}
    proof = {"jti": "proof", "htm": "GET", "htu": "http://testserver/", "iat": NOW}
    for typ in ("dpop+jwt", "JWT"):
        header = {"typ": typ, "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", **jwk}}
        raw = ES.seal(text(header), text(proof))
        yield Entry(f"proof with typ {typ}", "S43, S39", raw, HEADER, "It verifies with the key it brings.", "es256")
    # S65: RFC 9449 section 6.1, RFC 8705 section 3.1
    for name in ("jkt", "x5t#S256"):
        raw = PROVIDER.token({"cnf": {name: THUMBPRINT}}, {"typ": "at+jwt"})
        why = "Bound to a key, sent without a proof."
        yield Entry(f"bound by {name}", "S65", raw, "token_bound", why, "provider", signed=True)


def issuers() -> Iterator[Entry]:
    """Good tokens of one configuration, offered to another."""
    # S45
    rows = (
        ("strict's claims by another secret", STRICT.token(sign=OTHER_KEYS["hs256"]), SIGNATURE, "strict"),
        ("same kid of another issuer", RS.token({"jti": "b"}, sign=OTHER_KEYS["rs256"]), SIGNATURE, "rs256"),
        ("same kid, same curve, other issuer", ES.token({"jti": "b"}, sign=OTHER_KEYS["es256"]), SIGNATURE, "es256"),
        ("es256 to rs256", ES.token({"jti": "to rs256"}), "unknown_key", "rs256"),
        ("es256 to rs256, under its kid", ES.token(header={"kid": "rsa"}), ALGORITHM, "rs256"),
        ("rs256 to es256, under its kid", RS.token(header={"kid": "ec"}), ALGORITHM, "es256"),
        ("hs256 to rs256", HS.token({"jti": "to rs256"}), ALGORITHM, "rs256"),
        ("hs256 to rs256, under its kid", HS.token(header={"kid": "rsa"}), ALGORITHM, "rs256"),
        ("hs256 to es256", HS.token({"jti": "to es256"}), ALGORITHM, "es256"),
        ("hs256 to hs512", HS.token({"jti": "to hs512"}), ALGORITHM, "hs512"),
        ("hs512 to hs256", ISSUERS["hs512"].token({"jti": "to hs256"}), ALGORITHM, "hs256"),
        ("rs256 to ps256", RS.token({"jti": "to ps256"}), ALGORITHM, "ps256"),
        ("ps256 to rs256", ISSUERS["ps256"].token({"jti": "to rs256"}), ALGORITHM, "rs256"),
        ("eddsa to ed25519", ISSUERS["eddsa"].token({"jti": "to ed25519"}), ALGORITHM, "ed25519"),
        ("ed25519 to eddsa", ISSUERS["ed25519"].token({"jti": "to eddsa"}), ALGORITHM, "eddsa"),
        ("eddsa with Ed25519 to Ed448", ISSUERS["eddsa"].token({"jti": "to ed448"}), SIGNATURE, "eddsa-448"),
        ("eddsa with Ed448 to Ed25519", ISSUERS["eddsa-448"].token({"jti": "to eddsa"}), SIGNATURE, "eddsa"),
        ("ed448 to ed25519", ISSUERS["ed448"].token({"jti": "to ed25519"}), ALGORITHM, "ed25519"),
        ("es256 to eddsa, under its kid", ES.token(header={"kid": "ed"}), ALGORITHM, "eddsa"),
        ("hs512's secret with hs256", HS.token({"jti": "a"}, sign=hmac_sha(LONG_SECRET)), SIGNATURE, "hs256"),
        (
            "signed by the key before the last",
            RING.token(header={"kid": "schlüssel"}, sign=ecdsa(EC)),
            SIGNATURE,
            "ring",
        ),
    )
    for name, raw, code, issuer in rows:
        yield Entry(name, "S45, S31", raw, code, "Another issuer's key, or another's name for a key.", issuer)
    # S56, S55: the same secret, other parties
    rows = (
        ("strict to hs256", STRICT.token({"jti": "to hs256"}), AUDIENCE, "hs256"),
        ("hs256 to strict", HS.token({"jti": "to strict"}), MISSING, "strict"),
        ("hs256 to strict, with its issuer", HS.token({"iss": STRICT.claims["iss"], "email": "x"}), MISSING, "strict"),
        ("provider's issuer to strict", STRICT.token({"iss": PROVIDER.claims["iss"]}), ISSUER, "strict"),
        ("rs256 to provider", RS.token({"jti": "to provider"}), MISSING, "provider"),
    )
    for name, raw, code, issuer in rows:
        yield Entry(name, "S55, S56", raw, code, "The key is right, and it was meant for another.", issuer, signed=True)


def encrypted(header: dict[str, Any], plaintext: bytes) -> str:
    """A real JWE with direct encryption (RFC 7516 section 3.3), the secret being the key."""
    protected, nonce = b64(text(header)), bytes(12)
    sealed = AESGCM(SECRET.encode()).encrypt(nonce, plaintext, protected)
    return b".".join([protected, b"", b64(nonce), b64(sealed[:-16]), b64(sealed[-16:])]).decode()


def formats() -> Iterator[Entry]:
    """What is no JWS around good claims."""
    direct = {"alg": "dir", "enc": "A256GCM"}
    inner = HS.token({"jti": "inner"})
    unsigned = (b64(b'{"alg":"none"}') + b"." + b64(text(BASE)) + b".").decode()
    # S19
    jwe = encrypted(direct, text(BASE))
    for name, raw in (
        ("jwe", jwe),
        ("jwe around a token", encrypted({**direct, "cty": "JWT"}, inner.encode())),
        ("jwe around an unsigned token", encrypted({**direct, "cty": "JWT"}, unsigned.encode())),
        ("jwe, compressed", encrypted({**direct, "zip": "DEF"}, bytes(1000))),
        ("jwe with a wrapped key", jwe.replace("..", ".AAAA.")),
        ("jwe for many iterations", encrypted({"alg": "PBES2-HS256+A128KW", "p2c": 2**31, "p2s": "AA"}, b"")),
        ("jwe with alg none", encrypted({"alg": "none", "enc": "A256GCM"}, text(BASE))),
        ("jwe as jws", encrypted({"alg": "HS256"}, text(BASE))),
    ):
        yield Entry(name, "S19", raw, ENCRYPTED, "Five parts: an encrypted token.")
    parts = jwe.split(".")
    yield Entry("jwe cut to three parts", "S19, S31", ".".join([parts[0], *parts[3:]]), ALGORITHM, "The alg of a JWE.")
    # S44
    for name, payload in (("token", inner), ("jwe", jwe), ("unsigned token", unsigned)):
        raw = HS.seal(text({**HS.header, "cty": "JWT"}), payload.encode())
        yield Entry(f"{name} within a token", "S44", raw, HEADER, "A nested token.")
        raw = HS.seal(text(HS.header), payload.encode())
        yield Entry(f"{name} within, not announced", "S44, S26", raw, MALFORMED, "The payload is no JSON.", signed=True)
        raw = HS.seal(text(HS.header), text(payload))
        yield Entry(f"{name} as a JSON string", "S44, S26", raw, MALFORMED, "No object.", signed=True)
    # S18: selective disclosure and other neighbours
    disclosure = b64(text(["salt", "admin", True])).decode()
    yield Entry("token with a disclosure", "S18", f"{inner}~{disclosure}~", MALFORMED, "SD-JWT.")
    yield Entry(
        "token with a key binding", "S18, S19", f"{inner}~{disclosure}~{inner}", ENCRYPTED, "SD-JWT: four dots."
    )
    session = b64(b'{"_user_id":"alice"}') + b"." + b64((NOW).to_bytes(4, "big"))
    yield Entry("signed cookie", "S30", HS.over(session), ALGORITHM, "Three parts, the first of them JSON.")
    swapped = b64(text(BASE)) + b"." + b64(text(HS.header))
    yield Entry("claims in front", "S30", HS.over(swapped), ALGORITHM, "Header and payload exchanged.")
    both = b64(text({**HS.header, **BASE}))
    raw = HS.over(both + b"." + b64(text({"alg": "HS256"})))
    yield Entry("claims in the header", "S49, S57", raw, MISSING, "Claims are read from the payload.", signed=True)
    certificate = base64.b64encode(json.dumps(BASE).encode()).decode()
    yield Entry("claims in base64", "S18", certificate, MALFORMED, "No signature at all.")
    yield Entry(
        "claims in three parts of themselves", "S30", ".".join([b64(text(BASE)).decode()] * 3), ALGORITHM, "No header."
    )


ENTRIES = [*kinds(), *protocols(), *issuers(), *formats()]
