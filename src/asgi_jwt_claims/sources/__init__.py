"""Sources: where a token may be offered.

A source returns None when nothing was offered, and raises when something was offered badly; absence is never confused
with a mistake, and a mistake never becomes absence.

The scope is any mapping with ASGI `headers`: pairs of bytes, names in lower case. Values are taken as servers leave
them: one of them keeps the white space around a value, one joins repeated headers with a comma, none promises ASCII.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgi_jwt_claims.errors import InvalidRequestError, RepeatedCredentialsError

from ._credentials import Credentials, Source, is_source
from .cookie import Cookie
from .header import BearerHeader
from .websocket import InsecureWebSocketQuery, WebSocketProtocol

__all__ = [
    "DEFAULT_SOURCES",
    "BearerHeader",
    "Cookie",
    "Credentials",
    "InsecureWebSocketQuery",
    "Source",
    "WebSocketProtocol",
    "extract_credentials",
    "is_source",
    "why_absent",
]

DEFAULT_SOURCES: tuple[Source, ...] = (BearerHeader(),)
"""Where tokens are looked for unless said otherwise. One object, so that nested guards know that they agree."""


def extract_credentials(scope: Mapping[str, Any], sources: tuple[Source, ...], max_size: int) -> Credentials | None:
    """What the sources find, in their order. Only absence moves on to the next one.

    Raises:
        RepeatedCredentialsError: A token was offered in two places (RFC 6750 section 2).
        TokenError: A source found something that was offered badly, or returned what is no `Credentials`.
    """
    if len(sources) == 1:
        offered = sources[0](scope, max_size)
        return offered if offered is None or type(offered) is Credentials else _checked(offered)
    found: Credentials | None = None
    for source in sources:
        offered = _checked(source(scope, max_size))
        if offered is not None:
            if found is not None:
                raise RepeatedCredentialsError(sources=f"{found.source}, {offered.source}")
            found = offered
    return found


def _checked(offered: Credentials | None) -> Credentials | None:
    # A source may be the application's own. What it gets wrong must not let anyone in, nor be an error 500.
    if offered is not None and not isinstance(offered, Credentials):
        raise InvalidRequestError(reason=f"a source must return Credentials or None, not {type(offered).__name__}")
    return offered


def why_absent(scope: Mapping[str, Any], sources: tuple[Source, ...]) -> dict[str, str]:
    """The evidence of a `MissingTokenError`: what stands in the place where a source looks, if it is not a token for it."""
    for source in sources:
        if isinstance(source, BearerHeader) and (evidence := source.why_absent(scope)):
            return evidence
    return {}
