"""What happens to tokens, told to one function of the application: `JWTConfig(on_event=...)`.

For metrics, traces and audit logs. No request fails because of the function, and none waits longer than a second for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from .errors import TokenError
    from .token import Token

__all__ = ["AuthEvent", "OnAuthEvent", "refusal", "tell"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuthEvent:
    """Something that happened to a token. It never holds an encoded token.

    Attributes:
        name: `issued` (a login began a session), `refused` (a request was), `refreshed`, `refresh_repeated` (a refresh
            token was sent again within the grace, and answered again), `reuse_detected` (a refresh token was used twice,
            or every one for a long time was sent again; its family is revoked), or `revoked`.
        code: For `refused`: the stable code of the error.
        type: The type of the token, where it is known.
        issuer: Its issuer.
        identity: Whom it speaks for. Personal data: think before writing it to a log.
        jti: Its identifier.
        family: The session that it belongs to.
        scope: For `revoked`: how much was, `token`, `family` or `identity`.
    """

    name: Literal["issued", "refused", "refreshed", "refresh_repeated", "reuse_detected", "revoked"]
    code: str | None = None
    type: str | None = None
    issuer: str | None = None
    identity: Any = None
    jti: str | None = None
    family: str | None = None
    scope: Literal["token", "family", "identity"] | None = None

    @classmethod
    def about(cls, token: Token, name: Literal["refreshed", "refresh_repeated", "reuse_detected"]) -> AuthEvent:
        """An event that befell `token`."""
        return cls(
            name=name,
            type=token.type,
            issuer=token.issuer,
            identity=token.identity,
            jti=token.jti,
            family=token.family,
        )


OnAuthEvent: TypeAlias = Callable[[AuthEvent], "Awaitable[None] | None"]
"""A function that is told of every event, sync or async. It is awaited: what takes long belongs into a queue.

An async function that has not ended after one second is cancelled; a sync one cannot be, and holds up the event loop.
"""


def refusal(error: TokenError) -> AuthEvent:
    """The event of a refused request."""
    return AuthEvent(name="refused", code=error.code)


async def tell(on_event: OnAuthEvent | tuple[OnAuthEvent, ...] | None, event: AuthEvent) -> None:
    """Tell one function of an event, or several one after the other. Raises nothing that they raise."""
    functions = on_event if isinstance(on_event, tuple) else (on_event,)
    for function in functions:
        if function is not None:
            from ._callbacks import notify  # noqa: PLC0415 -- it imports anyio, which verifying and minting do without

            await notify(function, event, event.name)
