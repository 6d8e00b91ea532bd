"""`TokenEndpoints`, an ASGI application to refresh tokens, log out, and list sessions.

::

    install(app, config, store=store, endpoints={"/auth": TokenEndpoints(config, store)})
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import parse_qsl

from asgi_jwt_claims.auth.authenticator import Authenticator
from asgi_jwt_claims.auth.options import ACCESS_TOKEN
from asgi_jwt_claims.auth.request import authenticate_by, let_in
from asgi_jwt_claims.auth.state import forget_error, request_auth
from asgi_jwt_claims.errors import (
    MissingScopeError,
    RepeatedCredentialsError,
    SettingError,
    TokenError,
    UnavailableError,
)
from asgi_jwt_claims.responses import ErrorResponder, ErrorResponse, json_response, notify_refused, send_response
from asgi_jwt_claims.runtime.endpoint import Endpoint
from asgi_jwt_claims.sources import BearerHeader, Cookie
from asgi_jwt_claims.sources.csrf import CSRF_TOKEN_KEY
from asgi_jwt_claims.tokens.digests import digest
from asgi_jwt_claims.tokens.verification import check_type, verify_or_fetch

from .cookies import cookie_headers, expired_cookie_headers
from .login import list_sessions, session_claim_of
from .revocation import check_arguments, end_identity, end_session, revoke_token
from .rotation import ClaimsLoader, check_client, rotate_refresh_token

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Receive
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.stores.base import TokenStore
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["TokenEndpoints"]

_FORM_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 20
_MAX_REST = 4096  # bytes of a form beside its token
_SESSION_ID = re.compile(r"[0-9a-f]{32}")


class TokenEndpoints(Endpoint):
    """Endpoints that refresh tokens, log out, and list sessions, below the path at which this is mounted.

    - `POST /refresh`: the refresh request of RFC 6749 section 6, a form with `grant_type=refresh_token`, `refresh_token`
      and perhaps `scope` and `client_id`. The answer is a new pair (section 5.1) or an error (section 5.2).
    - `POST /logout`: the revocation request of RFC 7009, a form with `token`, of either type, and perhaps `client_id`. It
      ends the session of the token, also if it is an expired access token; a token without a session is revoked by
      itself. Any other token that is no longer good is no error (section 2.2).
    - `POST /logout-everywhere`: ends all sessions of the identity, and revokes all of its tokens.
    - `GET /sessions`: lists its live sessions. `DELETE /sessions/<id>`: ends one of them.

    The last three need an access token in the Authorization header. With `cookies=True` all endpoints also accept the
    cookies of `set_token_cookies`, in place of the form or the header; `POST` and `DELETE` then need the CSRF value. New
    tokens come as cookies and not in the body, and logging out removes the cookies. No response may be cached.

    Each path may end with a slash. The option `endpoints` of a middleware mounts this in any framework. Where it is mounted
    inside of a middleware that demands access tokens, `exempt` `/refresh` and `/logout`.

    Args:
        config: The configuration that mints the tokens.
        store: The store that keeps their sessions.
        claims_loader: As for `rotate_refresh_token`.
        realm: The realm in `WWW-Authenticate`.
        cookies: Whether tokens are also accepted from cookies, whose `refresh_path` must be where this is mounted.

    Raises:
        SettingError: An argument cannot be used.
    """

    def __init__(
        self,
        config: JWTConfig,
        store: TokenStore,
        *,
        claims_loader: ClaimsLoader | None = None,
        realm: str = "api",
        cookies: bool = False,
    ) -> None:
        check_arguments(config, store, "TokenEndpoints(config, store)")
        if claims_loader is not None and not callable(claims_loader):
            raise SettingError("claims_loader must be a function of the refresh token")
        if not isinstance(cookies, bool):
            raise SettingError("cookies must be True or False; JWTConfig(cookies=TokenCookies(...)) names the cookies")
        session_claim_of(config)
        both = (Cookie(config.cookies, type="refresh"), Cookie(config.cookies))
        self._cookies: tuple[Cookie, ...] = both if cookies else ()
        self._config = config
        self._store = store
        self._claims_loader = claims_loader
        sources = (BearerHeader(), *self._cookies[1:]) if cookies else ()
        self._authenticator = Authenticator(config, sources, store, ErrorResponder(realm, listeners=config.on_event))

    def answers(self, path: str) -> bool:
        """Whether it answers a path below the one where it is mounted."""
        return path.removesuffix("/") in self._ROUTES or path.startswith("/sessions/")

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            answer = await self._respond(scope, receive)
        except _GoneError:
            return
        forget_error(scope)
        await send_response(answer, scope, send)

    async def _respond(self, scope: Any, receive: Receive) -> ErrorResponse:
        path, root = scope["path"], scope.get("root_path", "")
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        if path != "/sessions/" or scope["method"] == "GET":  # DELETE of it is that of a session without a name
            path = path.removesuffix("/")  # which some frameworks add to the paths of a mounted application
        names: tuple[str, ...] = ()
        if path.startswith("/sessions/"):
            path, names = "/sessions/", (path.removeprefix("/sessions/"),)
        if path not in self._ROUTES:
            return json_response(404, {"error": "not_found"})
        method, takes_form, endpoint = self._ROUTES[path]
        if scope["method"] != method:
            return json_response(405, {"error": "method_not_allowed"}, ("allow", method))
        try:
            if takes_form:
                return await endpoint(self, scope, await self._form(scope, receive))
            return await self._for_bearer(scope, lambda token: endpoint(self, token, *names))
        except _RequestError as error:
            return error.response
        except TokenError as error:  # a cookie that cannot be used
            return await self._authenticator.responder.respond(error, scope)

    async def _refresh(self, scope: Any, form: Mapping[str, str]) -> ErrorResponse:
        in_cookie = self._in_cookie(scope, form, "refresh_token", self._cookies[:1])
        if in_cookie is None and form.get("grant_type") != "refresh_token":
            if self._is_left_to_cookies(form):
                raise _RequestError("There is no refresh token, neither in a cookie nor in a form.")
            code = "unsupported_grant_type" if form.get("grant_type") else "invalid_request"
            raise _RequestError("The grant_type must be refresh_token.", code)
        try:
            pair = await rotate_refresh_token(
                in_cookie or _needed(form, "refresh_token"),
                self._config,
                self._store,
                claims_loader=self._claims_loader,
                scope=form.get("scope"),
                client_id=form.get("client_id"),
                # A pair that a browser would not keep is an error before the old token is used.
                check=None if in_cookie is None else lambda pair: cookie_headers(pair, self._config),
            )
        except TokenError as error:
            return await self._failed(error, scope, forget=in_cookie is not None)
        if in_cookie is None:
            return json_response(200, dict(pair))
        shown = {name: value for name, value in pair.items() if name not in ("access_token", "refresh_token")}
        return json_response(200, shown, *cookie_headers(pair, self._config))

    async def _logout(self, scope: Any, form: Mapping[str, str]) -> ErrorResponse:
        raw = self._in_cookie(scope, form, "token", self._cookies)
        # A browser whose cookies have expired has nothing to end; but another site must not make it drop them.
        has_expired = raw is None and self._is_left_to_cookies(form)
        if has_expired:
            self._cookies[1].check_origin(scope)
        try:
            token = None if has_expired else await self._verified(raw or _needed(form, "token"))
            if token is not None:
                check_client(token, form.get("client_id"))
                await self._revoke(token)
        except TokenError as error:
            return await self._failed(error, scope)
        forgotten = expired_cookie_headers(self._config) if has_expired or raw is not None else ()
        return json_response(200, {}, *forgotten)

    def _is_left_to_cookies(self, form: Mapping[str, str]) -> bool:
        return bool(self._cookies) and not form.keys() - {self._config.cookies.csrf_field}

    def _in_cookie(
        self, scope: Any, form: Mapping[str, str], field: str, cookies: Iterable[Cookie]
    ) -> str | bytes | None:
        """The token in the first of `cookies` that there is; None if the form has to have it."""
        for cookie in cookies:
            value = form.get(cookie.cookies.csrf_field)
            offered = cookie({**scope, CSRF_TOKEN_KEY: value and value.encode()}, self._config.max_token_size)
            if offered is not None and field in form:
                raise RepeatedCredentialsError(sources=f"form, {offered.source}")
            if offered is not None:
                return offered.token
        return None

    async def _verified(self, raw: str | bytes) -> Token | None:
        """A refresh token, or an access token that may have expired; None if it is not good, so that nothing is ended."""
        for kind in ("refresh", "access"):
            try:
                # The session of an expired access token may live on, and its user wants it to end.
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

    async def _logout_everywhere(self, token: Token) -> ErrorResponse:
        await end_identity(token.identity, self._config, self._store, expires_at=_expiry(token))
        return json_response(200, {}, *(expired_cookie_headers(self._config) if token.source == "cookie" else ()))

    async def _sessions(self, token: Token) -> ErrorResponse:
        shown = [
            {
                "id": one.id,
                "label": one.label,
                "started_at": one.started_at,
                "refreshed_at": one.refreshed_at,
                "expires_at": None if one.expires_at == math.inf else one.expires_at,
                "current": one.id == token.session_id,
            }
            for one in await list_sessions(token.identity, self._config, self._store)
        ]
        return json_response(200, {"sessions": shown})

    async def _end_session(self, token: Token, session_id: str) -> ErrorResponse:
        issuer = self._config._prepared.issuers.canonical
        # Only what can be an id is looked up, so that a long one takes no time.
        is_id = _SESSION_ID.fullmatch(session_id) is not None
        record = await self._store.session(digest("session", issuer, session_id)) if is_id else None
        owner = digest("identity", issuer, token.identity)
        # A session of another identity is answered as one that does not exist.
        if record is None or record.has_ended or not hmac.compare_digest(record.identity, owner):
            return json_response(404, {"error": "not_found"})
        expires_at = _expiry(token) if token.session_id == session_id else 0.0
        await end_session(session_id, self._config, self._store, expires_at=expires_at)
        return json_response(200, {})

    # By path: the method, whether the endpoint takes a form (else an access token), and the endpoint.
    _ROUTES: ClassVar[Mapping[str, tuple[str, bool, Callable[..., Awaitable[ErrorResponse]]]]] = {
        "/refresh": ("POST", True, _refresh),
        "/logout": ("POST", True, _logout),
        "/logout-everywhere": ("POST", False, _logout_everywhere),
        "/sessions": ("GET", False, _sessions),
        "/sessions/": ("DELETE", False, _end_session),
    }

    async def _for_bearer(self, scope: Any, respond: Callable[[Token], Awaitable[ErrorResponse]]) -> ErrorResponse:
        result, responder = await authenticate_by(scope, self._authenticator)
        try:
            token = let_in(scope, result, ACCESS_TOKEN)
            await request_auth(scope).tell_accepted(scope)
            return await respond(cast("Token", token))
        except TokenError as error:
            return await responder.respond(error, scope)

    async def _form(self, scope: Any, receive: Receive) -> dict[str, str]:
        limit = self._config.max_token_size + _MAX_REST
        body = await _read_body(receive, limit)
        if len(body) > limit:
            raise _RequestError("The body is too long.", status=413)
        if not body and self._cookies:
            return {}
        types = [value for name, value in scope["headers"] if name == b"content-type"]
        if len(types) != 1 or types[0].split(b";")[0].strip().lower() != _FORM_TYPE.encode():
            raise _RequestError(f"The body must be a form: {_FORM_TYPE}.")
        try:
            pairs = parse_qsl(body.decode("utf-8"), strict_parsing=True, errors="strict", max_num_fields=_MAX_FIELDS)
        except ValueError:
            raise _RequestError("The body is not a form.") from None
        form = dict(pairs)
        if len(form) != len(pairs):
            raise _RequestError("A parameter is repeated.")  # RFC 6749 section 3.2
        return form

    async def _failed(self, error: TokenError, scope: Any, *, forget: bool = False) -> ErrorResponse:
        """The answer to a token that is refused (RFC 6749 section 5.2, RFC 7009 section 2.2.1)."""
        await notify_refused(self._config.on_event, error, scope)
        if isinstance(error, UnavailableError):
            described = {"error": "temporarily_unavailable", "error_description": error.description}
            return json_response(503, described, ("retry-after", str(error.retry_after)))
        code = "invalid_scope" if isinstance(error, MissingScopeError) else "invalid_grant"
        # A browser must not send a cookie that is of no use with every request.
        forgotten = expired_cookie_headers(self._config) if forget and code == "invalid_grant" else ()
        return json_response(400, {"error": code, "error_description": error.description}, *forgotten)


async def _read_body(receive: Receive, limit: int) -> bytes:
    """Read a body to its end, or until it is longer than `limit` bytes."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _GoneError
        body += message.get("body", b"")
        if len(body) > limit or not message.get("more_body", False):
            return bytes(body)


class _GoneError(Exception):
    """The client has left before its request was complete."""


class _RequestError(Exception):
    """A request that is refused before a token is read from it."""

    def __init__(self, description: str, code: str = "invalid_request", *, status: int = 400) -> None:
        super().__init__(code)
        self.response = json_response(status, {"error": code, "error_description": description})


def _expiry(token: Token) -> float:
    return math.inf if token.expires_at is None else token.expires_at


def _needed(form: Mapping[str, str], name: str) -> str:
    # RFC 6749 section 3.2: a parameter without a value counts as absent, and parse_qsl drops it.
    if name not in form:
        raise _RequestError(f"The parameter {name} is missing.")
    return form[name]
