"""Define the errors from which all others derive."""

from __future__ import annotations

import copyreg
from typing import Any, ClassVar

_EVIDENCE_LENGTH = 256


class JWTError(Exception):
    """The root of all errors that this library raises on purpose.

    Attributes:
        code: A stable identifier of the case, the same in every release.
    """

    code: ClassVar[str] = "jwt_error"


class ConnectionEndedError(JWTError, OSError):
    """The application sent on a connection that had ended with its token.

    It is an OSError, as the ASGI specification requires for a client that has left (version 2.4, "Disconnected
    Client"), so that frameworks know it.
    """

    code = "connection_ended"


class TokenError(JWTError):
    """The request is refused. `str(error)` is the fixed phrase that the client may read.

    Attributes:
        status: The HTTP status code of the response.
        error: The error code of RFC 6750 section 3.1 or RFC 9470 section 3. None if the client sent no credentials.
        description: The fixed phrase for the client, within the characters of RFC 6750 section 3.
        evidence: Names, reasons and times for logs, never a token. Strings are cut at 256 characters. Some of them come
            from the client, so do not put them into a response; neither `str` nor `repr` shows them.
        verified: `type`, `issuer`, `identity`, `jti` and `session_id` of the token, as far as it has them, if its
            signature is valid. Empty for any other token.

    Args:
        reason: The reason of an application that refuses a request itself, such as `ForbiddenError("not the owner")`.
            It becomes evidence, which the client does not read.
        evidence: See above; each entry by its name.
    """

    status: ClassVar[int] = 401
    error: ClassVar[str | None] = "invalid_token"
    description: str = "The token is not acceptable."

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
