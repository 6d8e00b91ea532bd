"""Connections end by a real clock."""

from __future__ import annotations

import time

import pytest

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token, verify_token
from tests.raw_asgi import bearer
from tests.sockets import PATIENCE
from tests.support import SECRET
from tests.unit.connections import connection
from tests.unit.connections.connection import Talker, a_while, connected, until
from tests.unit.connections.test_websockets import PATIENT, hello

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is given time."""
    monkeypatch.setattr(connection, "PATIENCE", PATIENCE)


async def test_in_a_second() -> None:
    """By a real clock, and as often as it is looked at in earnest, a connection ends within a second of its expiry."""
    config = JWTConfig(secret_key=SECRET, leeway=0)
    delays: list[float] = []
    while len(delays) < 3 and not (delays and delays[-1] <= 1):  # others may keep the machine busy
        raw = create_access_token("alice", config, lifetime=2)
        async with connected(JWTMiddleware(Talker(), config), hello(bearer(raw))) as one:
            await until(lambda one=one: one.end)
            delays.append(time.time() - (verify_token(raw, PATIENT).expires_at or 0))
    assert 0 <= delays[-1] <= 1


async def test_sooner_than_the_others() -> None:
    """A connection that ends before all others is not kept waiting for them."""
    soon = JWTConfig(secret_key=SECRET, access_lifetime=2, leeway=0)
    late = JWTConfig(secret_key=SECRET)
    headers = [bearer(create_access_token("alice", one)) for one in (late, soon)]
    async with connected(JWTMiddleware(Talker(), late), hello(headers[0])) as one:
        await a_while()
        async with connected(JWTMiddleware(Talker(), soon), hello(headers[1])) as another:
            await until(lambda: another.end)
        assert not one.end
