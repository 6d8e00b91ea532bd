"""What the applications of all frameworks share: settings, and what their handlers answer."""

from __future__ import annotations

from typing import Any

from asgi_jwt_claims import BearerHeader, JWTConfig, JWTMiddleware, WebSocketProtocol, current_token, get_token, require
from asgi_jwt_claims.sessions import TokenEndpoints
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.support import SECRET

CONFIG = JWTConfig(secret_key=SECRET, leeway=0)

EVENT = "data: tick\n\n"
"""What an event stream sends, again and again."""

PAUSE = 0.1
"""Seconds between two events."""


def claims(request: Any) -> dict[str, Any]:
    """What an async handler sees."""
    token = get_token(request)
    return {"identity": token.identity, "user_claims": token.user_claims, "same": current_token() is token}


def sync(request: object = None) -> dict[str, Any]:
    """What a sync handler sees, without its request."""
    token = current_token()
    return {"identity": token and token.identity}


def maybe(request: Any) -> dict[str, Any]:
    """An open handler that greets those it knows."""
    token = get_token(request, optional=True)
    return {"identity": token and token.identity}


def below(request: Any) -> dict[str, Any]:
    """A handler on an exempt path that needs a token all the same, and catches nothing."""
    return {"identity": get_token(request).identity}


def admin(request: Any) -> dict[str, Any]:
    """For one role."""
    return {"identity": require(request, allow="admin").identity}


def orders(request: Any) -> dict[str, Any]:
    """For one scope."""
    return {"identity": require(request, scopes="orders:read").identity}


def fresh(request: Any) -> dict[str, Any]:
    """For recent logins."""
    return {"identity": require(request, fresh=True).identity}


ANSWERS = {
    "claims": claims,
    "open": sync,
    "maybe": maybe,
    "below": below,
    "admin": admin,
    "orders": orders,
    "fresh": fresh,
}
"""What the async handlers answer, by the name of their path. Beside them there are `/sync`, `POST /upload`, which
answers `size_of(body)`, the stream `/events`, and the websocket `/socket`, which sends who it is that has connected.
"""


def size_of(body: bytes) -> dict[str, Any]:
    """What `POST /upload` answers."""
    return {"size": len(body), "identity": sync()["identity"]}


def options(store: TokenStore) -> dict[str, Any]:
    """The options of the middleware, and of `install`."""
    return {
        "store": store,
        "exempt": ["/open", "/maybe", "/below"],
        "sources": [BearerHeader(), WebSocketProtocol()],
        "endpoints": {"/auth": TokenEndpoints(CONFIG, store)},
    }


def guarded(app: Any, store: TokenStore) -> App:
    """The application, wrapped."""
    return JWTMiddleware(app, CONFIG, **options(store))
