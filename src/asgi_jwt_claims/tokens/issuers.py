"""Accept the tokens of several issuers: choose the configuration by the token's `iss`.

The issuer is read before anything is verified. It decides only whose rules and keys the token is then checked against,
completely: a token that names another issuer than the one that signed it is checked with keys that did not sign it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from asgi_jwt_claims.config import JWTConfig, OnAuthEvent
from asgi_jwt_claims.errors import MalformedTokenError, MissingClaimError, SettingError, WrongIssuerError
from asgi_jwt_claims.jose.compact import Framed, split_compact
from asgi_jwt_claims.jose.strict_json import load_json
from asgi_jwt_claims.runtime.values import Frozen

from .claims import read_string

__all__ = ["MultiIssuerVerifier", "Verifier", "verifier_for"]

_MAX_CACHED_TOKENS = 1024
_DOTS = 2  # of a token of three parts
_MAX_COMMAS = 256  # of a short payload that is parsed before its signature is verified
_BYTES_FOR_A_COMMA = 24  # of a longer one; groups are often named by identifiers of 36 characters
_ISSUER = re.compile(rb'"iss"[ \t\n\r]*:[ \t\n\r]*"(?:[^"\\]|\\.){1,2048}"', re.DOTALL)
_ESCAPED_LETTERS = (rb"\u0069", rb"\u0073")  # with which the name of the claim could be spelled in another way


class MultiIssuerVerifier(Frozen):
    """Two or more configurations, each for an issuer of its own. Frozen; those with the same configurations are equal.

    One of them may be for opaque tokens. It gets what is no token of three parts, so that the authorization server sees
    none of the tokens of the others.

    Attributes:
        is_remote: Whether any of them may have to ask an identity provider first.
        max_token_size: The longest token that any of them accepts, in characters.
        on_event: The `on_event` functions of those that have one, by issuer; that for opaque tokens by None.

    Raises:
        SettingError: A configuration has no issuer, or the issuer of another one, or two are for opaque tokens.
    """

    __slots__ = ("_by_issuer", "_issuer_cache", "_opaque", "is_remote", "max_token_size", "on_event")

    _by_issuer: dict[str, JWTConfig]
    _issuer_cache: dict[int, JWTConfig]
    _opaque: JWTConfig | None
    is_remote: bool
    max_token_size: int
    on_event: dict[str | None, OnAuthEvent]

    def __init__(self, configs: Iterable[JWTConfig]) -> None:
        by_issuer: dict[str, JWTConfig] = {}
        opaque: JWTConfig | None = None
        for config in configs:
            if not isinstance(config, JWTConfig):
                raise SettingError(f"config must be a JWTConfig or a list of them, not {type(config).__name__}")
            if config.introspection is not None:
                if opaque is not None:
                    raise SettingError(
                        "two configurations have introspection; an opaque token does not say which to ask"
                    )
                opaque = config
                continue
            if config.issuer is None:
                raise SettingError("each of several configurations needs an issuer, by which its tokens are recognised")
            if config.issuer in by_issuer:
                raise SettingError(f"two configurations have the issuer {config.issuer!r}; keep one of them")
            by_issuer[config.issuer] = config
        set_once = object.__setattr__
        set_once(self, "_by_issuer", by_issuer)
        set_once(self, "_issuer_cache", {})
        set_once(self, "_opaque", opaque)
        set_once(self, "is_remote", any(config.is_remote for config in self))
        set_once(self, "max_token_size", max(config.max_token_size for config in self))
        names = ((None if config is opaque else config.issuer, config.on_event) for config in self)
        set_once(self, "on_event", {name: on_event for name, on_event in names if on_event is not None})

    def __iter__(self) -> Iterator[JWTConfig]:
        yield from self._by_issuer.values()
        if self._opaque is not None:
            yield self._opaque

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultiIssuerVerifier):
            return False
        return (self._by_issuer, self._opaque) == (other._by_issuer, other._opaque)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def config_for(self, raw: bytes) -> tuple[JWTConfig, Framed | None]:
        """Choose the configuration whose issuer an unverified token names, and return it with the token's parts.

        The parts are None if the token did not have to be split.

        Raises:
            InvalidTokenError: It is not a token, or names none of the issuers.
        """
        # By Python's hash. If two tokens ever share one, the second is refused for its issuer: choosing a configuration
        # lets no token in.
        config = self._issuer_cache.get(hash(raw))
        if config is not None:
            return config, None
        if self._opaque is not None and raw.count(b".") != _DOTS:
            return self._opaque, None
        framed = split_compact(raw)
        issuer = _issuer_in(framed[1])
        if issuer is None:
            raise MissingClaimError(claim="iss")
        if issuer not in self._by_issuer:
            raise WrongIssuerError(iss=issuer)
        return self._by_issuer[issuer], framed

    def remember(self, raw: bytes, config: JWTConfig) -> None:
        """Remember the issuer of a token once it has been verified, so that forged tokens do not fill the cache."""
        if config is self._opaque:
            return
        if len(self._issuer_cache) >= _MAX_CACHED_TOKENS:
            self._issuer_cache.clear()
        self._issuer_cache[hash(raw)] = config


def _issuer_in(payload: bytes) -> str | None:
    """Return the issuer that an unverified payload names; None if it names none.

    Parsing a payload can take longer than all other checks of a forged token. It is not parsed if the name of the claim
    occurs in it exactly once, so that no other member can have that name.
    """
    is_named_once = payload.count(b'"iss"') == 1 and not any(escape in payload for escape in _ESCAPED_LETTERS)
    if is_named_once and (found := _ISSUER.search(payload)) is not None:
        payload = b"{" + found[0] + b"}"
    if payload.count(b",") > max(_MAX_COMMAS, len(payload) // _BYTES_FOR_A_COMMA):
        raise MalformedTokenError(reason="too many members to look for an issuer among them")
    _, claims = load_json(payload)
    if type(claims) is not dict:
        raise MalformedTokenError(reason="payload is not a JSON object")
    return read_string(claims, "iss")


Verifier: TypeAlias = JWTConfig | MultiIssuerVerifier
"""What tokens are verified by. No protocol, since `JWTConfig` stands below this module and shows settings only."""


def verifier_for(config: JWTConfig | Iterable[JWTConfig]) -> Verifier:
    """Return a single configuration as it is, and several as a `MultiIssuerVerifier`.

    Raises:
        SettingError: `config` is something else, or the issuers of several cannot be told apart.
    """
    if isinstance(config, JWTConfig):
        return config
    if not isinstance(config, Iterable) or isinstance(config, str | bytes | Mapping):
        raise SettingError(
            f"config must be a JWTConfig or a list of them, not {type(config).__name__}; write JWTConfig(...)"
        )
    configs = tuple(config)
    if not configs:
        raise SettingError("config is empty: pass a JWTConfig or a non-empty list of them")
    if len(configs) == 1 and isinstance(configs[0], JWTConfig):
        return configs[0]
    return MultiIssuerVerifier(configs)
