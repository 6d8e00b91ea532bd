"""The adapters of an ASGI application, which find tokens in the Authorization header. None of these needs a framework."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgi_jwt_claims import JWTMiddleware
from asgi_jwt_claims.errors import MalformedCredentialsError
from tests import raw_asgi
from tests.corpus.adapters import Credentials, Offer, Verdict, expected, on_the_wire
from tests.corpus.issuers import Issuer
from tests.corpus.runner import EVERYTHING

__all__ = ["HeaderAdapter", "Middleware", "Websocket", "not_for", "talk", "verdict_of"]

TOKEN68 = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")  # RFC 9110 section 11.2


class HeaderAdapter:
    """What the adapters have in common that find tokens in the Authorization header.

    Two things differ from the core. White space around a header's value belongs to no token (RFC 9110 section 5.5), so
    that entries which have nothing else wrong are passed over. And what is no token68 is refused as malformed
    credentials, unless it is too long to be looked at.

    Attributes:
        name: For messages.
        types: The types of token that can be wanted.
    """

    name = "header"
    types = ("access",)

    def takes(self, entry: Credentials) -> bool:
        """See `Adapter`."""
        raw = on_the_wire(entry.token)
        return entry.type in self.types and not raw.startswith(b" ") and not raw.endswith((b" ", b"\t"))

    def expects(self, entry: Credentials) -> Verdict:
        """See `Adapter`."""
        verdict = expected(entry)
        if verdict.code != "token_too_large" and TOKEN68.fullmatch(on_the_wire(entry.token)) is None:
            error = MalformedCredentialsError
            return Verdict(error.status, None, error.description, error.code)
        return verdict


# A header's value ends where white space begins, so that for a header these are no other tokens.
NO_HEADER = ("space in front", "space behind")


def not_for(adapter: HeaderAdapter) -> list[str]:
    """The names of the entries that cannot be offered at an adapter."""
    others = [entry.name for entry in EVERYTHING if entry.type != "access" and "refresh" not in adapter.types]
    return sorted([*NO_HEADER, *others])


def verdict_of(status: int, body: bytes) -> Verdict:
    """What an HTTP answer says, whichever of the ways to refuse it is."""
    if not 200 <= status < 300:
        try:
            content = json.loads(body)
        except ValueError:
            return Verdict(status)
        content = content.get("detail", content)
        return Verdict(status, None, content.get("error_description", content.get("msg")))
    return Verdict(status, json.loads(body)["identity"])


async def identify(scope: raw_asgi.Scope, receive: raw_asgi.Receive, send: raw_asgi.Send) -> None:
    """An application that tells whom it takes the client for."""
    body = json.dumps({"identity": scope["token"].identity})
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": body})
        await send({"type": "websocket.close", "code": 1000})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


class Middleware(HeaderAdapter):
    """`JWTMiddleware` around an ASGI application."""

    name = "middleware"

    @asynccontextmanager
    async def open(self, issuer: Issuer) -> AsyncIterator[Offer]:
        """See `Adapter`."""
        app = JWTMiddleware(identify, issuer.config)

        async def offer(entry: Credentials) -> Verdict:
            answer = await raw_asgi.ask(app, "/", raw_asgi.bearer(on_the_wire(entry.token)))
            return verdict_of(answer.status, answer.body)

        yield offer


class Websocket(HeaderAdapter):
    """The same for websockets.

    Args:
        denial: Whether the server can deny with a response. Otherwise all that it can say is a close code.
    """

    UNAUTHORIZED = 3000

    def __init__(self, *, denial: bool) -> None:
        self.name = "websocket" if denial else "websocket that can only close"
        self._denial = denial

    def expects(self, entry: Credentials) -> Verdict:
        """See `Adapter`."""
        verdict = super().expects(entry)
        return verdict if self._denial or verdict.status == 200 else Verdict(self.UNAUTHORIZED)

    @asynccontextmanager
    async def open(self, issuer: Issuer) -> AsyncIterator[Offer]:
        """See `Adapter`."""
        app = JWTMiddleware(identify, issuer.config)

        async def offer(entry: Credentials) -> Verdict:
            return await talk(app, "/", entry, denial=self._denial)

        yield offer


async def talk(app: raw_asgi.App, path: str, entry: Credentials, *, denial: bool = True) -> Verdict:
    """What a websocket says first, or how it is refused."""
    header = raw_asgi.bearer(on_the_wire(entry.token))
    heard = await raw_asgi.talk(app, path, header, says=["hello"], denial=denial)
    if "websocket.accept" in heard.types:
        return Verdict(200, json.loads(heard.texts[0])["identity"])
    if heard.close_code is not None:
        return Verdict(heard.close_code)
    return verdict_of(heard.status, heard.body)
