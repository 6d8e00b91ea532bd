"""Litestar, called in process."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Controller, Litestar, Request, Response, WebSocket, get, post, websocket
from litestar.di import NamedDependency
from litestar.enums import MediaType

from asgi_jwt_claims import JWTConfig, JWTMiddleware
from asgi_jwt_claims.litestar import CurrentToken, JWTGuard, JWTPlugin, get_token, provide_token
from tests.apps.adapter import BESIDE, EXEMPT, ROUTES, WEBSOCKETS, Adapter, Site, asgi_site, greeting, handlers


def jwt_required(function: Any = None, **rules: Any) -> Any:
    """Note what a handler is guarded by, as the other frameworks' decorators do it."""

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        vars(handler)["rules"] = rules
        return handler

    return decorate if function is None else decorate(function)


def guarded(handler: Callable[..., Any]) -> dict[str, Any]:
    """How Litestar guards a handler: by the dependency whose value it wants, else by a guard."""
    rules = getattr(handler, "rules", None)
    found: dict[str, Any] = {} if inspect.iscoroutinefunction(handler) else {"sync_to_thread": True}
    if rules is None:
        return found
    wants_token = "token" in inspect.signature(handler).parameters
    return found | (
        {"dependencies": {"token": provide_token(**rules)}} if wants_token else {"guards": [JWTGuard(**rules)]}
    )


def reply(content: Any) -> Response[Any]:
    return Response(content, media_type=MediaType.JSON)


class Method(Controller):
    path = "/method"

    @get(dependencies={"token": provide_token()})
    async def get(self, request: Request[Any, Any, Any], token: CurrentToken) -> Response[Any]:
        return reply({"identity": token.identity})

    @post(dependencies={"token": provide_token(allow="ADMIN")}, status_code=200, sync_to_thread=True)
    def post(self, request: Request[Any, Any, Any], token: CurrentToken) -> Response[Any]:
        return reply({"identity": token.identity})


async def converse(socket: WebSocket[Any, Any, Any], token: CurrentToken) -> None:
    await socket.accept()
    await socket.send_text(greeting(token))
    await socket.send_text(f"{token.identity}: {await socket.receive_text()}")
    await socket.close()


class LitestarAdapter(Adapter):
    """Litestar, wrapped."""

    def open(self, config: JWTConfig, *, required: bool = True, **options: Any) -> AbstractAsyncContextManager[Site]:
        """See `Adapter`."""
        names = handlers(
            jwt_required=jwt_required,
            get_token=get_token,
            Request=Request,
            Response=Response,
            reply=reply,
            read=Request.body,
            config=config,
            __name__=__name__,  # in which Litestar evaluates their annotations
        )
        routes: list[Any] = [get(f"/{name}", **guarded(names[name]))(names[name]) for name in (*ROUTES, *BESIDE)]
        routes += [
            Method,
            post("/form", status_code=200, **guarded(names["form"]))(names["form"]),
            *(
                websocket(path, dependencies={"token": provide_token(**rules)})(converse)
                for path, rules in WEBSOCKETS.items()
            ),
        ]
        names_of_types = {"Token": NamedDependency[Any]}  # as Litestar wants what may be None to be marked
        app = Litestar(routes, plugins=[JWTPlugin()], openapi_config=None, signature_namespace=names_of_types)
        return asgi_site(JWTMiddleware(app, config, required=required, exempt=EXEMPT, **options))
