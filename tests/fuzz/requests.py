"""`python -m tests.fuzz.requests`: no handler runs without a valid token that its own request carries.

Random requests go through random stacks of middlewares. In between, and inside, applications copy the scope with other
headers, another method or another path, as batch endpoints do, and ask for the token of the copy. A model, which reads
the headers by itself, says whose token that is. Then the same kind of request goes to a Sanic application: in ASGI mode,
and as bytes to Sanic's own server.

A case is wrong if something ran for an identity that the model does not name, if a request was refused that the model
lets in, or if an answer that the application did not write has a status of 500 or above. Every case follows from its
number, so `--first 1234 --runs 1` tries that one again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from sanic import HTTPResponse, Request, Sanic, text

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    create_access_token,
    create_refresh_token,
    current_token,
    get_token,
)
from asgi_jwt_claims.errors import TokenError
from asgi_jwt_claims.sanic import install
from asgi_jwt_claims.sources.csrf import csrf_digest
from tests.apps.many_sanics import allow_many
from tests.conftest import HeldClock
from tests.raw_asgi import App, Exchange, Header, Message, Receive, Scope, Send, finish, lifespan
from tests.support import SECRET, serve_sanic

__all__ = ["ask_middlewares", "ask_sanic", "main"]

# What a request is made of --------------------------------------------------------------------------------------------

USERS: Final = JWTConfig(secret_key=SECRET, clock=HeldClock())
ADMINS: Final = JWTConfig(secret_key=SECRET[::-1], clock=HeldClock())
_LATE = HeldClock(HeldClock().now - 10**6)

ALICE, BOB = (create_access_token(name, USERS).encode() for name in ("alice", "bob"))
MALLORY: Final = create_access_token("mallory", ADMINS).encode()
EXPIRED: Final = create_access_token("alice", USERS.replace(clock=_LATE)).encode()
REFRESH: Final = create_refresh_token("alice", USERS).encode()
FORGED: Final = BOB.rpartition(b".")[0] + b"." + ALICE.rpartition(b".")[2]
GOOD: Final = {USERS: {ALICE: "alice", BOB: "bob"}, ADMINS: {MALLORY: "mallory"}}
TOKENS: Final = (ALICE, ALICE, BOB, BOB, MALLORY, EXPIRED, REFRESH, FORGED, b"junk", ALICE + b".", b"a" * 9000)

HOST: Final = b"api.example"
OWN: Final = b"https://api.example"
METHODS: Final = ("GET", "GET", "POST", "OPTIONS", "OPTIONS", "HEAD", "PUT", "DELETE", "TRACE", "QUERY", "options")
SAFE: Final = ("GET", "HEAD", "OPTIONS", "TRACE")
PATHS: Final = (
    "/",
    "/items",
    "/login",
    "/login/",
    "/docs/a",
    "/docs/",
    "/docs/../x",
    "/docs//x",
    "/lo%67in",
    "/x;/login",
)
EXEMPT: Final = {"/login", "/docs/a", "/docs/"}
"""Of these paths, those that `_EXEMPT` opens."""
_EXEMPT: Final = ("/login", "/docs/*")
ODD: Final[tuple[Header, ...]] = (
    (b"access-control-request-method", b"POST"),
    (b"access-control-request-headers", b"authorization"),
    (b"x-http-method-override", b"GET"),
    (b"x-http-method", b"OPTIONS"),
    (b"x-method-override", b"OPTIONS"),
    (b"x-original-url", b"/login"),
    (b"x-rewrite-url", b"/login"),
    (b"x-forwarded-prefix", b"/login"),
    (b"x-forwarded-host", b"evil.example"),
    (b"proxy-authorization", b"Bearer " + ALICE),
    (b"x-authorization", b"Bearer " + ALICE),
    (b"authorization_", b"Bearer " + ALICE),
    (b"upgrade", b"h2c"),
    (b"content-type", b"application/x-www-form-urlencoded"),
)
ABSENT: Final = ""
BAD: Final = "-"


def _choose(chance: random.Random, values: Sequence[Any], up_to: int) -> list[Any]:
    return [chance.choice(values) for _ in range(chance.randint(0, up_to))]


def some_headers(chance: random.Random) -> list[Header]:
    """Headers in any order, of which some are credentials, more than one or spelled badly too."""
    headers: list[Header] = [(b"host", HOST)]
    for token in _choose(chance, TOKENS, chance.choice((1, 1, 1, 2))):
        scheme = chance.choice(
            (b"Bearer ", b"Bearer ", b"bearer  ", b"Basic ", b"Bearer", b"DPoP ", b"\xe2\x80\x83Bearer ")
        )
        headers.append((b"authorization", scheme + token))
    for token in _choose(chance, TOKENS, chance.choice((0, 0, 1, 2))):
        name = chance.choice((b"", b"", b"", b"\xe2\x80\x80", b"\xc2\xa0", b"x")) + b"__Host-access_token"
        headers.append((b"cookie", chance.choice((b"", b"a=b; ", b"a; ;")) + name + b"=" + token))
        if chance.random() < 0.5:
            headers.append((b"x-csrf-token", csrf_digest(chance.choice((token, token, ALICE)))))
    if chance.random() < 0.3:
        headers.append((b"origin", chance.choice((OWN, OWN, b"https://evil.example", b"null"))))
    if chance.random() < 0.3:
        headers.append((b"sec-fetch-site", chance.choice((b"same-origin", b"none", b"cross-site", b"same-site"))))
    headers += _choose(chance, ODD, 3)
    chance.shuffle(headers)
    return headers


# The model ------------------------------------------------------------------------------------------------------------


class Layer(NamedTuple):
    """A middleware, as far as it decides something."""

    config: JWTConfig
    in_header: bool
    in_cookie: bool
    required: bool
    has_exempt: bool


def whose(scope: Scope, layer: Layer) -> str:
    """Whose token the request carries; `BAD` if it offers something else, and `ABSENT` if nothing."""
    found = [said for said in (_in_header(scope, layer), _in_cookie(scope, layer)) if said != ABSENT]
    return ABSENT if not found else found[0] if len(found) == 1 else BAD


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _in_header(scope: Scope, layer: Layer) -> str:
    values = _values(scope, b"authorization") if layer.in_header else []
    if len(values) != 1:
        return BAD if values else ABSENT
    if not values[0].isascii():
        return BAD
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer":
        return ABSENT
    return GOOD[layer.config].get(token.strip(b" "), BAD)


def _in_cookie(scope: Scope, layer: Layer) -> str:
    parts = [part.strip(b" \t") for value in _values(scope, b"cookie") for part in value.split(b";")]
    prefix = b"__Host-access_token="
    tokens = [part.removeprefix(prefix) for part in parts if part.startswith(prefix)] if layer.in_cookie else []
    if len(tokens) != 1:
        return BAD if tokens else ABSENT
    is_websocket = scope["type"] == "websocket"
    if is_websocket or scope["method"] not in SAFE:
        sites, origins = _values(scope, b"sec-fetch-site"), _values(scope, b"origin")
        own = [OWN] if _values(scope, b"host") == [HOST] else []
        is_hidden = origins == [b"null"] and sites == [b"same-origin"] and not is_websocket
        if (origins not in ([], own) and not is_hidden) or sites not in ([], [b"same-origin"], [b"none"]):
            return BAD
        if is_websocket and not origins:
            return BAD
        if not is_websocket and _values(scope, b"x-csrf-token") != [csrf_digest(tokens[0])]:
            return BAD
    return GOOD[layer.config].get(tokens[0], BAD)


def is_open(scope: Scope, layer: Layer) -> bool:
    """Whether the layer lets the request in without having looked at it."""
    return layer.has_exempt and scope["path"] in EXEMPT


# Stacks of middlewares ------------------------------------------------------------------------------------------------


class WrongError(Exception):
    """A case that has gone wrong."""


class Case:
    """One request on its way through a stack.

    Attributes:
        chance: What is random about it.
        reached: How many of the layers let it in.
        judged: The scope that each layer was called with, as it was then.
        is_own: Whether the application wrote the answer.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.reached = 0
        self.judged: list[Scope] = []
        self.is_own = False


