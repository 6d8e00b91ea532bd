"""Refusals of requests without a token, or with one that was sent badly."""

from __future__ import annotations

from ._base import TokenError

__all__ = [
    "CSRFTokenError",
    "CrossSiteRequestError",
    "ForeignOriginError",
    "InvalidRequestError",
    "MalformedCredentialsError",
    "MissingTokenError",
    "RepeatedCredentialsError",
]


class MissingTokenError(TokenError):
    """No credentials, or those of another scheme (RFC 6750 section 3.1: no error code is given)."""

    code = "token_missing"
    error = None
    description = "Authentication is required."


class InvalidRequestError(TokenError):
    """The token was sent in a way that no token may be sent."""

    code = "invalid_request"
    status = 400
    error = "invalid_request"
    description = "The credentials are malformed."


class MalformedCredentialsError(InvalidRequestError):
    """The Authorization header is not `Bearer` followed by a token (RFC 6750 section 2.1)."""

    code = "malformed_credentials"
    description = "The Authorization header is malformed."


class RepeatedCredentialsError(InvalidRequestError):
    """More than one credential was sent (RFC 6750 section 2: never more than one method)."""

    code = "repeated_credentials"
    description = "More than one credential was sent."


class CrossSiteRequestError(InvalidRequestError):
    """A cookie came along with a request that its user may not have meant to make (RFC 6749 section 10.12)."""

    code = "cross_site_request"
    status = 403
    description = "The request may have been forged by another site."


class CSRFTokenError(CrossSiteRequestError):
    """A request that changes something, with a cookie, but without the CSRF value that belongs to the cookie's token."""

    code = "invalid_csrf_token"
    description = "The request lacks the CSRF value of its token."


class ForeignOriginError(CrossSiteRequestError):
    """The browser says that another site has made it send the cookie (RFC 6454 section 7; Fetch Metadata)."""

    code = "foreign_origin"
    description = "The request comes from another origin."
