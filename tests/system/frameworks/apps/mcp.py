"""The MCP SDK's server, wrapped: `/claims` and `/sync` are tools, and the other handlers its custom routes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App, Message, Receive, Scope, Send
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync

TOOLS = ("claims", "sync")


def handler(answer: Any) -> Any:
    async def handle(request: Request) -> Response:
        return JSONResponse(answer(request))

    return handle


async def ticks() -> AsyncIterator[str]:
    while True:
        yield EVENT
        await anyio.sleep(PAUSE)


async def upload(request: Request) -> Response:
    return JSONResponse(size_of(await request.body()))


async def events(request: Request) -> Response:
    return StreamingResponse(ticks(), media_type="text/event-stream")


class Caller:
    """A client's part, outside of the guard: turns `GET /claims` into the call of that tool."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        name = scope.get("path", "").removeprefix(root).removeprefix("/")
        if name not in TOOLS or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}}
        said = [{"type": "http.request", "body": json.dumps(call).encode(), "more_body": False}]
        answer: list[Message] = []

        async def receive_call() -> Message:
            return said.pop() if said else await receive()

        async def keep(message: Message) -> None:
            answer.append(message)

        lines = [(b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream")]
        more = {"method": "POST", "path": f"{root}/mcp", "raw_path": f"{root}/mcp".encode()}
        await self.app({**scope, **more, "headers": [*scope["headers"], *lines]}, receive_call, keep)
        start, body = answer[0], b"".join(message.get("body", b"") for message in answer[1:])
        if start["status"] == 200:
            body = json.loads(body)["result"]["content"][0]["text"].encode()
        await send({**start, "headers": [pair for pair in start["headers"] if pair[0] != b"content-length"]})
        await send({"type": "http.response.body", "body": body})


def build(store: TokenStore) -> App:
    server = MCPServer("conformance")

    @server.tool()
    async def claims(context: Context) -> str:
        return json.dumps(ANSWERS["claims"](context.request_context.request))

    @server.tool()
    def sync() -> str:
        return json.dumps(answer_of_sync())

    for name, answer in ANSWERS.items():
        if name not in TOOLS:
            server.custom_route(f"/{name}", ["GET"])(handler(answer))
    server.custom_route("/upload", ["POST"])(upload)
    server.custom_route("/events", ["GET"])(events)
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(json_response=True, stateless_http=True, transport_security=security)
    return Caller(guarded(app, store))
