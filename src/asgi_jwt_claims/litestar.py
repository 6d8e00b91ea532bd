"""Litestar: `CurrentToken`, `JWTGuard`, `provide_token`, `get_token`, and `JWTPlugin`.

::

    @get("/orders", guards=[JWTGuard(scopes="orders:read")])
    async def orders(token: CurrentToken) -> dict[str, Any]: ...

    app = JWTMiddleware(Litestar([orders], plugins=[JWTPlugin()]), config)
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, TypeAlias, Unpack

from .access.policy import AccessPolicy
from .auth.guard import error_response_for, pass_guard
from .auth.options import Guard, GuardOptions, takes_options
from .auth.request import get_token
from .errors import TokenError
from .responses import send_response
from .runtime.imports import needs
from .sources import DEFAULT_SOURCES, BearerHeader, Cookie, Source
from .tokens.token import Token

with needs("litestar"):
    from litestar import Response
    from litestar.config.app import AppConfig  # noqa: TC002 -- here with the others
    from litestar.di import NamedDependency, Provide
    from litestar.openapi.spec import Components, SecurityScheme
    from litestar.plugins import InitPlugin, ReceiveRoutePlugin
    from litestar.routes import BaseRoute, HTTPRoute
    from litestar.types import Scope  # noqa: TC002 -- Litestar evaluates the annotations of dependencies

__all__ = ["CurrentToken", "JWTGuard", "JWTPlugin", "get_token", "provide_token"]

CurrentToken: TypeAlias = NamedDependency[Token]
"""In a handler, `token: CurrentToken` is the token that the dependency called `token` provides."""


@takes_options(GuardOptions, Guard, AccessPolicy)
class JWTGuard:
    """A guard for the `guards` of handlers, controllers, routers and applications, for http and websocket.

    An unusable option raises a `SettingError`.
    """

    def __init__(self, **options: Unpack[GuardOptions]) -> None:
        self.guard = Guard(**options)

    async def __call__(self, connection: Any, _: Any) -> None:
        """Raise the `TokenError` to answer with."""
        await pass_guard(connection, self.guard)


@takes_options(GuardOptions, Guard, AccessPolicy)
def provide_token(**options: Unpack[GuardOptions]) -> Provide:
    """Return a dependency whose value is the `Token`, or None where it is `optional` and there is none.

    Litestar asks it only for handlers with a parameter of its name. An unusable option raises a `SettingError`.
    """
    guard = Guard(**options)

    async def token(scope: Scope) -> Token | None:
        return await pass_guard(scope, guard)

    vars(token)["guard"] = guard
    return Provide(token)


class _Refusal(Response[TokenError]):
    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self._send

    async def _send(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 -- Litestar passes all three
        await send_response(await error_response_for(self.content, scope), scope, send)


class JWTPlugin(InitPlugin, ReceiveRoutePlugin):
    """Adds the dependency `token`, the answer to a `TokenError`, and security schemes to the OpenAPI document.

    The document names `sources`, those of the middleware, where there is a guard. Unusable ones raise a `SettingError`.
    """

    def __init__(self, sources: Iterable[Source] = DEFAULT_SOURCES) -> None:
        self._schemes: dict[str, Any] = dict(filter(None, map(_scheme, Guard(sources=sources).sources)))

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """See `InitPlugin`."""
        app_config.dependencies.setdefault("token", provide_token())
        app_config.exception_handlers = {TokenError: lambda _, error: _Refusal(error), **app_config.exception_handlers}
        if app_config.openapi_config is not None:
            app_config.openapi_config = document = copy.copy(app_config.openapi_config)
            parts = document.components if isinstance(document.components, list) else [document.components]
            document.components = [*parts, Components(security_schemes=self._schemes)]
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """See `ReceiveRoutePlugin`."""
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            providers, known = handler.resolve_dependencies(), list(handler.security or ())
            used = [providers[name] for name in handler.parsed_fn_signature.parameters if name in providers]
            asked: list[Any] = [*handler.resolve_guards(), *(one.dependency for one in used)]
            guards = [one.guard for one in asked if isinstance(getattr(one, "guard", None), Guard)]
            scopes = list(dict.fromkeys(scope for guard in guards for scope in guard.policy.scopes))
            described: list[dict[str, list[str]]] = [{name: scopes} for name in self._schemes if guards]
            described += [{} for _ in described[:1] if all(guard.optional for guard in guards)]
            handler.security = [*known, *(one for one in described if one not in known)]


def _scheme(source: Any) -> tuple[str, SecurityScheme] | None:
    if isinstance(source, BearerHeader) and source.name == "authorization" and source.scheme:
        return "JWTBearer", SecurityScheme("http", scheme=source.scheme, bearer_format="JWT")
    place: Any = {Cookie: "cookie", BearerHeader: "header"}.get(type(source))  # OpenAPI describes no others
    return place and (f"JWT{place.title()}", SecurityScheme("apiKey", name=source.name, security_scheme_in=place))
