"""The SDK's `AccessToken`, made of a verified token, and the `TokenVerifier` that makes it of an encoded one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mcp.server.auth.provider import AccessToken
from pydantic import Field

from asgi_jwt_claims.auth.request import complete_request
from asgi_jwt_claims.auth.settings import MiddlewareSettings
from asgi_jwt_claims.auth.state import RequestAuth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asgi_jwt_claims.auth.result import AuthResult
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.stores import TokenStore

__all__ = ["TokenVerifier", "access_token_of"]

_CLIENT_CLAIMS: Final = ("client_id", "azp", "cid", "appid")
"""Where issuers name the client: RFC 9068 section 2.2, OpenID Connect Core section 2, Okta, and Microsoft's v1.0."""


class _AccessToken(AccessToken):
    """The SDK's class, whose `repr` and `str` would contain the encoded token."""

    token: str = Field(repr=False)


def access_token_of(result: AuthResult) -> AccessToken | None:
    """Return what the SDK is to know of an accepted token; None if there is none.

    The SDK binds sessions to three parts of it: the client, the `iss` claim, and the subject, which is the identity of
    the token. A client or issuer that the token does not name is the same as any other that is not named. The scopes
    include those that the hierarchy of the configuration implies, since the guards of the SDK compare names alone.
    """
    token, config, credentials = result.token, result.config, result.credentials
    if token is None or config is None or credentials is None:
        return None
    claims, identity = token.claims, token.identity
    clients = (claims[name] for name in _CLIENT_CLAIMS if isinstance(claims.get(name), str))
    audiences, hierarchy = config._prepared.audiences, config.scope_hierarchy
    return _AccessToken(
        token=credentials.token.decode("ascii"),
        client_id=next(clients, ""),
        scopes=sorted(token.scopes if hierarchy is None else hierarchy.expand(token.scopes)),
        expires_at=None if token.expires_at is None else int(token.expires_at),
        resource=next((name for name in token.audience if name in audiences), None),
        subject=identity if isinstance(identity, str) else json.dumps(identity, sort_keys=True),
        claims=claims,
    )


class TokenVerifier:
    """Verify tokens for the SDK's own guard: a `mcp.server.auth.provider.TokenVerifier`.

    `MCPMiddleware` is the better way where the application can be wrapped: the SDK knows one refusal only (401), which
    a client also gets while the issuer's keys or the store cannot be reached, and it does not fill `current_token()`.

    Args:
        config: Keys, parties, times and names; or several, each with an `issuer`. What was issued for another resource
            is refused by `audience`, so `AuthSettings(validate_token_resource=False)` is right.
        store: A `TokenStore` that is asked about every token. None if revocation is not checked.

    Raises:
        SettingError: An argument cannot be used.
    """

    def __init__(self, config: JWTConfig | Iterable[JWTConfig], *, store: TokenStore | None = None) -> None:
        self._settings = MiddlewareSettings(config, store=store)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what the SDK is to know of an encoded access token; None if it is refused."""
        # What no header could contain becomes a character that no token has.
        header = (b"authorization", b"Bearer " + token.encode("ascii", "replace"))
        scope: dict[str, Any] = {"type": "http", "headers": [header]}
        auth = RequestAuth.enter(scope, self._settings)
        result = auth.result_for(scope)
        if result.state.needs is not None:
            result, _ = await complete_request(scope, result)
        error = auth.admit(scope, result)
        if auth.untold is not None:
            await auth.tell_accepted(scope)
        if error is not None:
            await self._settings.authenticator.responder.respond(error, scope)  # which reports it
            return None
        return access_token_of(result)
