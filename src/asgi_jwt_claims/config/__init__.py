"""`JWTConfig`: every decision about tokens, made once, checked when built, then frozen.

Nothing is global: two configurations in one process share nothing.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from asgi_jwt_claims import jwks as remote
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jose.compact import DEFAULT_MAX_TOKEN_SIZE
from asgi_jwt_claims.keys._secrets import COMMAND_FOR_A_SECRET

from . import _environment
from ._claim_paths import ClaimPath
from ._prepared import MAX_GRACE, MAX_LEEWAY, Prepared, prepare
from .cookies import TokenCookies
from .events import AuthEvent, OnAuthEvent
from .issuer_template import IssuerTemplate, key_sets_of
from .scopes import ScopeHierarchy

if TYPE_CHECKING:
    from asgi_jwt_claims.introspection import Introspection
    from asgi_jwt_claims.keys import Key, KeyRing, KeySet, KeySource
    from asgi_jwt_claims.runtime.values import HiddenSecret

_Place: TypeAlias = str | ClaimPath | list[str | ClaimPath] | tuple[ClaimPath, ...]
_Value: TypeAlias = str | float
_Demanded: TypeAlias = _Value | frozenset[_Value] | set[str] | set[int] | Callable[[Any], object] | None

_OF_PROVIDERS = {"type_claim": None, "user_claims_claim": None, "required_claims": ("exp", "iat")}
"""What the tokens of an identity provider differ in from those that are minted here."""

__all__ = [
    "MAX_GRACE",
    "MAX_LEEWAY",
    "AuthEvent",
    "IssuerTemplate",
    "JWTConfig",
    "OnAuthEvent",
    "ScopeHierarchy",
    "TokenCookies",
    "check_config",
]


class _Base:
    """Holds what is no setting, so that the fields of `JWTConfig` are its settings and nothing else."""

    __slots__ = ("_prepared",)

    _prepared: Prepared


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JWTConfig(_Base):
    """How tokens are minted and verified. Frozen; keyword arguments only.

    Durations are `timedelta` or seconds. Give `secret_key`, `signing_key` or `key_ring` to mint and verify. Give only
    `verification_keys` or `jwks` to verify; minting then raises `SigningKeyMissingError`.

    Args:
        secret_key: A shared secret (str or bytes, or pydantic's `SecretStr`) that signs and verifies.
        algorithm: The algorithm of `secret_key`: HS256 (the default), HS384 or HS512.
        signing_key: The `Key` that signs. It verifies too.
        verification_keys: Further keys that only verify: the previous key after a rotation, or keys of other issuers.
        key_ring: Keys that sign one after the other, in place of `signing_key`; see `asgi_jwt_claims.keys.KeyRing`.
        jwks: The keys of an identity provider, in place of any other key; see `asgi_jwt_claims.jwks.RemoteKeySet`. It
            needs `issuer` and `audience`, since such a provider signs for many applications. In place of the audience,
            `required_claims` may demand the value of a claim that names a client, resource or owner.
        introspection: The endpoint to ask about opaque tokens, in place of any key; see `for_introspection`.
        issuer: Minted as `iss`. A token must then carry exactly this value (RFC 7519 section 4.1.1). Several values are
            the names of one issuer, of which the first is minted. An `IssuerTemplate` stands for the tenants of a provider.
        audience: The name of this application, or several names. Minted as `aud`. A token must then name one of them
            (section 4.1.3). If it is not set, a token that carries an `aud` is refused: it is for another application.
        access_lifetime: The lifetime of an access token. None if it never expires, which `required_claims` must allow.
        refresh_lifetime: The lifetime of a refresh token, and of a session that is not refreshed; at least
            `access_lifetime`.
        session_lifetime: The time from a login until its session ends, no matter how often it is refreshed. None for
            no limit.
        refresh_grace: How long after a refresh a client that lost the response may ask for it again; 0 for not at all.
        leeway: The clock difference to forgive in `exp`, `nbf` and `iat`, at most 300 seconds.
        max_age: The age of the oldest acceptable token, counted from `iat`. None for no limit but `exp`.
        max_lifetime: The longest span from `iat` to `exp` that is minted or accepted. Revocations are kept for so long.
            None if nothing longer than `refresh_lifetime` is minted, and tokens of other issuers may live longer.
        identity_claim: The claim that says whom the token speaks for; a list for the first of several that is neither
            null nor empty. `sub` is a non-empty string; a claim of another name may hold any JSON value but null and "".
        user_claims_claim: The claim that holds the application's own claims, an object. None if they stand beside the
            registered claims, whose names they must not take.
        type_claim: The claim that tells access tokens from refresh tokens. None if tokens carry no such claim (those of
            many identity providers): all of them are then access tokens, unless they show that they are something else.
        accept_id_tokens: Whether ID tokens pass as access tokens if `type_claim` is None. Any service that receives one
            can use it here, though it is meant for the client that asked for it (OpenID Connect Core 1.0 section 2).
        roles_claim: The claim that holds the roles: its name, its path as a tuple such as ("realm_access", "roles"), or
            a list of either for the roles of all of them. A tuple of one is a name with a dot in it. Where tokens are
            minted, one name, as for scopes and identity.
        scope_claim: The claim that holds the scopes, written as for the roles.
        scope_hierarchy: Which scopes imply others, a `ScopeHierarchy`. None if none does.
        session_claim: The claim that names the session, shared by all tokens of one login (`sid`, OpenID Connect
            Front-Channel Logout 1.0 section 3). None if no token has one.
        required_claims: Further claims that a token must carry, beside identity and type, and `iss` and `aud` if set. A
            mapping also demands values: a name or path to a str, number or bool, to a set of them, to None for any
            value, or to a sync function that must return True, asked for every request. A frozenset of names, to None,
            demands one of them. Without `introspection` it demands `exp` as well.
        send_kid: Whether minted tokens name their key in the header.
        max_token_size: The longest token that is accepted or minted, in characters.
        signature_cache_size: How many verified tokens, of at most 4,096 characters, are remembered, so that the
            signature of each is verified once. Times, parties and claims are checked for every request. 0 for none.
        cookies: How the cookies of browsers are named and protected.
        clock: A function that returns seconds since the epoch, as `time.time` does.
        on_event: A sync or async function that receives every `AuthEvent`; see `asgi_jwt_claims.config.AuthEvent`.
        accepted_events: Whether `on_event` also receives an event for each request that is let in with a token.

    Raises:
        SettingError: A setting cannot be used; the message says what to write instead.
        KeyConfigurationError: A key cannot be used.
    """

    secret_key: dataclasses.InitVar[str | bytes | HiddenSecret | None] = None
    algorithm: dataclasses.InitVar[str | None] = None
    signing_key: Key | None = None
    verification_keys: KeySet | Iterable[Key] = ()
    key_ring: KeyRing | None = None
    jwks: KeySource | None = None
    introspection: Introspection | None = None
    issuer: str | Iterable[str] | IssuerTemplate | None = None
    audience: str | Iterable[str] | None = None
    access_lifetime: timedelta | float | None = timedelta(minutes=15)
    refresh_lifetime: timedelta | float | None = timedelta(days=14)
    session_lifetime: timedelta | float | None = timedelta(days=90)
    refresh_grace: timedelta | float = timedelta(seconds=10)
    leeway: timedelta | float = timedelta(seconds=10)
    max_age: timedelta | float | None = None
    max_lifetime: timedelta | float | None = None
    identity_claim: _Place = "sub"
    user_claims_claim: str | None = "user_claims"
    type_claim: str | None = "type"
    accept_id_tokens: bool = False
    roles_claim: _Place = "roles"
    scope_claim: _Place = "scope"
    scope_hierarchy: ScopeHierarchy | None = None
    session_claim: str | None = "sid"
    required_claims: Iterable[str | ClaimPath] | Mapping[str | ClaimPath | frozenset[str], _Demanded] = (
        "exp",
        "iat",
        "jti",
    )
    send_kid: bool = True
    max_token_size: int = DEFAULT_MAX_TOKEN_SIZE
    signature_cache_size: int = 1024
    cookies: TokenCookies = TokenCookies()  # noqa: RUF009 -- frozen, so it can be shared
    clock: Callable[[], float] = time.time
    on_event: OnAuthEvent | None = None
    accepted_events: bool = False

    def __post_init__(self, secret_key: str | bytes | HiddenSecret | None, algorithm: str | None) -> None:
        settings = self._settings() | {"secret_key": secret_key, "algorithm": algorithm}
        object.__setattr__(self, "_prepared", prepare(settings))
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, settings[field.name])

    def __copy__(self) -> JWTConfig:
        return self

    def _settings(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def is_remote(self) -> bool:
        """Whether an identity provider may have to be asked first: for its keys, or about the token."""
        return self.jwks is not None or self.introspection is not None

    @property
    def keys(self) -> KeySet:
        """The keys that verify now. Raises `KeysUnavailableError` if those of an identity provider are not in hand."""
        return self._prepared.key_source.keys

    def replace(self, **changes: Any) -> JWTConfig:
        """Make a copy with some settings changed, and check it. A new `secret_key` replaces the signing key."""
        settings = self._settings()
        if changes.get("secret_key") is not None:
            del settings["signing_key"]
        return JWTConfig(**{**settings, **changes})

    @classmethod
    def for_issuer(
        cls,
        issuer: str | Iterable[str] | IssuerTemplate,
        *,
        audience: str | Iterable[str] | None,
        jwks: KeySource | None = None,
        **settings: Any,
    ) -> JWTConfig:
        """Verify the access tokens of an OpenID or OAuth provider (RFC 9068 section 4).

        The provider's metadata says where its keys are (OpenID Connect Discovery 1.0, RFC 8414). Nothing is fetched yet.

        Args:
            issuer: The provider's identifier, exactly as it stands in its metadata and its tokens; an https URL.
                Several names of it, the one of the metadata first, or an `IssuerTemplate`.
            audience: The name of this application, as the provider writes it in `aud`. None for tokens without `aud`;
                `required_claims` must then demand the value of a claim that names a client, resource or owner.
            jwks: A `RemoteKeySet` that fetches the keys in another way. None to find them through the metadata.
            settings: Any other settings. Unless set, `type_claim` and `user_claims_claim` are None, and
                `required_claims` are `exp` and `iat`, as suits the tokens of providers.

        Raises:
            SettingError: A setting cannot be used.
        """
        if isinstance(issuer, Iterable) and not isinstance(issuer, str):
            issuer = tuple(issuer)
        if jwks is None:
            jwks = key_sets_of(issuer)
        return cls(issuer=issuer, audience=audience, jwks=jwks, **{**_OF_PROVIDERS, **settings})

    @classmethod
    def for_provider(cls, name: str, **arguments: Any) -> JWTConfig:
        """Verify the tokens of a well-known identity provider.

        `docs/how-to/identity-providers.md` lists the providers, what each needs, and what it demands of a token.

        Args:
            name: The name of the provider, such as `"keycloak"`.
            arguments: What the provider needs, such as `realm`, and any settings. What the preset demands of claims
                cannot be taken away: `required_claims` come on top. `fetch`, `policy`, `loopback_http` and
                `insecure_http_hosts` are those of `RemoteKeySet`.

        Raises:
            SettingError: The provider is not known, an argument is missing, or one cannot be used.
        """
        from .presets import table  # noqa: PLC0415 -- loads anyio, as the next one
        from .presets.settings import settings_for  # noqa: PLC0415 -- as above

        settings = settings_for(name, arguments, table.PROVIDERS, table.UNSUPPORTED, JWTConfig.__dataclass_fields__)
        return cls(**{**_OF_PROVIDERS, **settings})

    @classmethod
    def for_introspection(cls, introspection: Introspection, **settings: Any) -> JWTConfig:
        """Verify opaque tokens by asking the authorization server that issued them (RFC 7662).

        Its answer is read as the claims of a token are. The server may leave out all but `active`, so only what the
        settings name is demanded: the `identity_claim`, an `audience` and an `issuer` if they are set, and
        `required_claims`.

        Args:
            introspection: The endpoint, and the client that asks it.
            settings: Any other settings. Unless set, `type_claim` and `user_claims_claim` are None, and
                `required_claims` is empty.

        Raises:
            SettingError: A setting cannot be used.
        """
        defaults = {"type_claim": None, "user_claims_claim": None, "required_claims": ()}
        return cls(introspection=introspection, **{**defaults, **settings})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], prefix: str = "JWT_") -> JWTConfig:
        """Read the settings from a mapping such as Sanic's `app.config`: `JWT_SECRET_KEY`, `JWT_ISSUER` and so on.

        Members without the `prefix` are left alone; one with the prefix that names no setting is an error. Text is
        converted: seconds for durations, commas or JSON in lists, `true` and `false`, `none`; PEM, a JWK or a JWK Set
        for keys (`JWT_ALGORITHM` then says which algorithm). `JWT_SECRET_KEY_FILE`, `JWT_SIGNING_KEY_FILE`,
        `JWT_VERIFICATION_KEYS_FILE`, `JWT_JWKS_HEADERS_FILE`, `JWT_JWKS_PROXY_FILE`, `JWT_INTROSPECTION_PROXY_FILE` and
        `JWT_INTROSPECTION_CLIENT_SECRET_FILE` are paths of files with them.
        `JWT_COOKIES_SECURE` and the like are arguments of `TokenCookies`, `JWT_JWKS_TIMEOUT` and the like those of
        `RemoteKeySet`, `FetchPolicy` and `HTTPXFetch`, `JWT_INTROSPECTION_TTL` and the like those of `Introspection` and
        `HTTPXFetch`. With `JWT_JWKS` the defaults are those of `for_issuer`, with `JWT_INTROSPECTION`, a URL, those of
        `for_introspection`. `JWT_PROVIDER` names the provider of `for_provider`, whose arguments are then `JWT_REALM`
        and the like.

        Raises:
            SettingError: A setting is unknown or cannot be used, or a file cannot be read.
            KeyConfigurationError: A key cannot be used.
        """
        provider = mapping.get(f"{prefix}PROVIDER", mapping.get(f"{prefix}provider"))
        arguments = {"provider": "str", **({} if provider is None else _kinds_of_arguments(provider))}
        settings, options = _environment.read(mapping, prefix, JWTConfig.__dataclass_fields__, arguments)
        keys = ("secret_key", "signing_key", "verification_keys", "key_ring", "jwks", "introspection", "provider")
        if all(settings.get(name) is None for name in keys):
            raise SettingError(
                f"no key: set {prefix}SECRET_KEY, {prefix}SIGNING_KEY, {prefix}VERIFICATION_KEYS or {prefix}JWKS; make "
                f"a secret with: {COMMAND_FOR_A_SECRET}"
            )
        address = settings.get("jwks")
        if isinstance(address, str):
            is_discovered = address == "discover"
            issuer = settings.get("issuer")
            settings["jwks"] = (
                key_sets_of(issuer, **options) if is_discovered else remote.RemoteKeySet(address, **options)
            )
        name = settings.pop("provider", None)
        if name is not None:
            return cls.for_provider(**{"name": name, **settings, **({} if address else options)})
        if settings.get("introspection") is not None:
            return cls.for_introspection(**settings)
        return cls(**(settings if address is None else {**_OF_PROVIDERS, **settings}))

    @classmethod
    def from_env(cls, prefix: str = "JWT_", environ: Mapping[str, str] | None = None) -> JWTConfig:
        """Read the settings from environment variables, those of `os.environ` by default, as `from_mapping` does.

        Raises:
            SettingError: A setting is unknown or cannot be used.
            KeyConfigurationError: A key cannot be used.
        """
        return cls.from_mapping(os.environ if environ is None else environ, prefix)


def _kinds_of_arguments(provider: Any) -> dict[str, str]:
    from .presets import table  # noqa: PLC0415 -- loads anyio, as the next one
    from .presets.settings import kinds_of_arguments  # noqa: PLC0415 -- as above

    return kinds_of_arguments(provider, table.PROVIDERS, table.UNSUPPORTED)


def check_config(config: object, call: str) -> None:
    """Raise SettingError if `config` is no configuration. `call` shows the right call, with its arguments in order."""
    if not isinstance(config, JWTConfig):
        raise SettingError(f"config must be one JWTConfig, not {type(config).__name__}; call {call}")
