"""What the applications of all frameworks share: settings, and what their handlers answer."""

from __future__ import annotations

from typing import Any

from asgi_jwt_claims import BearerHeader, JWTConfig, JWTMiddleware, Token, WebSocketProtocol, current_token, get_token
from asgi_jwt_claims.access.policy import AccessPolicy
from asgi_jwt_claims.sessions import TokenEndpoints
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App, Receive, Scope, Send
from tests.support import SECRET

CONFIG = JWTConfig(secret_key=SECRET, leeway=0)

EVENT = "data: tick\n\n"
"""What an event stream sends, again and again."""

PAUSE = 0.1
"""Seconds between two events."""


def require(request: Any, **rules: Any) -> Token:
    """The token, if it fulfils the rules."""
    token: Token = get_token(request)
    AccessPolicy(**rules).check(token)
    return token


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
        "exempt": ["/open", "/maybe", "/below", "/auth/refresh", "/auth/logout"],
        "sources": [BearerHeader(), WebSocketProtocol()],
    }


def endpoints(store: TokenStore) -> App:
    """The endpoints to refresh and to log out, for frameworks that mount applications."""
    return TokenEndpoints(CONFIG, store)


def guarded(app: Any, store: TokenStore) -> App:
    """The application, wrapped; its endpoints stand beside it."""
    inner = endpoints(store)

    async def beside(scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        path = scope.get("path", "").removeprefix(root)
        if path.startswith("/auth/"):
            await inner({**scope, "root_path": f"{root}/auth"}, receive, send)
        else:
            await app(scope, receive, send)

    return JWTMiddleware(beside, CONFIG, **options(store))
