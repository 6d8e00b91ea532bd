"""The checks, in the order of the page. Each is told in the first line of its docstring."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode

import anyio

from asgi_jwt_claims import create_access_token
from asgi_jwt_claims.sessions import start_session
from asgi_jwt_claims.stores import MemoryStore
from tests.raw_asgi import App, Exchange, Header, Message, bearer, http_scope, websocket_scope
from tests.unit.connections.connection import ClientConnection, until

from .guarded import CONFIG, EVENT

USER_CLAIMS = {"VERI TAS": "LUX MEA", "teams": ["ops", "web"]}
SIZE = 3 * 2**20
PIECE = 2**16
FORM = (b"content-type", b"application/x-www-form-urlencoded")
FORGED = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


class Site(NamedTuple):
    """An application that has started, and its store."""

    app: App
    store: MemoryStore


Check: TypeAlias = Callable[[Site], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Add a check to the list, by its name in words."""
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


def described(name: str) -> str:
    """What holds if this check passes: the first line of its docstring."""
    return (CHECKS[name].__doc__ or "").partition("\n")[0]


def token(identity: str = "alice", **more: Any) -> Header:
    """The header with a token of this user."""
    return bearer(create_access_token(identity, CONFIG, **more))


@asynccontextmanager
async def opened(app: App, scope: Any, *more: Message) -> AsyncIterator[ClientConnection]:
    """A client that has sent all it has to, and waits; in the end it goes."""
    client = ClientConnection(scope)
    for message in more:
        client.push(message)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.serve, app)
        yield client
        client.hang_up()
        tasks.cancel_scope.cancel()


async def ask(app: App, path: str, *headers: Header, method: str = "GET", body: bytes = b"") -> Exchange:
    """The answer to one request, when it is complete."""
    pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
    parts: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if method == "POST":
        headers = (*headers, (b"content-length", str(len(body)).encode()))
        parts.append({"type": "http.request", "body": b"", "more_body": False})
    async with opened(app, http_scope(path, *headers, method=method, state={}), *parts) as client:
        await until(lambda: client.end or client.is_over)
    if client.error is not None:
        raise client.error
    return Exchange(client.sent)


def answered(answer: Exchange, **expected: Any) -> None:
    """The request was let in, and its handler answered this."""
    assert (200, expected) == (answer.status, answer.json)


def refused(answer: Exchange, status: int, *words: str) -> None:
    """The request was answered with this status and with one challenge, which has these words."""
    assert status == answer.status
    values = [value.decode() for name, value in answer.start["headers"] if name.lower() == b"www-authenticate"]
    assert (1, True) == (len(values), values[0].startswith("Bearer "))
    assert [] == [word for word in words if word not in values[0]]


@check
async def claims(site: Site) -> None:
    """An async handler sees the user claims of the token, by `get_token` and by `current_token`."""
    answered(
        await ask(site.app, "/claims", token(user_claims=USER_CLAIMS)),
        identity="alice",
        user_claims=USER_CLAIMS,
        same=True,
    )


@check
async def sync_handler(site: Site) -> None:
    """A sync handler sees the token by `current_token`, in the thread that the framework gives it."""
    answered(await ask(site.app, "/sync", token()), identity="alice")


