"""Define the refusals for keys, a store or claims that cannot be reached."""

from __future__ import annotations

from typing import Any

from ._base import TokenError


class UnavailableError(TokenError):
    """The token cannot be checked now, so the request is refused although the client made no mistake.

    Attributes:
        retry_after: Seconds until the client should try again (RFC 9110 section 10.2.3).
    """

    code = "unavailable"
    status = 503
    error = "temporarily_unavailable"
    description = "The token cannot be checked at the moment."
    retry_after: int

    def __init__(self, reason: str | None = None, /, *, retry_after: int = 1, **evidence: Any) -> None:
        super().__init__(reason, retry_after=retry_after, **evidence)
        self.retry_after = retry_after


class KeysUnavailableError(UnavailableError):
    """The issuer's keys could not be fetched and none are cached, or an unknown key cannot be looked up now."""

    code = "keys_unavailable"


class IntrospectionUnavailableError(UnavailableError):
    """The authorization server could not be asked about an opaque token, or did not answer as RFC 7662 says."""

    code = "introspection_unavailable"


class StoreUnavailableError(UnavailableError):
    """The store could not say whether the token is revoked, or could not save a change."""

    code = "store_unavailable"


class ClaimsUnavailableError(UnavailableError):
    """The application's `claims_loader` failed, or its result cannot be minted or sent.

    The refresh token has not been used and can be sent again.
    """

    code = "claims_unavailable"
