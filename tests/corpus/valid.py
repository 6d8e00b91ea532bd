"""The other side of every boundary: tokens that look unusual, are valid, and must be accepted at every adapter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes

from tests.conftest import NOW
from tests.corpus.entries import Oddity
from tests.corpus.issuers import BASE, EC, EC_NEW, ISSUERS, LONG_KID, RSA, text
from tests.corpus.signers import P256_ORDER, ecdsa, raw_ecdsa, rsa_pkcs1
from tests.forging import b64

__all__ = ["ODDITIES"]

HS, ES, RING = (ISSUERS[name] for name in ("hs256", "es256", "ring"))
HEADER, PAYLOAD = text(HS.header), text(BASE)


def ordinary() -> Iterator[Oddity]:
    """A token of every issuer, and those that its signature may also look like."""
    for name, issuer in ISSUERS.items():
        yield Oddity(f"ordinary {name}", "S31", issuer.token({"jti": "ordinary"}), "Nothing is odd.", name)
    yield Oddity("offered as bytes", "S28", HS.token({"jti": "bytes"}).encode(), "str or bytes, both are tokens.")
    # S48
    for name, half in (("small", min), ("large", max)):
        sign = ecdsa(EC, change=lambda r, s, half=half: (r, half(s, P256_ORDER - s)))
        yield Oddity(f"es256 with a {name} s", "S48", ES.token(sign=sign), "Both s and n - s verify.", "es256")

    def with_leading_zero(message: bytes) -> bytes:
        while (numbers := raw_ecdsa(EC, message, ES_HASH))[0] >= 2**248:
            pass
        return b"".join(number.to_bytes(32, "big") for number in numbers)

    yield Oddity("es256 with a leading zero", "S48", ES.token(sign=with_leading_zero), "r keeps its zeros.", "es256")


def framed() -> Iterator[Oddity]:
    """Sizes and spellings."""
    # S7, S25
    yield Oddity("longest token", "S7", HS.sized(8192), "8,192 characters are the limit.")
    yield Oddity("longest header", "S25", HS.sized(4000, 2048), "2,048 characters are the limit.")
    # S17
    for remainder in range(3):
        raw = HS.seal(HEADER, PAYLOAD + b" " * ((remainder - len(PAYLOAD)) % 3))
        yield Oddity(f"{remainder} bytes in the last quantum", "S17", raw, "Spare bits are zero.")
    # S20
    spaced = b' {\r\n\t"typ" : "JWT" ,\n "alg" : "HS256"\n} '
    yield Oddity("white space in the header", "S20", HS.seal(spaced, PAYLOAD), "JSON allows it.")
    spaced = b"\n" + PAYLOAD.replace(b",", b"\t,\r\n").replace(b":", b" :") + b"\n"
    yield Oddity("white space in the payload", "S20", HS.seal(HEADER, spaced), "JSON allows it.")
    raw = HS.seal(b'{"\\u0061lg":"HS\\u003256"}', PAYLOAD)
    yield Oddity("escapes in the header", "S20", raw, "Letters may be escaped.")
    raw = HS.seal(HEADER, PAYLOAD.replace(b'"sub"', b'"s\\u0075b"'))
    yield Oddity("escapes in a claim's name", "S20", raw, "Letters may be escaped.")
    raw = HS.seal(b'{"alg":"HS256","typ":"application\\/jwt"}', PAYLOAD)
    yield Oddity("escaped slash", "S20, S43", raw, "A slash may be escaped.")


# What is put into an object, and which rule it keeps.
MEMBERS: tuple[tuple[str, str, bytes], ...] = (
    ("names in other letters", "S21", b'"X":1,"x":2'),
    ("one name on two levels", "S21", b'"x":{"x":{"x":1}},"y":{"x":1}'),
    ("empty name", "S21", b'"":0'),
    ("names that differ by normalisation", "S21", '"\u00fc":1,"u\u0308":2'.encode()),
    ("names of languages", "S21", b'"__proto__":{},"constructor":1,"__class__":2'),
    ("a thousand", "S22", b'"x":1e3'),
    ("largest float", "S22", b'"x":1.7976931348623157e308'),
    ("smallest float", "S22", b'"x":5e-324'),
    ("number too small for a float", "S22", b'"x":1e-400'),
    ("minus zero", "S22", b'"x":-0,"y":-0.0,"z":-0e-0'),
    ("2**53", "S23", b'"x":9007199254740992'),
    ("minus 2**53", "S23", b'"x":-9007199254740992'),
    ("16 levels of arrays", "S24", b'"x":' + b"[" * 15 + b"]" * 15),
    ("16 levels of objects", "S24", b'"x":' + b'{"x":' * 15 + b"0" + b"}" * 15),
    ("16 levels again and again", "S24", b'"x":[' + b",".join([b"[" * 14 + b"]" * 14] * 20) + b"]"),
    ("brackets in a string", "S24", b'"x":"' + b"[{" * 200 + b'\\"[\\\\"'),
    ("many members", "S25", b",".join(b'"%d":0' % number for number in range(100))),
    ("raw unicode", "S20", '"x":"\u00fc \u20ac \U0001f600 \ufeff \u2028"'.encode()),
    ("surrogate pair", "S27", b'"x":"\\ud83d\\ude00"'),
    ("two surrogate pairs", "S27", b'"x":"\\uD83D\\uDE00\\uD83D\\uDE00"'),
    ("backslash before u", "S27", b'"x":"\\\\ud800"'),
    ("all short escapes", "S20", b'"x":"\\"\\\\\\/\\b\\f\\n\\r\\t"'),
    ("escaped control characters", "S20", b'"x":"\\u0000\\u001f\\u007f"'),
)


def written() -> Iterator[Oddity]:
    """JSON that is unusual and right."""
    for name, items, member in MEMBERS:
        header, payload = (part[:-1] + b"," + member + b"}" for part in (HEADER, PAYLOAD))
        why = "JSON, and the same to every parser."
        yield Oddity(f"header: {name}", items, HS.seal(header, PAYLOAD), why)
        yield Oddity(f"payload: {name}", items, HS.seal(HEADER, payload), why)


def headed() -> Iterator[Oddity]:
    """Headers."""
    # S30
    yield Oddity("only alg", "S30, S43", HS.seal(b'{"alg":"HS256"}', PAYLOAD), "Nothing else is needed.")
    # S39
    others: dict[str, Any] = {
        "jku": "https://mallory.example/jwks.json",
        "x5u": "https://mallory.example/certificate.pem",
        "x5c": ["MIIB"],
        "x5t": "dGhpcyBpcyBhIFNIQTEgdGVzdCE",
        "x5t#S256": b64(bytes(32)).decode(),
        "x": {"nested": [1, None]},
        "iss": "https://mallory.example",
        "exp": 1,
        "nonce": "n-0S6_WzA2Mj",
        "Crit": ["x"],
        "ALG": "none",
    }
    for name, value in others.items():
        raw = HS.token(header={name: value})
        yield Oddity(f"header with {name}", "S30, S39, S40", raw, "What nothing is decided by is ignored.")
    # S43
    for typ in ("jwt", "Jwt", "application/jwt", "APPLICATION/JWT", "at+jwt", "AT+JWT", "application/at+jwt"):
        yield Oddity(f"typ: {typ}", "S43", HS.token(header={"typ": typ}), "A type of an access token.")
    # S37, S38
    yield Oddity("kid with an umlaut", "S37", RING.token(header={"kid": "schlüssel"}, sign=NEW), "Printable.", "ring")
    yield Oddity("kid of 256 characters", "S37", RING.token(header={"kid": LONG_KID}, sign=NEW), "The limit.", "ring")
    yield Oddity("kid of the hs256 key", "S38", HS.token(header={"kid": HS_KID}), "Its thumbprint.")
    raw = RING.token(header={"kid": "rsa", "alg": "RS256"}, sign=rsa_pkcs1(RSA))
    yield Oddity("kid of another alg's key", "S38", raw, "That key is named.", "ring")
    raw = RING.seal(b'{"alg":"RS256"}', PAYLOAD, rsa_pkcs1(RSA))
    yield Oddity("no kid, one key of this alg", "S38", raw, "Only one can be meant.", "ring")
    for name in ("rs256", "es256"):
        issuer = ISSUERS[name]
        raw = issuer.seal(text({"alg": issuer.header["alg"]}), PAYLOAD)
        yield Oddity(f"no kid, {name}", "S38", raw, "There is one key.", name)


NEW = ecdsa(EC_NEW)
HS_KID = next(iter(HS.config.keys)).kid
ES_HASH = hashes.SHA256()


def claimed() -> Iterator[Oddity]:
    """Claims at their limits."""
    rows: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        # S49, S50, S52, S54
        ("last moment of the leeway", "hs256", "S50, S54", {"exp": NOW - 9}),
        ("last fraction of the leeway", "hs256", "S50, S54", {"exp": NOW - 9.999}),
        ("exp a second ahead", "strict", "S50", {"exp": NOW + 1}),
        ("exp a fraction ahead", "strict", "S49, S50", {"exp": NOW + 0.001}),
        ("exp in the far future", "hs256", "S49", {"exp": 1e300}),
        ("exp 2**53", "hs256", "S49, S23", {"exp": 2**53}),
        ("nbf at the end of the leeway", "hs256", "S52, S54", {"nbf": NOW + 10}),
        ("iat at the end of the leeway", "hs256", "S52, S54", {"iat": NOW + 10}),
        ("nbf and iat this second", "strict", "S52", {"nbf": NOW, "iat": NOW}),
        ("times below zero", "hs256", "S51", {"nbf": -1, "iat": -1.5}),
        ("fresh until a moment ago", "hs256", "S60", {"fresh": NOW - 1}),
        ("fresh as boolean", "hs256", "S60", {"fresh": True}),
        # S53
        ("nearly too old", "strict", "S53", {"iat": NOW - 3599, "exp": NOW + 1}),
        ("nearly too old, with leeway", "limited", "S53", {"iat": NOW - 3609, "exp": NOW - 9}),
        ("longest lifetime", "strict", "S53", {"exp": NOW + 3600}),
        # S55, S56
        ("any issuer where none is set", "hs256", "S55", {"iss": "https://mallory.example"}),
        ("audience among others", "strict", "S56", {"aud": ["https://other.example", "https://api.example"]}),
        ("our other audience", "strict", "S56", {"aud": "urn:api"}),
        ("audience twice", "strict", "S56", {"aud": ["urn:api", "urn:api"]}),
        # S57, S58
        ("client as subject", "provider", "S58", {"sub": "client", "client_id": "client"}),
        ("actor", "hs256", "S58", {"act": {"sub": "mallory"}, "may_act": {"sub": "mallory"}}),
        ("claims in other letters", "hs256", "S57, S21", {"SUB": "mallory", "Exp": 1, "CNF": {}, "Type": "refresh"}),
        # S43: where the type is told, it decides
        ("events of an access token", "hs256", "S43", {"events": {"https://event.example": {}}}),
        # S59
        ("no scopes", "hs256", "S59", {"scope": ""}),
        ("one scope of every character", "hs256", "S59", {"scope": "!#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~"}),
        ("one scope twice", "hs256", "S59", {"scope": "read read"}),
        ("scp as text", "provider", "S59", {"scp": "read write"}),
        ("scp empty", "provider", "S59", {"scp": []}),
        # S59, S60: of another party, and asked for by nothing
        ("scp with a space within", "provider", "S59", {"scp": ["read write"]}),
        ("scp with a number within", "provider", "S59", {"scp": [1]}),
        ("scp with an empty name", "provider", "S59", {"scp": [""]}),
        ("scp with an array within", "provider", "S59", {"scp": [[]]}),
        ("scp null", "provider", "S59", {"scp": None}),
        ("sub: a number beside the identity", "provider", "S57", {"sub": 1}),
        ("roles of another shape", "provider", "S60", {"roles": [{"name": "ADMIN"}]}),
        ("fresh of another shape", "provider", "S60", {"fresh": "yes", "auth_time": "yesterday"}),
        ("jti and sid of another shape", "provider", "S62", {"jti": 1, "sid": None}),
        ("scp where it is no claim of ours", "hs256", "S59", {"scp": [1, None]}),
        # S60
        ("no user claims", "hs256", "S60", {"user_claims": {}}),
        ("names of others in user claims", "hs256", "S60", {"user_claims": {"sub": "mallory", "exp": 1, "cnf": {}}}),
        ("one role", "hs256", "S60", {"roles": "ADMIN"}),
        ("no roles", "hs256", "S60", {"roles": []}),
        ("empty required claim", "strict", "S60", {"email": None}),
        ("long jti", "hs256", "S62", {"jti": "j" * 1000}),
        ("jti with an escape sequence", "hs256", "S62", {"jti": "\x1b[2J"}),
    )
    for name, issuer, items, claims in rows:
        yield Oddity(name, items, ISSUERS[issuer].token(claims), "On the right side of the rule.", issuer)
    # S49: numbers as JSON may write them
    for number in (b"1.8000009e9", b"18000009E+2", b"1800000900.0", b"1e10", b"1800000900.000000000000001"):
        raw = HS.seal(HEADER, PAYLOAD.replace(b'"exp": 1800000900', b'"exp":' + number))
        yield Oddity(f"exp: {number.decode()}", "S49", raw, "A JSON number.")
    for name, without in (
        ("lenient", ("exp", "iat", "nbf", "jti", "type")),
        ("provider", ("iat", "nbf", "jti", "type")),
    ):
        raw = ISSUERS[name].token(without=without)
        yield Oddity(f"only what {name} requires", "S49, S51, S62", raw, "The rest may be absent.", name)


def named() -> Iterator[Oddity]:
    """Identities, and other types of token."""
    # S57
    people = ("0", "null", "Ä", "李雷", "\U0001f600", "a b", "a\u0000b", "../../alice", "'; --", "<script>", "a" * 1000)
    for number, sub in enumerate(people):
        raw = HS.token({"sub": sub, "identity": sub})
        yield Oddity(f"identity {number}", "S57", raw, "A string that is not empty.", identity=sub)
    raw = HS.seal(HEADER, PAYLOAD.replace(b'"alice"', b'"\\ud83d\\ude00 alice"'))
    yield Oddity(
        "identity with a surrogate pair", "S27, S57", raw, "A pair is one character.", identity="\U0001f600 alice"
    )
    for number, identity in enumerate((7, 0, False, [], {"id": [1, None]}, "bob", 1.5)):
        raw = ISSUERS["provider"].token({"identity": identity})
        why = "Under another name, anything but null."
        yield Oddity(f"identity of any kind {number}", "S57", raw, why, "provider", identity=identity)
    # S137
    for typ in ("JWT", "jwt", "application/JWT"):
        raw = HS.token({"type": "refresh", "jti": f"valid, {typ}"}, {"typ": typ})
        yield Oddity(f"refresh token, typ {typ}", "S137, S43", raw, "It is wanted.", type="refresh")


ODDITIES = [*ordinary(), *framed(), *written(), *headed(), *claimed(), *named()]
