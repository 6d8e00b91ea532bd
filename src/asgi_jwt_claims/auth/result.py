"""The result of authenticating a request: the states that there are, and what each means for a guard.

=============  =====  =====  =====  ================================================  =================================
state          token  error  needs  reached when                                      a guard answers
=============  =====  =====  =====  ================================================  =================================
`ABSENT`       -      -      -      no source found anything                          401 without a code, or passes if
                                                                                      it is optional
`REFUSED`      -      yes    -      credentials are malformed, or the token is bad    that error, optional or not
`NEEDS_KEYS`   -      yes    keys   the key is unknown, or there are no keys in hand, that error, if the caller cannot
                                    and the issuer's keys can be fetched; or the      wait
                                    issuer must be asked about an opaque token
`NEEDS_FORM`   yes    -      form   signature and claims are good, and the CSRF       403, if the caller cannot read the
                                    value may be in the form                          body
`NEEDS_STORE`  yes    -      store  the token is good, and the store must be asked    503, if the caller cannot wait
`ACCEPTED`     yes    -      -      the token is good and not revoked                 what its policy says
`REVOKED`      yes    yes    -      the store says that the token is revoked          401
`UNCHECKED`    yes    yes    -      the store failed                                  503
=============  =====  =====  =====  ================================================  =================================

With `check_revocation=False` the policy also decides in the states `NEEDS_STORE`, `REVOKED` and `UNCHECKED`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from asgi_jwt_claims.errors import CSRFTokenError, MissingTokenError, StoreUnavailableError, TokenError
from asgi_jwt_claims.sources._credentials import Credentials
from asgi_jwt_claims.tokens.token import Token, about

from .options import ACCESS_TOKEN

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig

    from .options import Guard

__all__ = [
    "ABSENT",
    "ACCEPTED",
    "NEEDS_FORM",
    "NEEDS_KEYS",
    "NEEDS_STORE",
    "REFUSED",
    "REVOKED",
    "UNCHECKED",
    "UNREADABLE",
    "AuthResult",
    "AuthState",
    "make_result",
]

UNREADABLE = Credentials(b"", "")
"""Stands in a result for what no source could read. Only its identity counts."""

Needs: TypeAlias = Literal["keys", "form", "store"]


class AuthState(Enum):
    """The states of the table above.

    Attributes:
        needs: What has to be waited for before a guard can decide; None if nothing has to.
    """

    ABSENT = "absent"
    REFUSED = "refused"
    NEEDS_KEYS = "keys"
    NEEDS_FORM = "form"
    NEEDS_STORE = "store"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    UNCHECKED = "unchecked"

    needs: Needs | None

    def __init__(self, value: str) -> None:
        self.needs = value if value in ("keys", "form", "store") else None  # type: ignore[assignment]  # narrowed by `in`


ABSENT, REFUSED, ACCEPTED = AuthState.ABSENT, AuthState.REFUSED, AuthState.ACCEPTED
REVOKED, UNCHECKED = AuthState.REVOKED, AuthState.UNCHECKED
NEEDS_KEYS, NEEDS_FORM, NEEDS_STORE = AuthState.NEEDS_KEYS, AuthState.NEEDS_FORM, AuthState.NEEDS_STORE


class AuthResult(NamedTuple):
    """What has become of the credentials of a request, worked out from the first three attributes. Immutable.

    Attributes:
        authenticator: The `Authenticator`. Equal ones come to equal results, and their responders may differ.
        credentials: What the sources found; None if they found nothing.
        is_safe: Whether the request has one of the `SAFE_METHODS`.
        state: One of the states of the table above.
        token: The verified token, in the states that have one.
        error: Why the request is refused, in the states that have an error.
        config: The configuration that the token was verified by; None if no configuration was chosen.
        evidence: What stood in the place of a token, for the error of a request without one.
    """

    authenticator: object
    credentials: Credentials | None
    is_safe: bool
    state: AuthState
    token: Token | None = None
    error: TokenError | None = None
    config: JWTConfig | None = None
    evidence: dict[str, str] | None = None

    def is_of(self, authenticator: object, credentials: Credentials | None, is_safe: bool) -> bool:
        """Whether this was worked out from these. Nothing that could not be read is the same as anything else."""
        return self[:3] == (authenticator, credentials, is_safe) and self.credentials is not UNREADABLE

    def refusal(self, guard: Guard) -> TokenError | None:  # noqa: PLR0911 -- one for each row of the table
        """Return the error that a guard answers with; None if the request passes. Changes nothing."""
        state, token = self.state, self.token
        if state is ACCEPTED and guard is ACCESS_TOKEN and token is not None and token.type == "access":
            return None  # as the rules below would, in much less time
        if token is None:
            if state is ABSENT:
                return None if guard.optional else MissingTokenError(**(self.evidence or {}))
            return self.error or StoreUnavailableError(reason="no token to decide about")
        if state is not ACCEPTED and guard.check_revocation:
            if self.error is not None:
                return self.error
            if state is NEEDS_STORE:
                return about(StoreUnavailableError(reason="the store must be asked, and the caller cannot wait"), token)
        try:
            guard.policy.check(token)
        except TokenError as error:
            return error.with_traceback(None)
        if state is NEEDS_FORM:
            return CSRFTokenError(reason="the form that may have the CSRF value has not been read")
        return None


make_result: Callable[[tuple[Any, ...]], AuthResult] = partial(tuple.__new__, AuthResult)
"""Make an `AuthResult` of all its fields in little more than half of the time that calling the class takes."""
