"""`TokenStore`, the contract of every store of revocations and sessions.

A *revocation* is kept until the tokens that it is about have expired; to add one twice, or late, changes nothing. A
*session* is the state of one login; it is replaced as a whole, and only by a caller that has seen the state it replaces.
A store knows tokens, sessions and identities by digests of 16 bytes, and never holds a token.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from asgi_jwt_claims.errors import StoreUnavailableError
from asgi_jwt_claims.tokens.digests import Kind, TokenDigests, digests_of

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.tokens.token import Token

__all__ = [
    "PAGE",
    "Revocation",
    "RevocationFeed",
    "SessionRecord",
    "TokenDigests",
    "TokenStore",
    "ask",
    "checked_answer",
    "is_of_session",
]

PAGE: Final = 500  # sessions, unless the caller sets a limit


class Revocation(NamedTuple):
    """A token, a session or an identity that is revoked. Times are seconds since the epoch.

    Attributes:
        kind: What is revoked.
        digest: The digest of what is revoked.
        until: When the last of its tokens has expired; infinity if one of them never expires.
        cutoff: For an identity, the time up to which its tokens are revoked: those issued then or before. 0 otherwise.
    """

    kind: Kind
    digest: bytes
    until: float
    cutoff: float = 0.0


class SessionRecord(NamedTuple):
    """The state of one session. Times are seconds since the epoch.

    Attributes:
        session: The digest of `session_id`, by which stores find the session.
        identity: The digest of the identity.
        session_id: The session's name in its tokens, shown in the list of sessions.
        current: The digest of the refresh token that has not been used yet.
        previous: The digest of the refresh token before that; empty until the first rotation.
        previous_used_at: When `previous` was used.
        response: What the client got for `previous`, encrypted with a key that is derived from that token.
        response_until: When a store drops `response`.
        started_at: When the user logged in.
        refreshed_at: When the session was last refreshed.
        expires_at: When the session ends unless it is refreshed.
        label: The application's name for the session; empty if it has none.
        access_expires_at: When the last of its access tokens expires: infinity if one never does, 0 if this is unknown.
        audience: The audience granted at login, as compact JSON of a str or a list of str; empty for the configuration's.
        repeats: How many rotations in a row were each followed by a repeat of the token that they used.
        was_repeated: Whether `previous` was sent again within the grace.
        has_ended: Whether the session was ended. Its record is kept until `expires_at`, so that its refresh token is
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
"""A function that gets revocations in the thread in which they become known. It must neither raise nor take long."""


class RevocationFeed:
    """Listeners, such as open connections, that get each revocation at once."""

    __slots__ = ("_listeners", "_lock")

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()  # event loops in several threads may share a store

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with all revocations from now on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def unsubscribe(self, listener: Listener) -> None:
        """Stop calling `listener`."""
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one != listener)

    def publish(self, revocations: Collection[Revocation]) -> None:
        """Call every listener with `revocations`."""
        for listener in self._listeners:
            listener(revocations)


class TokenStore(ABC):
    """A store of revocations and sessions.

    To write one, subclass this and run `StoreContract` of `asgi_jwt_claims.testing` against it. A method that cannot
    reach its data raises `StoreUnavailableError`, and nothing else. Once a write has returned, it is kept, and every
    process sees it.
    """

    __slots__ = ()

    @property
    def feed(self) -> RevocationFeed | None:
        """The feed of the revocations that this process learns of; None if the store cannot learn of them.

        A store with a feed also overrides `is_revoked_locally`, by which open connections check their tokens.
        """
        return None

    @abstractmethod
    async def is_revoked(self, digests: TokenDigests) -> bool:
        """Whether a token is revoked, be it by itself, with its session, or with its identity at or after its issue."""

    @abstractmethod
    async def revoke(self, revocations: Collection[Revocation]) -> None:
        """Keep each revocation until its `until`. Of two for one digest, the later `until` and `cutoff` count."""

    @abstractmethod
    async def cutoff(self, identity: bytes) -> float:
        """The time up to which tokens of an identity are revoked, in seconds since the epoch; 0 if none are."""

    @abstractmethod
    async def session(self, session: bytes) -> SessionRecord | None:
        """The state of the session with this digest, ended or not; None if there is none, or it has expired."""

    @abstractmethod
    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = PAGE) -> list[SessionRecord]:
        """A page of the sessions of an identity that have neither ended nor expired, in ascending order of their digests.

        Args:
            identity: The digest of the identity.
            after: The digest that the page begins after: that of the last session of the page before.
            limit: How many sessions the page has at most; a shorter page is the last.
        """

    @abstractmethod
    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        """Replace the state of a session, and return whether it was still what the caller has seen.

        Atomic, also across processes.

        Args:
            session: The digest of the session.
            current: The `current` of the state to replace; empty if the session must not exist yet.
            record: The new state.
        """

    def is_revoked_locally(self, token: Token, config: JWTConfig) -> bool | None:  # noqa: ARG002 -- for stores that know
        """Whether `token` is revoked, as far as this process knows; None if only `check` can say."""
        return None

    async def check(self, token: Token, config: JWTConfig) -> bool:
        """Whether `token` is revoked, or is a refresh token whose session has ended or is unknown here."""
        digests = digests_of(token, config)
        if checked_answer(await self.is_revoked(digests)):
            return True
        if not is_of_session(token):
            return False
        record = await self.session(digests.session)
        return record is None or record.has_ended

    async def run(self) -> None:  # noqa: B027 -- most have nothing to do
        """Do the store's work in the background while the application runs, until cancelled."""

    async def aclose(self) -> None:  # noqa: B027 -- most have nothing to close
        """Close connections and files. The store can still be used, and opens them again."""


def ask(store: TokenStore, token: Token, config: JWTConfig) -> Awaitable[object]:
    """Ask what `TokenStore.check` asks, in fewer coroutines. The caller must take only True and False for an answer."""
    if type(store).check is TokenStore.check:
        digests = digests_of(token, config)
        if not digests.session or token.type != "refresh":  # as `is_of_session`
            return store.is_revoked(digests)
    return store.check(token, config)


def checked_answer(revoked: object) -> bool:
    """Return the answer of `TokenStore.is_revoked`. One that is no bool counts as none."""
    if revoked is not True and revoked is not False:
        raise StoreUnavailableError(reason=f"is_revoked returned {type(revoked).__name__}")
    return revoked


def is_of_session(token: Token) -> bool:
    """Whether `token` is a refresh token of a session, so that the session's record has to be read.

    The revocation of an ended session is kept while its access tokens live, and its refresh tokens live longer.
    """
    return token.type == "refresh" and token.session_id is not None
