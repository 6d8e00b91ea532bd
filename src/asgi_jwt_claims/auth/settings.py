"""The settings of one middleware, checked once when it is made."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.responses import UNAUTHORIZED_CLOSE, ErrorResponder, OnError, send_response
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.values import Frozen
from asgi_jwt_claims.sources import DEFAULT_SOURCES
from asgi_jwt_claims.sources._credentials import Source, is_source, schemes_of
from asgi_jwt_claims.sources.cookie import Cookie
from asgi_jwt_claims.sources.websocket import WebSocketProtocol
from asgi_jwt_claims.stores.base import TokenStore
from asgi_jwt_claims.tokens.issuers import verifier_for

from .authenticator import Authenticator
from .options import ACCESS_TOKEN, OPTIONAL_TOKEN, Guard, MiddlewareOptions, check_flags
from .paths.exempt import CORS_INSIDE, PREFLIGHT_REFUSED, Exemptions, PreflightRule, has_cors
from .paths.rules import PathRules

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Receive, Scope, Send
    from asgi_jwt_claims.access import Rule
    from asgi_jwt_claims.errors import TokenError
    from asgi_jwt_claims.keys.key_set import KeySource
    from asgi_jwt_claims.oauth import ProtectedResource
    from asgi_jwt_claims.runtime.endpoint import Endpoint

    from .paths.mounts import Mounts

__all__ = ["MiddlewareSettings", "settings_around", "settings_for_install"]

_NO_RULES: Final[Mapping[str, Rule]] = MappingProxyType({})
_CLOSE_CODES = frozenset((1000, 1008, *range(3000, 5000)))  # RFC 6455 section 7.4; 1008: policy violation

_NO_ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({})


class MiddlewareSettings(Frozen):
    """The `MiddlewareOptions` of a middleware, checked, and what follows from them. Immutable.

    Attributes:
        authenticator: Verifier, sources, store and responder.
        guard: What the middleware demands of a request, unless `demand` says something else of it.
        demands_the_same: Whether it demands that of every request.
        adopt_within: Seconds in which a WebSocket without a token has to adopt one; None for no limit.
        is_preflight: Tells whether a request is a CORS preflight.
        mounts: The endpoints that answer in front of the guard; None if there are none.
        background: Key sources and a store that have something to do while the application runs.
        warn_of_preflight: Logs, once, that a preflight was refused.

    Raises:
        SettingError: An option cannot be used.
    """

    authenticator: Authenticator
    guard: Guard
    demands_the_same: bool
    is_preflight: PreflightRule
    set_user: bool
    end_with_token: bool
    close_code: int
    adopt_within: float | None
    drain: int
    mounts: Mounts | None
    background: tuple[KeySource | TokenStore, ...]
    warn_of_preflight: Callable[[], None]
    _allow_preflight: bool
    _exempt: Exemptions
    _protocols: tuple[WebSocketProtocol, ...]
    _rules: PathRules

    def __init__(  # noqa: PLR0913 -- all options of a middleware, by name
        self,
        config: JWTConfig | Iterable[JWTConfig],
        *,
        required: bool = True,
        require: Rule | None = None,
        rules: Mapping[str, Rule] = _NO_RULES,
        exempt: Iterable[str] = (),
        allow_preflight: bool = False,
        realm: str = "api",
        problem_json: bool = False,
        on_error: OnError | None = None,
        sources: Iterable[Source] = DEFAULT_SOURCES,
        set_user: bool = False,
        store: TokenStore | None = None,
        end_with_token: bool = True,
        close_code: int = UNAUTHORIZED_CLOSE,
        adopt_within: timedelta | float | None = None,
        drain: int = 0,
        protected_resource: ProtectedResource | None = None,
        endpoints: Mapping[str, Endpoint] = _NO_ENDPOINTS,
    ) -> None:
        verifier = verifier_for(config)
        configs = (verifier,) if isinstance(verifier, JWTConfig) else tuple(verifier)
        kept = {"set_user": set_user, "end_with_token": end_with_token}
        check_flags({"required": required, "allow_preflight": allow_preflight, **kept})
        if require is not None and not required:
            raise SettingError(
                "require demands a token of every request, and required=False does not: leave one of them out; for rules "
                'of some paths write rules={"/admin/*": Roles("admin")}'
            )
        if type(close_code) is not int or close_code not in _CLOSE_CODES:
            raise SettingError(f"close_code must be an int from 3000 to 4999, or 1000 or 1008, not {close_code!r}")
        if type(drain) is not int or drain < 0:
            raise SettingError(f"drain must be an int of bytes such as 1024 * 1024, or 0, not {drain!r}")
        if store is not None and not isinstance(store, TokenStore):
            raise SettingError(f"store must be a TokenStore such as SQLiteStore(path), not {type(store).__name__}")
        found = tuple(sources) if isinstance(sources, Iterable) else ()
        if not found or not all(map(is_source, found)):
            raise SettingError(f"sources must be one or more sources such as BearerHeader(), not {sources!r}")
        if sources is not DEFAULT_SOURCES:  # each `Cookie()` looks for the cookies of the configuration
            cookies = {config.cookies for config in configs}
            found = tuple(source.bind(cookies) if isinstance(source, Cookie) else source for source in found)
        mounts = None
        if endpoints or protected_resource is not None:
            from .paths.mounts import Mounts  # noqa: PLC0415 -- for few applications, while all would wait for the import

            mounts = Mounts(endpoints, protected_resource, configs)
        responder = ErrorResponder(
            realm,
            problem_json=problem_json,
            on_error=on_error,
            listeners=verifier.on_event,
            schemes=schemes_of(found),
            resource_metadata=None if protected_resource is None else protected_resource.url,
            scopes=() if protected_resource is None else protected_resource.scopes,
        )
        authenticator = Authenticator(verifier, found, store, responder)
        exemptions = Exemptions(exempt)
        path_rules = PathRules(rules, require, exemptions)
        access = ACCESS_TOKEN if require is None else Guard(require=require)
        remote_keys = tuple(config.jwks for config in configs if config.jwks is not None)
        vars(self).update(
            authenticator=authenticator,
            guard=access if required else OPTIONAL_TOKEN,
            demands_the_same=not path_rules and not exemptions and not allow_preflight,
            is_preflight=PreflightRule(authenticator),
            close_code=close_code,
            adopt_within=_seconds_to_adopt(
                adopt_within, end_with_token=end_with_token, can_come_without=not required or bool(exemptions)
            ),
            drain=drain,
            **kept,
            mounts=mounts,
            background=remote_keys if store is None else (*remote_keys, store),
            warn_of_preflight=functools.cache(lambda: logger().warning(PREFLIGHT_REFUSED)),
            _allow_preflight=allow_preflight,
            _exempt=exemptions,
            _rules=path_rules,
            _protocols=tuple(source for source in found if isinstance(source, WebSocketProtocol)),
        )

    @property
    def refuses_preflights(self) -> bool:
        """Whether CORS preflights are refused like any other request without a token."""
        return not self.guard.optional and not self._allow_preflight

    def demand(self, scope: Mapping[str, Any]) -> Guard | None:
        """Return what is demanded of a request; None if it goes on without being authenticated.

        Raises:
            AmbiguousPathError: There are rules for paths, and nothing is sure about the path of this request.
        """
        guard = self._rules.guard_for(scope) if self._rules else None
        if guard is not None:
            return guard
        return None if scope in self._exempt or self.lets_pass_as_preflight(scope) else self.guard

    def lets_pass_as_preflight(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request is a CORS preflight, and such pass without a token where no rule for a path says otherwise."""
        return self._allow_preflight and self.is_preflight(scope)

    def strip_subprotocol(self, scope: Any) -> str | None:
        """Take a token out of the subprotocols that the application sees; return the one to answer with, if any."""
        taken = [source.name for source in self._protocols if source.strip(scope)]
        return taken[0] if taken else None

    async def refuse(self, error: TokenError, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with a refusal, once the rest of its body has been read as far as `drain` allows."""
        answer = await self.authenticator.responder.respond(error, scope)
        if self.drain and scope["type"] == "http":
            from asgi_jwt_claims.runtime.drain import drain_body  # noqa: PLC0415 -- it imports anyio

            await drain_body(scope, receive, self.drain)
        await send_response(answer, scope, send)


def _seconds_to_adopt(
    within: timedelta | float | None, *, end_with_token: bool, can_come_without: bool
) -> float | None:
    if within is None:
        return None
    seconds = as_duration(within, "adopt_within").total_seconds()
    if not end_with_token:
        raise SettingError("adopt_within needs end_with_token=True: without it, no connection is watched")
    if not can_come_without:
        raise SettingError(
            "adopt_within has no effect where every WebSocket needs a token: set required=False, or name the paths of "
            "those that adopt one in exempt"
        )
    return seconds


def settings_around(
    app: object, config: JWTConfig | Iterable[JWTConfig] | MiddlewareSettings, options: MiddlewareOptions
) -> MiddlewareSettings:
    """Return the settings of a middleware around `app`, and warn if CORS is handled inside of it.

    Raises:
        SettingError: `app` is no ASGI application, or an option cannot be used.
    """
    if not callable(app):
        raise SettingError(f"app must be an ASGI application, not {type(app).__name__}: JWTMiddleware(app, config)")
    # `install` has made the settings already, so that its caller is told of mistakes.
    settings = config if isinstance(config, MiddlewareSettings) else MiddlewareSettings(config, **options)
    if settings.refuses_preflights and has_cors(app):
        logger().warning(CORS_INSIDE)
    return settings


def settings_for_install(config: JWTConfig | Iterable[JWTConfig], options: Mapping[str, Any]) -> MiddlewareSettings:
    """Return the settings of an adapter's `install`, so that a mistake is reported where `install` is called.

    Raises:
        SettingError: There is no such option, or it cannot be used.
    """
    names = MiddlewareOptions.__optional_keys__
    unknown = ", ".join(map(repr, sorted(options.keys() - names)))
    if unknown:
        raise SettingError(f"install has no option {unknown}; its options are {', '.join(sorted(names))}")
    return MiddlewareSettings(config, **options)
