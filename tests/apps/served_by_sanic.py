"""Sanic in ASGI mode, with the adapter installed.

The guards of `application` decide by themselves; `guarded` is closed but for the exempt paths, and has every path.
"""

from __future__ import annotations

from typing import Any

from sanic import HTTPResponse, Request, Sanic, json

from asgi_jwt_claims import Token
from asgi_jwt_claims.sanic import install, jwt_required
from tests.apps.served import CONFIG, EXEMPT

application: Sanic[Any, Any] = Sanic("served")
application.config.AUTO_EXTEND = False
install(application, CONFIG, required=False)

guarded: Sanic[Any, Any] = Sanic("guarded")
guarded.config.AUTO_EXTEND = False
install(guarded, CONFIG, exempt=EXEMPT)


async def hang_up(request: Request) -> None:
    """Close the websocket; in ASGI mode Sanic's own `close` does nothing, and some servers wait for one."""
    transport: Any = request.transport
    if request.app.asgi:
        await transport.send({"type": "websocket.close", "code": 1000, "reason": ""})


@application.route("/framework", methods=["GET", "POST"])
@jwt_required
async def whoami(request: Request, token: Token) -> HTTPResponse:
    return json({"identity": token.identity})


@application.route("/framework/admin")
@jwt_required(allow="ADMIN")
async def administer(request: Request, token: Token) -> HTTPResponse:
    return json({"identity": token.identity})


@application.route("/framework/open")
async def anybody(request: Request) -> HTTPResponse:
    return json({"identity": request.ctx.token and request.ctx.token.identity})


@application.websocket("/framework/ws")
@jwt_required
async def say(request: Request, ws: Any, token: Token) -> None:
    await ws.send(token.identity)
    await hang_up(request)


@application.websocket("/framework/admin/ws")
@jwt_required(allow="ADMIN")
async def say_to_admin(request: Request, ws: Any, token: Token) -> None:
    await ws.send(token.identity)
    await hang_up(request)


@application.websocket("/framework/open/ws")
async def say_to_anybody(request: Request, ws: Any) -> None:
    await ws.send(str(request.ctx.token and request.ctx.token.identity))
    await hang_up(request)


@guarded.route("/", methods=["GET", "POST", "OPTIONS"], name="root")
@guarded.route("/<path:path>", methods=["GET", "POST", "OPTIONS"])
async def anything(request: Request, path: str = "") -> HTTPResponse:
    return json({"identity": None}, headers={"x-path": request.path})
