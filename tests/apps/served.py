"""What the servers serve, on every event loop.

Below `/framework` answers a Starlette application with the adapter installed, everywhere else a raw ASGI application
in the middleware.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Token
from asgi_jwt_claims.starlette import install, jwt_required
from tests.raw_asgi import App, Receive, Scope, Send
from tests.support import SECRET

CONFIG = JWTConfig(secret_key=SECRET)
EXEMPT = ("/login", "/docs/*", "/api/status")


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the identity and the path; on a websocket it says them."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    identity = scope["token"] and scope["token"].identity
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": str(identity)})
        await send({"type": "websocket.send", "text": quote(scope["path"], errors="replace")})
        await send({"type": "websocket.close", "code": 1000})
        return
    body = json.dumps({"identity": identity}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-path", quote(scope["path"], errors="replace").encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@jwt_required
async def whoami(request: Request, token: Token) -> Response:
    return JSONResponse({"identity": token.identity})


async def anybody(request: Request) -> Response:
    return JSONResponse({"identity": request["token"] and request["token"].identity})


@jwt_required
async def say(websocket: WebSocket, token: Token) -> None:
    await websocket.accept()
    await websocket.send_text(token.identity)
    await websocket.close()


async def say_to_anybody(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(str(websocket["token"] and websocket["token"].identity))
    await websocket.close()


wrapped: App = JWTMiddleware(raw, CONFIG, exempt=EXEMPT)
framework: Any = Starlette(
    routes=[
        Route("/framework", whoami, methods=["GET", "POST"]),
        Route("/framework/admin", jwt_required(allow="ADMIN")(whoami)),
        Route("/framework/open", anybody),
        WebSocketRoute("/framework/ws", say),
        WebSocketRoute("/framework/admin/ws", jwt_required(allow="ADMIN")(say)),
        WebSocketRoute("/framework/open/ws", say_to_anybody),
        Mount("/framework/mounted", wrapped),
    ]
)
install(framework, CONFIG, required=False)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Both applications behind one port."""
    inside = scope["type"] != "lifespan" and scope["path"].startswith("/framework")
    await (framework if inside else wrapped)(scope, receive, send)
