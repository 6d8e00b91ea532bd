"""Measure remote keys: their cost when cached, the cost of a flood, and how often they are fetched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from asgi_jwt_claims import (
    JWTConfig,
    Key,
    TokenError,
    create_access_token,
    verify_token_async,
)
from asgi_jwt_claims.jwks import FetchPolicy, FetchResponse, HTTPXFetch, RemoteKeySet

from . import apps
from .asgi import RequestTask, request_headers
from .core import verifying
from .material import AUDIENCE, ISSUER, forged
from .measure import POOL, Effort, Task, less, median_ratio, times_in_turn
from .sections import Section, Table, Target, micros, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

CONCURRENT: Final = 100
UNKNOWN: Final = 10_000
UNKNOWN_FOR_OTHERS: Final = 300  # each of which may cost a peer a fetch, and the machine a while

TEXT: Final = """\
ES256. In hand: the same tokens verified with keys that were fetched, divided by the same with keys that were configured;
`verify_token`, and what the middleware adds to a raw ASGI application; with one issuer, and as one of two. Flood: refusing a
token that names a key which no issuer has, the budget of fetches being spent, divided by refusing one with a bad signature.
Fetches: how many GETs a provider on loopback sees when 100 requests come at once before there are keys, and when tokens with
unknown keys come one after the other; PyJWT's `PyJWKClient` with its cache, in threads, as its documentation has it."""


class Provider:
    """A JWK Set on loopback, and how often it was asked for."""

    def __init__(self, key: Key) -> None:
        body = json.dumps({"keys": [key.public_jwk()]}).encode()
        counted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                counted.fetches += 1
                time.sleep(0.02)  # as far away as a provider in the same region
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.fetches = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.request_queue_size = 2 * CONCURRENT
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def counted(self) -> int:
        """The fetches since the last time."""
        fetches, self.fetches = self.fetches, 0
        return fetches

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


def run(effort: Effort) -> Section:
    """Measure all three."""
    section = Section("remote", "Remote keys", TEXT)
    key = Key.generate("ES256")
    tokens = [create_access_token("alice", configured(key)) for _ in range(POOL)]
    loop = asyncio.new_event_loop()
    _in_hand(section, effort, loop, key, tokens)
    _flood(section, effort, loop, key, tokens[0])
    loop.close()
    _fetches(section, key)
    return section


def configured(key: Key, issuer: str = ISSUER) -> JWTConfig:
    """A configuration that mints the tokens of such a provider."""
    return JWTConfig(signing_key=key, issuer=issuer, audience=AUDIENCE)


async def remote(key: Key) -> JWTConfig:
    """A configuration of a provider with this key, which has been fetched and is in hand."""

    async def fetch(_: str, *, max_size: int) -> FetchResponse:
        return FetchResponse(200, {}, json.dumps({"keys": [key.public_jwk()]}).encode()[:max_size])

    keys = RemoteKeySet(
        f"{ISSUER}/jwks", fetch=fetch, policy=FetchPolicy(ttl=3600, max_ttl=3600, unknown_kid_interval=86400)
    )
    await keys.fetch_now()
    return JWTConfig(jwks=keys, issuer=ISSUER, audience=AUDIENCE)


def _in_hand(section: Section, effort: Effort, loop: asyncio.AbstractEventLoop, key: Key, tokens: list[str]) -> None:
    raws = [raw.encode() for raw in tokens]
    headers = [request_headers(raw) for raw in tokens]
    other = configured(Key.generate("ES256"), "https://other.example")
    tasks: dict[str, Task] = {"bare": RequestTask(loop, apps.raw_bare, headers[:1])}
    for case, count in (("fresh", POOL), ("repeated", 1)):
        tasks[f"{case}, verify_token, configured"] = Task(verifying(configured(key)), raws[:count])
        tasks[f"{case}, verify_token, remote"] = Task(verifying(loop.run_until_complete(remote(key))), raws[:count])
        for name, config in (
            ("configured", configured(key)),
            ("remote", loop.run_until_complete(remote(key))),
            ("one of two", [other, loop.run_until_complete(remote(key))]),
        ):
            guarded: Any = apps.raw_guarded(config)  # type: ignore[arg-type]  # several are as good as one
            tasks[f"{case}, middleware, {name}"] = RequestTask(loop, guarded, headers[:count])
    times = times_in_turn(tasks, effort.rounds, effort.batch)
    rows = []
    for case in ("fresh", "repeated"):
        for entry, names in (("verify_token", ("remote",)), ("middleware", ("remote", "one of two"))):
            bare = times["bare"] if entry == "middleware" else None
            base = less(times[f"{case}, {entry}, configured"], bare)
            for name in names:
                mine = less(times[f"{case}, {entry}, {name}"], bare)
                figure = median_ratio(mine, base)
                section.data[f"{case}, {entry}, {name}"] = figure
                micro = [micros(statistics.median(values) * 1e6) for values in (base, mine)]
                rows.append([case, entry, name, *micro, ratio(figure)])
    section.tables.append(Table("In hand", ["token", "called", "keys", "configured, µs", "µs", "ratio"], rows))


