"""`JWTConfig`: every decision about tokens, made once, checked when built, then frozen.

Nothing is global: two configurations in one process share nothing.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from asgi_jwt_claims.errors import SettingError, SigningKeyMissingError
from asgi_jwt_claims.jose.compact import DEFAULT_MAX_TOKEN_SIZE
from asgi_jwt_claims.jose.names import REGISTERED_CLAIMS
from asgi_jwt_claims.jose.strict_json import has_lone_surrogate
from asgi_jwt_claims.keys._secrets import COMMAND_FOR_A_SECRET
from asgi_jwt_claims.keys.key_set import KeySet, KeySource
from asgi_jwt_claims.runtime.durations import as_duration, whole_seconds
from asgi_jwt_claims.runtime.values import plain

from . import _environment as _settings
from ._cache import VerifiedTokenCache
from ._keys import (
    Signer,
    check_exclusive,
    check_jwks,
    check_key_ring,
    own_keys,
    signer_for,
)
from ._prepared import ClaimNames
from .cookies import TokenCookies
from .events import AuthEvent, OnAuthEvent

if TYPE_CHECKING:
    from asgi_jwt_claims.keys.key import Key
    from asgi_jwt_claims.keys.ring import KeyRing


__all__ = ["MAX_GRACE", "MAX_LEEWAY", "AuthEvent", "JWTConfig", "OnAuthEvent", "TokenCookies", "check_config"]

MAX_LEEWAY: Final = timedelta(seconds=300)
"""The largest clock difference that may be forgiven (RFC 9068 section 4: a few minutes at most)."""

MAX_GRACE: Final = timedelta(seconds=60)
"""The longest time in which a spent refresh token may still be answered."""

_MIN_TOKEN_SIZE, _MAX_TOKEN_SIZE = 256, 64 * 1024
_MAX_REMEMBERED_TOKENS = 1_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JWTConfig:
    """How tokens are minted and verified. Frozen; keyword arguments only.

    Durations are `timedelta` or seconds. Give `secret_key`, `signing_key` or `key_ring` to mint and verify; only
    `verification_keys`, or `jwks`, to verify: minting then raises `SigningKeyMissingError`.

    Args:
        secret_key: A shared secret (str or bytes) that signs and verifies.
        algorithm: For `secret_key`: HS256 (the default), HS384 or HS512.
        signing_key: The `Key` that signs. It verifies too.
        verification_keys: Further keys that only verify: the previous key after a rotation, the keys of others.
        key_ring: Keys that sign one after the other, instead of `signing_key`; see `asgi_jwt_claims.keys.KeyRing`.
        jwks: The keys of an identity provider, instead of any other; see `asgi_jwt_claims.jwks.RemoteKeySet`. It needs
            `issuer` and `audience`, since such a provider signs for many.
        issuer: Minted as `iss`; a token must then carry exactly this (RFC 7519 section 4.1.1).
        audience: Who this application is, one name or several. Minted as `aud`; a token must then name one of them
            (section 4.1.3). When not set, a token that carries an `aud` is refused: it is for somebody else.
        access_lifetime: Of an access token. None: it never expires, which `required_claims` must then allow.
        refresh_lifetime: Of a refresh token; not shorter than `access_lifetime`. A session that is not refreshed for so
            long ends.
        session_lifetime: From a login until its session ends, however often it is refreshed. None: no limit.
        refresh_grace: For how long after a refresh a client that lost the answer may ask for it again. 0: not at all.
        leeway: Clock difference to forgive in `exp`, `nbf` and `iat`; at most 300 seconds.
        max_age: Oldest acceptable token, counted from `iat`. None: no limit but `exp`.
        max_lifetime: Longest span from `iat` to `exp`: none longer is minted or accepted, and revocations are kept for so
            long. None: none longer than `refresh_lifetime` is minted, and what others have minted is accepted however
            long it is.
        identity_claim: The claim that says whom the token speaks for. `sub` is always a non-empty string; a claim of
            another name may hold any JSON value but null.
        user_claims_claim: The claim that holds the application's own claims, an object. None: they stand beside the
            registered ones, and may not take their names.
        type_claim: The claim that tells access tokens from refresh tokens. None: tokens carry no such claim and all
            are access tokens (those of many identity providers), but those that show that they are something else.
        accept_id_tokens: Whether ID tokens pass as access tokens where `type_claim` is None: for an issuer that has no
            access tokens. An ID token is meant for the client that asked for it (OpenID Connect Core 1.0 section 2), so
            any service that gets one can use it here.
        roles_claim: The claim with the roles.
        scope_claim: The claim with the scopes.
        session_claim: The claim that names the session, shared by all tokens that come from one login (`sid`, OpenID
            Connect Front-Channel Logout 1.0 section 3). None: no token has one.
        required_claims: Further claims that a token must carry, beside identity and type, `iss` and `aud` if set.
        send_kid: Whether minted tokens name their key in the header.
        max_token_size: Longest acceptable token, in characters; the cap on what is looked at and on what is minted.
        signature_cache_size: How many tokens with a good signature are remembered, so that each is verified once; what
            else decides (times, parties, claims) is checked for every request. 0: none. Only tokens of at most 4,096
            characters are.
        cookies: What the cookies of browsers are called and how they are protected.
        clock: Seconds since the epoch, as `time.time`.
        on_event: Told of every `AuthEvent`, see `asgi_jwt_claims.config.AuthEvent`; sync or async.
        accepted_events: Whether `on_event` is also told of each request that is let in with a token.

    Raises:
        SettingError: A setting cannot be used; the message says what to write instead.
        KeyConfigurationError: A key cannot be used.
    """

    secret_key: dataclasses.InitVar[str | bytes | None] = None
    algorithm: dataclasses.InitVar[str | None] = None
    signing_key: Key | None = None
    verification_keys: KeySet | Iterable[Key] = ()
    key_ring: KeyRing | None = None
    jwks: KeySource | None = None
    issuer: str | None = None
    audience: str | Iterable[str] | None = None
    access_lifetime: timedelta | float | None = timedelta(minutes=15)
    refresh_lifetime: timedelta | float | None = timedelta(days=14)
    session_lifetime: timedelta | float | None = timedelta(days=90)
    refresh_grace: timedelta | float = timedelta(seconds=10)
    leeway: timedelta | float = timedelta(seconds=10)
    max_age: timedelta | float | None = None
    max_lifetime: timedelta | float | None = None
    identity_claim: str = "sub"
    user_claims_claim: str | None = "user_claims"
    type_claim: str | None = "type"
    accept_id_tokens: bool = False
    roles_claim: str = "roles"
    scope_claim: str = "scope"
    session_claim: str | None = "sid"
    required_claims: Iterable[str] = ("exp", "iat", "jti")
    send_kid: bool = True
    max_token_size: int = DEFAULT_MAX_TOKEN_SIZE
    signature_cache_size: int = 1024
    cookies: TokenCookies = TokenCookies()  # noqa: RUF009 -- frozen, so it can be everybody's
    clock: Callable[[], float] = time.time
    on_event: OnAuthEvent | None = None
    accepted_events: bool = False

    # What follows from the settings, worked out once. Read by minting and verification.
    key_source: KeySource | None = dataclasses.field(init=False, repr=False)
    own_keys: KeySet = dataclasses.field(init=False, repr=False)
    signatures: VerifiedTokenCache[Any] = dataclasses.field(init=False, repr=False)
    audiences: frozenset[str] = dataclasses.field(init=False, repr=False)
    minted_audience: str | list[str] | None = dataclasses.field(init=False, repr=False)
    signers: dict[Key, Signer] = dataclasses.field(init=False, repr=False)
    presence: tuple[str, ...] = dataclasses.field(init=False, repr=False)
    names: ClaimNames = dataclasses.field(init=False, repr=False)
    access_seconds: int | None = dataclasses.field(init=False, repr=False)
    refresh_seconds: int | None = dataclasses.field(init=False, repr=False)
    session_seconds: int | None = dataclasses.field(init=False, repr=False)
    grace_seconds: float = dataclasses.field(init=False, repr=False)
    leeway_seconds: float = dataclasses.field(init=False, repr=False)
    max_age_seconds: float | None = dataclasses.field(init=False, repr=False)
    max_lifetime_seconds: float | None = dataclasses.field(init=False, repr=False)
    longest_seconds: float = dataclasses.field(init=False, repr=False)

    def __post_init__(self, secret_key: str | bytes | None, algorithm: str | None) -> None:
        for field in dataclasses.fields(self):
            if field.init:
                self._set(field.name, plain(getattr(self, field.name)))
        self._init_parties()
        self._init_times()
        self._set("signers", {})
        if self.jwks is not None or self.key_ring is not None:
            self._init_key_source(secret_key, algorithm)
        else:
            self._set("key_source", None)
            self._init_keys(secret_key, algorithm)
        self._init_names()
        if not isinstance(self.cookies, TokenCookies):
            raise SettingError("cookies must be TokenCookies(...)")
        for name in ("send_kid", "accepted_events"):
            if type(getattr(self, name)) is not bool:
                raise SettingError(f"{name} must be True or False")
        if not callable(self.on_event) and (self.on_event is not None or self.accepted_events):
            raise SettingError(f"on_event must be a function{' where accepted_events is True' * self.accepted_events}")
        if type(self.max_token_size) is not int or not _MIN_TOKEN_SIZE <= self.max_token_size <= _MAX_TOKEN_SIZE:
            raise SettingError(
                f"max_token_size must be an int from {_MIN_TOKEN_SIZE} to {_MAX_TOKEN_SIZE} (characters)"
            )
        size = self.signature_cache_size
        if type(size) is not int or not 0 <= size <= _MAX_REMEMBERED_TOKENS:
            raise SettingError(f"signature_cache_size must be an int from 0 to {_MAX_REMEMBERED_TOKENS} (tokens)")
        self._set("signatures", VerifiedTokenCache(size))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _init_keys(self, secret_key: str | bytes | None, algorithm: str | None) -> None:
        signing_key, others = own_keys(secret_key, algorithm, self.signing_key, self.verification_keys)
        self._set("signing_key", signing_key)
        self._set("verification_keys", others)
        self._set("own_keys", KeySet(others if signing_key is None else (signing_key, *others)))
        self._set("key_source", None)

    def _init_key_source(self, *settings: object) -> None:
        check_exclusive(self.jwks, self.key_ring, (*settings, self.signing_key, self.verification_keys or None))
        if self.jwks is not None:
            check_jwks(self.jwks, self.issuer, self.audiences)
        else:
            if self.send_kid is False:
                raise SettingError("key_ring needs send_kid: while there are several keys, a token has to name its own")
            longest = self.access_seconds if self.type_claim is None else self.refresh_seconds
            check_key_ring(self.key_ring, longest, self.leeway_seconds)
        self._set("verification_keys", ())
        self._set("key_source", self.key_ring if self.jwks is None else self.jwks)

    @property
    def is_remote(self) -> bool:
        """Whether the keys are those of somebody else, which may have to be waited for."""
        return self.jwks is not None

    @property
    def keys(self) -> KeySet:
        """The keys that verify now.

        Raises:
            KeysUnavailableError: They are those of somebody else, and there are none in hand.
        """
        return self.own_keys if self.key_source is None else self.key_source.keys

    @property
    def signer(self) -> Signer:
        """What signs now.

        Raises:
            SigningKeyMissingError: Nothing: this configuration only verifies.
        """
        key = self.signing_key if self.key_ring is None else self.key_ring.current
        if key is None:
            raise SigningKeyMissingError(
                "this configuration only verifies; set secret_key, signing_key or key_ring to mint tokens"
            )
        signer = self.signers.get(key)
        if signer is None:
            self.signers.clear()  # what signed before will not do so again
            signer = self.signers[key] = signer_for(key, send_kid=self.send_kid)
        return signer

    def _init_parties(self) -> None:
        if self.issuer is not None and not _is_name(self.issuer):
            raise SettingError("issuer must be a non-empty str, exactly as it stands in the tokens")
        audience = self.audience
        if audience is not None and not isinstance(audience, str):
            audience = tuple(map(plain, audience)) if isinstance(audience, Iterable) else (audience,)
        names = (audience,) if isinstance(audience, str) else audience or ()
        if (audience is not None and not names) or not all(map(_is_name, names)):
            raise SettingError("audience must be a non-empty str, or several of them")
        self._set("audience", audience)
        self._set("audiences", frozenset(names))
        # RFC 7519 section 4.1.3: one may stand as a string of its own.
        self._set("minted_audience", list(names) if len(names) > 1 else next(iter(names), None))

    def _init_times(self) -> None:
        for name in ("access_lifetime", "refresh_lifetime", "session_lifetime", "max_age", "max_lifetime"):
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
        for name in ("access", "refresh", "session"):
            lifetime = getattr(self, f"{name}_lifetime")
            self._set(f"{name}_seconds", None if lifetime is None else whole_seconds(lifetime))
        # The longest that a token can live. An access token never outlives the refresh token, as has just been seen.
        longest = self.refresh_seconds if self.max_lifetime_seconds is None else self.max_lifetime_seconds
        self._set("longest_seconds", math.inf if longest is None else longest)
        grace = as_duration(self.refresh_grace, "refresh_grace", zero=True)
        if grace > MAX_GRACE:
            raise SettingError(f"refresh_grace must be at most {MAX_GRACE.seconds} seconds: a thief may use it as well")
        self._set("refresh_grace", grace)
        self._set("grace_seconds", grace.total_seconds())
        if not callable(self.clock) or type(self.clock()) not in (int, float):
            raise SettingError("clock must be a callable that returns seconds since the epoch, as time.time does")

    def _init_names(self) -> None:
        names = ("identity_claim", "user_claims_claim", "type_claim", "roles_claim", "scope_claim", "session_claim")
        optional = ("user_claims_claim", "type_claim", "session_claim")
        chosen = [getattr(self, name) for name in names]
        for name, value in zip(names, chosen, strict=True):
            if not (_is_name(value) or (value is None and name in optional)):
                raise SettingError(f"{name} must be a non-empty str{' or None' if name in optional else ''}")
        given = [value for value in chosen if value is not None]
        taken = {"iss", "aud", "exp", "nbf", "iat", "jti", "fresh", "cnf", "auth_time", "client_id"}
        # `sub` is read as a string whatever its use (RFC 7519 section 4.1.2), so it can only be the identity.
        if len(set(given)) != len(given) or not taken.isdisjoint(given) or "sub" in chosen[1:]:
            raise SettingError(
                f"{', '.join(names)} must be different names, and none of {', '.join(sorted(taken))}; "
                "only identity_claim may be sub"
            )
        required = self.required_claims
        if isinstance(required, str) or not isinstance(required, Iterable):
            raise SettingError("required_claims must be a list of claim names")
        required = tuple(map(plain, required))
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
        if type(self.accept_id_tokens) is not bool:
            raise SettingError("accept_id_tokens must be True or False")
        if self.accept_id_tokens and self.type_claim is not None:
            raise SettingError("accept_id_tokens needs type_claim=None: ID tokens carry no claim that tells their type")
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
    def for_issuer(
        cls, issuer: str, *, audience: str | Iterable[str], jwks: KeySource | None = None, **settings: Any
    ) -> JWTConfig:
        """How the access tokens of an OpenID or OAuth provider are verified (RFC 9068 section 4).

        Its metadata says where its keys are (OpenID Connect Discovery 1.0, RFC 8414). Nothing is fetched yet.

        Args:
            issuer: The provider's identifier, exactly as it stands in its metadata and its tokens; an https URL.
            audience: Who this application is, as the provider names it in `aud`.
            jwks: To fetch in another way: a `RemoteKeySet`.
            settings: Any other. `type_claim` and `user_claims_claim` are None and `required_claims` are `exp` and `iat`
                unless set, since tokens of providers have no types and all claims side by side.

        Raises:
            SettingError: A setting cannot be used.
        """
        if jwks is None:
            from asgi_jwt_claims.jwks.remote import RemoteKeySet  # noqa: PLC0415 -- it imports anyio, and most have no use for it

            jwks = RemoteKeySet(issuer=issuer)
        defaults = {"type_claim": None, "user_claims_claim": None, "required_claims": ("exp", "iat")}
        return cls(issuer=issuer, audience=audience, jwks=jwks, **{**defaults, **settings})

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
        settings = _settings.read(mapping, prefix, _SETTINGS)
        if all(settings.get(name) is None for name in _KEYS):
            others = ", ".join(prefix + name.upper() for name in ("signing_key", "verification_keys"))
            raise SettingError(
                f"no key: set {prefix}SECRET_KEY, {others} or {prefix}JWKS; make a secret with: {COMMAND_FOR_A_SECRET}"
            )
        address = settings.get("jwks")
        if isinstance(address, str):
            from asgi_jwt_claims.jwks.remote import RemoteKeySet  # noqa: PLC0415 -- it imports anyio, and most have no use for it

            settings["jwks"] = (
                RemoteKeySet(issuer=settings.get("issuer")) if address == "discover" else RemoteKeySet(address)
            )
        return cls(**settings)

    @classmethod
    def from_env(cls, prefix: str = "JWT_", environ: Mapping[str, str] | None = None) -> JWTConfig:
        """Settings from environment variables, as `from_mapping` reads them.

        Args:
            prefix: What the names of the variables begin with.
            environ: Instead of `os.environ`.
        """
        return cls.from_mapping(os.environ if environ is None else environ, prefix)


def check_config(config: object, call: str) -> None:
    """Refuse what is no configuration, before something of it is missed.

    Args:
        config: What a function was given.
        call: How the function is called, with its arguments in their order.

    Raises:
        SettingError: It is something else.
    """
    if not isinstance(config, JWTConfig):
        raise SettingError(f"config must be one JWTConfig, not {type(config).__name__}; call {call}")


_KEYS = ("secret_key", "signing_key", "verification_keys", "key_ring", "jwks")
_SETTINGS = tuple(name for name, field in JWTConfig.__dataclass_fields__.items() if field.init)


def _seconds(value: timedelta | float | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value) and not has_lone_surrogate(value)
