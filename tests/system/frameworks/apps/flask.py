"""Flask, a WSGI framework, below a2wsgi, wrapped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from a2wsgi import WSGIMiddleware
from flask import Flask, Response, jsonify, request

from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    def handle() -> Response:
        return jsonify(answer(request.environ["asgi.scope"]))

    return handle


def ticks() -> Iterator[str]:
    while True:
        yield EVENT
        time.sleep(PAUSE)


def build(store: TokenStore) -> App:
    app = Flask("conformance")
    for name, answer in ANSWERS.items():
        app.add_url_rule(f"/{name}", name, handler(answer))

    @app.get("/sync")
    def sync() -> Response:
        return jsonify(answer_of_sync())

    @app.post("/upload")
    def upload() -> Response:
        return jsonify(size_of(request.get_data()))

    @app.get("/events")
    def events() -> Response:
        return Response(ticks(), content_type="text/event-stream")

    return guarded(WSGIMiddleware(app), store)
