"""The fuzz targets: what bytes become, and what must then hold. Plain functions of bytes, which need no fuzzer.

A target returns when all is well. It raises when something is wrong: an `AssertionError` when the library and the
model (`model.py`) disagree or a promise is broken, and whatever else escapes is a foreign exception.

All keys are fixed, so that an input that was found once can be replayed anywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from asgi_jwt_claims import (
    BearerHeader,
    JWTConfig,
    JWTMiddleware,
    Key,
    KeySet,
    Token,
    verify_token,
)
from asgi_jwt_claims.errors import (
    InvalidTokenError,
    KeyConfigurationError,
    MalformedTokenError,
    TokenError,
)
from asgi_jwt_claims.jose.compact import b64url_decode, b64url_encode
from asgi_jwt_claims.jose.strict_json import load_json
from asgi_jwt_claims.tokens import verify_jws
from tests.conftest import HeldClock
from tests.forging import b64
from tests.framing import split_compact
from tests.fuzz import model
from tests.raw_asgi import Exchange, Recorder, Scope, finish, http_scope, websocket_scope
from tests.support import SECRET

__all__ = ["CONFIGS", "KEYRINGS", "RSA_KEY", "SEALING", "TARGETS", "seal"]

# Keys and configurations ----------------------------------------------------------------------------------------------

_P = int(
    "e1d057a52798f9f574e3e28c2a75b4aebd1b165b1419ab73f71ee2d6218befb6f3da074145c2ca680064f252083e74de328bdcf040ddc832"
    "37442d883b2abd866ae7074099e7347552eca7a56279e49ca8b93727e38ab88a5913681eef1a2faa9b0493f669cd69965408ee208a850387"
    "38e782fcfd89deb6594212ccda8ccd33",
    16,
)
_Q = int(
    "d8a8f9c874a19ff19a2a5db27fa71ea2aef679855cbc0e70781b658d20d63d92d4473388677b9b2745bc92220cd25651aeaf03de7e8ea7f0"
    "e37e8a12924f03ef70be0b379cc25a8848db24a44fe7ac61102a13fd9efdbae2a9a676dc34ac1e62be667bc7c60e8da94d3535734c5cc8d2"
    "1a0a54a8d1703aace257427c6bd465fb",
    16,
)


def _rsa_key() -> rsa.RSAPrivateKey:
    d = pow(65537, -1, (_P - 1) * (_Q - 1))
    crt = rsa.rsa_crt_dmp1(d, _P), rsa.rsa_crt_dmq1(d, _Q), rsa.rsa_crt_iqmp(_P, _Q)
    return rsa.RSAPrivateNumbers(_P, _Q, d, *crt, rsa.RSAPublicNumbers(65537, _P * _Q)).private_key()


RSA_KEY = _rsa_key()
_LONG_SECRET = hashlib.sha512(SECRET.encode()).digest()
_ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(_LONG_SECRET[:32])

SHARED: model.Keyring = {
    "shared-256": ("HS256", SECRET.encode()),
    "shared-384": ("HS384", _LONG_SECRET),
    "shared-512": ("HS512", _LONG_SECRET),
    "shared-512-too": ("HS512", _LONG_SECRET[::-1]),
}
PUBLIC: model.Keyring = {
    "rsa": ("RS256", RSA_KEY),
    "rsa-pss": ("PS256", RSA_KEY),
    "p256": ("ES256", ec.derive_private_key(2**200 + 1, ec.SECP256R1())),
    "p384": ("ES384", ec.derive_private_key(2**300 + 1, ec.SECP384R1())),
    "p521": ("ES512", ec.derive_private_key(2**500 + 1, ec.SECP521R1())),
    "ed25519": ("Ed25519", _ED25519),
    "ed25519-old-name": ("EdDSA", _ED25519),
    "ed448": ("Ed448", ed448.Ed448PrivateKey.from_private_bytes(_LONG_SECRET[:57])),
}
LONE: model.Keyring = {"shared-256": SHARED["shared-256"]}
SEALING = {**SHARED, **PUBLIC}
"""What the fuzzer may seal with, in the order of the byte that chooses."""


def pem_of(material: Any) -> str:
    """The public half, as PEM."""
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return str(material.public_key().public_bytes(encoding, form).decode())


def _loaded(keyring: model.Keyring) -> list[Key]:
    return [
        Key.from_secret(material, algorithm, kid=kid)
        if isinstance(material, bytes)
        else Key.from_pem(pem_of(material), algorithm, kid=kid)
        for kid, (algorithm, material) in keyring.items()
    ]


_CLOCK = HeldClock()
_PLAIN = JWTConfig(verification_keys=_loaded(LONE), clock=_CLOCK)
_STRICT = _PLAIN.replace(
    issuer="https://issuer.example",
    audience=["api", "b"],
    max_age=60,
    max_lifetime=900,
    leeway=0,
    required_claims=["jti"],
)
_FLAT = _PLAIN.replace(
    user_claims_claim=None,
    identity_claim="identity",
    type_claim=None,
    scope_claim="scp",
    required_claims=(),
    max_token_size=600,
)
_SHARED = JWTConfig(verification_keys=_loaded(SHARED), clock=_CLOCK)
_PUBLIC = JWTConfig(verification_keys=_loaded(PUBLIC), clock=_CLOCK)

CONFIGS: dict[str, JWTConfig] = {
    "plain": _PLAIN,
    "strict": _STRICT,
    "flat": _FLAT,
    "shared": _SHARED,
    "public": _PUBLIC,
    "uncached": _SHARED.replace(signature_cache_size=0),
    "crowded": _SHARED.replace(signature_cache_size=1),
}
KEYRINGS: dict[str, model.Keyring] = {
    name: PUBLIC if name == "public" else LONE if name in {"plain", "strict", "flat"} else SHARED for name in CONFIGS
}


# Tokens ---------------------------------------------------------------------------------------------------------------


def token(data: bytes) -> None:
    """The bytes as a token, under every configuration."""
    for name in CONFIGS:
        _agrees(data, name)
    if data.isascii():
        assert _told(_verdict(data, "plain", "access")) == _told(_verdict(data.decode(), "plain", "access"))
    else:
        assert not isinstance(_verdict(data.decode("latin-1"), "plain", "access"), Token)


def _told(verdict: Token | tuple[str, str]) -> object:
    return verdict.claims if isinstance(verdict, Token) else verdict


def sealed(data: bytes) -> None:
    """A byte that chooses the key, the header, a zero byte and the payload: whatever they are, under a true signature."""
    kid = [*SEALING][data[0] % len(SEALING)] if data else "shared-256"
    header, _, payload = data[1:].partition(b"\0")
    raw = seal(kid, header, payload)
    for name, keyring in KEYRINGS.items():
        if kid in keyring:
            _agrees(raw, name)


def seal(kid: str, header: bytes, payload: bytes) -> bytes:
    """The bytes of a header and a payload with the true signature of a key of `SEALING`."""
    algorithm, material = SEALING[kid]
    signing_input = b64(header) + b"." + b64(payload)
    return signing_input + b"." + b64(model.sign(algorithm, material, signing_input))


def _agrees(raw: bytes, name: str) -> None:
    """The library accepts what the model accepts, as the same thing, and refuses the rest with an error of its own.

    Twice, and the same both times: a token that has been seen before is not looked at with other eyes.
    """
    config = CONFIGS[name]
    reading = _reading(raw, name)
    _check_signature_step(raw, config, reading)
    for kind in ("access", "refresh", "access"):
        _check_verdict(_verdict(raw, name, kind), reading, config, kind)


def _reading(raw: bytes, name: str) -> model.Reading | None:
    try:
        return model.compact(raw, KEYRINGS[name], CONFIGS[name].max_token_size)
    except model.RefusedError:
        return None


def _check_signature_step(raw: bytes, config: JWTConfig, reading: model.Reading | None) -> None:
    try:
        header, payload = verify_jws(raw, config.keys, max_size=config.max_token_size)
    except InvalidTokenError:
        assert reading is None
        return
    assert reading is not None
    assert reading.header == header
    assert reading.payload == payload


def _verdict(raw: bytes | str, name: str, kind: str) -> Token | tuple[str, str]:
    try:
        return verify_token(raw, CONFIGS[name], type=kind)
    except InvalidTokenError as error:
        refusal = error
    assert 401 == refusal.status
    assert type(refusal).description == str(refusal)
    assert repr(refusal.evidence).isprintable()
    return refusal.code, repr(refusal.evidence)


def _check_verdict(
    verdict: Token | tuple[str, str], reading: model.Reading | None, config: JWTConfig, kind: str
) -> None:
    try:
        claims = None if reading is None else model.claims(reading, config, kind)
    except model.RefusedError:
        claims = None
    if not isinstance(verdict, Token):
        assert claims is None, verdict
        return
    assert reading is not None
    assert claims is not None
    assert reading.header == verdict.headers
    assert json.dumps(claims) == json.dumps(verdict.claims)  # as text, since 1 == 1.0 == True
    assert json.loads(reading.payload) == verdict.claims
    assert claims[config.identity_claim] == verdict.identity
    assert (claims.get("exp"), claims.get("iat")) == (verdict.expires_at, verdict.issued_at)
    assert kind == verdict.type


# Parts ----------------------------------------------------------------------------------------------------------------


def framing(data: bytes) -> None:
    """The bytes as three parts, and as one: what is accepted is the one spelling of what it stands for."""
    decoded = _decoded(data)
    try:
        expected = model.base64url(data)
    except model.RefusedError:
        expected = None
    assert expected == decoded
    assert decoded is None or data == b64url_encode(decoded)
    assert data == b64url_decode(b64url_encode(data))
    try:
        framed = split_compact(data, 512)
    except InvalidTokenError:
        assert len(data) > 512 or not re.fullmatch(rb"[\w-]+\.[\w-]+\.[\w-]+", data) or _has_another_spelling(data)
        return
    assert data == framed.signing_input + b"." + b64url_encode(framed.signature)
    assert framed.signing_input == framed.header + b"." + b64url_encode(framed.payload)


def _decoded(segment: bytes) -> bytes | None:
    try:
        return b64url_decode(segment)
    except MalformedTokenError:
        return None


def _has_another_spelling(data: bytes) -> bool:
    """Whether one of the parts is not the spelling of what it stands for."""
    return any(_decoded(part) is None for part in data.split(b"."))


def json_text(data: bytes) -> None:
    """The bytes as JSON: read exactly when the strict model reads them, as the model and `json.loads` do."""
    expected, refused = None, False
    try:
        expected = model.strict_json(data)
    except model.RefusedError:
        refused = True
    try:
        text, value = load_json(data)
    except MalformedTokenError:
        assert refused
        return
    assert not refused
    assert data.decode().strip(" \t\r\n") == text
    assert json.dumps(expected) == json.dumps(value)
    assert json.loads(data) == value
    assert value == load_json(json.dumps(value).encode())[1]


# Requests -------------------------------------------------------------------------------------------------------------

_CHALLENGE = re.compile(
    r'Bearer realm="api"(?:, error="[a-z_]+", error_description="[\x20-\x21\x23-\x5B\x5D-\x7E]+")?', re.ASCII
)


def authorization(data: bytes) -> None:
    """The values of Authorization headers, divided by zero bytes, offered to the source and to the middleware."""
    headers = [(b"authorization", value) for value in data.split(b"\0")] if data else []
    scope = http_scope("/", *headers)
    try:
        expected = model.bearer([value for _, value in headers], 8192)
    except model.RefusedError:
        expected = b""  # which is no token
    assert expected == _offered(scope)
    verdict = _verdict(expected, "shared", "access") if expected else None
    _request(scope, verdict, required=True)
    _request(websocket_scope("/", *headers), verdict, required=True)
    _request(http_scope("/", *headers), verdict, required=False)


def _offered(scope: Scope) -> bytes | None:
    try:
        offered = BearerHeader()(scope, 8192)
    except TokenError:
        return b""
    return None if offered is None else offered.token


def _request(scope: Scope, verdict: Token | tuple[str, str] | None, *, required: bool) -> None:
    app = Recorder()
    messages: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        messages.append(message)

    # Connections that end with their token need an event loop.
    guarded = JWTMiddleware(app, CONFIGS["shared"], required=required, end_with_token=False)
    finish(guarded(scope, receive, send))
    if isinstance(verdict, Token):
        assert verdict.claims == app.scope["token"].claims
        return
    if not required:
        assert None is app.scope["token"]
        return
    answer = Exchange(messages)
    assert [] == app.calls
    assert answer.status in {400, 401}
    assert _CHALLENGE.fullmatch(answer.headers["www-authenticate"])
    assert str(len(answer.body)) == answer.headers["content-length"]
    assert {"error", "error_description"} == answer.json.keys()


# Keys -----------------------------------------------------------------------------------------------------------------

ALGORITHMS = tuple(f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512))
ALGORITHMS += ("EdDSA", "Ed25519", "Ed448")
_PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}


def key(data: bytes) -> None:
    """The bytes as a JWK, as PEM, as a JWK Set and as a secret: refused as a configuration, or a key that works."""
    for load in (Key.from_jwk, Key.from_pem, _parsed_jwk, _text_pem):
        loaded = _load(load, data)
        if loaded is not None:
            _works(loaded)
            for algorithm in ALGORITHMS:
                bound = _load(load, data, algorithm)
                assert bound is None or algorithm == bound.algorithm
    key_set = _load(KeySet.from_jwks, data)
    if key_set is not None:
        assert 1 == len({loaded.is_symmetric for loaded in key_set})
        for loaded in key_set:
            assert loaded.is_symmetric or not loaded.can_sign
            _works(loaded)
    secret = _load(Key.from_secret, data)
    if secret is not None:
        assert len(data) >= 32
        assert b"-----BEGIN " not in data
        _works(secret)


def _load(load: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return load(*arguments)
    except KeyConfigurationError as error:
        reason = str(error)
    assert reason
    return None


def _parsed_jwk(data: bytes, algorithm: str | None = None) -> Key | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return Key.from_jwk(value, algorithm) if isinstance(value, Mapping) else None


def _text_pem(data: bytes, algorithm: str | None = None) -> Key:
    return Key.from_pem(data.decode("utf-8", "replace"), algorithm)


def _works(key: Key) -> None:
    assert key.algorithm in ALGORITHMS
    assert isinstance(key.kid, str)
    assert key.kid.isprintable()
    assert not key.verify(b"message", b"")
    if key.can_sign:
        assert key.verify(b"message", key.sign(b"message"))
        assert not key.verify(b"messagf", key.sign(b"message"))
    if key.is_symmetric:
        assert key.can_sign
        return
    jwk = key.public_jwk()
    assert _PRIVATE_MEMBERS.isdisjoint(jwk)
    assert "RSA" != jwk["kty"] or len(jwk["n"]) >= 342  # 2,048 bits
    again = Key.from_jwk(jwk)
    assert (key.kid, key.algorithm, False) == (again.kid, again.algorithm, again.can_sign)
    unnamed = Key.from_jwk({name: value for name, value in jwk.items() if name != "kid"})
    assert model.thumbprint(jwk) == unnamed.kid


TARGETS: dict[str, Callable[[bytes], None]] = {
    "token": token,
    "sealed": sealed,
    "framing": framing,
    "json": json_text,
    "authorization": authorization,
    "key": key,
}
