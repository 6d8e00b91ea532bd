"""`JWTConfig`: every decision about tokens, made once, checked when built, then frozen.

Nothing is global: two configurations in one process share nothing.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from . import _settings
from ._compact import DEFAULT_MAX_TOKEN_SIZE, b64url_encode, dump_json
from ._settings import as_duration, whole_seconds
from ._signatures import SignatureCache
from .claims import REGISTERED_CLAIMS
from .errors import KeyConfigurationError, SettingError
from .keys import Key, KeySet
from .token import ClaimNames

__all__ = ["MAX_LEEWAY", "JWTConfig"]

MAX_LEEWAY: Final = timedelta(seconds=300)
"""The largest clock difference that may be forgiven (RFC 9068 section 4: a few minutes at most)."""

_MIN_TOKEN_SIZE, _MAX_TOKEN_SIZE = 256, 64 * 1024
_MAX_REMEMBERED_TOKENS = 1_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JWTConfig:
    """How tokens are minted and verified. Frozen; keyword arguments only.

    Durations are `timedelta` or seconds. Give `secret_key` or `signing_key` to mint and verify, or only
    `verification_keys` to verify: minting then raises `SigningKeyMissingError`.

    Args:
        secret_key: A shared secret (str or bytes) that signs and verifies.
        algorithm: For `secret_key`: HS256 (the default), HS384 or HS512.
        signing_key: The `Key` that signs. It verifies too.
        verification_keys: Further keys that only verify: the previous key after a rotation, the keys of others.
        issuer: Minted as `iss`; a token must then carry exactly this (RFC 7519 section 4.1.1).
        audience: Who this application is, one name or several. Minted as `aud`; a token must then name one of them
            (section 4.1.3). When not set, a token that carries an `aud` is refused: it is for somebody else.
        access_lifetime: Of an access token. None: it never expires, which `required_claims` must then allow.
        refresh_lifetime: Of a refresh token; not shorter than `access_lifetime`.
        leeway: Clock difference to forgive in `exp`, `nbf` and `iat`; at most 300 seconds.
        max_age: Oldest acceptable token, counted from `iat`. None: no limit but `exp`.
        max_lifetime: Longest acceptable span from `iat` to `exp`. None: no limit.
        identity_claim: The claim that says whom the token speaks for. `sub` is always a non-empty string; a claim of
            another name may hold any JSON value but null.
        user_claims_claim: The claim that holds the application's own claims, an object. None: they stand beside the
            registered ones, and may not take their names.
        type_claim: The claim that tells access tokens from refresh tokens. None: tokens carry no such claim and all
            are access tokens (those of many identity providers).
        roles_claim: The claim with the roles.
        scope_claim: The claim with the scopes.
        required_claims: Further claims that a token must carry, beside identity and type, `iss` and `aud` if set.
        send_kid: Whether minted tokens name their key in the header.
        max_token_size: Longest acceptable token, in characters; the cap on what is looked at and on what is minted.
        signature_cache_size: How many tokens with a good signature are remembered, so that each is verified once; what
            else decides (times, parties, claims) is checked for every request. 0: none. Only tokens of at most 4,096
            characters are.
        clock: Seconds since the epoch, as `time.time`.

    Raises:
        SettingError: A setting cannot be used; the message says what to write instead.
        KeyConfigurationError: A key cannot be used.
    """

    secret_key: dataclasses.InitVar[str | bytes | None] = None
    algorithm: dataclasses.InitVar[str | None] = None
    signing_key: Key | None = None
    verification_keys: KeySet | Iterable[Key] = ()
    issuer: str | None = None
    audience: str | Iterable[str] | None = None
    access_lifetime: timedelta | float | None = timedelta(minutes=15)
    refresh_lifetime: timedelta | float | None = timedelta(days=14)
    leeway: timedelta | float = timedelta(seconds=10)
    max_age: timedelta | float | None = None
    max_lifetime: timedelta | float | None = None
    identity_claim: str = "sub"
    user_claims_claim: str | None = "user_claims"
    type_claim: str | None = "type"
    roles_claim: str = "roles"
    scope_claim: str = "scope"
    required_claims: Iterable[str] = ("exp", "iat", "jti")
    send_kid: bool = True
    max_token_size: int = DEFAULT_MAX_TOKEN_SIZE
    signature_cache_size: int = 1024
    clock: Callable[[], float] = time.time

    # What follows from the settings, worked out once. Read by minting and verification.
    keys: KeySet = dataclasses.field(init=False, repr=False)
    signatures: SignatureCache = dataclasses.field(init=False, repr=False)
    audiences: frozenset[str] = dataclasses.field(init=False, repr=False)
    minted_audience: str | list[str] | None = dataclasses.field(init=False, repr=False)
    minted_header: dict[str, str] = dataclasses.field(init=False, repr=False)
    encoded_header: bytes = dataclasses.field(init=False, repr=False)
    presence: tuple[str, ...] = dataclasses.field(init=False, repr=False)
    names: ClaimNames = dataclasses.field(init=False, repr=False)
    access_seconds: int | None = dataclasses.field(init=False, repr=False)
    refresh_seconds: int | None = dataclasses.field(init=False, repr=False)
    leeway_seconds: float = dataclasses.field(init=False, repr=False)
    max_age_seconds: float | None = dataclasses.field(init=False, repr=False)
    max_lifetime_seconds: float | None = dataclasses.field(init=False, repr=False)

    def __post_init__(self, secret_key: str | bytes | None, algorithm: str | None) -> None:
        self._settle_keys(secret_key, algorithm)
        self._settle_parties()
        self._settle_times()
        self._settle_names()
        if type(self.send_kid) is not bool:
            raise SettingError("send_kid must be True or False")
        self._settle_header()
        if type(self.max_token_size) is not int or not _MIN_TOKEN_SIZE <= self.max_token_size <= _MAX_TOKEN_SIZE:
            raise SettingError(
                f"max_token_size must be an int from {_MIN_TOKEN_SIZE} to {_MAX_TOKEN_SIZE} (characters)"
            )
        size = self.signature_cache_size
        if type(size) is not int or not 0 <= size <= _MAX_REMEMBERED_TOKENS:
            raise SettingError(f"signature_cache_size must be an int from 0 to {_MAX_REMEMBERED_TOKENS} (tokens)")
        self._set("signatures", SignatureCache(size))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _settle_keys(self, secret_key: str | bytes | None, algorithm: str | None) -> None:
        if secret_key is not None:
            if self.signing_key is not None:
                raise SettingError("secret_key and signing_key are both set; keep the one that signs")
            self._set("signing_key", Key.from_secret(secret_key, "HS256" if algorithm is None else algorithm))
        elif algorithm is not None:
            raise SettingError("algorithm goes with secret_key; for other keys name it in Key.from_pem or Key.from_jwk")
        signing_key = self.signing_key
        if signing_key is not None and not isinstance(signing_key, Key):
            raise SettingError(f"signing_key must be a Key, not {type(signing_key).__name__}; see Key.from_pem")
        if signing_key is not None and not signing_key.can_sign:
            raise KeyConfigurationError("signing_key is a public key; load the private one, or use verification_keys")
        if isinstance(self.verification_keys, Key | str | bytes) or not isinstance(self.verification_keys, Iterable):
            raise SettingError("verification_keys must be a KeySet or a list of Key objects")
        others = tuple(key for key in self.verification_keys if key is not signing_key)
        for key in others:
            if isinstance(key, Key) and key.can_sign and not key.is_symmetric:
                raise KeyConfigurationError(
                    f"verification_keys holds the private key {key.kid!r}; pass its public half: key.public()"
                )
        if signing_key is None and not others:
            raise SettingError(
                "no key: set secret_key or signing_key to mint and verify, or verification_keys to verify"
            )
        self._set("verification_keys", others)
        self._set("keys", KeySet(others if signing_key is None else (signing_key, *others)))

    def _settle_header(self) -> None:
        header: dict[str, str] = {}
        if self.signing_key is not None:
            header = {"alg": self.signing_key.algorithm, "typ": "JWT"}
            if self.send_kid:
                header["kid"] = self.signing_key.kid
        self._set("minted_header", header)
        self._set("encoded_header", b64url_encode(dump_json(header)))

    def _settle_parties(self) -> None:
        if self.issuer is not None and not _is_name(self.issuer):
            raise SettingError("issuer must be a non-empty str, exactly as it stands in the tokens")
        audience = self.audience
        if audience is not None and not isinstance(audience, str):
            audience = tuple(audience) if isinstance(audience, Iterable) else (audience,)
        names = (audience,) if isinstance(audience, str) else audience or ()
        if (audience is not None and not names) or not all(map(_is_name, names)):
            raise SettingError("audience must be a non-empty str, or several of them")
        self._set("audience", audience)
        self._set("audiences", frozenset(names))
        # RFC 7519 section 4.1.3: one may stand as a string of its own.
        self._set("minted_audience", list(names) if len(names) > 1 else next(iter(names), None))

    def _settle_times(self) -> None:
        for name in ("access_lifetime", "refresh_lifetime", "max_age", "max_lifetime"):
            value = getattr(self, name)
            if value is not None:
                self._set(name, as_duration(value, name))
        leeway = as_duration(self.leeway, "leeway", zero=True)
        if leeway > MAX_LEEWAY:
            raise SettingError(f"leeway must be at most {MAX_LEEWAY.seconds} seconds; set the clocks right instead")
        self._set("leeway", leeway)
        self._set("leeway_seconds", leeway.total_seconds())
        self._set("max_age_seconds", _seconds(self.max_age))
        self._set("max_lifetime_seconds", _seconds(self.max_lifetime))
        access, refresh = _seconds(self.access_lifetime), _seconds(self.refresh_lifetime)
        if refresh is not None and (access is None or access > refresh):
            raise SettingError("access_lifetime must not be longer than refresh_lifetime")
        for name in ("access", "refresh"):
            lifetime = getattr(self, f"{name}_lifetime")
            self._set(f"{name}_seconds", None if lifetime is None else whole_seconds(lifetime))
        if not callable(self.clock) or type(self.clock()) not in (int, float):
            raise SettingError("clock must be a callable that returns seconds since the epoch, as time.time does")

    def _settle_names(self) -> None:
        names = ("identity_claim", "user_claims_claim", "type_claim", "roles_claim", "scope_claim")
        optional = ("user_claims_claim", "type_claim")
        chosen = [getattr(self, name) for name in names]
        for name, value in zip(names, chosen, strict=True):
            if not (_is_name(value) or (value is None and name in optional)):
                raise SettingError(f"{name} must be a non-empty str{' or None' if name in optional else ''}")
        given = [value for value in chosen if value is not None]
        taken = {"iss", "aud", "exp", "nbf", "iat", "jti", "fresh", "cnf"}
        # `sub` is read as a string whatever its use (RFC 7519 section 4.1.2), so it can only be the identity.
        if len(set(given)) != len(given) or not taken.isdisjoint(given) or "sub" in chosen[1:]:
            raise SettingError(
                f"{', '.join(names)} must be different names, and none of {', '.join(sorted(taken))}; "
                "only identity_claim may be sub"
            )
        required = self.required_claims
        if isinstance(required, str) or not isinstance(required, Iterable):
            raise SettingError("required_claims must be a list of claim names")
        required = tuple(required)
        if not all(map(_is_name, required)):
            raise SettingError("required_claims must hold non-empty str only")
        if "exp" in required and (self.access_lifetime is None or self.refresh_lifetime is None):
            raise SettingError("a token that never expires lacks 'exp': take it out of required_claims to allow that")
        self._set("required_claims", required)
        presence = dict.fromkeys([*required, self.identity_claim])
        presence.update(dict.fromkeys(name for name in (self.type_claim,) if name is not None))
        presence.update(dict.fromkeys(["iss"] if self.issuer is not None else []))
        presence.update(dict.fromkeys(["aud"] if self.audiences else []))
        self._set("presence", tuple(presence))
        self._set("names", ClaimNames(self.identity_claim, self.user_claims_claim, REGISTERED_CLAIMS.union(given)))

    def replace(self, **changes: Any) -> JWTConfig:
        """A copy with some settings changed; checked like any other.

        Args:
            changes: Settings by name. A new `secret_key` takes the place of the signing key.
        """
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.init}
        if changes.get("secret_key") is not None:
            del settings["signing_key"]
        return JWTConfig(**{**settings, **changes})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], prefix: str = "JWT_") -> JWTConfig:
        """Settings from a mapping such as Sanic's `app.config`: `JWT_SECRET_KEY`, `JWT_ISSUER` and so on.

        Keys without the prefix are left alone; one with the prefix that names no setting is an error, since a
        misspelt setting would otherwise do nothing. Text is converted: seconds for durations, commas in lists,
        `true` and `false`, `none`; PEM, a JWK or a JWK Set for keys (`JWT_ALGORITHM` then says which algorithm).

        Raises:
            SettingError: An unknown or unusable setting.
            KeyConfigurationError: A key cannot be used.
        """
        return cls(**_settings.read(mapping, prefix, _SETTINGS))

    @classmethod
    def from_env(cls, prefix: str = "JWT_", environ: Mapping[str, str] | None = None) -> JWTConfig:
        """Settings from environment variables, as `from_mapping` reads them.

        Args:
            prefix: What the names of the variables begin with.
            environ: Instead of `os.environ`.
        """
        return cls.from_mapping(os.environ if environ is None else environ, prefix)


_SETTINGS = tuple(name for name, field in JWTConfig.__dataclass_fields__.items() if field.init)


def _seconds(value: timedelta | float | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)
