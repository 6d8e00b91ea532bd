"""Count the calls that one request makes in the library, and how often they go from one file to another."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlencode

import asgi_jwt_claims
from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key, TokenError, create_access_token, get_token, renew_token
from asgi_jwt_claims.jwks import FetchResponse, RemoteKeySet
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.stores import SQLiteStore, TokenStore

from . import apps
from .asgi import request_headers, request_scope
from .connections import websocket_scope
from .material import AUDIENCE, ISSUER
from .revocation import valkey
from .sections import Section, Table

if TYPE_CHECKING:
    from .measure import Effort

PACKAGE: Final = str(Path(asgi_jwt_claims.__file__).parent) + os.sep
INLINED: Final = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>"})  # functions of their own only in Python 3.11
QUESTIONS: Final = ("is_revoked", "cutoff", "session", "sessions")
WARM_UPS: Final = 3  # a token is remembered when it comes for the second time
REPEATS: Final = 20

TEXT: Final = f"""\
Calls are calls of functions of this library in the thread of the event loop, as `sys.setprofile` reports them. A
coroutine that continues after a wait counts as another call. A switch is a call in another file than the call before it.
Questions are calls of the store's methods that read. Errors are the objects of `TokenError` and its subclasses that were
created; every trip succeeds, so all of them were thrown away. Each trip is made {WARM_UPS} times before it is counted, and
is then counted {REPEATS} times. The run fails if these counts are not equal. Only with a store on the network may they
differ, because an answer may arrive before anything waits for it; the lowest count is shown. HS256; ES256 with remote
keys."""

Prepared: TypeAlias = tuple[dict[str, Any], list[dict[str, Any]]]
"""The scope of a request, and the messages that the application receives."""


class Counts(NamedTuple):
    """The counts of one trip."""

    calls: int
    files: int
    switches: int
    questions: int
    errors: int


class Trip(NamedTuple):
    """An application, a function that prepares another request to it, and the store that it asks."""

    app: Any
    prepare: Callable[[], Awaitable[Prepared]]
    store: TokenStore | None = None


def run(_: Effort) -> Section:
    """Count all trips."""
    section = Section("trips", "Trips through the library", TEXT)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = None
        try:
            url = stack.enter_context(valkey())
        except ImportError as missing:
            section.notes.append(f"RedisStore was not counted: {missing}.")
        counted = asyncio.run(_count_all(folder, url))
    section.data.update({name: counts._asdict() for name, counts in counted.items()})
    columns = ["trip", "calls", "files", "switches between files", "questions to the store", "errors thrown away"]
    rows = [[name, *map(str, counts)] for name, counts in counted.items()]
    section.tables.append(Table("One request", columns, rows))
    section.notes.append(f"Counted with CPython {platform.python_version()}.")
    return section


async def _count_all(folder: Path, url: str | None) -> dict[str, Counts]:
    config = JWTConfig(secret_key=os.urandom(48).hex())
    plain, sqlite = JWTMiddleware(_handler, config), SQLiteStore(folder / "trips.db")
    trips = {
        "new token, no store": _requests(plain, config),
        "new token, SQLiteStore": _requests(JWTMiddleware(_handler, config, store=sqlite), config, sqlite),
        "new token, SQLiteStore, a guard in Starlette": _requests(
            apps.starlette_guarded(config, store=sqlite), config, sqlite
        ),
        "remembered token, no store": _requests(plain, config, raw=create_access_token("alice", config)),
        "new token, remote keys in hand, no store": await _remote_requests(),
        "refresh at TokenEndpoints, SQLiteStore": _refreshes(config, sqlite),
        "WebSocket, handshake and one renewal, no store": _renewals(config),
    }
    counted = {name: await _count(name, trip) for name, trip in trips.items()}
    await sqlite.aclose()
    if url is not None:
        from asgi_jwt_claims.stores.redis import RedisStore  # noqa: PLC0415 -- may be absent

        redis = RedisStore.from_url(url, timeout=30)
        trip = _requests(JWTMiddleware(_handler, config, store=redis), config, redis)
        counted["new token, RedisStore"] = await _count("RedisStore", trip, may_differ=True)
        await redis.aclose()
    return counted


async def _count(name: str, trip: Trip, *, may_differ: bool = False) -> Counts:
    counts = [await _count_once(trip) for _ in range(WARM_UPS + REPEATS)][WARM_UPS:]
    if len(set(counts)) > 1 and not may_differ:
        raise RuntimeError(f"{name}: the counts differ: {set(counts)}")
    return min(counts)


async def _count_once(trip: Trip) -> Counts:
    scope, messages = await trip.prepare()
    sent: list[dict[str, Any]] = []
    names = () if trip.store is None else QUESTIONS
    questions: set[CodeType] = {getattr(type(trip.store), name).__code__ for name in names}
    asked: set[FrameType] = set()  # a coroutine keeps its frame when it continues
    codes: list[CodeType] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    def record(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name not in INLINED:
            codes.append(code)
            if code in questions:
                asked.add(frame)

    gc.disable()  # the collector may close coroutines, which counts as a call
    sys.setprofile(record)
    try:
        await trip.app(scope, receive, send)
    finally:
        sys.setprofile(None)
        gc.enable()
    if sent[0].get("status", 200) != 200 or sent[-1]["type"] == "websocket.close":  # noqa: PLR2004 -- OK
        raise RuntimeError(f"a request was refused: {sent}")
    await asyncio.sleep(0.01)  # time for tasks that the request started
    files = [code.co_filename for code in codes]
    switches = sum(before != after for before, after in itertools.pairwise(files))
    return Counts(len(files), len(set(files)), switches, len(asked), codes.count(TokenError.__init__.__code__))


# The trips ------------------------------------------------------------------------------------------------------------


async def _handler(scope: Any, receive: Any, send: Any) -> None:
    get_token(scope).identity  # noqa: B018 -- a handler looks at its token
    await apps.raw_bare(scope, receive, send)


async def _renewing(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await renew_token(scope, (await receive())["text"])


def _requests(app: Any, config: JWTConfig, store: TokenStore | None = None, raw: str = "") -> Trip:
    async def prepare() -> Prepared:
        return request_scope(request_headers(raw or create_access_token("alice", config))), []

    return Trip(app, prepare, store)


async def _remote_requests() -> Trip:
    key = Key.generate("ES256")

    async def fetch(url: str, *, max_size: int) -> FetchResponse:  # noqa: ARG001 -- what a provider is asked for
        return FetchResponse(200, {}, json.dumps({"keys": [key.public_jwk()]}).encode())

    keys = RemoteKeySet(f"{ISSUER}/jwks", fetch=fetch)
    await keys.fetch_now()
    app = JWTMiddleware(_handler, JWTConfig(jwks=keys, issuer=ISSUER, audience=AUDIENCE))
    return _requests(app, JWTConfig(signing_key=key, issuer=ISSUER, audience=AUDIENCE))


def _refreshes(config: JWTConfig, store: TokenStore) -> Trip:
    async def prepare() -> Prepared:
        pair = await start_session("alice", config, store)
        form = urlencode({"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}).encode()
        scope = request_scope([(b"content-type", b"application/x-www-form-urlencoded")])
        return {**scope, "method": "POST", "path": "/refresh"}, [{"type": "http.request", "body": form}]

    return Trip(TokenEndpoints(config, store), prepare, store)


def _renewals(config: JWTConfig) -> Trip:
    async def prepare() -> Prepared:
        first, second = (create_access_token("alice", config) for _ in range(2))
        return websocket_scope(first), [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": second}]

    return Trip(JWTMiddleware(_renewing, config), prepare)
