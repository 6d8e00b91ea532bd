"""What guards raise, by the old names. `JWTManager` turns each into its answer; an application's own handler goes first.

::

    JWTExtendedException
    ├── RequestRefused                  .error holds the TokenError
    │   ├── NoAuthorizationError        nothing was sent
    │   ├── InvalidHeaderError          it was sent badly
    │   ├── JWTDecodeError              the token is bad or has expired
    │   ├── WrongTokenError             a refresh token for an access token, or the reverse
    │   ├── RevokedTokenError           kept for its name: 0.4.4 never raised it, nor is it raised here yet
    │   ├── FreshTokenRequired
    │   └── AccessDenied                the role is not allowed
    └── ConfigurationConflictError      the application is wrong
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgi_jwt_claims.errors import (
    ConfigurationError,
    ForbiddenError,
    FreshTokenRequiredError,
    InvalidRequestError,
    JWTError,
    MissingTokenError,
    TokenError,
    WrongTypeError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AccessDenied",
    "ConfigurationConflictError",
    "FreshTokenRequired",
    "InvalidHeaderError",
    "JWTDecodeError",
    "JWTExtendedException",
    "NoAuthorizationError",
    "RequestRefused",
    "RevokedTokenError",
    "WrongTokenError",
    "refusal",
]


class JWTExtendedException(JWTError):  # noqa: N818 -- the names of this module are those of 0.4.4
    """The root of the old exceptions."""


class ConfigurationConflictError(JWTExtendedException, ConfigurationError):
    """Settings or arguments that contradict each other."""


class RequestRefused(JWTExtendedException):
    """A request is refused. `str(exception)` is the fixed phrase of `error`.

    Attributes:
        error: Why.
    """

    def __init__(self, error: TokenError) -> None:
        super().__init__(error.description)
        self.error = error


class NoAuthorizationError(RequestRefused):
    """No token was sent."""


class InvalidHeaderError(RequestRefused):
    """The header is malformed, or there are several."""


class JWTDecodeError(RequestRefused):
    """The token is malformed, forged, expired, or lacks something."""


class WrongTokenError(RequestRefused):
    """The token is of the wrong type."""


class RevokedTokenError(RequestRefused):
    """The token has been revoked."""


class FreshTokenRequired(RequestRefused):
    """The token does not come from a recent login."""


class AccessDenied(RequestRefused):
    """The role of the token does not allow this."""


_NAMES: Mapping[type[TokenError], type[RequestRefused]] = {
    MissingTokenError: NoAuthorizationError,
    InvalidRequestError: InvalidHeaderError,
    WrongTypeError: WrongTokenError,
    FreshTokenRequiredError: FreshTokenRequired,
    ForbiddenError: AccessDenied,
    TokenError: JWTDecodeError,
}


def refusal(error: TokenError) -> RequestRefused:
    """The old exception for a `TokenError`."""
    return next(name(error) for kind, name in _NAMES.items() if isinstance(error, kind))
