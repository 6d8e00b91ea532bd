"""The errors from which all others derive."""

from __future__ import annotations

import copyreg
from typing import Any, ClassVar

__all__ = ["ConnectionEndedError", "JWTError", "TokenError"]

_EVIDENCE_LENGTH = 256


class JWTError(Exception):
    """The root: catches whatever this library raises on purpose.

    Attributes:
        code: A stable identifier of the case, the same in every release.
    """

    code: ClassVar[str] = "jwt_error"


class ConnectionEndedError(JWTError, OSError):
    """What `send` raises on a connection that ended with its token: what servers raise for a client that has gone.

    An OSError, as the ASGI specification (version 2.4, "Disconnected Client") wants it, so that frameworks know it.
    """

    code = "connection_ended"


class TokenError(JWTError):
    """The request is refused. `str(error)` is the fixed phrase that the client may read.

    Attributes:
        status: The HTTP status code of the answer.
        error: The `error` word of RFC 6750 section 3.1 or RFC 9470 section 3, or None when the client offered nothing.
        description: The fixed phrase for the client, within the characters of RFC 6750 section 3.
        evidence: What was seen, for logs: names, reasons, times; strings are cut at 256 characters, never a token. Some
            of it is what the client has sent, so that it belongs into no answer; neither `str` nor `repr` shows it.
        verified: What the token says of itself, if its signature is good: `type`, `issuer`, `identity`, `jti` and
            `session_id`, as far as it has them. Empty for any other token.

    Args:
        reason: Why, in the words of an application that refuses by itself, `ForbiddenError("not the owner")`. It is
            evidence: the client does not read it.
        evidence: As above, by name.
    """

    status: ClassVar[int] = 401
    error: ClassVar[str | None] = "invalid_token"
    description: ClassVar[str] = "The token is not acceptable."

    def __init__(self, reason: str | None = None, /, **evidence: Any) -> None:
        super().__init__(self.description)
        if reason is not None:
            evidence = {"reason": reason, **evidence}
        self.evidence: dict[str, Any] = {
            name: value[:_EVIDENCE_LENGTH] if isinstance(value, str) else value for name, value in evidence.items()
        }
        self.verified: dict[str, Any] = {}

    def __repr__(self) -> str:
        # Frameworks put it into pages that clients see.
        return f"{type(self).__name__}({self.code})"

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class with the phrase as a positional argument, which it does not take.
        return (copyreg.__newobj__, (type(self), *self.args), vars(self))  # type: ignore[attr-defined]  # typeshed lacks it
