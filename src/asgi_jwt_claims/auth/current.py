"""The token of the request being handled, for code that has no request at hand."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from contextvars import Token as Reset
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["CURRENT_TOKEN", "HOLDERS_KEY", "HoldsToken", "TokenHolder", "current_token", "holders_of"]


class HoldsToken(Protocol):
    """An object that has the token of one request, and none of any other."""

    @property
    def token(self) -> Token | None:
        """The token; None if there is none, or the request has ended."""

    @token.setter
    def token(self, token: Token | None) -> None: ...


CURRENT_TOKEN: ContextVar[HoldsToken | None] = ContextVar("asgi_jwt_claims_current_token", default=None)
"""What `current_token()` asks.

Tasks and threads that start in a request inherit its context, and may outlive it. They inherit this object and not the
token itself, so that the end of the request can take the token from all of them.
"""

HOLDERS_KEY: Final = "asgi_jwt_claims.holders"
"""The scope key of all objects that have the token of the request: a renewed token has to get into each."""


class TokenHolder:
    """Let `current_token()` be one token, in this task and in what starts in it, until it is released.

    Args:
        scope: The scope of the request.
        token: Its token.
    """

    __slots__ = ("_before", "token")

    def __init__(self, scope: MutableMapping[str, Any], token: Token | None) -> None:
        self.token = token
        scope[HOLDERS_KEY] = (*holders_of(scope), self) if HOLDERS_KEY in scope else (self,)
        self._before: Reset[HoldsToken | None] = CURRENT_TOKEN.set(self)

    def release(self) -> None:
        """Take the token away, since the request has ended."""
        self.token = None
        CURRENT_TOKEN.reset(self._before)


def holders_of(scope: Mapping[str, Any]) -> tuple[HoldsToken, ...]:
    """Return all objects that have the token of the request; none if the key holds something that is not ours."""
    holders = scope.get(HOLDERS_KEY)
    return holders if type(holders) is tuple else ()


def current_token() -> Token | None:
    """Return the access token of the request being handled; None if there is none.

    `JWTMiddleware`, `install` and a `JWTBearer(config)` without a middleware set it. It is None before they have looked
    at the request and after the request has ended, also in tasks and threads that were started in it. A token that only
    a guard has looked at on an exempt path is not here: ask `get_token`.
    """
    holder = CURRENT_TOKEN.get()
    return None if holder is None else holder.token