_CASE: Case


def copied(chance: random.Random, scope: Scope) -> Scope:
    """A copy of a scope as a batch endpoint makes it, with some things changed."""
    copy = dict(scope)
    changes = chance.randint(1, 7)
    if changes & 1:
        copy["headers"] = some_headers(chance)
    if changes & 2 and copy["type"] == "http":
        copy["method"] = chance.choice(METHODS)
    if changes & 4:
        copy["path"] = chance.choice(PATHS)
        copy["raw_path"] = copy["path"].encode()
    return copy


def entering(layer: int, app: App) -> App:
    """What calls a layer: with the scope as it is, or with a copy."""

    async def enter(scope: Scope, receive: Receive, send: Send) -> None:
        case = _CASE
        if layer and case.chance.random() < 0.4:
            scope = copied(case.chance, scope)
        case.judged.append(dict(scope))
        await app(scope, receive, send)

    return enter


def inside(place: int, layer: Layer, app: App) -> App:
    """What a layer calls: nothing that it should have refused."""

    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        case = _CASE
        case.reached = place + 1
        was = case.judged[place]
        said = whose(was, layer)
        opened = is_open(was, layer)
        token = scope["token"]
        if layer.required and not opened and said in (ABSENT, BAD):
            raise WrongError("a request without a valid token of its own was let in")
        expected = None if opened or said in (ABSENT, BAD) else said
        if (token and token.identity) != expected:
            raise WrongError(f"scope['token'] is {token!r}, and the request is of {expected!r}")
        if current_token() is not token:
            raise WrongError("current_token() is another")
        await app(scope, receive, send)

    return check