@check
async def two_users(site: Site) -> None:
    """Of twenty requests at once, by two users, each sees its own token, in async and sync handlers."""
    found: list[tuple[str, Any]] = []

    async def one(path: str, identity: str) -> None:
        found.append((identity, (await ask(site.app, path, token(identity))).json["identity"]))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(one, ("/claims", "/sync")[number // 2 % 2], ("alice", "bob")[number % 2])
    assert (20, []) == (len(found), [pair for pair in found if pair[0] != pair[1]])


@check
async def no_token(site: Site) -> None:
    """A request without a token gets 401 and a challenge without an error code; so does an unknown path."""
    for path in ("/claims", "/sync", "/unknown"):
        answer = await ask(site.app, path)
        refused(answer, 401, "realm=")
        assert b"error=" not in b"".join(value for _, value in answer.start["headers"])


@check
async def bad_token(site: Site) -> None:
    """A forged token gets 401 `invalid_token`, two tokens get 400 `invalid_request`."""
    refused(await ask(site.app, "/claims", bearer(FORGED)), 401, 'error="invalid_token"')
    refused(await ask(site.app, "/claims", token(), token("bob")), 400, 'error="invalid_request"')


@check
async def exempt(site: Site) -> None:
    """An exempt path is served without a token, and there is none in its handler."""
    answered(await ask(site.app, "/open"), identity=None)
    answered(await ask(site.app, "/open", bearer(FORGED)), identity=None)


@check
async def optional(site: Site) -> None:
    """`get_token(optional=True)` knows its users and greets strangers; a forged token gets 401."""
    answered(await ask(site.app, "/maybe"), identity=None)
    answered(await ask(site.app, "/maybe", token()), identity="alice")
    refused(await ask(site.app, "/maybe", bearer(FORGED)), 401, 'error="invalid_token"')


@check
async def refusal_below(site: Site) -> None:
    """An error that `get_token` raises in a handler is answered 401 with its challenge, not 500."""
    refused(await ask(site.app, "/below"), 401, "realm=")
    refused(await ask(site.app, "/below", bearer(FORGED)), 401, 'error="invalid_token"')
    answered(await ask(site.app, "/below", token()), identity="alice")


@check
async def role(site: Site) -> None:
    """A handler for a role lets it in, and answers others with 403 and a challenge."""
    answered(await ask(site.app, "/admin", token(roles=["admin"])), identity="alice")
    refused(await ask(site.app, "/admin", token(roles=["user"])), 403)


@check
async def scopes(site: Site) -> None:
    """A handler for a scope lets it in, and answers others with 403 `insufficient_scope` and the scope."""
    answered(await ask(site.app, "/orders", token(scope="orders:read orders:write")), identity="alice")
    words = ('error="insufficient_scope"', 'scope="orders:read"')
    refused(await ask(site.app, "/orders", token(scope="orders:write")), 403, *words)


@check
async def fresh_login(site: Site) -> None:
    """A handler for fresh logins answers others with 401 `insufficient_user_authentication` (RFC 9470)."""
    answered(await ask(site.app, "/fresh", token(fresh=True)), identity="alice")
    refused(await ask(site.app, "/fresh", token()), 401, 'error="insufficient_user_authentication"')


@check
async def websocket_refused(site: Site) -> None:
    """A WebSocket without a token is never accepted: 401 where the server can say so, else a close."""
    for denial in (True, False):
        async with opened(site.app, websocket_scope("/socket", denial=denial, state={})) as client:
            await until(lambda client=client: client.is_over)
        assert "accept" not in client.types
        if denial:
            refused(Exchange(client.sent), 401)
        else:
            assert ["close"] == client.types


@check
async def websocket_accepted(site: Site) -> None:
    """A WebSocket sees its token, be it in the header or beside the subprotocol `bearer`."""
    raw = create_access_token("alice", CONFIG)
    offered = [{"subprotocols": ["bearer", raw]}, {}]
    headers = [[(b"sec-websocket-protocol", f"bearer, {raw}".encode())], [bearer(raw)]]
    for lines, more in zip(headers, offered, strict=True):
        async with opened(site.app, websocket_scope("/socket", *lines, state={}, **more)) as client:
            await until(lambda client=client: client.texts or client.is_over)
        assert ["alice"] == client.texts
        assert ("bearer" if more else None) == client.sent[0].get("subprotocol")


@check
async def websocket_ends(site: Site) -> None:
    """A WebSocket is closed with 3000 when its token expires."""
    async with opened(site.app, websocket_scope("/socket", token(lifetime=2), state={})) as client:
        await until(lambda: client.texts or client.is_over)
        assert ["alice"] == client.texts
        await until(lambda: "close" in client.types or client.is_over)
        assert 3000 == client.sent[-1].get("code")
        await until(lambda: client.is_over)
    assert [] == client.too_late


@check
async def stream_ends(site: Site) -> None:
    """An event stream ends when its token expires, and the framework notices."""
    async with opened(site.app, http_scope("/events", token(lifetime=2), state={})) as client:
        await until(lambda: client.body or client.is_over)
        assert client.body.startswith(EVENT.encode())
        assert not client.end
        await until(lambda: client.end)
        await until(lambda: client.is_over)
    assert [] == client.too_late


@check
async def revoked(site: Site) -> None:
    """A token is refused from the moment its session ends: requests with 401, an open stream by its end."""
    pair = await start_session("alice", CONFIG, site.store)
    header = bearer(pair["access_token"])
    answered(await ask(site.app, "/sync", header), identity="alice")
    async with opened(site.app, http_scope("/events", header, state={})) as client:
        await until(lambda: client.body or client.is_over)
        form = urlencode({"token": pair["refresh_token"]}).encode()
        assert 200 == (await ask(site.app, "/auth/logout", FORM, method="POST", body=form)).status
        await until(lambda: client.end)
    refused(await ask(site.app, "/sync", header), 401, 'error="invalid_token"')


@check
async def refresh(site: Site) -> None:
    """The refresh endpoint stands beside the handlers, and its tokens are good for them."""
    pair = await start_session("alice", CONFIG, site.store)
    form = urlencode({"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}).encode()
    answer = await ask(site.app, "/auth/refresh", FORM, method="POST", body=form)
    assert 200 == answer.status
    answered(await ask(site.app, "/sync", bearer(answer.json["access_token"])), identity="alice")
    assert 401 == (await ask(site.app, "/sync", bearer(answer.json["refresh_token"]))).status


@check
async def upload(site: Site) -> None:
    """An upload of 3 MiB arrives whole with a token; without one its handler never runs."""
    binary = (b"content-type", b"application/octet-stream")
    body = bytes(range(256)) * (SIZE // 256)
    answered(await ask(site.app, "/upload", token(), binary, method="POST", body=body), size=SIZE, identity="alice")
    refused(await ask(site.app, "/upload", binary, method="POST", body=body), 401)


@check
async def mounted(site: Site) -> None:
    """Below the prefix of a mount, handlers, exempt paths and endpoints are found as before."""
    from starlette.applications import Starlette  # noqa: PLC0415 -- the one that mounts is always this one
    from starlette.routing import Mount  # noqa: PLC0415 -- as above

    outer: Any = Starlette(routes=[Mount("/prefix", site.app)])
    answered(await ask(outer, "/prefix/sync", token()), identity="alice")
    answered(await ask(outer, "/prefix/open"), identity=None)
    refused(await ask(outer, "/prefix/sync"), 401)
    form = urlencode({"token": "x"}).encode()
    assert 200 == (await ask(outer, "/prefix/auth/logout", FORM, method="POST", body=form)).status


@check
async def methods(site: Site) -> None:
    """HEAD and OPTIONS are guarded like GET, and HEAD of an exempt path is open."""
    for method in ("HEAD", "OPTIONS", "PUT"):
        refused(await ask(site.app, "/claims", method=method), 401)
    assert 200 == (await ask(site.app, "/claims", token())).status
