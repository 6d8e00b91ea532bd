"""Define the refusals of requests that have no token, or that sent it in a wrong way."""

from __future__ import annotations

from typing import Any

from ._base import TokenError


class MissingTokenError(TokenError):
    """The request has no credentials, or those of another scheme (RFC 6750 section 3.1: without an error code)."""

    code = "token_missing"
    error = None
    description = "Authentication is required."


class InvalidRequestError(TokenError):
    """The client sent the token in a way that is not allowed (RFC 6750 section 3.1)."""

    code = "invalid_request"
    status = 400
    error = "invalid_request"
    description = "The credentials are malformed."


class MalformedCredentialsError(InvalidRequestError):
    """The Authorization header is not `Bearer` followed by a token (RFC 6750 section 2.1), or another header is none.

    The description names the `header`, in lower case unless it is Authorization.
    """

    code = "malformed_credentials"
    description = "The Authorization header is malformed."

    def __init__(self, reason: str | None = None, /, *, header: str = "authorization", **evidence: Any) -> None:
        if header != "authorization":
            self.description = f"The {header} header is malformed."
        super().__init__(reason, header=header, **evidence)


class RepeatedCredentialsError(InvalidRequestError):
    """The client sent more than one credential (RFC 6750 section 2: never more than one method)."""

    code = "repeated_credentials"
    description = "More than one credential was sent."


class AmbiguousPathError(InvalidRequestError):
    """The middleware has rules for paths, and programs may read the path of the request in several ways.

    Such are dot segments, empty segments, needless escapes, and characters that some programs drop (RFC 3986 section 6).
    """

    code = "ambiguous_path"
    description = "The path can be read in more than one way."


class CrossSiteRequestError(InvalidRequestError):
    """The request has a cookie, and its user may not have meant to make it (RFC 6749 section 10.12)."""

    code = "cross_site_request"
    status = 403
    description = "The request may have been forged by another site."


class CSRFTokenError(CrossSiteRequestError):
    """A request with an unsafe method has a cookie, but not the CSRF value that belongs to the cookie's token."""

    code = "invalid_csrf_token"
    description = "The request lacks the CSRF value of its token."


class ForeignOriginError(CrossSiteRequestError):
    """The browser says that another site made it send the cookie (RFC 6454 section 7; Fetch Metadata)."""

    code = "foreign_origin"
    description = "The request comes from another origin."