def handler(layer: Layer) -> App:
    """The application: it asks for its own token and for that of copies, and may let refusals go."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        case = _CASE
        for _ in range(case.chance.randint(0, 3)):
            with contextlib.suppress(TokenError):
                check_get_token(copied(case.chance, scope), layer, optional=case.chance.random() < 0.5)
        try:
            check_get_token(scope, layer)
        except TokenError:
            if case.chance.random() < 0.5:
                raise
            # As frameworks do that know nothing of these errors.
            await answer(scope, send, 500)
            return
        case.is_own = True
        await answer(scope, send, 200)

    return handle


def check_get_token(scope: Scope, layer: Layer, *, optional: bool = False) -> None:
    """`get_token` answers, and raises, as the model says."""
    said = whose(scope, layer)
    try:
        token = get_token(scope, optional=optional)
    except TokenError:
        if said not in (ABSENT, BAD):
            raise WrongError(f"{said!r} was refused") from None
        raise
    if (token.identity if token else ABSENT) != said:
        raise WrongError(f"{said!r} is answered as {token!r}")


async def answer(scope: Scope, send: Send, status: int) -> None:
    """An answer without a body."""
    prefix = "websocket." if scope["type"] == "websocket" else ""
    await send({"type": f"{prefix}http.response.start", "status": status, "headers": []})
    await send({"type": f"{prefix}http.response.body", "body": b"", "more_body": False})


def _stack(layers: Sequence[Layer]) -> App:
    app = handler(layers[-1])
    for place, layer in reversed(list(enumerate(layers))):
        sources = (*(BearerHeader() for _ in range(layer.in_header)), *(Cookie() for _ in range(layer.in_cookie)))
        guarded = JWTMiddleware(
            inside(place, layer, app),
            layer.config,
            sources=sources,
            required=layer.required,
            exempt=_EXEMPT if layer.has_exempt else (),
            end_with_token=False,  # which would need an event loop
        )
        app = entering(place, guarded)
    return app


def _stacks() -> list[tuple[list[Layer], App]]:
    chance = random.Random(0)
    stacks = []
    for _ in range(300):
        layers = []
        for _ in range(chance.choice((1, 1, 2, 2, 3))):
            in_header, in_cookie = chance.choice(((True, False), (True, False), (False, True), (True, True)))
            config = chance.choice((USERS, USERS, USERS, ADMINS))
            layers.append(Layer(config, in_header, in_cookie, chance.random() < 0.6, chance.random() < 0.5))
        stacks.append((layers, _stack(layers)))
    return stacks


_STACKS: list[tuple[list[Layer], App]] = []


def ask_middlewares(number: int) -> None:
    """One case: a request to a stack of middlewares.

    Raises:
        WrongError: It has gone wrong.
    """
    global _CASE  # noqa: PLW0603 -- the case at hand, for applications that were made once for all of them
    if not _STACKS:
        _STACKS.extend(_stacks())
    chance = random.Random(number)
    layers, app = chance.choice(_STACKS)
    scope = some_scope(chance)
    case = _CASE = Case(chance)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    finish(app(scope, receive, send))
    if case.reached < len(case.judged):
        layer, was = layers[case.reached], case.judged[case.reached]
        if not layer.required or is_open(was, layer) or whose(was, layer) not in (ABSENT, BAD):
            raise WrongError(f"layer {case.reached} refused a request that it should let in")
    if Exchange(sent).status >= 500:
        raise WrongError(f"the answer is {sent}")
    if case.is_own is not (Exchange(sent).status == 200):
        raise WrongError(f"the handler's answer was changed: {sent}")


def some_scope(chance: random.Random) -> Scope:
    """The scope of a request, as servers make it."""
    path = chance.choice(PATHS)
    scope: Scope = {
        "type": chance.choice(("http", "http", "http", "websocket")),
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": chance.choice((b"", b"access_token=" + ALICE, b"_method=OPTIONS")),
        "root_path": "",
        "headers": some_headers(chance),
        "extensions": {"websocket.http.response": {}},
        "subprotocols": [],
    }
    if scope["type"] == "http":
        scope["method"] = chance.choice(METHODS)
    return scope


# Sanic ----------------------------------------------------------------------------------------------------------------

SANIC: Final = Layer(USERS, in_header=True, in_cookie=True, required=True, has_exempt=True)
ROUTED: Final = ("GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE")
"""The methods that Sanic has routes for."""

LONGEST: Final = 8192
"""Bytes of a head, from which on Sanic's own server refuses it."""
_TOKEN_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def make_sanic(name: str) -> Sanic[Any, Any]:
    """An application with one handler for everything, which answers with the identity of its request."""
    allow_many()
    app: Sanic[Any, Any] = Sanic(name)
    app.config.AUTO_EXTEND = False
    app.config.FALLBACK_ERROR_FORMAT = "text"
    install(app, USERS, sources=[BearerHeader(), Cookie()], exempt=_EXEMPT)

    @app.on_request(priority=1000)
    async def before_the_guard(_: Request) -> None:
        if current_token() is not None:
            raise WrongError("current_token() is that of the request before")

    async def handle(request: Request, path: str = "") -> HTTPResponse:
        identity = get_token(request).identity
        current = current_token()
        if request.ctx.token is not None and (current is None or current.identity != identity):
            raise WrongError("current_token() is another")
        return text("", headers={"x-identity": identity})

    app.add_route(handle, "/", methods=ROUTED, name="root")
    app.add_route(handle, "/<path:path>", methods=ROUTED, name="all")
    return app


