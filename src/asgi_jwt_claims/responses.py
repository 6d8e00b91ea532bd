"""ErrorResponder: a `TokenError` becomes an answer (RFC 6750 section 3), by one table, at every door.

The answer is data, so that the middleware, a Starlette response and Sanic's own server can each send it in their way.
Nothing of the request and nothing of the token is ever in it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .config.events import AuthEvent, request_facts, tell
from .errors import (
    ForbiddenError,
    FreshTokenRequiredError,
    MissingTokenError,
    SettingError,
    TokenError,
    UnavailableError,
)
from .runtime.log import logger
from .runtime.values import plain
from .tokens.token import Token, facts_of

if TYPE_CHECKING:
    from ._asgi import Scope, Send
    from .config.events import Listeners

__all__ = [
    "UNAUTHORIZED_CLOSE",
    "ErrorResponder",
    "ErrorResponse",
    "OnError",
    "close_code",
    "json_response",
    "send_response",
    "tell_refused",
]

_DEBUG, _INFO = 10, 20  # the levels of `logging`, which is imported when there is first something to say
_OF_A_GOOD_TOKEN = (ForbiddenError, FreshTokenRequiredError)

# RFC 6750 section 3, and no need to escape in a quoted-string.
_QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")

_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2: token
_FIELD_VALUE = re.compile(r"[\t\x20-\x7E\x80-\xFF]*")  # RFC 9110 section 5.5
_LOWEST_STATUS, _HIGHEST_STATUS = 200, 599  # of final answers, RFC 9110 section 15
_WITHOUT_BODY = (204, 304)  # RFC 9110 section 6.4.1

UNAUTHORIZED_CLOSE = 3000
"""WebSocket close code "Unauthorized" of the IANA registry."""

FORBIDDEN_CLOSE = 3003
"""WebSocket close code "Forbidden" of the IANA registry."""


TRY_AGAIN_LATER_CLOSE = 1013
"""WebSocket close code "Try Again Later" of the IANA registry."""


class ErrorResponse(NamedTuple):
    """An HTTP answer, complete and independent of any framework.

    Attributes:
        status: The status code.
        headers: Names and values, in the order they are sent.
        body: The body, encoded.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def json_response(
    status: int, content: Mapping[str, Any], *headers: tuple[str, str], content_type: str = "application/json"
) -> ErrorResponse:
    """A JSON response that no cache keeps.

    Args:
        status: The status code.
        content: The members of the JSON object.
        headers: Further headers, sent after those of the body.
        content_type: The media type of the body.
    """
    body = json.dumps(content).encode()
    of_body = (("content-type", content_type), ("content-length", str(len(body))), ("cache-control", "no-store"))
    return ErrorResponse(status, of_body + headers, body)


OnError: TypeAlias = Callable[
    [TokenError, ErrorResponse, Mapping[str, Any]], "Awaitable[ErrorResponse | None] | ErrorResponse | None"
]
"""A callback of the error, the response and the ASGI scope of a refused request. Sync or async.

What it returns is sent instead of the response, unless it is None.
"""


class ErrorResponder:
    """How an application refuses.

    Args:
        realm: The protection space named in `WWW-Authenticate`.
        problem_json: Whether bodies are RFC 9457 `application/problem+json` instead of `{"error": ...}`.
        on_error: Called with the error, the response and the scope before the response is sent; what it returns is
            sent instead, unless it is None. If it raises, the client gets a bare 500, and the request stays refused.
        listeners: Told of every refusal.
        schemes: The authentication schemes to challenge with, in this order.

    Raises:
        SettingError: A realm that cannot be quoted in a header, an `on_error` that does not take three arguments, or a
            scheme that is no HTTP token.
    """

    def __init__(
        self,
        realm: str = "api",
        *,
        problem_json: bool = False,
        on_error: OnError | None = None,
        listeners: Listeners = None,
        schemes: tuple[str, ...] = ("Bearer",),
    ) -> None:
        if not isinstance(realm, str) or _QUOTABLE.fullmatch(realm) is None:
            raise SettingError('realm must be printable ASCII without quotes and backslashes, such as "api"')
        if not isinstance(problem_json, bool):
            raise SettingError("problem_json must be True or False")
        if on_error is not None and not _takes_three(on_error):
            raise SettingError(
                "on_error must be a function of three arguments: def on_error(error, response, scope), sync or async"
            )
        for scheme in schemes:
            if not isinstance(scheme, str) or _FIELD_NAME.fullmatch(scheme) is None:
                raise SettingError(f'auth_scheme of a source must be an HTTP token such as "Bearer", got {scheme!r}')
        self._listeners = listeners
        self._schemes = tuple(map(plain, schemes))
        self._realm = plain(realm)
        self._problem_json = problem_json
        self._on_error = on_error

    def response_for(self, error: TokenError) -> ErrorResponse:
        """The response to `error`, before `on_error` is called."""
        # Other credentials do not help where none can be checked.
        header = (
            ("retry-after", str(error.retry_after))
            if isinstance(error, UnavailableError)
            else ("www-authenticate", self._challenge(error))
        )
        content = {"error": error.error or "unauthorized", "error_description": error.description}
        if not self._problem_json:
            return json_response(error.status, content, header)
        from http import HTTPStatus  # noqa: PLC0415 -- half a millisecond of import, for an option

        # RFC 9457 section 4.2.1: about:blank, with the phrase of the status as the title.
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(error.status).phrase,
            "status": error.status,
            "detail": error.description,
        }
        return json_response(error.status, {**problem, **content}, header, content_type="application/problem+json")

    async def respond(self, error: TokenError, scope: Mapping[str, Any]) -> ErrorResponse:
        """The answer to `error`, the callback asked.

        Args:
            error: Why the request is refused.
            scope: The ASGI scope of the request.
        """
        await tell_refused(self._listeners, error, scope)
        answer = self.response_for(error)
        if self._on_error is None:
            return answer
        try:
            changed = self._on_error(error, answer, scope)
            if inspect.isawaitable(changed):
                changed = await changed
            return answer if changed is None else _usable(changed)
        except Exception:  # noqa: BLE001 -- whatever the callback raises, the request stays refused
            logger().exception("on_error failed; the request is refused all the same")
            return _FAILED

    def _challenge(self, error: TokenError) -> str:
        # RFC 6750 section 3: every attribute at most once, and never the scheme alone.
        attributes = [("realm", self._realm)]
        if error.error is not None:
            attributes += [("error", error.error), ("error_description", error.description)]
        if isinstance(error, ForbiddenError) and error.scope:
            attributes.append(("scope", error.scope))
        if isinstance(error, FreshTokenRequiredError) and error.max_age is not None:
            attributes.append(("max_age", str(error.max_age)))  # RFC 9470 section 3
        parameters = ", ".join(f'{name}="{value}"' for name, value in attributes)
        # One field for all challenges (RFC 9110 section 11.6.1), since some frameworks keep one value for each name.
        return ", ".join(f"{scheme} {parameters}" for scheme in self._schemes)


