"""Let the test clients of Django ask through `JWTMiddleware`, which they would pass by."""

from __future__ import annotations

import copy
import functools
import io
from typing import Any, TypeVar

from asgiref.sync import async_to_sync, sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpHeaders, HttpResponse
from django.test.client import AsyncClient, Client, FakePayload

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.middleware import JWTMiddleware

__all__ = ["guard_client"]

ClientT = TypeVar("ClientT", Client, AsyncClient)


def guard_client(client: ClientT, application: JWTMiddleware) -> ClientT:
    """Let a `Client` or an `AsyncClient` ask through the application of asgi.py, and return it.

    Requests then need tokens as in production: `client.get(path, headers={"authorization": f"Bearer {raw}"})`.

    Raises:
        SettingError: `application` is no `JWTMiddleware`.
    """
    if not isinstance(application, JWTMiddleware):
        raise SettingError("guard_client(client, application) takes the JWTMiddleware(...) of asgi.py")
    ask = _ask_async if isinstance(client, AsyncClient) else _ask_sync
    vars(client)["handler"] = functools.partial(ask, application, client.handler)
    return client


async def _ask_async(application: JWTMiddleware, handler: Any, scope: Any) -> Any:
    body = scope.pop("_body_file", FakePayload()).read()
    scope["query_string"] = scope["query_string"].encode()  # as servers have it
    refused = ASGIRequest(dict(scope), io.BytesIO())
    scope["_body_file"] = FakePayload(body)
    response = await _through(application, handler, scope, body)
    response.asgi_request = getattr(response, "asgi_request", refused)
    return response


def _ask_sync(application: JWTMiddleware, handler: Any, environ: Any) -> Any:
    body = environ["wsgi.input"].read()
    environ["wsgi.input"] = FakePayload(body)
    headers = {"Host": environ["SERVER_NAME"], **HttpHeaders(environ)}
    scope = {
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": environ["PATH_INFO"].encode("latin-1").decode(errors="replace"),
        "root_path": environ["SCRIPT_NAME"],
        "query_string": environ["QUERY_STRING"].encode("latin-1"),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": (environ["REMOTE_ADDR"], 0),
    }

    async def call(scope: Any) -> Any:
        return await sync_to_async(handler)({**environ, "asgi.scope": scope})

    response = async_to_sync(_through)(application, call, scope, body)
    response.wsgi_request = getattr(response, "wsgi_request", None) or WSGIRequest(environ)
    return response


async def _through(application: JWTMiddleware, handler: Any, scope: Any, body: bytes) -> Any:
    """The response of the handler, if the middleware lets its start pass; else that of the middleware."""
    passed: Any = None
    sent: list[Any] = []

    async def view(scope: Any, _: Any, send: Any) -> None:
        nonlocal passed
        passed = await handler(scope)
        await send({"type": "http.response.start", "status": passed.status_code, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    guard = copy.copy(application)
    guard.app = view
    await guard(scope, receive, send)
    if len(sent) == 1:
        return passed
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return HttpResponse(sent[1]["body"], status=sent[0]["status"], headers=headers)
