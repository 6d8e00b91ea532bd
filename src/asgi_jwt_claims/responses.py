"""Turn a `TokenError` into an HTTP response (RFC 6750 section 3), the same in every framework.

The response is data, so that each framework sends it in its own way. It contains nothing of the request or the token.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .config.events import AuthEvent, IssuerListeners, notify, request_facts
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
    "notify_refused",
    "send_response",
]

_DEBUG, _INFO = 10, 20  # the levels of `logging`, which is imported with the first record
_OF_A_VALID_TOKEN = (ForbiddenError, FreshTokenRequiredError)

# RFC 6750 section 3: these characters need no escape in a quoted-string.
_QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")

_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2: token
_FIELD_VALUE = re.compile(r"[\t\x20-\x7E\x80-\xFF]*")  # RFC 9110 section 5.5
_FINAL_STATUSES = range(200, 600)  # RFC 9110 section 15
_WITHOUT_BODY = (204, 304)  # RFC 9110 section 6.4.1

UNAUTHORIZED_CLOSE = 3000
"""WebSocket close code "Unauthorized" of the IANA registry."""


class ErrorResponse(NamedTuple):
    """A complete HTTP response, independent of any framework.

    Attributes:
        status: The status code.
        headers: The names and values of the headers, in the order in which they are sent.
        body: The encoded body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def json_response(
    status: int, content: Mapping[str, Any], *headers: tuple[str, str], content_type: str = "application/json"
) -> ErrorResponse:
    """Return a JSON response that no cache stores; `headers` follow those that describe the body."""
    body = json.dumps(content).encode()
    of_body = (("content-type", content_type), ("content-length", str(len(body))), ("cache-control", "no-store"))
    return ErrorResponse(status, of_body + headers, body)


OnError: TypeAlias = Callable[
    [TokenError, ErrorResponse, Mapping[str, Any]], "Awaitable[ErrorResponse | None] | ErrorResponse | None"
]
"""A sync or async callback that gets the error, the response and the ASGI scope of a refused request.

The `ErrorResponse` that it returns is sent instead of the response; None keeps the response.
"""


class ErrorResponder:
    """Make the responses to refused requests.

    Args:
        realm: The protection space named in `WWW-Authenticate`.
        problem_json: Whether bodies are RFC 9457 `application/problem+json` instead of `{"error": ...}`.
        on_error: See `OnError`. If it raises, the client gets an empty 500, and the request stays refused.
        listeners: The functions that get an event for every refusal.
        schemes: The authentication schemes, each of which gets a challenge, in this order.
        resource_metadata: The URL of the metadata of a protected resource; None if there is none.
        scopes: The scopes to ask for where the client has no good token yet.

    Raises:
        SettingError: An argument cannot be used.
    """

    def __init__(
        self,
        realm: str = "api",
        *,
        problem_json: bool = False,
        on_error: OnError | None = None,
        listeners: Listeners = None,
        schemes: tuple[str, ...] = ("Bearer",),
        resource_metadata: str | None = None,
        scopes: tuple[str, ...] = (),
    ) -> None:
        if not isinstance(realm, str) or _QUOTABLE.fullmatch(realm) is None:
            raise SettingError(
                f'realm must be printable ASCII without quotes and backslashes, such as "api", got {realm!r}'
            )
        if not isinstance(problem_json, bool):
            raise SettingError(f"problem_json must be True or False, got {problem_json!r}")
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
        self._resource_metadata, self._scope = resource_metadata, " ".join(scopes)

    def response_for(self, error: TokenError) -> ErrorResponse:
        """The response to `error`, before `on_error` is called."""
        # Other credentials do not help where none can be checked.
        header = (
            ("retry-after", str(error.retry_after))
            if isinstance(error, UnavailableError)
            else ("www-authenticate", self._challenge(error))
        )
        content: dict[str, Any] = {"error": error.error or "unauthorized", "error_description": error.description}
        if not self._problem_json:
            return json_response(error.status, content, header)
        from http import HTTPStatus  # noqa: PLC0415 -- half a millisecond of import, for an option

        # RFC 9457 section 4.2.1: about:blank, with the phrase of the status as the title.
        problem = {"type": "about:blank", "title": HTTPStatus(error.status).phrase, "status": error.status}
        content = {**problem, "detail": error.description, **content}
        return json_response(error.status, content, header, content_type="application/problem+json")

    async def respond(self, error: TokenError, scope: Mapping[str, Any]) -> ErrorResponse:
        """Report the refusal to the listeners, and return the response to `error` after `on_error` has seen it."""
        await notify_refused(self._listeners, error, scope)
        response = self.response_for(error)
        if self._on_error is None:
            return response
        try:
            changed = self._on_error(error, response, scope)
            if inspect.isawaitable(changed):
                changed = await changed
            return response if changed is None else _checked(changed)
        except Exception:  # noqa: BLE001 -- the request stays refused when a callback of the application fails
            logger().exception("on_error failed; the request is refused all the same")
            return _FAILED

    def _challenge(self, error: TokenError) -> str:
        # RFC 6750 section 3: each attribute at most once, and at least one attribute.
        attributes = [("realm", self._realm)]
        if error.error is not None:
            attributes += [("error", error.error), ("error_description", error.description)]
        if isinstance(error, _OF_A_VALID_TOKEN) and error.scope:
            attributes.append(("scope", error.scope))
        elif (
            self._scope and error.status == MissingTokenError.status and not isinstance(error, FreshTokenRequiredError)
        ):
            attributes.append(("scope", self._scope))
        if isinstance(error, FreshTokenRequiredError):  # RFC 9470 section 3
            if error.acr_values:
                attributes.append(("acr_values", error.acr_values))
            if error.max_age is not None:
                attributes.append(("max_age", str(error.max_age)))
        if self._resource_metadata is not None:
            attributes.append(("resource_metadata", self._resource_metadata))  # RFC 9728 section 5.1
        parameters = ", ".join([f'{name}="{value}"' for name, value in attributes])
        # One field for all challenges (RFC 9110 section 11.6.1), since some frameworks keep one value for each name.
        return ", ".join([f"{scheme} {parameters}" for scheme in self._schemes])


