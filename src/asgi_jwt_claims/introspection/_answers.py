"""Read what an introspection endpoint answers, and remember it for a short time. No I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from asgi_jwt_claims.errors import MalformedTokenError
from asgi_jwt_claims.jose.strict_json import load_json
from asgi_jwt_claims.jwks._documents import RefusedDocumentError

__all__ = ["MAX_ANSWERS", "Answer", "AnswerCache", "read_answer"]

MAX_ANSWERS = 4096
"""How many answers are remembered about active tokens, and how many about others."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Answer:
    """What the authorization server says about one token (RFC 7662 section 2.2).

    Attributes:
        is_active: Whether `active` is true.
        text: The answer, a JSON object; it takes the place of a token's payload.
        expires_at: The `exp` of an active token, in seconds since the epoch; None if there is none that is a number.
        digest: The SHA-256 of the token that was asked about.
        kept_until: When the answer must be forgotten, in monotonic seconds.
        fields: What a configuration has read in the answer, so that it does so once.
    """

    __slots__ = ("digest", "expires_at", "fields", "is_active", "kept_until", "text")

    def __init__(self, text: str, claims: dict[str, Any], digest: bytes) -> None:
        self.text = text
        self.is_active = claims["active"] is True
        expires_at = claims.get("exp")
        self.expires_at: float | None = expires_at if type(expires_at) in (int, float) else None
        self.digest = digest
        self.kept_until = 0.0
        self.fields: dict[object, Any] = {}


def read_answer(body: bytes, digest: bytes) -> Answer:
    """Read an answer as strictly as the payload of a token: what two parsers could read in two ways is none.

    Raises:
        RefusedDocumentError: It is not a JSON object with an `active` that is true or false (RFC 7662 section 2.2).
    """
    try:
        text, claims = load_json(body.removeprefix(_BYTE_ORDER_MARK))
    except MalformedTokenError as error:
        raise RefusedDocumentError(f"the answer: {error.evidence['reason']}") from None
    if type(claims) is not dict:
        raise RefusedDocumentError("the answer is not a JSON object")
    # A server that writes "true" or 1 may as well write "false", which is true to many programs.
    if type(claims.get("active")) is not bool:
        raise RefusedDocumentError("the answer has no active that is true or false")
    return Answer(text, claims, digest)


class AnswerCache:
    """The last answers, found by the SHA-256 of their tokens. Threads may share it.

    Those about active tokens have a place of their own, so that made-up tokens do not push them out. The oldest answer
    makes room for a new one: it is the next to be forgotten anyway.
    """

    def __init__(self) -> None:
        self._active: OrderedDict[bytes, Answer] = OrderedDict()
        self._inactive: OrderedDict[bytes, Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._active) + len(self._inactive)

    def find(self, digest: bytes, monotonic: float, now: float) -> Answer | None:
        """Return the answer about a token; None if there is none, its time is over, or the token has expired `now`."""
        answer = self._active.get(digest) or self._inactive.get(digest)
        if answer is None or monotonic >= answer.kept_until:
            return None
        return answer if answer.expires_at is None or now < answer.expires_at else None

    def remember(self, answer: Answer) -> None:
        """Remember an answer in place of an earlier one about the same token."""
        self._active.pop(answer.digest, None)
        self._inactive.pop(answer.digest, None)
        answers = self._active if answer.is_active else self._inactive
        answers[answer.digest] = answer
        if len(answers) > MAX_ANSWERS:
            answers.popitem(last=False)
