"""Define the refusals of valid tokens that do not allow the request."""

from __future__ import annotations

from typing import Any

from ._base import TokenError


class FreshTokenRequiredError(TokenError):
    """The token is valid, but does not come from a recent login (RFC 9470 section 3).

    Attributes:
        max_age: The age in seconds that the login may have, for the `max_age` attribute of the challenge. None if the
            challenge does not say.
        acr_values: The values of `acr`, separated by spaces, one of which the login needs, for the `acr_values` attribute.
            None if the challenge does not say.
        scope: All scopes that the resource needs, separated by spaces, if the token lacks some, for the `scope` attribute.
            None if the challenge does not say.
    """

    code = "insufficient_freshness"
    error = "insufficient_user_authentication"
    description = "A fresh login is required."
    max_age: int | None
    acr_values: str | None
    scope: str | None

    def __init__(self, reason: str | None = None, /, *, max_age: int | None = None, **evidence: Any) -> None:
        super().__init__(reason, max_age=max_age, **evidence)
        self.max_age = max_age
        self.acr_values, self.scope = evidence.get("acr_values"), evidence.get("scope")


class ForbiddenError(TokenError):
    """The token is valid, but does not allow this request.

    Attributes:
        scope: All scopes that the resource needs, separated by spaces, for the `scope` attribute of the challenge. None
            if the challenge does not say.
    """

    code = "forbidden"
    status = 403
    error = "insufficient_scope"
    description = "The token does not allow this request."
    scope: str | None = None


class MissingScopeError(ForbiddenError):
    """The token lacks a scope that the resource needs (RFC 6750 section 3.1)."""

    code = "missing_scope"
    description = "The token lacks a required scope."

    def __init__(self, reason: str | None = None, /, *, scope: str | None = None, **evidence: Any) -> None:
        super().__init__(reason, scope=scope, **evidence)
        self.scope = scope


class RoleRefusedError(ForbiddenError):
    """The token has no role, none of the allowed roles, or a denied one."""

    code = "role_refused"
    description = "The role of the token is not allowed."