def _takes_three(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # a function of C without a signature
        return True
    return True


_CLOSE_CODES = {ForbiddenError.status: FORBIDDEN_CLOSE, UnavailableError.status: TRY_AGAIN_LATER_CLOSE}
_FAILED = ErrorResponse(500, (("content-length", "0"), ("cache-control", "no-store")), b"")


def _usable(answer: object) -> ErrorResponse:
    """An answer as servers can send it; a `content-length` in it becomes that of the body.

    Raises:
        TypeError: `on_error` has returned something else than an `ErrorResponse`, or one that is not made of what it should be.
        ValueError: A status or a header that HTTP does not have, or a body where there can be none.
    """
    if (
        not isinstance(answer, ErrorResponse)
        or type(answer.status) is not int
        or not isinstance(answer.headers, tuple | list)
        or not isinstance(answer.body, bytes)
    ):
        raise TypeError(f"on_error must return an ErrorResponse of int, str pairs and bytes, or None, not {answer!r}")
    if not _LOWEST_STATUS <= answer.status <= _HIGHEST_STATUS:
        raise ValueError(f"on_error must return the status of a final answer, not {answer.status}")
    if answer.body and answer.status in _WITHOUT_BODY:
        raise ValueError(f"on_error must return no body with the status {answer.status}")
    headers = []
    for name, value in answer.headers:
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise ValueError(f"on_error must return headers of Latin-1 without control characters, unlike {name!r}")
        headers.append((name, str(len(answer.body)) if name.lower() == "content-length" else value))
    return answer._replace(headers=tuple(headers))


def close_code(status: int) -> int:
    """The WebSocket close code that says the same as an HTTP status, where that cannot be said."""
    return _CLOSE_CODES.get(status, UNAUTHORIZED_CLOSE)


async def send_response(answer: ErrorResponse, scope: Scope, send: Send) -> None:
    """Send `answer` to an http or websocket scope that has not been answered.

    A WebSocket gets it as the denial response where the server offers that (extension `websocket.http.response`);
    otherwise the handshake is refused by a close before accept, which clients see as 403.
    """
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": close_code(answer.status), "reason": ""})
            return
        prefix = "websocket."
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": prefix + "http.response.start", "status": answer.status, "headers": headers})
    # One server reads `body` without a default, so it is always there.
    await send({"type": prefix + "http.response.body", "body": answer.body, "more_body": False})


async def tell_refused(listeners: Listeners, error: TokenError, scope: Mapping[str, Any]) -> None:
    """Log a refused request, and tell of it.

    Of several configurations, that whose token it is alone is told, if the signature of the token is good; otherwise
    each of their functions once, since nothing says for which of them the token was made.

    Args:
        listeners: Whom to tell.
        error: Why the request is refused.
        scope: The ASGI scope of the request.
    """
    log, level = logger(), _DEBUG if isinstance(error, MissingTokenError) else _INFO
    if listeners is None and not log.isEnabledFor(level):
        return  # as in most applications, of which each request without a token would wait for nothing
    request = request_facts(scope)
    # As reprs, so that no character of a client can end the line or begin another field.
    log.log(level, "request refused: %s %r evidence %r", error.code, request, error.evidence)
    verified, token = error.verified, scope.get("token")
    if not verified and isinstance(error, _OF_A_GOOD_TOKEN) and isinstance(token, Token):
        verified = facts_of(token)  # raised by a handler, which does not say of whom
    event = AuthEvent(name="refused", code=error.code, **verified, **request)
    if isinstance(listeners, Mapping):
        own = listeners.get(event.issuer or "")
        functions = dict.fromkeys(listeners.values()) if event.issuer is None else (own,)
    else:
        functions = (listeners,)
    for function in functions:
        await tell(function, event)
