"""What the OpenAPI document of sanic-ext says of guarded handlers: how they are guarded, and how they refuse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.errors import ForbiddenError, MissingTokenError
from asgi_jwt_claims.sources.cookie import Cookie
from asgi_jwt_claims.sources.header import BearerHeader

from ._routes import endpoints_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sanic import Sanic

    from asgi_jwt_claims.sources._credentials import Source

__all__ = ["document"]

_REFUSAL = {"application/json": {"error": str, "error_description": str}}


def document(app: Sanic[Any, Any], specification: Any, sources_of: Callable[[Any], Iterable[Source]]) -> None:
    """Mark the guarded handlers of an application that sanic-ext has extended.

    Args:
        app: The application.
        specification: What sanic-ext makes the document of.
        sources_of: Tells where the guard of the application or of a blueprint looks for tokens, given a route.
    """
    from sanic_ext.extensions.openapi.builders import OperationStore  # noqa: PLC0415 -- sanic-ext may not be installed

    operations: Any = OperationStore()  # type: ignore[no-untyped-call]  # sanic-ext's own
    for route in app.router.routes:
        for handler, guards in endpoints_of(route):
            if not guards:
                continue
            operation = operations[handler]
            sources = guards[0].guard.sources or sources_of(route)
            schemes = dict(map(_scheme_of, sources))
            if not operation.security:  # else the application has said so itself
                for name, scheme in schemes.items():
                    specification.add_security_scheme(name, **scheme)
                    operation.secured(name)
                if all(one.guard.optional for one in guards):
                    operation.security.append({})
            for error in (MissingTokenError(), ForbiddenError()):
                if error.status not in operation.responses:
                    operation.response(error.status, _REFUSAL, error.description)


def _scheme_of(source: Source) -> tuple[str, dict[str, Any]]:
    """The name and the description of a security scheme (OpenAPI 3.0.3, security scheme object)."""
    if isinstance(source, Cookie):
        return _named("JWTCookie", source.name), {"type": "apiKey", "location": "cookie", "name": source.name}
    if isinstance(source, BearerHeader):
        if source.name != "authorization" or not source.scheme:
            return _named("JWTHeader", source.name), {"type": "apiKey", "location": "header", "name": source.name}
        if source.scheme != "bearer":
            return _named("JWTHeader", source.scheme), {"type": "http", "scheme": source.scheme}
    return "JWTBearer", {"type": "http", "scheme": "bearer", "bearer_format": "JWT"}


def _named(kind: str, place: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{kind}_{place}")
