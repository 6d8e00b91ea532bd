"""Several processes on one store: who rotates, who revokes, and what is left of it when one is killed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from asgi_jwt_claims import JWTConfig, verify_token
from asgi_jwt_claims.errors import RevokedTokenError
from asgi_jwt_claims.sessions import list_sessions, rotate_refresh_token, start_session
from asgi_jwt_claims.stores import SQLiteStore
from tests.support import SECRET
from tests.system.stores.process import PATIENCE, marks_for, open_store, revocation_of
from tests.system.stores.workers import PROCESSES, Place, Pool, all_of, lone_worker
from tests.valkey import Valkey

# In one group: they share the processes of one pool.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.xdist_group("pool"),
]


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a store is that processes share."""
    if request.param == "sqlite":
        return ("sqlite", str(tmp_path / "db"), "")
    pytest.importorskip("redis")
    valkey: Valkey = request.getfixturevalue("valkey")
    return ("redis", valkey.url, os.urandom(8).hex())


async def test_two_hundred_at_once(place: Place, pool: Pool) -> None:
    """Of 200 requests with one refresh token in four processes all get the same successor, and the session goes on."""  # S138
    config, store = JWTConfig(secret_key=SECRET), open_store(*place)
    pair = await start_session("alice", config, store)
    with pool.on(place) as told:
        answers = [one for some in all_of(told, "rotate", pair.refresh_token, 50) for one in some]
        assert 200 == len(answers)
        assert [answers[0]] * 200 == answers
        (follower,) = told[3].ask("rotate", answers[0]["refresh_token"], 1)
    await rotate_refresh_token(follower["refresh_token"], config, store)
    assert 1 == len(await list_sessions("alice", config, store))
    await store.aclose()


async def test_two_hundred_at_once_without_a_grace(place: Place, pool: Pool) -> None:
    """Without a grace one request gets a successor, the others end the session, and no other session ends."""  # S138
    config, store = JWTConfig(secret_key=SECRET, refresh_grace=0), open_store(*place)
    pair = await start_session("alice", config, store)
    others = [await start_session(name, config, store) for name in ("alice", "bob")]
    with pool.on(place, grace=0) as told:
        answers = [one for some in all_of(told, "rotate", pair.refresh_token, 50) for one in some]
    winners = [one for one in answers if isinstance(one, dict)]
    assert (200, 1) == (len(answers), len(winners))
    assert {"token_reused"} <= {one for one in answers if isinstance(one, str)} <= {"token_reused", "token_revoked"}
    with pytest.raises(RevokedTokenError):
        await rotate_refresh_token(winners[0]["refresh_token"], config, store)
    assert await store.check(verify_token(winners[0]["access_token"], config), config)
    for other in others:
        assert not await store.check(verify_token(other.access_token, config), config)
        await rotate_refresh_token(other.refresh_token, config, store)
    await store.aclose()


async def test_reuse_in_another_process(place: Place, pool: Pool) -> None:
    """A used token that is sent to another process after its successor was used there ends the session everywhere."""  # S138
    config, store = JWTConfig(secret_key=SECRET), open_store(*place)
    pair = await start_session("alice", config, store)
    with pool.on(place) as told:
        (second,) = told[0].ask("rotate", pair.refresh_token, 1)
        (third,) = told[1].ask("rotate", second["refresh_token"], 1)
        assert ["token_reused"] == told[2].ask("rotate", pair.refresh_token, 1)
        assert ["token_revoked"] == told[3].ask("rotate", third["refresh_token"], 1)
    await store.aclose()


async def test_four_write_at_once(place: Place, pool: Pool) -> None:
    """What one has revoked the others see from then on, however many write."""
    names = [[os.urandom(16).hex() for _ in range(100)] for _ in range(PROCESSES)]
    with pool.on(place) as told:
        for worker, mine in zip(told, names, strict=True):
            worker.tell("revoke", mine)
        assert [True] * PROCESSES == [worker.heard() for worker in told]
        every = [name for mine in names for name in mine]
        for known in all_of(told, "revoked", every):
            assert [True] * len(every) == known
        last = os.urandom(16).hex()
        assert [[False]] * PROCESSES == all_of(told, "revoked", [last])
        told[0].ask("revoke", [last])
        assert [[True]] * PROCESSES == all_of(told, "revoked", [last])


@pytest.mark.parametrize("lines", [1, 40, 150])
async def test_killed_in_the_middle_of_writing(tmp_path: Path, lines: int) -> None:
    """After `kill -9` nothing that was revoked comes back, the session is as it was left, and the file is sound."""
    path = tmp_path / "db"
    config, store = JWTConfig(secret_key=SECRET), SQLiteStore(path, timeout=PATIENCE)
    pair = await start_session("alice", config, store)
    successor = await rotate_refresh_token(pair.refresh_token, config, store)
    with lone_worker(("sqlite", str(path), "")) as worker:
        worker.tell("storm")
        done = [worker.heard() for _ in range(lines)]
        worker.process.kill()
        assert worker.process.stdout is not None
        done += [json.loads(line) for line in worker.process.stdout if line.endswith("\n")]
    await store.aclose()
    again = SQLiteStore(path, timeout=PATIENCE)
    assert lines <= len(done)
    assert [True] * len(done) == [await again.is_revoked(marks_for(name)) for name in done]
    await again.revoke([revocation_of("ff" * 16)])
    assert await again.is_revoked(marks_for("ff" * 16))
    assert dict(successor) == dict(await rotate_refresh_token(pair.refresh_token, config, again))
    await again.aclose()
