"""What a store of revocations and sessions does: the contract that every one of them keeps.

Two kinds of thing are kept. *Revocations* only ever grow until the tokens they are about have expired; to hear of one
twice, or late, changes nothing. A *session* is the state of one session of refresh tokens: it is replaced as a whole,
and only by whoever has seen the state it replaces. Every rule about tokens stands elsewhere, once, for all stores.

Nothing here is a token or can be turned into one: stores know tokens, sessions and identities by digests.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from asgi_jwt_claims.errors import StoreUnavailableError

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.tokens.token import Token

from asgi_jwt_claims.tokens.digests import Kind, TokenDigests, digests_of

__all__ = ["PAGE", "Revocation", "RevocationFeed", "SessionRecord", "TokenStore", "is_digest_revoked", "is_of_session"]

PAGE: Final = 500
"""How many sessions are read at once."""


class Revocation(NamedTuple):
    """One revocation.

    Attributes:
        kind: What is revoked.
        digest: Whose digest.
        until: When the last token that this is about will have expired, in seconds since the epoch; infinity: never.
        cutoff: For an identity: tokens issued then or before are revoked. 0 otherwise.
    """

    kind: Kind
    digest: bytes
    until: float
    cutoff: float = 0.0


class SessionRecord(NamedTuple):
    """The state of one session of refresh tokens.

    Attributes:
        session: The digest of the session.
        identity: The digest of the identity.
        session_id: The session as it stands in the tokens, for a list of sessions.
        current: The digest of the refresh token that has not been used.
        previous: The digest of the one before; empty at first.
        previous_used_at: When that was used, in seconds since the epoch.
        response: The answer it was used for, sealed so that only who has the token can open it.
        response_until: When a store has forgotten `response`, in seconds since the epoch.
        started_at: When the login was.
        refreshed_at: When the session was last refreshed.
        expires_at: When it ends by itself.
        label: What the application called it; empty when it did not.
        access_expires_at: When the last of its access tokens expires, in seconds since the epoch; infinity: never; 0: not
            known.
        audience: The audience granted at login, as compact JSON: a str, or a list of str. Empty: the configuration's own.
        repeats: How many rotations in a row were each followed by a repeat of the token that they spent.
        was_repeated: Whether `previous` has been sent again within the grace.
        has_ended: Whether the session was ended. Such a record is kept until `expires_at`, so that the refresh token is
            refused for as long as it lives.
    """

    session: bytes
    identity: bytes
    session_id: str
    current: bytes
    previous: bytes
    previous_used_at: float
    response: bytes
    response_until: float
    started_at: float
    refreshed_at: float
    expires_at: float
    label: str
    access_expires_at: float = 0.0
    audience: str = ""
    repeats: int = 0
    was_repeated: bool = False
    has_ended: bool = False


Listener: TypeAlias = Callable[[Collection[Revocation]], None]
"""What is told of revocations, in whatever thread they become known. Must not raise, nor take long."""


class RevocationFeed:
    """Who wants to know at once what is revoked: connections that are open."""

    __slots__ = ("_listeners", "_lock")

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()  # event loops in several threads may share a store

    def subscribe(self, listener: Listener) -> None:
        """Tell `listener` from now on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def unsubscribe(self, listener: Listener) -> None:
        """Tell `listener` no longer."""
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one != listener)

    def publish(self, revocations: Collection[Revocation]) -> None:
        """Tell everybody of what has become known here."""
        for listener in self._listeners:
            listener(revocations)


class TokenStore(ABC):
    """A place for revocations and sessions. Subclass it for one of your own, and run `StoreContract` of
    `asgi_jwt_claims.testing` against it.

    Every method may raise `StoreUnavailableError`, and nothing else, when the place cannot be reached. What returned
    without an error is kept, and is seen by every process from then on.
    """  # noqa: D205 -- the name of the contract belongs into the first sentence

    __slots__ = ()

    @property
    def feed(self) -> RevocationFeed | None:
        """Told of every revocation as soon as it is known in this process; None: the store has no way to hear of any.

        A store that has one overrides `is_revoked_locally`, which is asked about the tokens of the connections that are open.
        """
        return None

    @abstractmethod
    async def is_revoked(self, digests: TokenDigests) -> bool:
        """Whether a token is revoked: it, its session, or its identity as of when it was issued."""

    @abstractmethod
    async def revoke(self, revocations: Collection[Revocation]) -> None:
        """Remember revocations, each until its `until` and no longer.

        Of two for the same digest the later `until` and the later `cutoff` count.
        """

    @abstractmethod
    async def cutoff(self, identity: bytes) -> float:
        """Up to when tokens of an identity are revoked, in seconds since the epoch; 0 when none are."""

    @abstractmethod
    async def session(self, session: bytes) -> SessionRecord | None:
        """The session with this digest, ended or not; None when there is none, or its `expires_at` has passed."""

    @abstractmethod
    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = PAGE) -> list[SessionRecord]:
        """A page of the live sessions of an identity: those that have not ended and whose `expires_at` has not passed.

        Args:
            identity: Whose.
            after: Only sessions whose `session` is greater; for the next page, the `session` of the last one.
            limit: How many at most.

        Returns:
            The sessions in ascending order of `session`. A page that is shorter than `limit` is the last.
        """

    @abstractmethod
    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        """Replace the state of a session, if it is still what the caller has seen; atomic, across processes.

        Args:
            session: Which session.
            current: The `current` of the state to replace; empty: there must be none yet.
            record: The new state.

        Returns:
            Whether it was replaced; False: `current` is no longer what it was.
        """

    def is_revoked_locally(self, token: Token, config: JWTConfig) -> bool | None:  # noqa: ARG002 -- for those that do know
        """Whether `token` is revoked, if that can be said without waiting; None: it cannot, `check` can."""
        return None

    async def check(self, token: Token, config: JWTConfig) -> bool:
        """Whether `token` is revoked, or is a refresh token whose session has ended.

        Raises:
            StoreUnavailableError: The store could not be asked.
        """
        digests = digests_of(token, config)
        if await is_digest_revoked(self, digests):
            return True
        if not is_of_session(token):
            return False
        record = await self.session(digests.session)
        return record is None or record.has_ended

    async def run(self) -> None:  # noqa: B027 -- most have nothing to do
        """Whatever has to be done in the background, for as long as the application runs; until cancelled."""

    async def aclose(self) -> None:  # noqa: B027 -- most have nothing to close
        """Let go of connections and files. The store can still be used, and opens them again."""


async def is_digest_revoked(store: TokenStore, digests: TokenDigests) -> bool:
    """Whether the store says that one of the digests is revoked.

    Raises:
        StoreUnavailableError: The store could not be asked, or its answer is neither yes nor no.
    """
    revoked: Any = await store.is_revoked(digests)
    if revoked is not True and revoked is not False:
        raise StoreUnavailableError(reason=f"is_revoked returned {type(revoked).__name__}")
    return revoked


def is_of_session(token: Token) -> bool:
    """Whether only the record of its session says for how long the token counts.

    The digest of an ended session is kept for as long as its access tokens live, and its refresh tokens live longer.
    """
    return token.type == "refresh" and token.session_id is not None
