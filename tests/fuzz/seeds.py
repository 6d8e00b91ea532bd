"""Where the fuzzer starts from: valid inputs of every kind, near misses, and the words that it may put into others."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from asgi_jwt_claims import Key
from tests.forging import CLAIMS, HEADER, b64
from tests.fuzz.target import PUBLIC, RSA_KEY, SEALING, SHARED, pem_of, seal

__all__ = ["CHANGES", "MEMBERS", "WORDS", "seeds"]

NOW = CLAIMS["iat"]
STRICT_CLAIMS = {**CLAIMS, "iss": "https://issuer.example", "aud": "api"}
FLAT_CLAIMS = {"identity": {"id": 1}, "VERI TAS": "LUX MEA", "scp": ["read", "write"], "roles": "ADMIN"}
FULL_CLAIMS = {
    **CLAIMS,
    "user_claims": {"a": [1, 1.5, None, "é\u20ac"]},
    "scope": "read write",
    "roles": ["ADMIN"],
    "fresh": NOW,
}
REFRESH_CLAIMS = {**CLAIMS, "type": "refresh"}

CHANGES: list[tuple[str, Any]] = [
    *(
        (name, value)
        for name in ("exp", "nbf", "iat")
        for value in (NOW, NOW - 11, NOW + 10, NOW + 0.5, True, "1", None)
    ),
    *((name, value) for name in ("sub", "jti", "iss", "type") for value in ("", None, ["alice"], 1, "x")),
    *(("aud", value) for value in ("api", ["api"], ["b", "c"], [], [""], "ap", {"api": 1}, None, ["api", 1])),
    *(("scope", value) for value in ("", "a", "a b", "a  b", "a\tb", 'a"', ["a"], None)),
    *(("roles", value) for value in ([], [""], "", "a", ["a", "b"], {"a": 1}, None)),
    *(("fresh", value) for value in (True, NOW + 1, NOW, None, "true")),
    *(("user_claims", value) for value in ({}, [], None, {"exp": 1})),
    *(("cnf", {"jkt": "x"}), ("identity", None), ("identity", 0), ("events", {})),
]
"""Claims, right and wrong."""

HEADER_CHANGES: list[tuple[str, Any]] = [
    *(("alg", value) for value in ("none", "None", "hs256", "HS512", "RS256", "ES256", "EdDSA", "", None, ["HS256"])),
    *(
        ("typ", value)
        for value in ("at+jwt", "application/at+jwt", "APPLICATION/JWT", "dpop+jwt", "logout+jwt", "", None)
    ),
    *(
        ("kid", value)
        for value in ("shared-256", "nobody", "", "a\n", "k" * 257, "../../dev/null", None, 0, ["shared-256"])
    ),
    *(
        ("crit", ["exp"]),
        ("crit", []),
        ("b64", False),
        ("zip", "DEF"),
        ("cty", "JWT"),
        ("jku", "https://x"),
        ("jwk", {}),
    ),
    *(("x5u", "https://x"), ("x5c", ["AAAA"]), ("x5t", "AAAA"), ("enc", "A256GCM"), ("p2c", 2**53), ("x", [[[[{}]]]])),
]
"""Header parameters, right and wrong."""

MEMBERS: list[Any] = [
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 2**53, 2**53 + 1, -(2**53), 10**16, NOW, NOW + 900, NOW - 900),
    *("", "a", "alice", "api", "access", "refresh", "\ud800", "\U0001f600", "\x00", "é", "a b", "JWT", "HS256", "none"),
    *([], {}, [[]], [{}], ["a"], ["api", "b"], {"a": {}}, {"": 0}, [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]),
]
"""Values that may stand anywhere."""

WORDS: list[bytes] = [
    *(json.dumps(name).encode() for name in dict(CHANGES + HEADER_CHANGES)),
    *(b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-0.0", b"9007199254740993", b"1e3"),
    *(
        b"\\u0000",
        b"\\ud800",
        b"\\udc00\\ud83d",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"[[[[",
        b"]]]]",
    ),
    *(b'{"a":' * 4, b"}}}}", b'":"', b'","', b"\\\\", b'\\"', b"\x7f", b"\xc2\xa0", b"\xe2\x80\xa8"),
    *(b"Bearer ", b"bearer  ", b"BEARER ", b"DPoP ", b"Basic ", b"Bearer\t", b", Bearer ", b"\r\n", b"==", b"~+/"),
    *(
        b64(json.dumps(HEADER).encode()),
        b64(json.dumps(CLAIMS).encode()),
        b".",
        b"..",
        b"e30",
        b"W10",
        b"A",
        b"g",
        b"w",
        b"_",
    ),
    *(
        b"-----BEGIN PUBLIC KEY-----\n",
        b"-----END PUBLIC KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\n",
        b"PRIVATE KEY-----",
    ),
    *(
        b'"kty"',
        b'"oct"',
        b'"RSA"',
        b'"EC"',
        b'"OKP"',
        b'"crv"',
        b'"P-256"',
        b'"Ed25519"',
        b'"k"',
        b'"n"',
        b'"e"',
        b'"d"',
    ),
    *(
        b'"x"',
        b'"y"',
        b'"use"',
        b'"sig"',
        b'"enc"',
        b'"key_ops"',
        b'"verify"',
        b'"sign"',
        b'"alg"',
        b'"keys"',
        b'"AQAB"',
    ),
]
"""The dictionary."""


def seeds() -> dict[str, list[bytes]]:
    """Inputs by target."""
    objects = _objects()
    tokens = _tokens()
    return {
        "token": tokens,
        "sealed": _sealed(),
        "framing": [
            *tokens[:8],
            b"",
            b"A",
            b"AA",
            b"AB",
            b"AAA",
            b"AAB",
            b"-_",
            b"a.b.c",
            b"AA.AA.AA",
            b"AA.AA.AB",
            b"AA.AA.AA.AA.AA",
            b"\x00\x00\x17",
        ],
        "json": [*objects, *_texts(), *_nested()],
        "authorization": _values(tokens),
        "key": _keys(),
    }


def _text(value: Any) -> bytes:
    return json.dumps(value).encode()


def _header(kid: str, **more: Any) -> dict[str, Any]:
    return {"alg": SEALING[kid][0], "typ": "JWT", "kid": kid, **more}


def _tokens() -> list[bytes]:
    named = [
        seal(kid, _text(_header(kid)), _text(claims))
        for kid in SEALING
        for claims in (CLAIMS, REFRESH_CLAIMS, FULL_CLAIMS)
    ]
    unnamed = [
        seal("shared-256", _text(HEADER), _text(claims)) for claims in (CLAIMS, STRICT_CLAIMS, FLAT_CLAIMS, FULL_CLAIMS)
    ]
    header, payload, signature = unnamed[0].split(b".")
    none = b64(b'{"alg":"none"}')
    every_character = seal("shared-256", '{"alg":"HS256","x":"???>>>~~~ÿþ"}'.encode(), _text(CLAIMS))
    return [
        *unnamed,
        *named,
        every_character,
        b"",
        none + b"." + payload + b".",
        none + b"." + payload + b"." + signature,
        header + b"." + payload + b".AA",
        header + b".." + signature,
        b".".join([header, payload, signature, signature, signature]),
        unnamed[0] + b"=",
        b" " + unnamed[0],
        json.dumps({"protected": "e30", "payload": "e30", "signature": "AA"}).encode(),
    ]


def _sealed() -> list[bytes]:
    places = {kid: bytes([place]) for place, kid in enumerate(SEALING)}
    plain = [
        place + _text(_header(kid)) + b"\0" + _text(claims)
        for kid, place in places.items()
        for claims in (CLAIMS, STRICT_CLAIMS, FLAT_CLAIMS, REFRESH_CLAIMS, FULL_CLAIMS)
    ]
    first = places["shared-256"]
    claims = [first + _text(HEADER) + b"\0" + _text({**STRICT_CLAIMS, name: value}) for name, value in CHANGES]
    headers = [first + _text({**HEADER, name: value}) + b"\0" + _text(CLAIMS) for name, value in HEADER_CHANGES]
    texts = [first + _text(HEADER) + b"\0" + text for text in _texts()]
    texts += [first + text + b"\0" + _text(CLAIMS) for text in _texts()]
    unnamed = [place + _text({"alg": SEALING[kid][0]}) + b"\0" + _text(CLAIMS) for kid, place in places.items()]
    twice = first + _text(HEADER)[:-1] + b',"alg":"none"}\0' + _text(CLAIMS)[:-1] + b',"sub":"eve"}'
    return [*plain, *claims, *headers, *texts, *unnamed, twice]


def _objects() -> list[bytes]:
    return [
        _text(value)
        for value in (
            HEADER,
            CLAIMS,
            STRICT_CLAIMS,
            FLAT_CLAIMS,
            FULL_CLAIMS,
            *({name: value} for name, value in CHANGES),
        )
    ]


def _texts() -> list[bytes]:
    """JSON and what is close to it."""
    return [
        *(
            b"",
            b"{}",
            b"[]",
            b"null",
            b'"a"',
            b"1",
            b" {} ",
            b"{} {}",
            b"{",
            b"\xef\xbb\xbf{}",
            b"{}\x00",
            b'{"a":1,"a":1}',
        ),
        *(
            b'{"a":{"b":1,"b":2}}',
            b'{"a":1,"\\u0061":2}',
            b'{"a":NaN}',
            b'{"a":-Infinity}',
            b'{"a":1e400}',
            b'{"a":01}',
        ),
        *(
            b'{"a":9007199254740992}',
            b'{"a":9007199254740993}',
            b'{"a":' + b"1" * 5000 + b"}",
            b'{"a":1.' + b"1" * 40 + b"}",
        ),
        *(
            b'{"a":"\\ud800"}',
            b'{"a":"\\ud83d\\ude00"}',
            b'{"\\udc00":1}',
            b'{"a":"\xed\xa0\x80"}',
            b'{"a":"\xc0\x80"}',
            b"{'a':1}",
        ),
        *(
            b'{"a":' * 16 + b"1" + b"}" * 16,
            b'{"a":' * 17 + b"1" + b"}" * 17,
            b'{"a":"' + b"[" * 40 + b'"}',
            b"[" * 2000,
        ),
        *('{"a":1}'.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-32-be")),
    ]


def _nested() -> list[bytes]:
    """Nesting at its limit and beyond, with brackets beside it that open no further level, or that are no brackets."""
    deepest, too_deep = (b"[" * levels + b"]" * levels for levels in (15, 16))
    beside = [
        b"",
        b'"b":[{},{},{}],',
        b'"b":"",',
        b'"":"",',
        b'"b":"]]]]]]]]",',
        b'"b":"[[[[[[[[[[[[[[[[[[[[",',
        b'"b":"\\"[[",',
    ]
    return [b"{" + other + b'"a":' + levels + b"}" for other in beside for levels in (deepest, too_deep)] + [
        b'{"b":[' + b"[]," * 20 + b"[]]," + b'"a":' + levels + b"}" for levels in (deepest, too_deep)
    ]


def _values(tokens: list[bytes]) -> list[bytes]:
    first = tokens[0]
    good = [b"Bearer " + raw for raw in tokens[:10]]
    return [
        b"",
        *good,
        *(
            scheme + first
            for scheme in (b"", b"bearer ", b"BEARER    ", b"Bearer", b"Bearer\t", b" Bearer ", b"JWT ", b"DPoP ")
        ),
        *(
            b"Bearer " + first + tail
            for tail in (b" ", b"\t", b" x", b",", b", Bearer " + first, b"\r\n", b"\x80", b"==", b"\n")
        ),
        *(
            b"Bearer",
            b"Bearer ",
            b" ",
            b"Basic YTpi",
            b"Bearer \xc3\xa9",
            b"Bearer a b",
            b"\xff",
            b"Bearer =",
            b"Bearer ~",
        ),
        good[0] + b"\0" + good[0],
        b"\0" + good[0],
        b"Basic YTpi\0" + good[0],
    ]


def _jwks() -> list[dict[str, Any]]:
    secrets = [
        {"kty": "oct", "k": b64(material).decode(), "alg": algorithm, "kid": kid}
        for kid, (algorithm, material) in SHARED.items()
    ]
    public = [Key.from_pem(pem_of(material), algorithm).public_jwk() for algorithm, material in PUBLIC.values()]
    private = [
        {**Key.from_pem(pem_of(material), algorithm).public_jwk(), "d": b64(_private_value(material)).decode()}
        for algorithm, material in PUBLIC.values()
    ]
    return [*secrets, *public, *private]


def _private_value(material: Any) -> bytes:
    if hasattr(material, "private_bytes_raw"):
        return bytes(material.private_bytes_raw())
    numbers = material.private_numbers()
    if material is RSA_KEY:
        return int(numbers.d).to_bytes(256)
    return int(numbers.private_value).to_bytes((material.curve.key_size + 7) // 8)


def _keys() -> list[bytes]:
    jwks = _jwks()
    changed = [
        {**jwk, name: value}
        for jwk in (jwks[0], jwks[-1])
        for name, value in [
            *(
                ("use", "enc"),
                ("use", "sig"),
                ("key_ops", ["sign", "verify"]),
                ("key_ops", ["encrypt"]),
                ("key_ops", [{}]),
            ),
            *(
                ("alg", "none"),
                ("alg", 1),
                ("kty", "rsa"),
                ("kty", None),
                ("kid", ""),
                ("kid", 7),
                ("crv", "P-192"),
                ("d", "AA"),
            ),
            *(
                ("k", ""),
                ("k", "AA"),
                ("k", "A="),
                ("e", "Ag"),
                ("e", "AQ"),
                ("n", "AQ"),
                ("x", "AA"),
                ("y", 0),
                ("crv", ["P-256"]),
            ),
        ]
    ]
    pems = [pem_of(material).encode() for _, material in PUBLIC.values()]
    private_pems = [_private_pem(material) for _, material in PUBLIC.values()]
    ders = [base64.b64decode(b"".join(pem.splitlines()[1:-1])) for pem in pems]
    sets = [{"keys": jwks[4:6]}, {"keys": jwks[:2]}, {"keys": jwks}, {"keys": []}, {"keys": {}}, {"keys": [1]}]
    sets += [{"keys": [jwks[4], jwks[4]]}, {"keys": [{"kty": "unknown"}, jwks[4]]}]
    return [
        *map(_text, [*jwks, *changed, *sets]),
        *pems,
        *ders,
        *private_pems,
        private_pems[0].replace(b"BEGIN PRIVATE", b"BEGIN RSA PRIVATE"),
        base64.b64decode(b"".join(private_pems[2].splitlines()[1:-1])),
        *(pem.replace(b"PUBLIC KEY", b"CERTIFICATE") for pem in pems[:1]),
        *map(_certificate, ("p256", "ed25519")),
        *map(_text, _weak()),
        *(b"ssh-ed25519 AAAA" + b"A" * 40, b"a" * 64, bytes(range(64)), b" " * 64, b64(bytes(range(48)))),
    ]


def _private_pem(material: Any) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return bytes(material.private_bytes(encoding, form, serialization.NoEncryption()))


def _certificate(kid: str) -> bytes:
    algorithm, material = PUBLIC[kid]
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer.example")])
    begin = dt.datetime.fromtimestamp(NOW, dt.UTC)
    certificate = x509.CertificateBuilder(name, name, material.public_key(), 1, begin, begin + dt.timedelta(9))
    signed = certificate.sign(material, hashes.SHA256() if algorithm == "ES256" else None)
    return signed.public_bytes(serialization.Encoding.PEM)


def _weak() -> list[dict[str, Any]]:
    """Keys that policy refuses."""
    modulus = RSA_KEY.public_key().public_numbers().n
    rsa_jwk = {"kty": "RSA", "n": b64(modulus.to_bytes(256)).decode(), "e": "AQAB"}
    small = {**rsa_jwk, "n": b64((modulus >> 1 | 1).to_bytes(256)[1:]).decode()}
    okp = {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(32)).decode()}
    return [
        *(
            rsa_jwk,
            small,
            {**rsa_jwk, "e": "Ag"},
            {**rsa_jwk, "e": "AQ", "d": "AQ"},
            {**rsa_jwk, "e": "Aw", "d": "AQAB"},
        ),
        *(okp, {**okp, "x": b64(b"\x01" + bytes(31)).decode()}, {**okp, "crv": "Ed448"}, {**okp, "crv": "X25519"}),
        {"kty": "EC", "crv": "P-256", "x": b64(bytes(32)).decode(), "y": b64(bytes(32)).decode()},
    ]
