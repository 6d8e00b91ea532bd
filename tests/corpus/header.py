"""Headers: correctly signed by the key that the token is verified with, unless the entry says otherwise."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

from tests.corpus.entries import Entry
from tests.corpus.issuers import BASE, ISSUERS, LONG_KID, OTHER_KEYS, RSA, text
from tests.corpus.signers import hmac_sha, spki
from tests.forging import b64

__all__ = ["ENTRIES"]

HS, RING = ISSUERS["hs256"], ISSUERS["ring"]
PAYLOAD = text(BASE)
INVALID, ALGORITHM, UNKNOWN, SIGNATURE = "invalid_header", "invalid_algorithm", "unknown_key", "invalid_signature"
MALLORY = OTHER_KEYS["hs256"]


def key_names() -> Iterator[Entry]:
    """`kid`, and the keys that it names."""
    # S37
    kids: dict[str, Any] = {
        "empty": "",
        "too long": "k" * 257,
        "a number": 1,
        "null": None,
        "an array": ["rsa"],
        "an object": {},
        "true": True,
        "a line feed": "old\n",
        "a zero byte": "old\x00",
        "an escape sequence": "\x1b[2J",
        "a bidirectional override": "\u202edlo",
        "a private character": "\ue000",
    }
    for name, kid in kids.items():
        why = "Not a printable string of 1 to 256 characters."
        yield Entry(f"kid: {name}", "S37", RING.token(header={"kid": kid}), INVALID, why, "ring")
    strangers = {
        "a path": "../../../../dev/null",
        "a query": "' OR '1'='1",
        "a command": "|cat /etc/passwd",
        "an address": "https://mallory.example/key",
        "a file": "file:///dev/null",
        "another case": "OLD",
        "a space behind": "old ",
        "other code points": "schlu\u0308ssel",
        "longest, other end": LONG_KID[:-1] + "x",
        "an object's attribute": "__class__",
    }
    for name, kid in strangers.items():
        yield Entry(f"kid: {name}", "S37, S38", RING.token(header={"kid": kid}), UNKNOWN, "No name of a key.", "ring")
    for secret in ("", "\n", "mallory"):
        raw = HS.token(header={"kid": "/dev/null"}, sign=hmac_sha(secret))
        yield Entry(f"kid of a file that holds {secret!r}", "S37, S33", raw, UNKNOWN, "A file's content as secret.")
    # S38, S45
    without = json.dumps({"alg": "ES256", "typ": "JWT"}).encode()
    ring = (
        ("no kid, several keys", RING.seal(without, PAYLOAD), UNKNOWN, "Three keys could be meant; none is tried."),
        ("kid of another key", RING.token(header={"kid": "schlüssel"}), SIGNATURE, "The key that fits is not named."),
        ("kid of a key for another alg", RING.token(header={"kid": "rsa"}), ALGORITHM, "The key is for RS256."),
        ("unknown kid, good signature", RING.token(header={"kid": "new"}), UNKNOWN, "No other key is tried."),
    )
    for name, raw, code, why in ring:
        yield Entry(name, "S38, S45", raw, code, why, "ring")
    yield Entry("kid where keys have other names", "S38", HS.token(header={"kid": "1"}), UNKNOWN, "Not its name.")


def refused() -> Iterator[Entry]:
    """What no header may say."""
    jwk = {"kty": "oct", "k": b64(b"mallory's very own secret, 32 bytes and more").decode()}
    # S39
    keys: dict[str, Any] = {
        "jwk": jwk,
        "jku": "https://mallory.example/jwks.json",
        "x5u": "https://mallory.example/certificate.pem",
        "x5c": [base64.b64encode(spki(RSA)).decode()],
    }
    for name, value in keys.items():
        raw, code = HS.token(header={name: value}, sign=MALLORY), INVALID if name == "jwk" else SIGNATURE
        yield Entry(f"{name} of the forger", "S39", raw, code, "A key that comes with the token proves nothing.")
    raw = HS.token(header={"jwk": jwk})
    yield Entry("jwk beside a good signature", "S39", raw, INVALID, "It is refused, not just ignored.")
    yield Entry("jwk: null", "S39", HS.token(header={"jwk": None}), INVALID, "Null is there all the same.")
    # S40
    for number, crit in enumerate(
        (["exp"], ["b64"], ["x"], ["alg"], [], ["x", "x"], ["y"], [1], "exp", {}, None, True, 0)
    ):
        raw = HS.token(header={"crit": crit, "x": 1})
        yield Entry(f"crit {number}: {json.dumps(crit)}", "S40", raw, INVALID, "No extension is understood.")
    # S41
    for value in (True, False, None):
        yield Entry(f"b64: {value}", "S41", HS.token(header={"b64": value}), INVALID, "RFC 7797 is not supported.")
    raw = HS.over(b64(text({"alg": "HS256", "b64": False, "crit": ["b64"]})) + b".payload-as-it-is")
    yield Entry("payload without encoding", "S41, S40", raw, INVALID, "RFC 7797, honestly used.")
    # S42
    bomb = zlib.compress(b"0" * 1_000_000, wbits=-15)
    yield Entry("zip: DEF", "S42", HS.seal(text({**HS.header, "zip": "DEF"}), bomb), INVALID, "Nothing is inflated.")
    for zipped in ("", "GZ", None):
        yield Entry(f"zip: {zipped!r}", "S42", HS.token(header={"zip": zipped}), INVALID, "No JWS is compressed.")
    raw = HS.seal(text(HS.header), bomb)
    yield Entry("compressed without saying so", "S42", raw, "token_malformed", "The payload is no JSON.", signed=True)
    # S44
    for cty in ("JWT", "jwt", "application/jwt", "json", "", None):
        raw = HS.token(header={"cty": cty})
        yield Entry(f"cty: {cty!r}", "S44", raw, INVALID, "A content type announces a nested token.")


# The types of other specifications, and what people make up.
PURPOSES = (
    *("dpop+jwt", "logout+jwt", "secevent+jwt", "statuslist+jwt", "oauth-authz-req+jwt", "token-introspection+jwt"),
    *("entity-statement+jwt", "client-authentication+jwt", "dc+sd-jwt", "kb+jwt", "wit+jwt", "rt+jwt", "id+jwt"),
)


def types() -> Iterator[Entry]:
    """What `typ` may not be."""
    # S43
    for purpose in PURPOSES:
        why = "A token that was made for something else."
        yield Entry(f"typ: {purpose}", "S43", HS.token(header={"typ": purpose}), INVALID, why)
    others: tuple[Any, ...] = (
        *("application/dpop+jwt", "DPOP+JWT", "JOSE", "JOSE+JSON", "JWE", "", None, 1, True, ["JWT"], {"JWT": 1}),
        *("JWT ", " JWT", "JWT\x00", "jwt;charset=utf-8", "application/", "application/application/jwt", "text/jwt"),
        *("at_jwt", "at+jwt,JWT", "at+jwt+x", "access", "at", "\uff2a\uff37\uff34", "+jwt", "application/ jwt"),
    )
    for typ in others:
        yield Entry(f"typ: {typ!r}", "S43", HS.token(header={"typ": typ}), INVALID, "No type of an access token.")


def orders() -> Iterator[Entry]:
    """What is looked at first."""
    # S46, S152
    expired = {"exp": 1, "jti": "order"}
    rows = (
        ("bad signature on an expired token", HS.token(expired, sign=MALLORY), SIGNATURE),
        ("bad signature on a bound token", HS.token({"cnf": {"jkt": "x"}}, sign=MALLORY), SIGNATURE),
        ("bad signature on another issuer's claims", HS.token({"iss": "mallory", "aud": 1}, sign=MALLORY), SIGNATURE),
        ("bad signature over no json", HS.seal(text(HS.header), b"{", MALLORY), SIGNATURE),
        ("bad header on an expired token", HS.token(expired, {"crit": ["x"]}, sign=MALLORY), INVALID),
        ("unknown key on an expired token", HS.token(expired, {"kid": "x"}, sign=MALLORY), UNKNOWN),
        ("wrong algorithm on no json", HS.seal(b'{"alg":"RS256"}', b"{", MALLORY), ALGORITHM),
    )
    for name, raw, code in rows:
        yield Entry(name, "S46, S152", raw, code, "Nothing that a claim says counts before the signature.")


ENTRIES = [*key_names(), *refused(), *types(), *orders()]
