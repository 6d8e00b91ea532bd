"""Measure connections that end with their token: memory of thousands, and the cost to open, use and end one."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token

from . import apps
from .asgi import PATH, ASGIApp, RequestTask, request_headers, request_scope
from .measure import POOL, Effort, Task, less, median_ratio, settle, times_in_turn
from .sections import Section, Table, Target, micros, ratio

SIZES: Final = (1_000, 10_000)
MESSAGES: Final = 100
SPREAD: Final = 3_600  # seconds over which the expiry of the tokens is spread
FLAT: Final = 1.2

TEXT: Final = f"""\
WebSockets of a raw ASGI application, handed to it inside a running event loop without a server: with `end_with_token`, and
with `end_with_token=False`. Each has a token of its own, which expire over an hour. Memory is what `tracemalloc` counts
of all that a connection brings into being, its task, its scope and its token among it. To end {SIZES[-1]:,} at once their
clock is set forward; the longest pause is how long nothing else had its turn meanwhile. Idle is the time that the
processor works while nothing happens. For requests that are no streams, the two are compared on raw ASGI and Starlette."""

VARIANTS: Final = ("without", "with")


class Clock:
    """The time of day, and the seconds by which it has been set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead


class Socket:
    """The server's end of a websocket that says so many things, and then goes or waits until it is told to."""

    __slots__ = ("_to_say", "gone")

    def __init__(self, messages: int, gone: asyncio.Future[None] | None = None) -> None:
        self._to_say = messages + 1
        self.gone = gone

    async def receive(self) -> dict[str, Any]:
        """Return the next message of the client."""
        if self._to_say:
            self._to_say -= 1
            return {"type": "websocket.receive", "text": "hello"}
        if self.gone is not None:
            await self.gone
        return {"type": "websocket.disconnect", "code": 1005, "reason": ""}

    async def send(self, message: dict[str, Any]) -> None:
        """Discard what the application sends."""


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Accept, and answer every message."""
    await receive()
    await send({"type": "websocket.accept"})
    scope["token"].identity  # noqa: B018 -- a handler looks at its token
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message["text"]})


def websocket_scope(raw: str) -> dict[str, Any]:
    """A new scope, as a server would make it."""
    return {**request_scope(request_headers(raw)), "type": "websocket", "subprotocols": [], "extensions": {}}


def guarded(config: JWTConfig, variant: str) -> ASGIApp:
    """The application in the middleware."""
    return JWTMiddleware(echo, config, end_with_token=variant == "with")


def run(effort: Effort) -> Section:
    """Measure all of it."""
    section = Section("connections", "Connections that end with their token", TEXT)
    clock = Clock()
    config = JWTConfig(secret_key=os.urandom(48).hex(), clock=clock)
    tokens = [create_access_token("alice", config, lifetime=SPREAD + n % SPREAD) for n in range(SIZES[-1])]
    _kept(section, config, clock, tokens)
    _used(section, effort, config, tokens)
    _requests(section, effort, config)
    return section


# Thousands at once ----------------------------------------------------------------------------------------------------


def _kept(section: Section, config: JWTConfig, clock: Clock, tokens: list[str]) -> None:
    found = {
        (variant, size): asyncio.run(_crowd(guarded(config, variant), tokens[:size], clock))
        for variant in VARIANTS
        for size in SIZES
    }
    rows = []
    for (variant, size), crowd in found.items():
        section.data[f"{variant}, {size:,}"] = crowd
        cells = [f"{crowd['bytes']:,.0f}", str(crowd["tasks"]), f"{crowd['idle'] * 1e3:.1f}"]
        if variant == "with":
            cells += [micros(crowd["end"] * 1e6), f"{crowd['pause'] * 1e3:.0f}"]
        rows.append([f"{variant}, {size:,}", *cells, *[""] * (5 - len(cells))])
    columns = ["end_with_token", "bytes each", "tasks beside theirs", "ms a second idle", "µs to end", "ms pause"]
    section.tables.append(Table("Many connections", columns, rows))
    small, large = SIZES
    added = {size: found["with", size]["bytes"] - found["without", size]["bytes"] for size in SIZES}
    section.data["bytes added"] = {f"{size:,}": added[size] for size in SIZES}
    what = f"of {large:,} connections, over that of {small:,}"
    all_kept = found["with", large]["bytes"] / found["with", small]["bytes"]
    section.targets += [
        Target(f"memory of each {what}", all_kept, FLAT),
        Target(f"memory added to each {what}", added[large] / added[small], FLAT),
        Target(f"ending each {what}", found["with", large]["end"] / found["with", small]["end"], FLAT),
        Target(f"tasks beside those of {large:,} connections", found["with", large]["tasks"], 1, ""),
    ]


async def _crowd(app: Any, tokens: list[str], clock: Clock) -> dict[str, Any]:
    """Open as many connections as there are tokens, let them wait, and end them."""
    with _traced() as memory:
        loop = asyncio.get_running_loop()
        sockets = [Socket(0, loop.create_future()) for _ in tokens]
        before = len(asyncio.all_tasks())
        tasks = [
            asyncio.create_task(app(websocket_scope(raw), socket.receive, socket.send))
            for raw, socket in zip(tokens, sockets, strict=True)
        ]
        await asyncio.sleep(0.5)
        kept = memory() / len(tokens)
        beside = len(asyncio.all_tasks()) - before - len(tasks)
    began = time.process_time()
    await asyncio.sleep(2)
    found: dict[str, Any] = {"bytes": kept, "tasks": beside, "idle": (time.process_time() - began) / 2}
    settle()
    ending = asyncio.ensure_future(asyncio.wait(tasks))
    await asyncio.sleep(0.1)
    watching = asyncio.create_task(_longest_pause())
    await asyncio.sleep(0.01)
    if beside:  # otherwise they never end
        began, clock.ahead = time.process_time(), 3.0 * SPREAD
        await ending
        found["end"] = (time.process_time() - began) / len(tokens)
    watching.cancel()
    found["pause"] = await watching
    for socket in sockets:
        if socket.gone is not None and not socket.gone.done():
            socket.gone.set_result(None)
    await ending
    clock.ahead = 0.0
    return found


async def _longest_pause() -> float:
    """The longest time in which this task had no turn, until it is cancelled."""
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return longest


@contextmanager
def _traced() -> Iterator[Any]:
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    def kept() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    try:
        yield kept
    finally:
        tracemalloc.stop()


# One at a time --------------------------------------------------------------------------------------------------------


class SocketTask(RequestTask):
    """Connections to time, one for each token; so many messages are said on each, and answered."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: ASGIApp, tokens: list[Any], messages: int) -> None:
        super().__init__(loop, app, tokens)
        self._messages = messages

    async def _batch(self, inputs: list[Any]) -> float:
        app: Any = self.call
        began = time.perf_counter()
        for raw in inputs:
            socket = Socket(self._messages)
            await app(websocket_scope(raw), socket.receive, socket.send)
        return time.perf_counter() - began


