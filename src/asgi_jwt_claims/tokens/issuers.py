"""Several issuers behind one door: which configuration is a token for?

The token's `iss` is read before anything is verified, and decides one thing only: whose rules and whose keys the token
is then held to, completely. A token that names another issuer than the one that signed it meets keys that did not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import (
    MalformedTokenError,
    MissingClaimError,
    SettingError,
    WrongIssuerError,
)
from asgi_jwt_claims.jose.compact import Framed, split_compact
from asgi_jwt_claims.jose.strict_json import load_json

from .claims import read_string

__all__ = ["MultiIssuerVerifier", "Verifier", "verifier_for"]

_MAX_KNOWN_TOKENS = 1024
_MAX_COMMAS = 256  # of a short payload that is parsed before its signature is verified
_BYTES_FOR_A_COMMA = 24  # of a longer one; groups are often named by identifiers of 36 characters
_ISSUER = re.compile(rb'"iss"[ \t\n\r]*:[ \t\n\r]*"(?:[^"\\]|\\.){1,2048}"', re.DOTALL)


_ESCAPED_LETTERS = (rb"\u0069", rb"\u0073")  # with which the name of the claim could be spelled in another way


class MultiIssuerVerifier:
    """Configurations, each for an issuer of its own. Frozen; two with the same configurations are equal.

    Args:
        configs: Two or more, all with an `issuer`, and no two with the same.

    Attributes:
        is_remote: Whether any of them has keys that may have to be waited for.
        max_token_size: The longest token that any of them accepts.
        on_event: The functions that they have, each by the issuer.

    Raises:
        SettingError: If that does not hold.
    """

    __slots__ = ("_by_issuer", "_known", "is_remote", "max_token_size", "on_event")

    def __init__(self, configs: Iterable[JWTConfig]) -> None:
        by_issuer: dict[str, JWTConfig] = {}
        for config in configs:
            if not isinstance(config, JWTConfig):
                raise SettingError(f"config must be a JWTConfig or several, not {type(config).__name__}")
            if config.issuer is None:
                raise SettingError("of several configurations each needs an issuer, by which its tokens are known")
            if config.issuer in by_issuer:
                raise SettingError(f"two configurations have the issuer {config.issuer!r}; keep one of them")
            by_issuer[config.issuer] = config
        self._by_issuer = by_issuer
        self._known: dict[int, JWTConfig] = {}
        self.is_remote = any(config.is_remote for config in self)
        self.max_token_size = max(config.max_token_size for config in self)
        self.on_event = {issuer: config.on_event for issuer, config in by_issuer.items() if config.on_event is not None}

    def __iter__(self) -> Iterator[JWTConfig]:
        return iter(self._by_issuer.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MultiIssuerVerifier) and self._by_issuer == other._by_issuer

    def __hash__(self) -> int:
        return hash(tuple(self))

    def knows(self, raw: bytes) -> bool:
        """Whether the issuer of a token has been learnt, so that the token need not be framed to tell."""
        return hash(raw) in self._known

    def config_for(self, raw: bytes, framed: Framed | None = None) -> JWTConfig:
        """The configuration whose issuer a token names.

        Args:
            raw: The token, from `as_ascii`. Nothing of it has been verified.
            framed: Its parts, from `split_compact`, if they are at hand.

        Raises:
            InvalidTokenError: It is not a token, or names none of the issuers.
        """
        # By Python's hash. Should two tokens ever share one, the second is refused for its issuer: a choice lets nobody in.
        config = self._known.get(hash(raw))
        return self._chosen(framed or split_compact(raw)) if config is None else config

    def _chosen(self, framed: Framed) -> JWTConfig:
        issuer = _issuer_in(framed[1])
        if issuer is None:
            raise MissingClaimError(claim="iss")
        config = self._by_issuer.get(issuer)
        if config is None:
            raise WrongIssuerError(iss=issuer)
        return config

    def learn(self, raw: bytes, config: JWTConfig) -> None:
        """Note whose a token is, once it has been verified; made-up tokens do not crowd out those of users."""
        if len(self._known) >= _MAX_KNOWN_TOKENS:
            self._known.clear()
        self._known[hash(raw)] = config


def _issuer_in(payload: bytes) -> str | None:
    """The issuer that a payload names, which nothing has verified yet; None: it names none.

    Parsing a payload can take longer than everything else that becomes of a forged token. It is not parsed where the
    name of the claim stands in it once, and only there can be a member of that name.
    """
    if payload.count(b'"iss"') == 1 and not any(escape in payload for escape in _ESCAPED_LETTERS):
        found = _ISSUER.search(payload)
        if found is not None:
            payload = b"{" + found[0] + b"}"
    if payload.count(b",") > max(_MAX_COMMAS, len(payload) // _BYTES_FOR_A_COMMA):
        raise MalformedTokenError(reason="too many members to look for an issuer among them")
    _, claims = load_json(payload)
    if type(claims) is not dict:
        raise MalformedTokenError(reason="payload is not a JSON object")
    return read_string(claims, "iss")


Verifier: TypeAlias = JWTConfig | MultiIssuerVerifier
"""Whose tokens are accepted: those of one configuration, or of several."""


def verifier_for(config: JWTConfig | Iterable[JWTConfig]) -> Verifier:
    """One configuration, or several as `MultiIssuerVerifier`.

    Raises:
        SettingError: Neither, or several that cannot be told apart.
    """
    if isinstance(config, JWTConfig):
        return config
    if not isinstance(config, Iterable) or isinstance(config, str | bytes | Mapping):
        raise SettingError(
            f"config must be a JWTConfig or several, not {type(config).__name__}; JWTConfig(...) makes one of settings"
        )
    configs = tuple(config)
    if not configs:
        raise SettingError("config must be a JWTConfig, or several; these are none")
    if len(configs) == 1 and isinstance(configs[0], JWTConfig):
        return configs[0]
    return MultiIssuerVerifier(configs)
