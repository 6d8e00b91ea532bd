"""`Key`: one key for one algorithm, which the operator chooses (RFC 8725 section 3.1).

Bad key material is refused when the key is made, so that nothing is left to check for each token.
"""

from __future__ import annotations

import functools
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, ParamSpec, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from asgi_jwt_claims.errors import KeyConfigurationError, SigningKeyMissingError
from asgi_jwt_claims.jose import algorithms as _jose
from asgi_jwt_claims.jose.compact import b64url_encode
from asgi_jwt_claims.runtime.values import Frozen, HiddenSecret, plain, revealed

from . import _loading, _material
from ._secrets import check_secret

__all__ = ["ASYMMETRIC_ALGORITHMS", "MAX_KID_LENGTH", "Key", "is_kid"]

_P = ParamSpec("_P")
_ResultT = TypeVar("_ResultT")

MAX_KID_LENGTH = 256  # characters of a key identifier

_GENERATORS: dict[str, Callable[[], _material.KeyMaterial]] = {
    **{f"HS{bits}": functools.partial(secrets.token_bytes, bits // 8) for bits in (256, 384, 512)},
    **dict.fromkeys(
        ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), lambda: rsa.generate_private_key(65537, 2048)
    ),
    **{name: functools.partial(ec.generate_private_key, curve()) for _, name, curve in _material.CURVES.values()},
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    **{curve.name: curve.private.generate for curve in _material.EDWARDS},
}

ASYMMETRIC_ALGORITHMS = tuple(name for name in _GENERATORS if not name.startswith("HS"))
"""The `alg` values of keys that have a public half."""


def keeps_no_secret(load: Callable[_P, _ResultT]) -> Callable[_P, _ResultT]:
    """Strip traceback and context, whose local variables hold secrets, from the errors of a loading function."""

    @functools.wraps(load)
    def loader(*args: _P.args, **kwargs: _P.kwargs) -> _ResultT:
        try:
            return load(*args, **kwargs)
        except KeyConfigurationError as error:
            problem = error.with_traceback(None)
        problem.__context__ = None
        del args, kwargs
        raise problem

    return loader


class Key(Frozen):
    """One key, bound to one algorithm. Frozen; `repr` shows no key material.

    Make one with `from_secret`, `from_pem`, `from_jwk` or `generate`. All of them take the `kid`, and raise
    `KeyConfigurationError` with the reason and the remedy if the key cannot be used.

    Attributes:
        algorithm: The only `alg` value (RFC 7518 section 3.1) that this key signs and verifies.
        kid: The key identifier; the RFC 7638 SHA-256 thumbprint unless one was given.
        can_sign: Whether this key can sign, because it is a secret or a private key.
        is_symmetric: Whether this key is a secret.
        thumbprints: How tokens may name its certificate: by `x5t` or `x5t#S256`; empty without one.
    """

    __slots__ = (
        *("_loaded", "_signature_length", "_signer", "_verifier"),
        *("algorithm", "can_sign", "is_symmetric", "kid", "thumbprints"),
    )

    algorithm: str
    kid: str
    can_sign: bool
    is_symmetric: bool
    _loaded: _material.KeyMaterial
    _signature_length: int
    _signer: _jose.JoseKey | None
    thumbprints: frozenset[str]
    _verifier: _jose.JoseKey

    def __init__(
        self,
        material: _material.KeyMaterial,
        algorithm: str | None,
        kid: str | None,
        thumbprints: frozenset[str] = frozenset(),
    ) -> None:
        possible = _material.algorithms_for(material)
        algorithm, kid = possible[0] if algorithm is None else plain(algorithm), plain(kid)
        if algorithm not in possible:
            problem = f"algorithm {algorithm!r} does not go with this key; it can be {' or '.join(possible)}"
            if isinstance(material, bytes) and algorithm in ASYMMETRIC_ALGORITHMS:
                problem += (
                    f"; to sign with {algorithm} load a private key: signing_key=Key.from_pem(text, {algorithm!r})"
                )
            raise KeyConfigurationError(problem)
        if isinstance(material, bytes):
            check_secret(material, algorithm)
        if kid is not None and not is_kid(kid):
            raise KeyConfigurationError(f"a kid must be a str of 1 to {MAX_KID_LENGTH} printable characters")
        public = _material.public_of(material)
        set_once = object.__setattr__
        set_once(self, "algorithm", algorithm)
        set_once(self, "kid", _thumbprint(material) if kid is None else kid)
        set_once(self, "is_symmetric", isinstance(material, bytes))
        set_once(self, "can_sign", isinstance(material, bytes) or public is not material)
        set_once(self, "_loaded", material)
        set_once(self, "thumbprints", thumbprints)
        set_once(self, "_signature_length", _material.signature_length(material, algorithm))
        try:
            set_once(self, "_signer", _jose.build(material, algorithm) if self.can_sign else None)
            set_once(self, "_verifier", _jose.build(public, algorithm))
        except _jose.JOSEError as error:
            raise KeyConfigurationError(f"the key cannot be used for {algorithm}: {error}") from None

    def __repr__(self) -> str:
        if not hasattr(self, "_verifier"):
            return "<Key, not built>"  # a local variable of an error about it
        return f"<Key {self.algorithm} kid={self.kid!r}{'' if self.can_sign else ' verifies only'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Key cannot be pickled or copied: it would carry its secret along; load it where it is used")

    @classmethod
    @keeps_no_secret
    def from_secret(
        cls, secret: str | bytes | HiddenSecret, algorithm: str = "HS256", *, kid: str | None = None
    ) -> Key:
        """Load a secret for HMAC: at least 32, 48 or 64 bytes for HS256, HS384 or HS512. A str counts as UTF-8.

        Instead of str or bytes it may be pydantic's `SecretStr` or `SecretBytes`, like PEM text and passwords.
        """
        text = revealed(secret)
        if not isinstance(text, str | bytes):
            raise KeyConfigurationError(f"a secret must be str or bytes, not {type(text).__name__}")
        return cls(_as_bytes(text), algorithm, kid)

    @classmethod
    @keeps_no_secret
    def from_pem(
        cls,
        pem: str | bytes | HiddenSecret,
        algorithm: str | None = None,
        *,
        kid: str | None = None,
        password: str | bytes | HiddenSecret | None = None,
    ) -> Key:
        """Load a private key, a public key or a certificate from PEM text. An encrypted key needs its `password`.

        The key is bound to `algorithm`. None means RS256 for RSA, EdDSA for Ed25519 and Ed448, and the algorithm of the
        curve for EC.
        """
        text, opener = revealed(pem), revealed(password)
        if not isinstance(text, str | bytes):
            raise KeyConfigurationError(
                f"PEM must be str or bytes, not {type(text).__name__}; to read a file: path.read_text()"
            )
        return load_pem(_as_bytes(text), algorithm, kid, None if opener is None else _as_bytes(opener))

    @classmethod
    @keeps_no_secret
    def from_jwk(
        cls, jwk: Mapping[str, Any] | str | bytes, algorithm: str | None = None, *, kid: str | None = None
    ) -> Key:
        """Load a JSON Web Key (RFC 7517), a mapping or JSON text: `oct`, `RSA`, `EC` or `OKP`, public or private.

        The `algorithm` must agree with the JWK's `alg`; None means that one. A `kid` takes the place of the JWK's own.
        """
        return load_jwk(as_mapping(jwk, "a JWK"), algorithm, kid)

    @classmethod
    def generate(cls, algorithm: str, *, kid: str | None = None) -> Key:
        """Generate a random key: a secret as long as the hash, RSA with 2,048 bits, or a key on the algorithm's curve.

        `"EdDSA"` does not name a curve; here it means Ed25519.
        """
        if algorithm not in _GENERATORS:
            raise KeyConfigurationError(f"algorithm {algorithm!r} is not one of {', '.join(_GENERATORS)}")
        try:
            material = _GENERATORS[algorithm]()
        except UnsupportedAlgorithm:
            raise KeyConfigurationError(
                f"this build of OpenSSL does not support {algorithm}; use another one"
            ) from None
        return cls(material, algorithm, kid)

    def public(self) -> Key:
        """Return the same key without its private half, or raise `KeyConfigurationError` if it is a secret."""
        self._refuse_symmetric()
        return Key(_material.public_of(self._loaded), self.algorithm, self.kid, self.thumbprints)

    def public_jwk(self) -> dict[str, str]:
        """Return the public key as a JWK with `alg`, `use` and `kid`, or raise `KeyConfigurationError` for a secret."""
        self._refuse_symmetric()
        members = _material.public_members(self._loaded)
        return {"kty": members["kty"], "kid": self.kid, "use": "sig", "alg": self.algorithm, **members}

    def _refuse_symmetric(self) -> None:
        if self.is_symmetric:
            raise KeyConfigurationError("a secret has no public half; use an asymmetric key to let others verify")

    def sign(self, message: bytes) -> bytes:
        """Sign `message`, or raise `SigningKeyMissingError` if this is a public key."""
        if self._signer is None:
            raise SigningKeyMissingError("a public key cannot sign; load the private key as signing_key")
        return self._signer.sign(message)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `message`. Never raises, for any bytes."""
        # The length first: it costs nothing, and fixes that of ECDSA signatures (RFC 7518 section 3.4).
        return len(signature) == self._signature_length and self._verifier.verify(message, signature)


def is_kid(value: object) -> bool:
    """Whether `value` can be a `kid` (RFC 7515 section 4.1.4): a printable str of acceptable length."""
    return isinstance(value, str) and 0 < len(value) <= MAX_KID_LENGTH and value.isprintable()


def _thumbprint(material: _material.KeyMaterial) -> str:
    """Hash the required members in lexicographic order, without white space (RFC 7638 section 3)."""
    canonical = json.dumps(_material.public_members(material), separators=(",", ":"), sort_keys=True)
    return b64url_encode(hashlib.sha256(canonical.encode()).digest()).decode()


def load_pem(
    pem: bytes,
    algorithm: str | None = None,
    kid: str | None = None,
    password: bytes | None = None,
    *,
    thorough: bool = True,
) -> Key:
    """Load a key as `Key.from_pem` does; `thorough=False` leaves out the checks of an RSA key that take long."""
    material = _loading.from_pem(pem, password, thorough=thorough)
    return Key(material, algorithm, kid, _loading.thumbprints_of_pem(pem))


def load_jwk(
    jwk: Mapping[str, Any], algorithm: str | None = None, kid: str | None = None, *, thorough: bool = True
) -> Key:
    """Load a key as `Key.from_jwk` does; `thorough=False` leaves out the checks of an RSA key that take long."""
    unusable = why_not_for_signatures(jwk)
    if unusable is not None:
        raise KeyConfigurationError(f"the JWK is not for signatures: {unusable}")
    own = jwk.get("alg")
    if algorithm is not None and own is not None and own != algorithm:
        raise KeyConfigurationError(f"the JWK is for alg {own!r}, not {algorithm!r}")
    material = _loading.from_jwk_members(jwk, thorough=thorough)
    kid = jwk.get("kid") if kid is None else kid
    return Key(material, algorithm or own, kid, _loading.thumbprints_of_jwk(jwk))


def is_same_key(one: Key, other: Key) -> bool:
    """Whether two public keys have the same material, names and certificates."""
    return one.public_jwk() == other.public_jwk() and one.thumbprints == other.thumbprints


def why_not_for_signatures(jwk: Mapping[str, Any]) -> str | None:
    """Say why a JWK must not be used for signatures (RFC 7517 sections 4.2 and 4.3); None if it may be."""
    # SPIFFE, Trust Domain and Bundle section 4.2.2: `jwt-svid` is the use of keys that verify its JWTs.
    if jwk.get("use", "sig") not in ("sig", "jwt-svid"):
        return f"its use is {jwk['use']!r}"
    if jwk.get("crv") in ("X25519", "X448"):  # RFC 8037 section 3.2
        return f"its curve {jwk['crv']} is for key agreement"
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or not any(plain(operation) in ("sign", "verify") for operation in operations):
        return "its key_ops hold neither 'sign' nor 'verify'"
    return None


def without_empty(jwk: Mapping[str, Any]) -> dict[str, Any]:
    """Drop members of a published JWK that are null or empty, which some issuers write for absent ones."""
    return {name: value for name, value in jwk.items() if value is not None and value not in ("", [], {})}


def as_mapping(value: object, what: str) -> Mapping[str, Any]:
    """Return a JSON object, given as a mapping or as text; `what` is its name in an error."""
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise KeyConfigurationError(f"{what} must be JSON text or a mapping, and this text is not JSON") from None
    if not isinstance(value, Mapping):
        raise KeyConfigurationError(f"{what} must be a JSON object, not {type(value).__name__}")
    return {plain(name): plain(member) for name, member in value.items()}


def _as_bytes(text: str | bytes) -> bytes:
    return str.encode(text, "utf-8", "surrogatepass") if isinstance(text, str) else text