def _used(section: Section, effort: Effort, config: JWTConfig, tokens: list[str]) -> None:
    loop = asyncio.new_event_loop()
    # Another connection is always open, so that the first one is not measured.
    stays = Socket(0, loop.create_future())
    staying = loop.create_task(guarded(config, "with")(websocket_scope(tokens[0]), stays.receive, stays.send))
    tasks: dict[str, Task] = {
        f"{what}, {variant}": SocketTask(loop, guarded(config, variant), tokens[:POOL], messages)
        for what, messages in (("opened and closed", 0), ("used", MESSAGES))
        for variant in VARIANTS
    }
    times = times_in_turn(tasks, effort.fewer, effort.batch * 4)
    staying.cancel()
    loop.run_until_complete(asyncio.wait([staying]))
    loop.close()
    opened = {variant: times[f"opened and closed, {variant}"] for variant in VARIANTS}
    said = {
        variant: [one / MESSAGES for one in less(times[f"used, {variant}"], opened[variant])] for variant in VARIANTS
    }
    rows = []
    for what, seconds in (("to open and to close", opened), ("a message received and one sent", said)):
        figure = median_ratio(seconds["with"], seconds["without"])
        middle = {variant: statistics.median(seconds[variant]) * 1e6 for variant in VARIANTS}
        section.data[what] = {"ratio": figure, **middle}
        rows.append([what, micros(middle["without"]), micros(middle["with"]), ratio(figure)])
    section.tables.append(Table("One connection", ["", "µs without", "µs with", "ratio"], rows))


def _requests(section: Section, effort: Effort, config: JWTConfig) -> None:
    async def handler(_: Any) -> JSONResponse:
        return JSONResponse(apps.ANSWER)

    bare: dict[str, Any] = {"raw ASGI": apps.raw_bare, "Starlette": Starlette(routes=[Route(PATH, handler)])}
    headers = [request_headers(create_access_token("alice", config))]
    loop = asyncio.new_event_loop()
    tasks: dict[str, Task] = {
        f"{framework}, {variant}": RequestTask(
            loop, JWTMiddleware(app, config, end_with_token=variant == "with"), headers
        )
        for framework, app in bare.items()
        for variant in VARIANTS
    }
    times = times_in_turn(tasks, effort.rounds, effort.batch)
    loop.close()
    rows = []
    for framework in bare:
        mine, other = times[f"{framework}, with"], times[f"{framework}, without"]
        added, figure = statistics.median(less(mine, other)) * 1e6, median_ratio(mine, other)
        section.data[f"request, {framework}"] = {"added": added, "ratio": figure}
        rows.append([framework, micros(statistics.median(mine) * 1e6), f"{added:.2f}", ratio(figure)])
    section.tables.append(Table("A request that is no stream", ["framework", "µs in all", "µs added", "ratio"], rows))