def judge(status: int, identity: str | None, scope: Scope, *, fits: bool = True) -> None:
    """Whether the answer of a Sanic application is right.

    Args:
        status: Of the answer.
        identity: For which the handler ran; None: it did not run.
        scope: What was asked.
        fits: Whether the server takes requests of this size.

    Raises:
        WrongError: It is not.
    """
    said = whose(scope, SANIC)
    if status >= 500:
        raise WrongError(f"the answer is {status}")
    if identity is not None and identity != said:
        raise WrongError(f"the handler ran as {identity!r}, for a request of {said!r}")
    if fits and scope["method"] in ROUTED and said not in (ABSENT, BAD) and identity is None:
        raise WrongError(f"a request of {said!r} was refused with {status}")


async def ask_sanic(app: Any, number: int) -> None:
    """One case: a request to a Sanic application in ASGI mode.

    Raises:
        WrongError: It has gone wrong.
    """
    chance = random.Random(number)
    scope = some_scope(chance) | {"type": "http", "method": chance.choice(METHODS), "http_version": "1.1"}
    scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "asgi": {"version": "3.0"}}
    was, sent = dict(scope), []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append({**message, "headers": list(message.get("headers", ()))})

    await app(scope, receive, send)
    identities = [value.decode() for name, value in sent[0]["headers"] if name == b"x-identity"]
    judge(sent[0]["status"], identities[0] if identities else None, was)


