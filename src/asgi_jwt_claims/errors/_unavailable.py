"""Refusals while something that has to be asked cannot be reached."""

from __future__ import annotations

from typing import Any

from ._base import TokenError

__all__ = ["ClaimsUnavailableError", "KeysUnavailableError", "StoreUnavailableError", "UnavailableError"]


class UnavailableError(TokenError):
    """The token cannot be checked now. That is not the client's fault, and no reason to let it in.

    Attributes:
        retry_after: When to try again, in seconds from now (RFC 9110 section 10.2.3).

    Args:
        retry_after: As above.
        evidence: As for every `TokenError`.
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
    """The keys of the issuer could not be fetched, and there are none in hand that may still be used.

    Or the token names an unknown key, which may not be looked for now.
    """

    code = "keys_unavailable"


class StoreUnavailableError(UnavailableError):
    """Whether the token has been revoked could not be found out; or what was to be stored could not be."""

    code = "store_unavailable"


class ClaimsUnavailableError(UnavailableError):
    """New tokens cannot be made: the application's `claims_loader` failed, or what it returned cannot be minted or sent.

    The refresh token has not been used, and can be sent again.
    """

    code = "claims_unavailable"
