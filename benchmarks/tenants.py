"""Measure an issuer template: the cost of a token, and how memory, time and fetches grow with the tenants."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
import tracemalloc
from typing import TYPE_CHECKING, Final

from asgi_jwt_claims import IssuerTemplate, JWTConfig, Key, create_access_token, verify_token_async
from asgi_jwt_claims.jwks import FetchResponse, RemoteKeySet, TenantKeySets

from .core import verifying
from .material import AUDIENCE
from .measure import POOL, Effort, Task, median_ratio, times_in_turn
from .sections import Section, Table, Target, micros, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from asgi_jwt_claims.keys import KeySource

TENANTS: Final = 10_000
STEP: Final = 1_000
SETS: Final = 1_000
CONCURRENT: Final = 10  # tokens of one tenant at once
TEXT: Final = """\
ES256. Cost: `verify_token` of a token of an allowed tenant, divided by the same with the issuer configured by name; one set of
keys for all tenants. Tenants: one token each of 10,000 tenants that an async function allows. Memory is what tracemalloc
counts, for a tenant of the last 1,000; time is that of the last 1,000 tenants, divided by that of the second 1,000. Fetches:
with one set of keys for all; and with a set for each of 1,000 tenants, 10 tokens of each at once."""


def run(effort: Effort) -> Section:
    """Measure all three."""
    section = Section("tenants", "Tenants", TEXT)
    key = Key.generate("ES256")
    _cost(section, effort, key)
    asyncio.run(_growth(section, key))
    return section


class _Published:
    """A `fetch` that publishes a key and counts who asked."""

    def __init__(self, key: Key) -> None:
        self.fetched: list[str] = []
        self._body = json.dumps({"keys": [key.public_jwk()]}).encode()

    async def __call__(self, url: str, *, max_size: int) -> FetchResponse:
        self.fetched.append(url)
        await asyncio.sleep(0)
        return FetchResponse(200, {}, self._body[:max_size])


def _issuer(number: int) -> str:
    return f"https://login.example/t{number}"


async def _allow(tenant: str) -> bool:
    await asyncio.sleep(0)
    return tenant.startswith("t")


def _of_tenants(jwks: KeySource) -> JWTConfig:
    return JWTConfig(
        issuer=IssuerTemplate("https://login.example/{tenant}", allow=_allow, ttl=3600), audience=AUDIENCE, jwks=jwks
    )


def _token(key: Key, number: int) -> str:
    return create_access_token("alice", JWTConfig(signing_key=key, issuer=_issuer(number), audience=AUDIENCE))


def _cost(section: Section, effort: Effort, key: Key) -> None:
    raws = [_token(key, 1).encode() for _ in range(POOL)]

    def in_hand(make: Callable[[RemoteKeySet], JWTConfig]) -> JWTConfig:
        config = make(RemoteKeySet("https://login.example/keys", fetch=_Published(key)))
        asyncio.run(_prepare(config, raws[0]))
        return config

    def by_name(keys: RemoteKeySet) -> JWTConfig:
        return JWTConfig(issuer=_issuer(1), audience=AUDIENCE, jwks=keys)

    def own_set(keys: RemoteKeySet) -> JWTConfig:
        return _of_tenants(TenantKeySets(lambda _: keys))

    tasks = {
        f"{case}, {name}": Task(verifying(in_hand(make)), raws[:count])
        for case, count in (("fresh", POOL), ("repeated", 1))
        for name, make in (("by name", by_name), ("by template", _of_tenants), ("a set for each", own_set))
    }
    times = times_in_turn(tasks, effort.rounds, effort.batch)
    rows = []
    for case in ("fresh", "repeated"):
        base = times[f"{case}, by name"]
        for name in ("by template", "a set for each"):
            mine = times[f"{case}, {name}"]
            figure = median_ratio(mine, base)
            section.data[f"{case}, {name}"] = figure
            micro = [micros(statistics.median(values) * 1e6) for values in (base, mine)]
            rows.append([case, name, *micro, ratio(figure)])
        section.targets.append(
            Target(f"a {case} token by template, over one by name", section.data[f"{case}, by template"], 1.1)
        )
    section.tables.append(Table("Cost", ["token", "issuer", "by name, µs", "µs", "ratio"], rows))


async def _prepare(config: JWTConfig, raw: bytes) -> None:
    await verify_token_async(raw, config)


async def _growth(section: Section, key: Key) -> None:
    published = _Published(key)
    config = _of_tenants(RemoteKeySet("https://login.example/keys", fetch=published))
    steps: list[float] = []
    for start in range(0, TENANTS, STEP):
        raws = [_token(key, number) for number in range(start, start + STEP)]
        began = time.perf_counter()
        for raw in raws:
            await verify_token_async(raw, config)
        steps.append(time.perf_counter() - began)
    one_set = len(published.fetched)
    growth = steps[-1] / steps[1]

    tracemalloc.start()
    config = _of_tenants(RemoteKeySet("https://login.example/keys", fetch=published))
    bytes_each = 0.0
    for start in range(0, TENANTS, STEP):
        before = tracemalloc.get_traced_memory()[0]
        for number in range(start, start + STEP):
            await verify_token_async(_token(key, number), config)
        gc.collect()
        bytes_each = (tracemalloc.get_traced_memory()[0] - before) / STEP
    tracemalloc.stop()

    apart = _Published(key)
    sets = TenantKeySets(lambda issuer: RemoteKeySet(f"{issuer}/keys", fetch=apart), max_sets=SETS)
    config = _of_tenants(sets)
    for number in range(SETS):
        raw = _token(key, number)
        await asyncio.gather(*(verify_token_async(raw, config) for _ in range(CONCURRENT)))
    most = max(apart.fetched.count(url) for url in set(apart.fetched))
    section.data["tenants"] = {
        "time of the last over the second 1,000": growth,
        "bytes for one of the last 1,000": bytes_each,
        "fetches of one set for 10,000 tenants": one_set,
        "fetches of a set for each of 1,000 tenants": len(apart.fetched),
    }
    section.tables.append(
        Table(
            "Growth",
            ["tenants", "keys", "time, last over second 1,000", "bytes for each of the last", "fetches"],
            [
                [f"{TENANTS:,}", "one set", ratio(growth), f"{bytes_each:.0f}", f"{one_set}"],
                [f"{SETS:,}", "a set for each", "", "", f"{len(apart.fetched):,}"],
            ],
        )
    )
    section.targets.append(Target("time of a token, the last 1,000 of 10,000 tenants over the second", growth, 1.1))
    section.targets.append(Target("kilobytes for one of the last 1,000 tenants", bytes_each / 1000, 1.0, " KB"))
    section.targets.append(Target("fetches of one set of keys for 10,000 tenants", float(one_set), 1.0, ""))
    section.targets.append(Target("fetches of one of 1,000 sets, 10 tokens at once", float(most), 1.0, ""))
