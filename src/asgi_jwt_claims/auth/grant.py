"""What has let a request in: a result, the guards that it has passed, and what they say of the request's connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from .result import NEEDS_KEYS, REFUSED

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.errors import TokenError
    from asgi_jwt_claims.stores.base import TokenStore
    from asgi_jwt_claims.tokens.token import Token

    from .authenticator import Authenticator
    from .options import Guard
    from .result import AuthResult

__all__ = ["Grant", "HeldToken", "OpenConnection"]


class OpenConnection(Protocol):
    """A connection that ends with its token, or with a later one if it gets that in time."""

    error: TokenError | None
    """Why it has ended; None if it has not, or its client or its application has closed it."""

    @property
    def is_open(self) -> bool:
        """Whether it is accepted, and neither ends nor is closed."""
        raise NotImplementedError  # of a protocol: each kind of connection has its own

    def renew(self) -> None:
        """Go by the tokens that are let in now."""


class HeldToken(NamedTuple):
    """A token that was let in, as far as a connection goes by it.

    Attributes:
        token: The token.
        config: The configuration that it was verified by.
        store: The store that knows whether it is revoked; None if revocation is not checked.
        end_with_token: Whether a connection that outlives the request ends with the token.
        check_revocation: Whether it also ends when the token is revoked: as long as one guard wants to know.
    """

    token: Token
    config: JWTConfig
    store: TokenStore | None
    end_with_token: bool
    check_revocation: bool


class Grant:
    """The result of one authenticator, and the guards that have let its token in.

    Attributes:
        result: The result, which `complete_request` and a renewal replace; None if there is none yet.
        guards: The guards that have let the token in by their options. A middleware that demands tokens is among them,
            but neither `get_token` nor a middleware with `required=False` is.
        is_let_in: Whether the token has been let in at all.
    """

    __slots__ = ("authenticator", "guards", "is_let_in", "result")

    def __init__(self, authenticator: Authenticator, result: AuthResult | None = None) -> None:
        self.authenticator = authenticator
        self.result = result
        self.guards: tuple[Guard, ...] = ()
        self.is_let_in = False

    def replace(self, before: AuthResult, after: AuthResult) -> AuthResult:
        """Put a result in the place of another, unless that has been replaced meanwhile; return the one that counts.

        A guard at the same time, or a renewal, may have replaced it. A refusal counts all the same, for its guard.
        """
        now = self.result
        if now is before:
            self.result = after
        elif after.error is None and now is not None and now.state.needs is None and now.is_of(*before[:3]):
            return now
        return after

    @property
    def is_refused(self) -> bool:
        """Whether the token is bad, or its key is missing, so that no guard lets it in."""
        return self.result is not None and self.result.state in (REFUSED, NEEDS_KEYS)

    def held(self) -> HeldToken | None:
        """Return the token that was let in, as a connection has to know it; None if none was."""
        result, guards = self.result, self.guards
        if not self.is_let_in or result is None or result.token is None or result.config is None:
            return None
        ends = False not in [guard.end_with_token for guard in guards]
        checks = not guards or True in [guard.check_revocation for guard in guards]
        return HeldToken(result.token, result.config, self.authenticator.store, ends, checks)
