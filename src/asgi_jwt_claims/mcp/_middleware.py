"""`MCPMiddleware`: the SDK learns whose request it is, and a tool may refuse with the status and challenge of http."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST
from starlette.authentication import AuthCredentials, UnauthenticatedUser

from asgi_jwt_claims.auth import guard
from asgi_jwt_claims.auth.options import ACCESS_TOKEN, MiddlewareOptions, takes_options
from asgi_jwt_claims.auth.settings import MiddlewareSettings
from asgi_jwt_claims.auth.state import request_auth
from asgi_jwt_claims.errors import NotGuardedError, SettingError, TokenError
from asgi_jwt_claims.middleware import JWTMiddleware
from asgi_jwt_claims.responses import send_response

from ._access_token import access_token_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from typing import Unpack

    from asgi_jwt_claims._asgi import ASGIApp, Message, Receive, Scope, Send
    from asgi_jwt_claims.access import Rule
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["MCPMiddleware", "require"]


@takes_options(MiddlewareOptions, MiddlewareSettings)
class MCPMiddleware(JWTMiddleware):
    """`JWTMiddleware` for MCP servers: `MCPMiddleware(server.streamable_http_app(), config)`.

    The server is one of the official SDK or of FastMCP, over streamable HTTP. A session belongs to the issuer, the client
    and the identity of the token that opened it. With another token the server answers as if there were no such session:
    404, to a call, a stream and a `DELETE`. A new token of the same user goes on with the session. A session that was
    opened without a token (`required=False`) serves no token.

    In tools, resources and prompts `current_token()` and the SDK's `get_access_token()` are both the token of the
    request that is being handled. The latter contains the encoded token, which must not be sent to any other service
    (MCP authorization, "Access Token Privilege Restriction").

    Args:
        app: The application of the SDK or of FastMCP, or one that contains it.
        config: Keys, parties, times and names; or several, each with an `issuer`.
        options: Those of `MiddlewareOptions`, without `set_user`: `scope["user"]` is the SDK's `AuthenticatedUser`.

    Raises:
        SettingError: `app` is no ASGI application, or an option cannot be used.
    """

    def __init__(
        self, app: ASGIApp, config: JWTConfig | Iterable[JWTConfig], **options: Unpack[MiddlewareOptions]
    ) -> None:
        if "set_user" in options:
            raise SettingError('MCPMiddleware puts the user of the SDK into scope["user"]; leave out set_user')
        super().__init__(app, config, **options)
        self.app = _Server(app)


def require(
    rule: Rule | None = None,
    *,
    scopes: str | Iterable[str] = (),
    allow: str | Iterable[str] | None = None,
    deny: str | Iterable[str] | None = None,
    fresh: bool | timedelta = False,
) -> Token:
    """Return the token of the MCP request being handled, if it fulfils all that is demanded. For tools and the like.

    A refusal is the answer to the http request, also if the caller catches it: 403 with the scopes to ask for, upon
    which clients get a token with these scopes and repeat the request (MCP authorization, "Scope Challenge Handling"),
    or 401. Where a part of the answer has been sent already, such as a progress notification or the first event of
    a server with an event store, the refusal is an error in that answer.

    Args:
        rule: A rule such as `Scopes("notes:read") | Roles("support")`. None if there is none.
        scopes: Scopes that the token must have, all of them; a str is split at spaces.
        allow: Roles of which the token must have one; a str is one role.
        deny: Roles of which the token must have none; a str is one role.
        fresh: Whether the token must come from a recent login; a `timedelta` says how recent.

    Raises:
        MCPError: The token is refused.
        SettingError: A rule cannot be used.
        NotGuardedError: `MCPMiddleware` does not stand around the server, or the request has ended.
    """
    call = _CALL.get()
    if call is None or call.is_over:
        raise NotGuardedError(
            "no request is being handled by a server that MCPMiddleware stands around: "
            "MCPMiddleware(server.streamable_http_app(), config)"
        )
    try:
        return guard.require(call.scope, rule, scopes=scopes, allow=allow, deny=deny, fresh=fresh)
    except TokenError as error:
        call.refusal = error
        raise MCPError(INVALID_REQUEST, error.description) from error


class _Server:
    """The application, given the user in the way in which the SDK's own middleware gives it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        auth = request_auth(scope)
        passed = auth.passed
        if passed is None and auth.is_exempt:  # where tools may ask for the token all the same
            found = auth.result_for(scope)
            passed = found if found.refusal(ACCESS_TOKEN) is None else None
        access_token = None if passed is None else access_token_of(passed)
        user = None if access_token is None else AuthenticatedUser(access_token)
        # What an outer middleware has put there may be the user of another token.
        if user is not None:
            scope["user"], scope["auth"] = user, AuthCredentials(user.scopes)
        elif isinstance(scope.get("user"), AuthenticatedUser):
            scope["user"], scope["auth"] = UnauthenticatedUser(), AuthCredentials()
        call = _Call(scope, send)
        user_before, call_before = auth_context_var.set(user), _CALL.set(call)
        try:
            await self.app(scope, receive, call.send)
            await call.finish()
        finally:
            call.is_over = True
            _CALL.reset(call_before)
            auth_context_var.reset(user_before)


class _Call:
    """One request, whose handler may refuse it as long as no part of the body of the response has been sent.

    The SDK starts most responses to a `POST` as event streams, before the handler of the message runs. Their start
    waits here for the first event, which is at the latest a comment that keeps the connection alive (15 seconds).

    Attributes:
        refusal: The error with which `require` has refused; None if it has not.
        is_over: Whether the application has returned.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.refusal: TokenError | None = None
        self.is_over = False
        self._send = send
        self._waits = scope.get("method") == "POST"
        self._start: Message | None = None
        self._is_answered = False

    async def send(self, message: Message) -> None:
        """Send what the application sends, or the answer to a refusal in its place."""
        if self._waits and message["type"] == "http.response.start":
            self._start = message
            return
        await self._begin()
        if not self._is_answered:
            await self._send(message)

    async def finish(self) -> None:
        """Send the start of a response without a body, and report a refusal that could not be the answer."""
        await self._begin()
        if self.refusal is not None and not self._is_answered:
            await guard.error_response_for(self.refusal, self.scope)

    async def _begin(self) -> None:
        start, self._start = self._start, None
        if start is None:
            return
        if self.refusal is None:
            await self._send(start)
            return
        self._is_answered = True
        await send_response(await guard.error_response_for(self.refusal, self.scope), self.scope, self._send)


_CALL: ContextVar[_Call | None] = ContextVar("asgi_jwt_claims_mcp_call", default=None)
"""The request whose message is being handled: the SDK runs handlers in the context of the request that brought it."""
