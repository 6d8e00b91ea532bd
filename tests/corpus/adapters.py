"""Define what an adapter of the corpus is, and those that are functions.

An adapter is a way in which a token can be offered. To point the corpus at a new one, write a class with the four members
of `Adapter` (most take `asgi.HeaderAdapter` as it is and add `open`), and hand an instance to `runner.run`.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple, Protocol, TypeAlias

from asgi_jwt_claims import TokenError, verify_token
from asgi_jwt_claims.tokens import verify_jws
from tests.corpus.entries import ERRORS, Entry, Oddity
from tests.corpus.issuers import Issuer

__all__ = [
    "Adapter",
    "Core",
    "Credentials",
    "Offer",
    "SignatureStep",
    "Verdict",
    "at_the_core",
    "expected",
    "on_the_wire",
]

Credentials: TypeAlias = Entry | Oddity


class Verdict(NamedTuple):
    """What an adapter did with a token.

    Attributes:
        status: The HTTP status, or the close code of a websocket that could not be told more; 200 for acceptance.
        identity: Whom the application took the token for.
        phrase: Why it was refused, as the client reads it.
        code: The same as a code, where that can be seen.
    """

    status: int
    identity: Any = None
    phrase: str | None = None
    code: str | None = None


Offer: TypeAlias = Callable[[Credentials], Awaitable[Verdict]]


class Adapter(Protocol):
    """A way in which tokens are offered.

    Attributes:
        name: For messages.
    """

    name: str

    def takes(self, entry: Credentials) -> bool:
        """Whether this token can be offered here at all."""
        ...

    def expects(self, entry: Credentials) -> Verdict:
        """What has to become of it here."""
        ...

    def open(self, issuer: Issuer) -> AbstractAsyncContextManager[Offer]:
        """An application with the issuer's configuration; the value offers one token at a time."""
        ...


def on_the_wire(token: str | bytes) -> bytes:
    """The bytes that a client would send."""
    return token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass")


def expected(entry: Credentials) -> Verdict:
    """What has to become of a token, seen from the core."""
    if isinstance(entry, Oddity):
        return Verdict(200, entry.identity)
    error = ERRORS[entry.code]
    return Verdict(error.status, None, error.description, error.code)


class Core:
    """`verify_token`."""

    name = "core"

    def takes(self, entry: Credentials) -> bool:
        """See `Adapter`."""
        return True

    def expects(self, entry: Credentials) -> Verdict:
        """See `Adapter`."""
        return expected(entry)

    @asynccontextmanager
    async def open(self, issuer: Issuer) -> AsyncIterator[Offer]:
        """See `Adapter`."""

        async def offer(entry: Credentials) -> Verdict:
            return at_the_core(entry, issuer)

        yield offer


def at_the_core(entry: Credentials, issuer: Issuer) -> Verdict:
    """What `verify_token` makes of a token."""
    try:
        return Verdict(200, verify_token(entry.token, issuer.config, type=entry.type).identity)
    except TokenError as error:
        return Verdict(error.status, None, str(error), error.code)


class SignatureStep(Core):
    """`verify_jws`: framing, header, key and signature, and no claim. What it returns is the payload as it was signed."""

    name = "signature step"

    def expects(self, entry: Credentials) -> Verdict:
        """See `Adapter`."""
        if isinstance(entry, Entry) and not entry.signed:
            return expected(entry)
        payload = on_the_wire(entry.token).split(b".")[1]
        return Verdict(200, base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))

    @asynccontextmanager
    async def open(self, issuer: Issuer) -> AsyncIterator[Offer]:
        """See `Adapter`."""

        async def offer(entry: Credentials) -> Verdict:
            try:
                _, payload = verify_jws(entry.token, issuer.config.keys)
            except TokenError as error:
                return Verdict(error.status, None, str(error), error.code)
            return Verdict(200, payload)

        yield offer