def spelled(chance: random.Random, scope: Scope) -> bytes:
    """A request as bytes. Names of headers in any case; some are no names, or have white space of other kinds around."""
    lines = [f"{scope['method']} {scope['path']} HTTP/1.1".encode()]
    for plain_name, value in scope["headers"]:
        odd, name = chance.random(), plain_name
        if odd < 0.05:
            name = plain_name.replace(b"k", "\N{KELVIN SIGN}".encode()).replace(
                b"s", "\N{LATIN SMALL LETTER LONG S}".encode()
            )
        elif odd < 0.5:
            name = plain_name.title()
        lines.append(name + b":" + chance.choice((b" ", b" ", b"", b" \t", "\N{EM SPACE}".encode())) + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def as_scope(raw: bytes) -> Scope:
    """What a server makes of the bytes (RFC 9112 section 5)."""
    first, *lines = raw[:-4].split(b"\r\n")
    method, path, _ = first.split(b" ")
    pairs = [line.partition(b":")[::2] for line in lines]
    headers = [(name.lower(), value.strip(b" \t")) for name, value in pairs if _TOKEN_NAME.fullmatch(name)]
    return {"type": "http", "method": method.decode(), "path": path.decode(), "headers": headers}


async def ask_own_server(port: int, numbers: range) -> list[str]:
    """Requests on few connections of Sanic's own server; what has gone wrong."""
    wrong: list[str] = []
    reader, writer = None, None
    for number in numbers:
        chance = random.Random(number)
        scope = some_scope(chance) | {"type": "http", "method": chance.choice(METHODS)}
        raw = spelled(chance, scope)
        if writer is None or reader is None or writer.is_closing() or reader.at_eof():
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        writer.write(raw)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            if length and scope["method"] != "HEAD":
                await reader.readexactly(int(length[1]))
            identity = re.search(rb"x-identity: (\w+)", head, re.IGNORECASE)
            judge(
                int(head.split(b" ")[1]),
                identity[1].decode() if identity else None,
                as_scope(raw),
                fits=len(raw) < LONGEST,
            )
        except asyncio.IncompleteReadError as error:
            wrong.append(f"{number}: no answer, but {error.partial!r} to {raw!r}")
        except WrongError as error:
            wrong.append(f"{number}: {error}: {raw!r}")
        if b"connection: close" in head.lower():
            writer.close()
            writer = None
    if writer is not None:
        writer.close()
    return wrong


# The program ----------------------------------------------------------------------------------------------------------


def run_middlewares(numbers: range) -> list[str]:
    """What has gone wrong in these cases."""
    wrong = []
    for number in numbers:
        try:
            ask_middlewares(number)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is told
            wrong.append(f"{number}: {error!r}")
    return wrong


async def run_sanic(numbers: range) -> list[str]:
    """The same of Sanic in ASGI mode."""
    app, wrong = make_sanic("fuzz"), []
    async with lifespan(app):
        for number in numbers:
            try:
                await ask_sanic(app, number)
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is told
                wrong.append(f"{number}: {error!r}")
    return wrong


async def run_own_server(numbers: range) -> list[str]:
    """The same of Sanic's own server."""
    async with serve_sanic(make_sanic("fuzz_own")) as url:
        return await ask_own_server(int(url.rpartition(":")[2]), numbers)


WAYS: Final[dict[str, tuple[float, Callable[[range], list[str] | Awaitable[list[str]]]]]] = {
    "middlewares": (0.9, run_middlewares),
    "Sanic in ASGI mode": (0.05, run_sanic),
    "Sanic's own server": (0.05, run_own_server),
}
"""The part of the cases that each gets, and what runs them."""


def main() -> int:
    """The status that the process ends with."""
    logging.disable()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.requests", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000_000, help="cases, over all ways")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--way", choices=[*WAYS], help="only one of the ways")
    options = parser.parse_args()
    found = 0
    for name, (share, run) in WAYS.items():
        if options.way not in (None, name):
            continue
        count = options.runs if options.way else round(options.runs * share)
        started = time.monotonic()
        result = run(range(options.first, options.first + count))
        wrong = result if isinstance(result, list) else asyncio.run(_awaited(result))
        sys.stdout.write(f"{name}: {count} cases in {time.monotonic() - started:.0f} s, {len(wrong)} wrong\n")
        sys.stdout.write("".join(f"  {line}\n" for line in wrong[:10]))
        found += len(wrong)
    return 1 if found else 0


async def _awaited(result: Awaitable[list[str]]) -> list[str]:
    return await result


if __name__ == "__main__":
    sys.exit(main())