def _flood(section: Section, effort: Effort, loop: asyncio.AbstractEventLoop, key: Key, raw: str) -> None:
    config = loop.run_until_complete(remote(key))
    stranger = create_access_token("mallory", configured(Key.generate("ES256")))
    bad = forged(raw)

    def refuse(token: str) -> Any:
        async def refused(_: object) -> None:
            with contextlib.suppress(TokenError):
                await verify_token_async(token, config)

        # It never waits, so it needs no event loop but that it must be inside of one.
        def call(argument: object) -> None:
            with contextlib.suppress(StopIteration):
                refused(argument).send(None)

        return call

    async def measure() -> dict[str, list[float]]:
        for number in range(5):  # the budget is spent
            token = create_access_token("mallory", configured(Key.generate("ES256", kid=f"unknown-{number}")))
            with contextlib.suppress(TokenError):
                await verify_token_async(token, config)
        tasks = {"bad signature": Task(refuse(bad)), "unknown key": Task(refuse(stranger))}
        return times_in_turn(tasks, effort.fewer, effort.batch)

    times = loop.run_until_complete(measure())
    figure = median_ratio(times["unknown key"], times["bad signature"])
    section.data["unknown key over bad signature"] = figure
    micro = {name: micros(statistics.median(values) * 1e6) for name, values in times.items()}
    section.tables.append(
        Table(
            "Flood",
            ["refused for", "µs", "ratio"],
            [["bad signature", micro["bad signature"], "1.00"], ["unknown key", micro["unknown key"], ratio(figure)]],
        )
    )
    section.targets.append(Target("refusing an unknown key, over refusing a bad signature", figure, 1.0))


# How often the provider is asked --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _provider(key: Key) -> Iterator[Provider]:
    provider = Provider(key)
    try:
        yield provider
    finally:
        provider.stop()


def _fetches(section: Section, key: Key) -> None:
    raw = create_access_token("alice", configured(key))
    unknown = [
        create_access_token("mallory", configured(Key.generate("ES256", kid=f"unknown-{number}")))
        for number in range(UNKNOWN_FOR_OTHERS)
    ]
    rows = []
    with _provider(key) as provider:
        cold, flood = asyncio.run(_ours(provider, raw, unknown))
        rows.append(["asgi-jwt-claims", f"{cold}", f"{flood} of {UNKNOWN:,}"])
        section.data["fetches"] = {"cold": cold, "flood": flood}
        section.targets.append(Target(f"fetches for {CONCURRENT} requests at once", float(cold), 1.0, ""))
        section.targets.append(Target(f"fetches for {UNKNOWN:,} unknown keys", float(flood), 2.0, ""))
        try:
            their_cold, their_flood = _theirs(provider, raw, unknown)
        except ImportError as missing:
            section.notes.append(f"PyJWT was not measured: {missing}.")
        else:
            rows.append(["PyJWT", f"{their_cold}", f"{their_flood} of {UNKNOWN_FOR_OTHERS}"])
            section.data["fetches of PyJWT"] = {"cold": their_cold, "flood": their_flood}
    section.tables.append(Table("Fetches", ["library", f"{CONCURRENT} at once, cold", "unknown keys"], rows))


async def _ours(provider: Provider, raw: str, unknown: list[str]) -> tuple[int, int]:
    keys = RemoteKeySet(provider.url, loopback_http=True, fetch=HTTPXFetch())
    config = JWTConfig(jwks=keys, issuer=ISSUER, audience=AUDIENCE)
    accepted = await asyncio.gather(*(verify_token_async(raw, config) for _ in range(CONCURRENT)))
    if len(accepted) != CONCURRENT:
        raise AssertionError("a good token was refused")
    cold = provider.counted()
    for number in range(UNKNOWN):
        with contextlib.suppress(TokenError):
            await verify_token_async(unknown[number % len(unknown)], config)
    return cold, provider.counted()


def _theirs(provider: Provider, raw: str, unknown: list[str]) -> tuple[int, int]:
    import jwt  # noqa: PLC0415 -- may be absent

    client = jwt.PyJWKClient(provider.url, cache_keys=True)

    def verify(token: str) -> float:
        try:
            key = client.get_signing_key_from_jwt(token)
            jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER)
        except jwt.PyJWTError:
            return math.nan
        return 0.0

    with ThreadPoolExecutor(CONCURRENT) as threads:
        if any(map(math.isnan, threads.map(verify, [raw] * CONCURRENT))):
            raise AssertionError("a good token was refused")
    cold = provider.counted()
    for token in unknown:
        verify(token)
    return cold, provider.counted()
