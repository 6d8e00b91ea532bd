"""Connexion, whose routes come from an OpenAPI document, wrapped."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import yaml
from connexion import AsyncApp, request
from connexion.resolver import Resolver
from starlette.responses import StreamingResponse

from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    async def handle() -> dict[str, Any]:
        return answer(request.scope)

    return handle


def sync() -> dict[str, Any]:
    return answer_of_sync()


async def upload(body: bytes) -> dict[str, Any]:
    return size_of(body)


async def ticks() -> AsyncIterator[str]:
    while True:
        yield EVENT
        await anyio.sleep(PAUSE)


async def events() -> StreamingResponse:
    return StreamingResponse(ticks(), media_type="text/event-stream")


OPERATIONS = {
    **{name: handler(answer) for name, answer in ANSWERS.items()},
    "sync": sync,
    "upload": upload,
    "events": events,
}
OK = {"responses": {"200": {"description": "good"}}}
BINARY = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
DOCUMENT = {
    "openapi": "3.0.0",
    "info": {"title": "conformance", "version": "1"},
    "paths": {
        **{f"/{name}": {"get": {"operationId": name, **OK}} for name in OPERATIONS},
        "/upload": {"post": {"operationId": "upload", "requestBody": BINARY, **OK}},
    },
}


def build(store: TokenStore) -> App:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "openapi.yaml").write_text(yaml.safe_dump(DOCUMENT))
        app = AsyncApp(__name__, specification_dir=folder)
        app.add_api("openapi.yaml", resolver=Resolver(OPERATIONS.__getitem__))
    return guarded(app, store)
