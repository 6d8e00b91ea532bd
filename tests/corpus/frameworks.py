"""The adapters of frameworks. Those of the contract are used as they stand; each is made only where its framework is."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from asgi_jwt_claims import Token
from asgi_jwt_claims.errors import MissingTokenError
from tests import raw_asgi, sockets
from tests.apps.adapter import asgi_site
from tests.corpus.adapters import Credentials, Offer, Verdict, on_the_wire
from tests.corpus.asgi import HeaderAdapter, talk, verdict_of
from tests.corpus.entries import Oddity
from tests.corpus.issuers import Issuer
from tests.support import SECRET

__all__ = ["Bearer", "Compat", "Framework", "FrameworkWebsocket", "SanicServer"]

PATHS = {"access": "/protected", "refresh": "/refresh"}


async def ask(app: raw_asgi.App, entry: Credentials) -> Verdict:
    """One http request to the guarded route."""
    answer = await raw_asgi.ask(app, PATHS[entry.type], raw_asgi.bearer(on_the_wire(entry.token)))
    return verdict_of(answer.status, answer.body)


class Framework(HeaderAdapter):
    """A guarded route behind `install`, in an application that is called in process.

    Args:
        module: Of the contract's adapter.
        kind: Its class.
        required: Whether the middleware demands a token, or only the guard.
    """

    types = ("access", "refresh")

    def __init__(self, module: str, kind: str, *, required: bool) -> None:
        self.name = f"{kind}, {'required' if required else 'guard alone'}"
        self._adapter = getattr(importlib.import_module(f"tests.apps.{module}"), kind)()
        self.required = required

    @asynccontextmanager
    async def open(self, issuer: Issuer) -> AsyncIterator[Offer]:
        """See `Adapter`."""
        async with self._adapter.open(issuer.config, required=self.required) as site:

            async def offer(entry: Credentials) -> Verdict:
                return await self.ask(site, entry)

            yield offer

    async def ask(self, site: Any, entry: Credentials) -> Verdict:
        """Offer one token."""
        return await ask(site.app, entry)


class FrameworkWebsocket(Framework):
    """A guarded websocket."""

    async def ask(self, site: Any, entry: Credentials) -> Verdict:
        """See `Framework`."""
        return await talk(site.app, "/ws/echo" if entry.type == "access" else "/ws/refresh", entry)


class SanicServer(Framework):
    """Sanic's own server, by real requests over loopback, byte for byte: no client would send some of these headers.

    Two kinds of request the server gives up before it has read their headers: those whose head, all headers together,
    is longer than 8 KiB, which the longest tokens make it; and those with a line that is no header, which a line break
    in a token makes. It then answers 413 or 400 by itself. With `required`, the guard is asked even so, about a request
    without headers, and says that a token is missing. Either counts as refused, and nothing else does.
    """

    HEAD_LIMIT = 8192

    def expects(self, entry: Credentials) -> Verdict:
        """See `Adapter`."""
        status = self.gives_up(entry)
        if status is None:
            return super().expects(entry)
        error = MissingTokenError
        return Verdict(error.status, None, error.description, error.code) if self.required else Verdict(status)

    def gives_up(self, entry: Credentials) -> int | None:
        """The status with which the server refuses the request by itself."""
        if self._request(entry).index(b"\r\n\r\n") >= self.HEAD_LIMIT:
            return 413
        return 400 if b"\r\n" in on_the_wire(entry.token) else None

    async def ask(self, site: Any, entry: Credentials) -> Verdict:
        """See `Framework`."""
        host, _, port = site.address.partition(":")
        received = b""
        async with await anyio.connect_tcp(host, int(port)) as stream:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await stream.send(self._request(entry))
                while True:
                    received += await stream.receive()
        answer = sockets.parse(received)
        return verdict_of(answer.status, answer.body)

    def _request(self, entry: Credentials) -> bytes:
        line = b"Authorization: Bearer " + on_the_wire(entry.token)
        return sockets.request_bytes(PATHS[entry.type].encode(), line)


class Bearer(HeaderAdapter):
    """FastAPI with `JWTBearer` as a dependency and no middleware."""

    name = "JWTBearer"
    types = ("access", "refresh")

    @asynccontextmanager
    async def open(self, issuer: Issuer) -> AsyncIterator[Offer]:
        """See `Adapter`."""
        fastapi = importlib.import_module("fastapi")
        bearer: Callable[..., Any] = importlib.import_module("asgi_jwt_claims.fastapi").JWTBearer
        app = fastapi.FastAPI()
        for kind, path in PATHS.items():
            guard = fastapi.Security(bearer(issuer.config, type=kind))

            async def identify(token: Token = guard) -> Any:
                return {"identity": token.identity}

            app.get(path)(identify)

        async def offer(entry: Credentials) -> Verdict:
            return await ask(app, entry)

        yield offer


class Compat(HeaderAdapter):
    """The guards of sanic-jwt-extended under Sanic in ASGI mode.

    It has rules of its own about claims, so of the hostile tokens it is offered what is wrong before they are read.
    """

    name = "compat"

    def takes(self, entry: Credentials) -> bool:
        """See `Adapter`."""
        is_before_claims = isinstance(entry, Oddity) or not entry.signed or entry.code == "token_malformed"
        return super().takes(entry) and entry.issuer == "hs256" and is_before_claims

    @asynccontextmanager
    async def open(self, issuer: Issuer) -> AsyncIterator[Offer]:
        """See `Adapter`."""
        sanic_adapter = importlib.import_module("tests.apps.sanic_adapter")
        compat = importlib.import_module("asgi_jwt_claims.compat.sanic_jwt_extended")
        sanic = importlib.import_module("sanic")
        app = sanic_adapter.new_app()
        app.config.JWT_SECRET_KEY = SECRET
        compat.JWTManager(app)
        # There is no setting for the clock, and the corpus stands still in time.
        settings = app.ctx.sanic_jwt_extended
        app.ctx.sanic_jwt_extended = settings._replace(config=settings.config.replace(clock=issuer.config.clock))

        @app.get(PATHS["access"])
        @compat.jwt_required
        async def identify(request: Any, token: Any) -> Any:
            return sanic.json({"identity": token.jwt_identity})

        async with asgi_site(app) as site:

            async def offer(entry: Credentials) -> Verdict:
                return await ask(site.app, entry)  # type: ignore[attr-defined]

            yield offer
