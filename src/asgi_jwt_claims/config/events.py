"""Events about tokens and requests, for `JWTConfig(on_event=...)`: metrics, traces and audit logs.

No request fails because of that function, and none waits longer than a second for it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from .issuer_template import Issuers

__all__ = ["AuthEvent", "IssuerListeners", "Listeners", "OnAuthEvent", "notify", "request_facts"]

_WORD = re.compile(r"[!#-\[\]-~]{1,128}")  # visible ASCII without quotes and backslashes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuthEvent:
    """Something that happened to a token or to a request. It never holds an encoded token.

    Attributes:
        name: `issued` (a login began a session), `refused` (a request was refused), `accepted` (a request was let in
            with its token; only with `JWTConfig(accepted_events=True)`), `refreshed`, `refresh_repeated` (a refresh
            token was sent again within the grace, and answered again), `reuse_detected` (a refresh token was used
            twice, or each of many in a row was sent again; its session has ended), or `revoked`.
        code: The stable code of the error of a `refused` request.
        type: The type of the token. This and the next four are None for a token whose signature has not been verified.
        issuer: The issuer of the token.
        identity: Whom the token speaks for. This is personal data: think before writing it to a log.
        jti: The identifier of the token.
        session_id: The session that the token belongs to.
        unreadable: The claims of the token that could not be read, and so grant nothing; see `Token.unreadable`.
        revoked: How much a `revoked` event has ended: `token`, `session` or `identity`.
        method: The method of a `refused` or `accepted` request, as the next three; None for a websocket.
        path: The template of the path, such as `/items/{id}`, relative to where the route's application is mounted;
            None if the framework has not found the route yet. Never the path itself, which may be personal.
        client: The address of the client, as the server gives it.
        request_id: The `X-Request-ID` of the request, if it has one. The client chooses it, unless a proxy or a
            middleware outside of the guard does.
    """

    name: Literal["issued", "refused", "accepted", "refreshed", "refresh_repeated", "reuse_detected", "revoked"]
    code: str | None = None
    type: str | None = None
    issuer: str | None = None
    identity: Any = None
    jti: str | None = None
    session_id: str | None = None
    unreadable: tuple[str, ...] = ()
    revoked: Literal["token", "session", "identity"] | None = None
    method: str | None = None
    path: str | None = None
    client: str | None = None
    request_id: str | None = None


OnAuthEvent: TypeAlias = Callable[[AuthEvent], "Awaitable[None] | None"]
"""A function that receives every event, sync or async. The request waits for it: put slow work into a queue.

An async function is cancelled after one second; a sync one cannot be, and blocks the event loop.
"""


class IssuerListeners:
    """The functions of several configurations, None for one without, each with the issuers whose events it gets.

    `others` gets the events of all other issuers: those of opaque tokens, of which any issuer may have been accepted.
    """

    __slots__ = ("_functions", "_others")

    def __init__(
        self, functions: Iterable[tuple[Issuers, OnAuthEvent | None]], others: OnAuthEvent | None = None
    ) -> None:
        self._functions = tuple(functions)
        self._others = others

    def of(self, issuer: str | None) -> Iterable[OnAuthEvent]:
        """Return the functions for an event about an issuer, each once; all of them if it is unknown."""
        of_issuer = [one for issuers, one in self._functions if issuer is None or issuers.has(issuer)]
        if issuer is None or not of_issuer:
            of_issuer.append(self._others)
        return dict.fromkeys(one for one in of_issuer if one is not None)


Listeners: TypeAlias = OnAuthEvent | IssuerListeners | None
"""The function of one configuration, or the functions of several by their issuers."""


async def notify(on_event: OnAuthEvent | None, event: AuthEvent) -> None:
    """Pass an event to a function. Raises nothing that the function raises."""
    if on_event is not None:
        from asgi_jwt_claims.runtime import callbacks  # noqa: PLC0415 -- it imports anyio, which verifying and minting do without

        await callbacks.notify(on_event, event, event.name)


def request_facts(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what an event says of a request, without what is unknown."""
    identifiers = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"x-request-id"]
    facts = {
        "method": _word(scope.get("method")),
        "path": _template(scope),
        "client": _word((scope.get("client") or (None,))[0]),
        "request_id": _word(identifiers[0]) if len(identifiers) == 1 else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _word(text: Any) -> str | None:
    """Return what a client may write into an event. Other text is left out: an identifier cut short is another one."""
    return text if isinstance(text, str) and _WORD.fullmatch(text) else None


def _template(scope: Mapping[str, Any]) -> str | None:
    route = scope.get("route")  # of Starlette and FastAPI
    of_fastapi = scope.get("fastapi")
    context = of_fastapi.get("effective_route_context") if isinstance(of_fastapi, Mapping) else None
    if context is not None and getattr(context, "original_route", None) is route:
        route = context  # whose path begins with the prefix of an included router, which that of the route lacks
    # Litestar and our adapter for Sanic write `path_template`.
    template = scope.get("path_template") or getattr(route, "path", None)
    return template if isinstance(template, str) else None
