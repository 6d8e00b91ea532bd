"""Keys: one key, one algorithm, fixed by the operator (RFC 8725 section 3.1).

A `Key` is built once, from a secret, PEM text, a JWK or fresh randomness; building it is where bad key material is
refused. A `KeySet` answers the one question verification asks: which key do this `kid` and this `alg` belong to?
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from . import _jose, _material
from ._compact import b64url_encode
from .errors import AlgorithmRefusedError, KeyConfigurationError, SigningKeyMissingError, UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_KID_LENGTH", "Key", "KeySet"]

MAX_KID_LENGTH = 256
"""Characters of a key identifier."""

_GENERATORS: dict[str, Callable[[], _material.Material]] = {
    "HS256": lambda: secrets.token_bytes(32),
    "HS384": lambda: secrets.token_bytes(48),
    "HS512": lambda: secrets.token_bytes(64),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "RS384": lambda: rsa.generate_private_key(65537, 2048),
    "RS512": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
}


class Key:
    """One key, bound to one algorithm. Frozen; `repr` shows no key material.

    Made by `from_secret`, `from_pem`, `from_jwk` or `generate`, all of which raise `KeyConfigurationError` with the
    reason and the fix when the key cannot be used.

    Attributes:
        algorithm: The `alg` value (RFC 7518 section 3.1) that this key signs and verifies, and no other.
        kid: The key identifier; the RFC 7638 SHA-256 thumbprint unless one was given.
        can_sign: Whether this key can mint tokens: a secret or a private key.
        is_symmetric: Whether this is a secret.
    """

    __slots__ = (
        "_loaded",
        "_signature_length",
        "_signer",
        "_verifier",
        "algorithm",
        "can_sign",
        "is_symmetric",
        "kid",
    )

    algorithm: str
    kid: str
    can_sign: bool
    is_symmetric: bool
    _loaded: _material.Material
    _signature_length: int
    _signer: _jose.Signer | None
    _verifier: _jose.Verifier

    def __init__(self, material: _material.Material, algorithm: str | None, kid: str | None) -> None:
        possible = _material.algorithms_for(material)
        algorithm = possible[0] if algorithm is None else algorithm
        if algorithm not in possible:
            raise KeyConfigurationError(
                f"algorithm {algorithm!r} does not go with this key; it can be {' or '.join(possible)}"
            )
        if isinstance(material, bytes):
            _material.check_secret(material, algorithm)
        if kid is not None and not is_kid(kid):
            raise KeyConfigurationError(f"a kid is a str of 1 to {MAX_KID_LENGTH} printable characters")
        set_once = object.__setattr__
        set_once(self, "algorithm", algorithm)
        set_once(self, "kid", _thumbprint(material) if kid is None else kid)
        set_once(self, "is_symmetric", isinstance(material, bytes))
        set_once(self, "can_sign", isinstance(material, bytes) or _material.is_private(material))
        set_once(self, "_loaded", material)
        set_once(self, "_signature_length", _material.signature_length(material, algorithm))
        try:
            set_once(self, "_signer", _jose.build(material, algorithm) if self.can_sign else None)
            set_once(self, "_verifier", _jose.build(_material.public_of(material), algorithm))
        except _jose.JOSEError as error:
            raise KeyConfigurationError(f"the key cannot be used for {algorithm}: {error}") from None

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Key is frozen: {name!r} cannot be set")

    def __repr__(self) -> str:
        return f"<Key {self.algorithm} kid={self.kid!r}{'' if self.can_sign else ' verifies only'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Key cannot be pickled or copied: it would carry its secret along; load it where it is used")

    @classmethod
    def from_secret(cls, secret: str | bytes, algorithm: str = "HS256", *, kid: str | None = None) -> Key:
        """A shared secret for HMAC.

        Args:
            secret: At least 32, 48 or 64 bytes for HS256, HS384 or HS512; a str counts as UTF-8.
            algorithm: `"HS256"`, `"HS384"` or `"HS512"`.
            kid: Key identifier; the thumbprint unless given.
        """
        if isinstance(secret, str):
            secret = secret.encode("utf-8", "surrogatepass")
        if not isinstance(secret, bytes):
            raise KeyConfigurationError(f"a secret is str or bytes, not {type(secret).__name__}")
        return cls(secret, algorithm, kid)

    @classmethod
    def from_pem(
        cls,
        pem: str | bytes,
        algorithm: str | None = None,
        *,
        kid: str | None = None,
        password: str | bytes | None = None,
    ) -> Key:
        """A private key, a public key or a certificate in PEM text.

        Args:
            pem: The text.
            algorithm: Which of the key's algorithms to bind it to. By default RS256 for RSA; the curve decides for EC.
            kid: Key identifier; the thumbprint unless given.
            password: Of an encrypted private key.
        """
        if not isinstance(pem, str | bytes):
            raise KeyConfigurationError(
                f"PEM is str or bytes, not {type(pem).__name__}; to read a file: path.read_text()"
            )
        return cls(
            _material.from_pem(_as_bytes(pem), None if password is None else _as_bytes(password)), algorithm, kid
        )

    @classmethod
    def from_jwk(
        cls, jwk: Mapping[str, Any] | str | bytes, algorithm: str | None = None, *, kid: str | None = None
    ) -> Key:
        """A JSON Web Key (RFC 7517): `oct`, `RSA` or `EC`, public or private.

        Args:
            jwk: The JWK, as a mapping or JSON text.
            algorithm: The algorithm to bind it to; must agree with the JWK's own `alg`, which is taken when not named.
            kid: Key identifier; the JWK's own, else the thumbprint, unless given.
        """
        jwk = _mapping(jwk, "a JWK")
        unusable = _why_not_for_signatures(jwk)
        if unusable is not None:
            raise KeyConfigurationError(f"the JWK is not for signatures: {unusable}")
        own = jwk.get("alg")
        if algorithm is not None and own is not None and own != algorithm:
            raise KeyConfigurationError(f"the JWK is for alg {own!r}, not {algorithm!r}")
        return cls(_material.from_jwk_members(jwk), algorithm or own, jwk.get("kid") if kid is None else kid)

    @classmethod
    def generate(cls, algorithm: str, *, kid: str | None = None) -> Key:
        """A new random key: a secret as long as the hash, RSA with 2,048 bits, or a point on the algorithm's curve."""
        if algorithm not in _GENERATORS:
            raise KeyConfigurationError(f"algorithm {algorithm!r} is not one of {', '.join(_GENERATORS)}")
        return cls(_GENERATORS[algorithm](), algorithm, kid)

    def public(self) -> Key:
        """The same key without its private half: it verifies and cannot sign.

        Raises:
            KeyConfigurationError: A secret has no public half.
        """
        self._refuse_symmetric()
        return Key(_material.public_of(self._loaded), self.algorithm, self.kid)

    def public_jwk(self) -> dict[str, str]:
        """The public key as a JWK with `alg`, `use` and `kid`, ready to publish. Never a private member.

        Raises:
            KeyConfigurationError: A secret has no public half.
        """
        self._refuse_symmetric()
        members = _material.public_members(self._loaded)
        return {"kty": members["kty"], "kid": self.kid, "use": "sig", "alg": self.algorithm, **members}

    def _refuse_symmetric(self) -> None:
        if self.is_symmetric:
            raise KeyConfigurationError("a secret has no public half; use an RSA or EC key to let others verify")

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`.

        Raises:
            SigningKeyMissingError: This is a public key.
        """
        if self._signer is None:
            raise SigningKeyMissingError("a public key cannot sign; load the private key as signing_key")
        return self._signer.sign(message)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `message`. Never raises, whatever the bytes."""
        # The length first: it costs nothing, and fixes that of ECDSA signatures (RFC 7518 section 3.4).
        return len(signature) == self._signature_length and self._verifier.verify(message, signature)


class KeySet:
    """Keys to verify with, found by `kid`. Frozen.

    Args:
        keys: At least one key; no two with the same `kid`; secrets and public keys do not mix (a public key that is
            taken for a secret is how algorithm confusion begins, RFC 8725 section 2.1).

    Raises:
        KeyConfigurationError: If that does not hold.
    """

    __slots__ = ("_by_kid",)

    def __init__(self, keys: Iterable[Key]) -> None:
        by_kid: dict[str, Key] = {}
        for key in keys:
            if not isinstance(key, Key):
                raise KeyConfigurationError(f"a KeySet holds Key objects, not {type(key).__name__}; see Key.from_pem")
            if key.kid in by_kid:
                raise KeyConfigurationError(f"two keys have the kid {key.kid!r}; name them apart with kid=...")
            by_kid[key.kid] = key
        if not by_kid:
            raise KeyConfigurationError("a KeySet needs at least one key")
        if len({key.is_symmetric for key in by_kid.values()}) > 1:
            raise KeyConfigurationError("secrets and public keys do not mix in one set; use one configuration for each")
        self._by_kid = by_kid

    @classmethod
    def from_jwks(cls, document: Mapping[str, Any] | str | bytes) -> KeySet:
        """The signature keys of a JWK Set (RFC 7517 section 5), given as a mapping or JSON text.

        Keys that are there for something else (`use`, `key_ops`) or of an unknown `kty` are passed over, as RFC 7517
        section 5 says; a private key, or one that cannot be used, is an error.
        """
        keys = _mapping(document, "a JWK Set").get("keys")
        if not isinstance(keys, list):
            raise KeyConfigurationError('a JWK Set is an object with a "keys" array (RFC 7517 section 5)')
        jwks = [_mapping(jwk, "a key of a JWK Set") for jwk in keys]
        loaded = [
            Key.from_jwk(jwk)
            for jwk in jwks
            if jwk.get("kty") in ("oct", "RSA", "EC") and _why_not_for_signatures(jwk) is None
        ]
        if any(key.can_sign and not key.is_symmetric for key in loaded):
            raise KeyConfigurationError("the JWK Set holds a private key; publish and load only public ones")
        return cls(loaded)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_kid.values())

    def __len__(self) -> int:
        return len(self._by_kid)

    def __repr__(self) -> str:
        return f"<KeySet of {len(self)}: {', '.join(map(repr, self))}>"

    def find(self, kid: str | None, algorithm: str) -> Key:
        """The one key a token may be verified with.

        Args:
            kid: From the token's header: only that key will do. None: there must be exactly one key of `algorithm`.
            algorithm: From the token's header: compared with the key's, never obeyed.

        Raises:
            UnknownKeyError: No such key, or no single one.
            AlgorithmRefusedError: The key is for another algorithm.
        """
        if kid is not None:
            key = self._by_kid.get(kid)
            if key is None:
                raise UnknownKeyError(kid=kid)
            if key.algorithm != algorithm:
                raise AlgorithmRefusedError(alg=algorithm, kid=kid)
            return key
        candidates = [key for key in self._by_kid.values() if key.algorithm == algorithm]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise UnknownKeyError(reason="no kid, and several keys could be meant")
        raise AlgorithmRefusedError(alg=algorithm)


def is_kid(value: object) -> bool:
    """Whether `value` can be a `kid` (RFC 7515 section 4.1.4): a printable str of acceptable length."""
    return isinstance(value, str) and 0 < len(value) <= MAX_KID_LENGTH and value.isprintable()


def _thumbprint(material: _material.Material) -> str:
    """RFC 7638 section 3: SHA-256 over the required members, in lexicographic order, without white space."""
    canonical = json.dumps(_material.public_members(material), separators=(",", ":"), sort_keys=True)
    return b64url_encode(hashlib.sha256(canonical.encode()).digest()).decode()


def _why_not_for_signatures(jwk: Mapping[str, Any]) -> str | None:
    """RFC 7517 sections 4.2 and 4.3."""
    if jwk.get("use", "sig") != "sig":
        return f"its use is {jwk['use']!r}"
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or not {"sign", "verify"}.intersection(map(str, operations)):
        return "its key_ops hold neither 'sign' nor 'verify'"
    return None


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise KeyConfigurationError(f"{what} must be JSON text or a mapping, and this text is not JSON") from None
    if not isinstance(value, Mapping):
        raise KeyConfigurationError(f"{what} must be a JSON object, not {type(value).__name__}")
    return value


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
