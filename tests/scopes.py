"""What a middleware and a guard do with a scope, for tests that need no application."""

from __future__ import annotations

from typing import Any

from asgi_jwt_claims import Token, TokenError
from asgi_jwt_claims.auth.options import ACCESS_TOKEN, Guard
from asgi_jwt_claims.auth.settings import MiddlewareSettings
from asgi_jwt_claims.auth.state import RequestAuth, request_auth


class ScopeMiddleware:
    """A middleware that cannot wait, and has no application."""

    def __init__(self, config: Any, **options: Any) -> None:
        self.settings = MiddlewareSettings(config, **options)

    def open(self, scope: dict[str, Any]) -> TokenError | None:
        """Prepare a scope; the error to refuse the request with."""
        auth = RequestAuth.enter(scope, self.settings)
        return auth.admit(scope, None if auth.is_exempt else auth.result_for(scope))


def admit(scope: dict[str, Any], guard: Guard = ACCESS_TOKEN) -> Token | None:
    """The token that a guard lets in which cannot wait; its refusal is raised."""
    auth = request_auth(scope)
    result = auth.result_for(scope, auth.authenticator_with(guard.sources))
    error = result.refusal(guard)
    if error is not None:
        raise error
    auth.grant(result, guard)
    return result.token


def admitted(scope: dict[str, Any], guard: Guard = ACCESS_TOKEN) -> Token:
    """As `admit`, where a token has to be there."""
    token = admit(scope, guard)
    assert token is not None
    return token
