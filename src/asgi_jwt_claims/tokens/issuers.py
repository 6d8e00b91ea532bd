"""Accept the tokens of several issuers: choose the configuration by the token's `iss`, and if needed `alg` and `aud`.

The issuer is read before anything is verified. It decides only whose rules and keys the token is then checked against,
completely: a token that names another issuer than the one that signed it is checked with keys that did not sign it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.config.events import IssuerListeners
from asgi_jwt_claims.errors import SettingError, WrongIssuerError
from asgi_jwt_claims.jose.compact import Framed, split_compact
from asgi_jwt_claims.runtime.values import Frozen

from .unverified import fitting_config, issuer_of

__all__ = ["MultiIssuerVerifier", "Verifier", "verifier_for"]

_MAX_CACHED_TOKENS = 1024
_DOTS = 2  # of a token of three parts


class MultiIssuerVerifier(Frozen):
    """Two or more configurations. Frozen; those with the same configurations are equal.

    The issuer that a token names chooses one of them. Configurations of one issuer must differ in their algorithms or
    audiences, by which the token then chooses; a token that fits two is refused.

    One of them may be for opaque tokens. It gets what is no token of three parts, so that the authorization server sees
    none of the tokens of the others.

    Attributes:
        is_remote: Whether any of them may have to ask an identity provider first.
        max_token_size: The longest token that any of them accepts, in characters.
        on_event: The `on_event` functions of those that have one, by their issuers.

    Raises:
        SettingError: A configuration has no issuer, or cannot be told apart from another one.
    """

    __slots__ = (
        "_by_issuer",
        "_configs",
        "_issuer_cache",
        "_opaque",
        "_templates",
        "is_remote",
        "max_token_size",
        "on_event",
    )

    _by_issuer: dict[str, tuple[JWTConfig, ...]]
    _configs: tuple[JWTConfig, ...]
    _issuer_cache: dict[int, JWTConfig]
    _opaque: JWTConfig | None
    _templates: tuple[JWTConfig, ...]
    is_remote: bool
    max_token_size: int
    on_event: IssuerListeners

    def __init__(self, configs: Iterable[JWTConfig]) -> None:
        configs = tuple(configs)
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
        named = tuple(config for config in configs if config is not opaque)
        for one, other in itertools.combinations(named, 2):
            _check_differ(one, other)
        templates = tuple(config for config in named if config._prepared.issuers.template is not None)
        names = {name for config in named for name in config._prepared.issuers.names}
        set_once = object.__setattr__
        set_once(self, "_configs", configs)
        set_once(self, "_templates", templates)
        set_once(
            self,
            "_by_issuer",
            {name: tuple(one for one in named if one._prepared.issuers.has(name)) for name in names},
        )
        set_once(self, "_issuer_cache", {})
        set_once(self, "_opaque", opaque)
        set_once(self, "is_remote", any(config.is_remote for config in self))
        set_once(self, "max_token_size", max(config.max_token_size for config in self))
        set_once(
            self,
            "on_event",
            IssuerListeners(
                [(one._prepared.issuers, one.on_event) for one in configs],
                None if opaque is None else opaque.on_event,
            ),
        )

    def __iter__(self) -> Iterator[JWTConfig]:
        return iter(self._configs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MultiIssuerVerifier) and frozenset(self) == frozenset(other)

    def __hash__(self) -> int:
        return hash(frozenset(self))

    def config_for(self, raw: bytes) -> tuple[JWTConfig, Framed | None]:
        """Choose the configuration that an unverified token names, and return it with the token's parts.

        The parts are None if the token did not have to be split.

        Raises:
            InvalidTokenError: It is not a token, names none of the issuers, or does not fit exactly one configuration.
        """
        # By Python's hash. If two tokens ever share one, the second is refused for its issuer: choosing a configuration
        # lets no token in.
        config = self._issuer_cache.get(hash(raw))
        if config is not None:
            return config, None
        if self._opaque is not None and raw.count(b".") != _DOTS:
            return self._opaque, None
        framed = split_compact(raw)
        issuer = issuer_of(framed)
        fitting = self._by_issuer.get(issuer) or tuple(
            one for one in self._templates if one._prepared.issuers.has(issuer)
        )
        if not fitting:
            raise WrongIssuerError(iss=issuer)
        return fitting[0] if len(fitting) == 1 else fitting_config(fitting, framed), framed

    def remember(self, raw: bytes, config: JWTConfig) -> None:
        """Remember the issuer of a token once it has been verified, so that forged tokens do not fill the cache."""
        if config is self._opaque:
            return
        if len(self._issuer_cache) >= _MAX_CACHED_TOKENS:
            self._issuer_cache.clear()
        self._issuer_cache[hash(raw)] = config


def _check_differ(one: JWTConfig, other: JWTConfig) -> None:
    """Refuse two configurations of one issuer, unless the algorithm or the audience of a token tells them apart.

    Two templates are refused if all issuers of one fit the other. If only some do, that shows with their tokens, which are
    then refused.
    """
    mine, others = one._prepared, other._prepared
    shared = [name for name in mine.issuers.names if others.issuers.has(name)]
    shared += [name for name in others.issuers.names if mine.issuers.has(name)]
    for these, those in ((mine.issuers, others.issuers), (others.issuers, mine.issuers)):
        if these.template is not None and those.template is not None and those.has(these.template.example):
            shared.append(these.template.text)
    # Without any audience, nothing in `aud` tells them apart.
    has_audience = bool(mine.audiences or others.audiences)
    differ = mine.algorithms.isdisjoint(others.algorithms) or (
        has_audience and mine.audiences.isdisjoint(others.audiences)
    )
    if shared and not differ:
        raise SettingError(
            f"two configurations have the issuer {shared[0]!r}, and no algorithm or audience tells their tokens apart; keep "
            "one of them, or name algorithms in RemoteKeySet(..., algorithms=[...])"
        )


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
