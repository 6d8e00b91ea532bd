"""Check which keys a configuration has: its own, those of a `KeyRing`, or those of an identity provider."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from asgi_jwt_claims.errors import KeyConfigurationError, SettingError
from asgi_jwt_claims.jose.compact import b64url_encode
from asgi_jwt_claims.jose.strict_json import dump_json
from asgi_jwt_claims.keys._secrets import COMMAND_FOR_A_SECRET
from asgi_jwt_claims.keys.key import Key
from asgi_jwt_claims.keys.key_set import KeySet, KeySource
from asgi_jwt_claims.keys.ring import KeyRing

__all__ = ["Signer", "check_exclusive", "check_jwks", "check_key_ring", "configured_keys", "signer_for"]


class Signer(NamedTuple):
    """A key with the header of the tokens that it signs.

    Attributes:
        key: The key.
        header: The JOSE header (RFC 7515 section 4.1).
        encoded_header: The same header as it stands in a token.
    """

    key: Key
    header: dict[str, str]
    encoded_header: bytes


def signer_for(key: Key, *, send_kid: bool) -> Signer:
    """Put a key together with the header of its tokens."""
    header = {"alg": key.algorithm, "typ": "JWT"}
    if send_kid:
        header["kid"] = key.kid
    return Signer(key, header, b64url_encode(dump_json(header)))


def configured_keys(
    secret_key: str | bytes | None,
    algorithm: str | None,
    signing_key: Key | None,
    verification_keys: KeySet | Iterable[Key],
) -> tuple[Key | None, tuple[Key, ...]]:
    """Check the keys of a configuration, and return the one that signs (or None) and those that only verify.

    Raises:
        SettingError: The settings exclude each other, or there is no key.
        KeyConfigurationError: A key cannot be used.
    """
    if secret_key is not None:
        if signing_key is not None:
            raise SettingError("secret_key and signing_key are both set; keep the one that signs")
        signing_key = Key.from_secret(secret_key, "HS256" if algorithm is None else algorithm)
    elif algorithm is not None:
        raise SettingError("algorithm goes with secret_key; for other keys name it in Key.from_pem or Key.from_jwk")
    if signing_key is not None and not isinstance(signing_key, Key):
        raise SettingError(f"signing_key must be a Key, not {type(signing_key).__name__}; see Key.from_pem")
    if signing_key is not None and not signing_key.can_sign:
        raise KeyConfigurationError("signing_key is a public key; load the private one, or use verification_keys")
    if isinstance(verification_keys, Key | str | bytes) or not isinstance(verification_keys, Iterable):
        raise SettingError("verification_keys must be a KeySet or a list of Key objects")
    others = tuple(key for key in verification_keys if key is not signing_key)
    for key in others:
        if isinstance(key, Key) and key.can_sign and not key.is_symmetric:
            raise KeyConfigurationError(
                f"verification_keys holds the private key {key.kid!r}; pass its public half: key.public()"
            )
    if signing_key is None and not others:
        raise SettingError(
            "no key: set secret_key or signing_key to mint and verify, or verification_keys or jwks to verify; make a "
            f"secret with: {COMMAND_FOR_A_SECRET}"
        )
    return signing_key, others


def check_exclusive(jwks: object, key_ring: object, others: Iterable[object]) -> None:
    """Refuse `jwks` or `key_ring` beside keys of any other kind.

    Raises:
        SettingError: There are other keys.
    """
    if (jwks is not None and key_ring is not None) or any(setting is not None for setting in others):
        name, other = ("key_ring", "jwks") if jwks is None else ("jwks", "key_ring")
        raise SettingError(
            f"{name} cannot be combined with secret_key, algorithm, signing_key, verification_keys or {other}; use a "
            "separate JWTConfig for each"
        )


def check_jwks(jwks: object, issuer: str | None, audiences: Collection[str]) -> None:
    """Refuse `jwks` that is not a source of keys, or without an issuer and an audience to check tokens against.

    Raises:
        SettingError: For these.
    """
    if not isinstance(jwks, KeySource):
        raise SettingError(f"jwks must be a RemoteKeySet, not {type(jwks).__name__}")
    # RFC 8725 sections 3.8 and 3.9: the keys alone do not say that a token is from this issuer and for this audience.
    if issuer is None or not audiences:
        raise SettingError("jwks needs issuer and audience: its keys sign tokens for other audiences, too")
    expected = getattr(jwks, "issuer", None)
    if expected is not None and expected != issuer:
        raise SettingError(f"jwks finds the keys of {expected!r}, but issuer is {issuer!r}; give both the same issuer")


def check_key_ring(key_ring: object, longest: float | None, leeway: float) -> None:
    """Refuse `key_ring` that is not a ring, or that forgets keys whose tokens are still good.

    Args:
        key_ring: The setting.
        longest: The longest lifetime of a token, in seconds; None if tokens never expire.
        leeway: The clock difference to forgive, in seconds.

    Raises:
        SettingError: For these.
    """
    if not isinstance(key_ring, KeyRing):
        raise SettingError(f"key_ring must be a KeyRing, not {type(key_ring).__name__}")
    if longest is None:
        raise SettingError("key_ring cannot keep a retired key for as long as its tokens live: let them expire")
    if longest + leeway > key_ring.retain.total_seconds():
        raise SettingError(
            f"key_ring must keep a retired key for as long as its tokens live: KeyRing(..., retain={longest + leeway:.0f})"
        )
