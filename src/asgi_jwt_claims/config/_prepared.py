"""What follows from the settings of a configuration, worked out once."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["ClaimNames"]


class ClaimNames(NamedTuple):
    """Which claims hold what the application asks for, as configured.

    Attributes:
        identity: The claim that says whom the token speaks for.
        user_claims: The claim that holds the application's own claims; None when they stand beside the registered ones.
        reserved: The names that are none of the application's own.
    """

    identity: str
    user_claims: str | None
    reserved: frozenset[str]

    def own(self, claims: dict[str, Any]) -> dict[str, Any]:
        """The application's own among all claims."""
        if self.user_claims is None:
            return {name: value for name, value in claims.items() if name not in self.reserved}
        own: dict[str, Any] = claims.get(self.user_claims, {})
        return own
