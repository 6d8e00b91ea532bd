"""What an entry of the corpus is: a token as it is offered, and what has to become of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from asgi_jwt_claims.errors import TokenError

__all__ = ["ERRORS", "Entry", "Oddity"]


def _leaves(kind: type[TokenError]) -> dict[str, type[TokenError]]:
    found = {kind.code: kind}
    for child in kind.__subclasses__():
        found.update(_leaves(child))
    return found


ERRORS = _leaves(TokenError)
"""Every reason to refuse a request, by its code."""


class Entry(NamedTuple):
    """A hostile or malformed token.

    Attributes:
        name: Short and unique.
        items: The numbers of the security checklist that it belongs to, divided by commas.
        token: As offered.
        code: Of the error that it must be refused with.
        wrong: What is wrong with it.
        issuer: The name of the configuration that it is offered to.
        type: The type of token that is wanted there.
        signed: Whether framing, header and signature are in order, so that only the claims can refuse it.
    """

    name: str
    items: str
    token: str | bytes
    code: str
    wrong: str
    issuer: str = "hs256"
    type: str = "access"
    signed: bool = False


class Oddity(NamedTuple):
    """A token that looks unusual and is valid.

    Attributes:
        name: Short and unique.
        items: As for an `Entry`: the rule on whose right side it stands.
        token: As offered.
        why: What allows it.
        issuer: As for an `Entry`.
        type: As for an `Entry`.
        identity: Whom it speaks for.
    """

    name: str
    items: str
    token: str | bytes
    why: str
    issuer: str = "hs256"
    type: str = "access"
    identity: Any = "alice"
