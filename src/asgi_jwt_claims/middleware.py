"""`JWTMiddleware`: wrapped means protected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .challenges import OnError, send_answer
from .errors import UnsupportedScopeError
from .gate import GUARDED, Gate
from .outcome import CURRENT_TOKEN
from .sources import DEFAULT_SOURCES, Source

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ._store import RevocationStore
    from .config import JWTConfig

__all__ = ["JWTMiddleware"]


class JWTMiddleware:
    """Pure ASGI middleware: validates the bearer token of every http and websocket request.

    The application finds the `Token` in `scope["token"]`, through `get_token(request)`, or through `current_token()`;
    each of them has None where no token was asked for. Refused requests are answered here, and the application never
    sees them. `lifespan` passes through, and keys of providers are kept fresh as long as it lasts; any other type of
    scope is refused, since nobody has guarded it. The application's own exceptions pass untouched.

    Args:
        app: The ASGI application to protect.
        config: Keys, parties, times and names; or several of them, each with an `issuer`: a token is then held to the
            one whose issuer it names.
        required: False: let every request on with its outcome in the scope, for guards to decide.
        exempt: Paths that go on unexamined: `"/login"` exactly, or all below one, `"/docs/*"`.
        realm: Named in `WWW-Authenticate`.
        problem_json: Answer with RFC 9457 problem details.
        on_error: Called with each `TokenError` and its `Answer`; may return another `Answer`. Sync or async.
        sources: Where tokens may be offered, in order; the Authorization header unless said otherwise.
        set_user: Put the token into `scope["user"]` and `scope["auth"]` as well.
        revocation: A `RevocationStore`, asked about every token, optional or not. None: nobody asks.

    Raises:
        SettingError: An option cannot be used.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: JWTConfig | Iterable[JWTConfig],
        *,
        required: bool = True,
        exempt: Iterable[str] = (),
        realm: str = "api",
        problem_json: bool = False,
        on_error: OnError | None = None,
        sources: Iterable[Source] = DEFAULT_SOURCES,
        set_user: bool = False,
        revocation: RevocationStore | None = None,
    ) -> None:
        self.app = app
        self._gate = Gate(
            config,
            required=required,
            exempt=exempt,
            realm=realm,
            problem_json=problem_json,
            on_error=on_error,
            sources=sources,
            set_user=set_user,
            revocation=revocation,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard, find, verify, put in scope, call."""
        if scope["type"] == "lifespan":
            if self._gate.background:
                from ._lifespan import keep_fresh_during  # noqa: PLC0415 -- it imports anyio, and most have no use for it

                await keep_fresh_during(self._gate.background, lambda: self.app(scope, receive, send))
            else:
                await self.app(scope, receive, send)
            return
        if scope["type"] not in GUARDED:
            raise UnsupportedScopeError(f"scope type {scope['type']!r} is not guarded, so it is not let through")
        if self._gate.is_remote:
            await self._gate.prepare(scope)
        error = self._gate.open(scope)
        if self._gate.is_undecided(scope):
            await self._gate.prepare(scope)
            error = self._gate.open(scope)
        before = CURRENT_TOKEN.set(scope["token"])
        try:
            if error is None:
                await self.app(scope, receive, send)
            else:
                await send_answer(await self._gate.challenges.respond(error), scope, send)
        finally:
            CURRENT_TOKEN.reset(before)
