"""The exceptions of 0.4.4, under its names. `JWTManager` answers each, unless the application has a handler for it."""

from __future__ import annotations

from asgi_jwt_claims import errors
from asgi_jwt_claims.errors import TokenError

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


class JWTExtendedException(errors.JWTError):
    """The root of the exceptions of 0.4.4."""


class ConfigurationConflictError(JWTExtendedException, errors.ConfigurationError):
    """Settings or arguments that contradict each other."""


class RequestRefused(JWTExtendedException):
    """A request is refused. `str(exception)` is the fixed phrase of `error`.

    Attributes:
        error: The reason, as a `TokenError`.
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
    """The token has been revoked. Neither 0.4.4 nor this library raises it."""


class FreshTokenRequired(RequestRefused):
    """The token does not come from a recent login."""


class AccessDenied(RequestRefused):
    """The role of the token does not allow this."""


_NAMES: dict[type[TokenError], type[RequestRefused]] = {
    errors.MissingTokenError: NoAuthorizationError,
    errors.InvalidRequestError: InvalidHeaderError,
    errors.WrongTypeError: WrongTokenError,
    errors.FreshTokenRequiredError: FreshTokenRequired,
    errors.ForbiddenError: AccessDenied,
    TokenError: JWTDecodeError,
}


def refusal(error: TokenError) -> RequestRefused:
    """The exception of 0.4.4 for a `TokenError`."""
    return next(name(error) for kind, name in _NAMES.items() if isinstance(error, kind))
