"""`TokenEndpoints`: refresh, log out and log out everywhere, and the list of one's sessions, as an ASGI application.

::

    app = Starlette(routes=[Mount("/auth", TokenEndpoints(config, store))])

`POST /refresh` is the refresh request of RFC 6749 section 6, `POST /logout` the revocation request of RFC 7009. Both
take a form and need no header; the others want an access token in the Authorization header. With `cookies=True` all of
them also take what `set_token_cookies` has given to a browser.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from asgi_jwt_claims.auth.request import ANY_ACCESS_TOKEN, examined, forget_error
from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import (
    MissingScopeError,
    RepeatedCredentialsError,
    SettingError,
    TokenError,
    UnavailableError,
    UnsupportedScopeError,
)
from asgi_jwt_claims.responses import ErrorResponder, ErrorResponse, notify_refused, send_response
from asgi_jwt_claims.sources.cookie import Cookie
from asgi_jwt_claims.sources.csrf import CSRF_TOKEN_KEY
from asgi_jwt_claims.sources.header import BearerHeader
from asgi_jwt_claims.stores.base import TokenStore
from asgi_jwt_claims.tokens.digests import digest
from asgi_jwt_claims.tokens.verification import check_type, verify_or_fetch

from .cookies import cookie_headers, expired_cookie_headers
from .login import (
    check_settings,
    end_identity,
    end_session,
    list_sessions,
    revoke_token,
)
from .rotation import check_client, rotate_refresh_token

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token

    from .rotation import ClaimsLoader

__all__ = ["TokenEndpoints"]

ReadBody: TypeAlias = Callable[[int], Awaitable[bytes]]

_FORM_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 20
_MAX_REST = 4096  # bytes that a form may have beyond a token
_SESSION_ID = re.compile(r"[0-9a-f]{32}")


class TokenEndpoints:
    """Answers below wherever it is mounted:

    - `POST /refresh`: a form with `grant_type=refresh_token`, `refresh_token`, and perhaps `scope` and `client_id`; the
      answer is a new pair (RFC 6749 section 5.1) or an error (section 5.2).
    - `POST /logout`: a form with `token`, of either type, and perhaps `client_id`. Its session ends, and a token without
      one is revoked by itself. An access token ends its session even when it has expired; any other token that is no
      longer good is no error (RFC 7009 section 2.2).
    - `POST /logout-everywhere`: everything of the identity ends.
    - `GET /sessions`: its live sessions. `DELETE /sessions/<id>`: one of them ends.

    With `cookies=True` a browser that has the cookies sends neither form nor header, but the CSRF value with each `POST`
    and `DELETE`; new tokens then come as cookies and not in the body, and logging out takes them away.

    Each path may have one slash at its end. A middleware around it that demands access tokens has to leave its paths
    `exempt`. No answer may be stored.

    Args:
        config: That which mints the tokens.
        store: Where their sessions are kept.
        claims_loader: As for `rotate_refresh_token`.
        realm: Named in `WWW-Authenticate`.
        cookies: Whether tokens are also taken from cookies. Their `refresh_path` must be where this is mounted.

    Raises:
        SettingError: An argument cannot be used.
        MintingError: The configuration cannot have sessions.
    """  # noqa: D415 -- the list belongs to the first sentence

    def __init__(
        self,
        config: JWTConfig,
        store: TokenStore,
        *,
        claims_loader: ClaimsLoader | None = None,
        realm: str = "api",
        cookies: bool = False,
    ) -> None:
        if not isinstance(config, JWTConfig):
            raise SettingError("config must be one JWTConfig, that which mints the tokens")
        if not isinstance(store, TokenStore):
            raise SettingError("store must be a TokenStore such as SQLiteStore(path)")
        if claims_loader is not None and not callable(claims_loader):
            raise SettingError("claims_loader must be a function of the refresh token")
        if not isinstance(cookies, bool):
            raise SettingError(
                "cookies must be True or False; JWTConfig(cookies=TokenCookies(...)) says what they are called"
            )
        check_settings(config)
        self._refresh_cookie = Cookie(config.cookies, type="refresh") if cookies else None
        self._access_cookie = Cookie(config.cookies) if cookies else None
        self._sources = (BearerHeader(), self._access_cookie) if self._access_cookie is not None else ()
        self._config = config
        self._store = store
        self._claims_loader = claims_loader
        self._challenges = ErrorResponder(realm, listeners=config.on_event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        if scope["type"] != "http":
            raise UnsupportedScopeError(f"scope type {scope['type']!r} is not answered; mount this in an application")

        async def read_body(limit: int) -> bytes:
            body = bytearray()
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise _GoneError
                body += message.get("body", b"")
                if len(body) > limit or not message.get("more_body", False):
                    return bytes(body)

        try:
            answer = await self.respond(scope, read_body)
        except _GoneError:
            return
        forget_error(scope)
        await send_response(answer, scope, send)

    async def respond(self, scope: Any, read_body: ReadBody) -> ErrorResponse:
        """The answer to an http scope, for whoever sends it in another way than by ASGI.

        Args:
            scope: Of the request; its path is taken relative to its `root_path`.
            read_body: Reads the body, of which more than so many bytes are not wanted.
        """
        path, root, method = scope["path"], scope.get("root_path", ""), scope["method"]
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        if path != "/sessions/" or method == "GET":  # to delete the session of an empty name is to look for none
            path = path.removesuffix("/")  # which some frameworks add to the paths of what is mounted
        if path.startswith("/sessions/"):
            path, session = "/sessions/", path.removeprefix("/sessions/")
        else:
            session = ""
        routes: dict[str, tuple[str, Callable[[], Awaitable[ErrorResponse]]]] = {
            "/refresh": ("POST", lambda: self._refresh(scope, read_body)),
            "/logout": ("POST", lambda: self._logout(scope, read_body)),
            "/logout-everywhere": ("POST", lambda: self._logout_everywhere(scope)),
            "/sessions": ("GET", lambda: self._sessions(scope)),
            "/sessions/": ("DELETE", lambda: self._end_session(scope, session)),
        }
        if path not in routes:
            return _json(404, {"error": "not_found"})
        allowed, respond = routes[path]
        if method != allowed:
            return _json(405, {"error": "method_not_allowed"}, ("allow", allowed))
        try:
            return await respond()
        except _RequestError as error:
            return _json(error.status, {"error": error.code, "error_description": error.description})
        except TokenError as error:  # a cookie that cannot be used
            return await self._challenges.respond(error, scope)

    async def _refresh(self, scope: Any, read_body: ReadBody) -> ErrorResponse:
        form = await self._form(scope, read_body)
        in_cookie = self._in_cookie(scope, form, "refresh_token", self._refresh_cookie)
        if in_cookie is None and form.get("grant_type") != "refresh_token":
            cookie = self._refresh_cookie
            if cookie is not None and not form.keys() - {cookie.cookies.csrf_field}:
                raise _RequestError("invalid_request", "There is no refresh token, neither in a cookie nor in a form.")
            code = "unsupported_grant_type" if form.get("grant_type") else "invalid_request"
            raise _RequestError(code, "The grant_type must be refresh_token.")
        try:
            pair = await rotate_refresh_token(
                in_cookie or _needed(form, "refresh_token"),
                self._config,
                self._store,
                claims_loader=self._claims_loader,
                scope=form.get("scope"),
                client_id=form.get("client_id"),
                # Whether a browser will keep them is known before the old one is used up.
                check=None if in_cookie is None else lambda pair: cookie_headers(pair, self._config),
            )
        except TokenError as error:
            return await self._failed(error, scope, forget=in_cookie is not None)
        if in_cookie is None:
            return _json(200, dict(pair))
        shown = {name: value for name, value in pair.items() if name not in ("access_token", "refresh_token")}
        return _json(200, shown, *cookie_headers(pair, self._config))

    async def _logout(self, scope: Any, read_body: ReadBody) -> ErrorResponse:
        form = await self._form(scope, read_body)
        raw = self._in_cookie(scope, form, "token", self._refresh_cookie)
        if raw is None:
            raw = self._in_cookie(scope, form, "token", self._access_cookie)
        # A browser whose cookies have expired has nothing left to end; but no other site may make it forget them.
        forget = raw is not None or (
            self._access_cookie is not None and not form.keys() - {self._access_cookie.cookies.csrf_field}
        )
        if forget and raw is None and self._access_cookie is not None:
            self._access_cookie.check_origin(scope)
        try:
            token = None if forget and raw is None else await self._verified(raw or _needed(form, "token"))
            if token is not None:
                check_client(token, form.get("client_id"))
                await self._revoke(token)
        except TokenError as error:
            return await self._failed(error, scope)
        return _json(200, {}, *(expired_cookie_headers(self._config) if forget else ()))

    def _in_cookie(self, scope: Any, form: Mapping[str, str], field: str, cookie: Cookie | None) -> str | bytes | None:
        """The token in a cookie that may be used for this request; None: there is none, so the form has to have it.

        Raises:
            InvalidRequestError: Another site may have made the browser send it; or there is one in the form as well.
        """
        if cookie is None:
            return None
        value = form.get(cookie.cookies.csrf_field)
        offered = cookie({**scope, CSRF_TOKEN_KEY: value and value.encode()}, self._config.max_token_size)
        if offered is None:
            return None
        if field in form:
            raise RepeatedCredentialsError(sources=f"form, {offered.source}")
        return offered.token

    async def _verified(self, raw: str | bytes) -> Token | None:
        """A refresh token, or an access token that may have expired; None when it is not good, and there is nothing to end."""
        for kind in ("refresh", "access"):
            try:
                # The session of an access token lives on when that has expired, and its user wants it to end.
                token = await verify_or_fetch(raw, self._config, heed_exp=kind == "refresh")
                check_type(token, kind)
            except UnavailableError:
                raise
            except TokenError:
                continue
            return token
        return None

    async def _revoke(self, token: Token) -> None:
        if token.session_id:
            expires_at = _expiry(token) if token.type == "access" else 0.0
            await end_session(token.session_id, self._config, self._store, expires_at=expires_at)
        elif token.jti:
            await revoke_token(token, self._config, self._store)

    async def _logout_everywhere(self, scope: Any) -> ErrorResponse:
        async def log_out(token: Token) -> ErrorResponse:
            await end_identity(token.identity, self._config, self._store, expires_at=_expiry(token))
            is_cookie = token.source == "cookie"
            return _json(200, {}, *(expired_cookie_headers(self._config) if is_cookie else ()))

        return await self._for_bearer(scope, log_out)

    async def _sessions(self, scope: Any) -> ErrorResponse:
        async def show(token: Token) -> ErrorResponse:
            sessions = await list_sessions(token.identity, self._config, self._store)
            shown = [
                {
                    "id": one.id,
                    "label": one.label,
                    "started_at": one.started_at,
                    "refreshed_at": one.refreshed_at,
                    "expires_at": None if one.expires_at == math.inf else one.expires_at,
                    "current": one.id == token.session_id,
                }
                for one in sessions
            ]
            return _json(200, {"sessions": shown})

        return await self._for_bearer(scope, show)

    async def _end_session(self, scope: Any, session: str) -> ErrorResponse:
        async def end(token: Token) -> ErrorResponse:
            issuer = self._config.issuer
            # What is no session id is not looked for, however long it is.
            is_id = _SESSION_ID.fullmatch(session) is not None
            record = await self._store.session(digest("session", issuer, session)) if is_id else None
            # A session of another identity is answered as one that does not exist.
            if (
                record is None
                or record.has_ended
                or not hmac.compare_digest(record.identity, digest("identity", issuer, token.identity))
            ):
                return _json(404, {"error": "not_found"})
            expires_at = _expiry(token) if token.session_id == session else 0.0
            await end_session(session, self._config, self._store, expires_at=expires_at)
            return _json(200, {})

        return await self._for_bearer(scope, end)

    async def _for_bearer(self, scope: Any, respond: Callable[[Token], Awaitable[ErrorResponse]]) -> ErrorResponse:
        outcome = await examined(scope, self._config, self._challenges, self._store, sources=self._sources)
        try:
            token = outcome.admit(scope, ANY_ACCESS_TOKEN)
            if outcome.is_untold:
                await outcome.tell_accepted(scope)
            return await respond(token)
        except TokenError as error:
            return await outcome.challenges.respond(error, scope)

    async def _form(self, scope: Any, read_body: ReadBody) -> dict[str, str]:
        limit = self._config.max_token_size + _MAX_REST
        body = await read_body(limit)
        if len(body) > limit:
            raise _RequestError("invalid_request", "The body is too long.", 413)
        if not body and self._sources:
            return {}
        types = [value for name, value in scope["headers"] if name == b"content-type"]
        if len(types) != 1 or types[0].split(b";")[0].strip().lower() != _FORM_TYPE.encode():
            raise _RequestError("invalid_request", f"The body must be a form: {_FORM_TYPE}.")
        try:
            pairs = parse_qsl(body.decode("utf-8"), strict_parsing=True, errors="strict", max_num_fields=_MAX_FIELDS)
        except ValueError:
            raise _RequestError("invalid_request", "The body is not a form.") from None
        form = dict(pairs)
        if len(form) != len(pairs):
            raise _RequestError("invalid_request", "A parameter is repeated.")  # RFC 6749 section 3.2
        return form

    async def _failed(self, error: TokenError, scope: Any, *, forget: bool = False) -> ErrorResponse:
        """RFC 6749 section 5.2, and section 2.2.1 of RFC 7009."""
        await notify_refused(self._config.on_event, error, scope)
        if isinstance(error, UnavailableError):
            described = {"error": "temporarily_unavailable", "error_description": error.description}
            return _json(503, described, ("retry-after", str(error.retry_after)))
        code = "invalid_scope" if isinstance(error, MissingScopeError) else "invalid_grant"
        described = {"error": code, "error_description": error.description}
        # What is of no use any more must not come again with every request.
        forgotten = expired_cookie_headers(self._config) if forget and code == "invalid_grant" else ()
        return _json(400, described, *forgotten)


class _GoneError(Exception):
    """The client has left before its request was complete."""


class _RequestError(Exception):
    """A request that is wrong before any token has been looked at."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.description = description
        self.status = status


def _expiry(token: Token) -> float:
    return math.inf if token.expires_at is None else token.expires_at


def _needed(form: Mapping[str, str], name: str) -> str:
    # RFC 6749 section 3.2: a parameter without a value counts as absent; parse_qsl drops it.
    if name not in form:
        raise _RequestError("invalid_request", f"The parameter {name} is missing.")
    return form[name]


def _json(status: int, content: Mapping[str, Any], *more: tuple[str, str]) -> ErrorResponse:
    body = json.dumps(content).encode()
    headers = (
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        *more,
    )
    return ErrorResponse(status, headers, body)