def _takes_three(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None, None, None)
    except (TypeError, ValueError) as error:
        return isinstance(error, ValueError)  # a function of C without a signature
    return True


# Close codes of the IANA registry, "Forbidden" and "Try Again Later".
_CLOSE_CODES = {ForbiddenError.status: 3003, UnavailableError.status: 1013}
_FAILED = ErrorResponse(500, (("content-length", "0"), ("cache-control", "no-store")), b"")


def _checked(response: object) -> ErrorResponse:
    """Return what `on_error` returned, with the right `content-length`; raise an error if servers cannot send it."""
    if (
        not isinstance(response, ErrorResponse)
        or type(response.status) is not int
        or not isinstance(response.headers, tuple | list)
        or not isinstance(response.body, bytes)
    ):
        raise TypeError(f"on_error must return an ErrorResponse of int, str pairs and bytes, or None, got {response!r}")
    if response.status not in _FINAL_STATUSES:
        raise ValueError(f"on_error must return a final status, from 200 to 599, got {response.status}")
    if response.body and response.status in _WITHOUT_BODY:
        raise ValueError(f"on_error must return no body with the status {response.status}")
    headers = []
    for name, value in response.headers:
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise ValueError(f"on_error must return headers of Latin-1 without control characters, unlike {name!r}")
        headers.append((name, str(len(response.body)) if name.lower() == "content-length" else value))
    return response._replace(headers=tuple(headers))


def close_code(status: int) -> int:
    """Return the WebSocket close code for an HTTP status, for servers that cannot send the status."""
    return _CLOSE_CODES.get(status, UNAUTHORIZED_CLOSE)


async def send_response(response: ErrorResponse, scope: Scope, send: Send) -> None:
    """Send `response` to an http or websocket scope that has no response yet.

    A WebSocket client gets it as a denial response if the server supports that (extension `websocket.http.response`),
    else as a close before the handshake is accepted, which clients see as 403.
    """
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": close_code(response.status), "reason": ""})
            return
        prefix = "websocket."
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": prefix + "http.response.start", "status": response.status, "headers": headers})
    # One server reads `body` without a default, so it is always present.
    await send({"type": prefix + "http.response.body", "body": response.body, "more_body": False})


async def notify_refused(listeners: Listeners, error: TokenError, scope: Mapping[str, Any]) -> None:
    """Log a refused request, and report it to the listeners.

    If the token's signature is valid, only the listeners for its issuer get the event. Otherwise each listener gets it
    once, since the issuer of the token is unknown. `listeners` are those of one configuration or, by issuer, of several.
    """
    log, level = logger(), _DEBUG if isinstance(error, MissingTokenError) else _INFO
    if listeners is None and not log.isEnabledFor(level):
        return  # the usual case, in which a request without a token shall not cost more
    request = request_facts(scope)
    # %r, so that no character of a client can end the line or begin another field.
    log.log(level, "request refused: %s %r evidence %r", error.code, request, error.evidence)
    verified, token = error.verified, scope.get("token")
    if not verified and isinstance(error, _OF_A_VALID_TOKEN) and isinstance(token, Token):
        verified = facts_of(token)  # a handler raised the error, without saying for which token
    event = AuthEvent(name="refused", code=error.code, **verified, **request)
    functions = listeners.of(event.issuer) if isinstance(listeners, IssuerListeners) else (listeners,)
    for function in functions:
        await notify(function, event)
