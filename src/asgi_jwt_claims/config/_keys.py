"""Check which keys a configuration has: its own, those of a `KeyRing`, those of an identity provider, or none at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.errors import KeyConfigurationError, KeysUnavailableError, SettingError
from asgi_jwt_claims.keys import Key, KeyRing, KeySet, KeySource
from asgi_jwt_claims.keys._secrets import COMMAND_FOR_A_SECRET
from asgi_jwt_claims.keys.key import ASYMMETRIC_ALGORITHMS
from asgi_jwt_claims.keys.key_set import FixedKeys

if TYPE_CHECKING:
    from asgi_jwt_claims.jwks import TenantKeySets

    from .issuer_template import Issuers

__all__ = ["algorithms_of", "key_source_for", "tenant_sets_of"]


def key_source_for(
    settings: dict[str, Any], issuers: Issuers, leeway: float, longest: float | None, *, is_addressed: bool
) -> KeySource:
    """Check the keys of a configuration, and return the source of those that verify.

    `leeway` and the `longest` lifetime of a token are in seconds; `longest` is None if tokens never expire. `is_addressed`
    says that the settings demand that a token is for this application.
    """
    if settings["introspection"] is not None:
        return _check_introspection(settings)
    jwks, ring = settings["jwks"], settings["key_ring"]
    if jwks is None and ring is None:
        return _check_own_keys(settings)
    is_shared = any(settings[name] is not None for name in ("secret_key", "algorithm", "signing_key"))
    if is_shared or settings["verification_keys"] or (jwks is not None and ring is not None):
        name, other = ("key_ring", "jwks") if jwks is None else ("jwks", "key_ring")
        raise SettingError(
            f"{name} cannot be combined with secret_key, algorithm, signing_key, verification_keys or {other}; use a "
            "separate JWTConfig for each"
        )
    settings["verification_keys"] = ()
    if jwks is not None:
        return _check_jwks(jwks, issuers, is_addressed=is_addressed)
    return _check_key_ring(ring, leeway, longest, send_kid=settings["send_kid"])


class _NoKeys(KeySource):
    """Stands where an authorization server verifies the tokens."""

    __slots__ = ()

    @property
    def keys(self) -> KeySet:
        """None: see `KeySource.keys`."""
        raise KeysUnavailableError(reason="opaque tokens have no keys")


def _check_introspection(settings: dict[str, Any]) -> KeySource:
    from asgi_jwt_claims.introspection.endpoint import Introspection  # noqa: PLC0415 -- it imports anyio

    introspection = settings["introspection"]
    if not isinstance(introspection, Introspection):
        raise SettingError(
            "introspection must be Introspection(url, client) of asgi_jwt_claims.introspection, not "
            f"{type(introspection).__name__}"
        )
    names = ("secret_key", "algorithm", "signing_key", "key_ring", "jwks")
    if any(settings[name] is not None for name in names) or settings["verification_keys"]:
        raise SettingError(
            f"introspection cannot be combined with {', '.join(names)} or verification_keys; use a separate JWTConfig for "
            "each, and pass both in a list"
        )
    settings["verification_keys"] = ()
    return _NoKeys()


def _check_own_keys(settings: dict[str, Any]) -> KeySource:
    secret_key, algorithm, signing_key = settings["secret_key"], settings["algorithm"], settings["signing_key"]
    if secret_key is not None:
        if signing_key is not None:
            raise SettingError("secret_key and signing_key are both set; keep the one that signs")
        signing_key = Key.from_secret(secret_key, "HS256" if algorithm is None else algorithm)
    elif algorithm is not None:
        raise SettingError("algorithm goes with secret_key; for other keys name it in Key.from_pem or Key.from_jwk")
    if not isinstance(signing_key, Key | None):
        raise SettingError(f"signing_key must be a Key, not {type(signing_key).__name__}; see Key.from_pem")
    if signing_key is not None and not signing_key.can_sign:
        raise KeyConfigurationError("signing_key is a public key; load the private one, or use verification_keys")
    verification_keys = settings["verification_keys"]
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
    settings["signing_key"], settings["verification_keys"] = signing_key, others
    return FixedKeys(KeySet(others if signing_key is None else (signing_key, *others)))


def _check_jwks(jwks: object, issuers: Issuers, *, is_addressed: bool) -> KeySource:
    if not isinstance(jwks, KeySource):
        raise SettingError(f"jwks must be a RemoteKeySet, not {type(jwks).__name__}")
    # RFC 8725 sections 3.8 and 3.9: the keys alone do not say that a token is from this issuer and for this audience.
    is_of_issuer = issuers.canonical is not None or issuers.template is not None
    if not is_of_issuer or not (is_addressed or jwks.is_for_one_client):
        raise SettingError(
            "jwks needs issuer and audience: its keys sign tokens for other applications, too. For tokens without aud, "
            'demand the value of a claim that names their client, resource or owner: required_claims={"client_id": "..."}'
        )
    expected = getattr(jwks, "issuer", None)
    if expected is not None and issuers.template is not None:
        raise SettingError(
            f"jwks finds the keys of {expected!r} alone, but issuer is an IssuerTemplate: write RemoteKeySet(url) for keys "
            "that all tenants share, or TenantKeySets() if each has its own"
        )
    if expected is not None and expected != issuers.canonical:
        raise SettingError(
            f"jwks finds the keys of {expected!r}, but issuer is {issuers.canonical!r}; give both the same issuer"
        )
    return jwks


def algorithms_of(key_source: KeySource) -> frozenset[str]:
    """Return the algorithms that its keys may ever be for."""
    if isinstance(key_source, FixedKeys):
        return frozenset(key.algorithm for key in key_source.keys)
    return frozenset(getattr(key_source, "algorithms", ()) or ASYMMETRIC_ALGORITHMS)


def tenant_sets_of(key_source: KeySource, issuers: Issuers) -> TenantKeySets | None:
    """Return the key source if it has a set of keys for each tenant, after making that of an example; else None."""
    from asgi_jwt_claims.jwks.tenants import TenantKeySets  # noqa: PLC0415 -- it imports anyio

    if not isinstance(key_source, TenantKeySets):
        return None
    if issuers.template is None:
        raise SettingError(
            "TenantKeySets needs an IssuerTemplate as issuer; for one issuer write RemoteKeySet(issuer=...)"
        )
    key_source.make(issuers.template.example)
    return key_source


def _check_key_ring(key_ring: object, leeway: float, longest: float | None, *, send_kid: object) -> KeySource:
    if send_kid is False:
        raise SettingError("key_ring needs send_kid: while there are several keys, a token has to name its own")
    if not isinstance(key_ring, KeyRing):
        raise SettingError(f"key_ring must be a KeyRing, not {type(key_ring).__name__}")
    if longest is None:
        raise SettingError("key_ring cannot keep a retired key for as long as its tokens live: let them expire")
    if longest + leeway > key_ring.retain.total_seconds():
        raise SettingError(
            f"key_ring must keep a retired key for as long as its tokens live: KeyRing(..., retain={longest + leeway:.0f})"
        )
    return key_ring
