"""On Sanic, too, members of an enum count as their characters: in the names of sanic-jwt-extended, and as a prefix."""

from __future__ import annotations

import enum
import itertools
from typing import Any

import pytest

pytest.importorskip("sanic")

import sanic

from asgi_jwt_claims import JWTConfig, verify_token
from asgi_jwt_claims.access import AccessPolicy
from asgi_jwt_claims.compat import sanic_jwt_extended as compat
from asgi_jwt_claims.compat.sanic_jwt_extended.manager import settings_of
from asgi_jwt_claims.errors import RoleRefusedError
from asgi_jwt_claims.sanic import install
from asgi_jwt_claims.sessions import TokenEndpoints
from asgi_jwt_claims.stores import MemoryStore
from tests.raw_asgi import ask, lifespan
from tests.support import SECRET

NUMBERS = itertools.count()  # Sanic keeps its applications by name


class Role(str, enum.Enum):  # noqa: UP042 -- a StrEnum has the str() that this one lacks
    BANNED = "banned"
    NONE = ""
    KEY = "message"
    PREFIX = "/auth"


class Text(str):
    """Empty by its own account."""

    __slots__ = ()

    def __len__(self) -> int:
        return 0


@pytest.fixture
def anyio_backend() -> str:
    """Sanic runs on asyncio only."""
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("role", [Role.BANNED, [Role.BANNED], Text("banned"), "banned"])
async def test_a_denied_role_is_denied(role: Any) -> None:
    """A role that is a member of an enum is written as its value, and its rule finds it."""
    app: Any = sanic.Sanic(f"values_{next(NUMBERS)}")
    app.config.update({"JWT_SECRET_KEY": SECRET, "RBAC_ENABLED": True, "JWT_ERROR_MESSAGE_KEY": Role.KEY})
    compat.JWTManager(app)
    settings = settings_of(app)
    raw = await compat.create_access_token(app, Role.BANNED, {Role.BANNED: Role.BANNED}, role)
    token = verify_token(raw, settings.config)
    assert ("banned", {"banned"}, {"banned": "banned"}) == (token.identity, token.roles, token.user_claims)
    for rule in (AccessPolicy(deny=[Role.BANNED]), AccessPolicy(deny="banned")):
        with pytest.raises(RoleRefusedError):
            rule.check(token)
    assert "message" == settings.message_key
    none = verify_token(await compat.create_access_token(app, "alice", role=Role.NONE), settings.config)
    assert frozenset() == none.roles


@pytest.mark.anyio
async def test_endpoints_stand_below_the_prefix() -> None:
    """The paths of the endpoints begin with the characters of the prefix."""
    app: Any = sanic.Sanic(f"values_{next(NUMBERS)}")
    config = JWTConfig(secret_key=SECRET)
    install(app, config, endpoints={Role.PREFIX: TokenEndpoints(config, MemoryStore())})
    async with lifespan(app):
        assert 405 == (await ask(app, "/auth/refresh")).status
