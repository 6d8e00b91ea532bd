"""A connection that ends with its tokens: when it ends, and why. Its subclasses say how."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.state import RequestAuth, find_request_auth
from asgi_jwt_claims.errors import ExpiredTokenError, RevokedTokenError, TokenError
from asgi_jwt_claims.stores.base import RevocationFeed
from asgi_jwt_claims.tokens.claims import valid_until
from asgi_jwt_claims.tokens.digests import digests_of

from .registry import current_registry
from .states import OPEN, PENDING, TRANSITIONS, Event

if TYPE_CHECKING:
    from asgi_jwt_claims.auth.grant import HeldToken

    from .registry import ConnectionRegistry, DeadlineQueue

__all__ = ["Connection"]


class Connection(ABC):
    """A connection, made when the middleware has authenticated the request, with the outcome of that.

    Attributes:
        state: The state in the table of `states`.
        error: Why it ends or has ended. None in any state but `ENDING` and `ENDED`.
        slot: The queue and the tick in which it waits for its deadline.
        digests: The digests that a revocation of its tokens can have, while it is watched.
    """

    __slots__ = (
        "_auths",
        "_clock",
        "_ends_at",
        "_first",
        "_home",
        "_registry",
        "_scope",
        "digests",
        "error",
        "slot",
        "state",
    )

    def __init__(self, scope: MutableMapping[str, Any], auth: RequestAuth | None = None) -> None:
        self._scope = scope
        # An inner middleware may put its own into the scope.
        self._first = auth or find_request_auth(scope)
        self._auths: tuple[RequestAuth, ...] = ()
        self._ends_at = math.inf
        self._clock: Callable[[], float] = time.time
        self._home: ConnectionRegistry | None = None
        self._registry: ConnectionRegistry | None = None
        self.state = PENDING
        self.error: TokenError | None = None
        self.slot: tuple[DeadlineQueue, int] | None = None
        self.digests: tuple[bytes, ...] = ()

    def open(self) -> None:
        """Watch the connection from now on, unless a guard lets it outlive its token."""
        tokens = self._held()
        if not all(held.end_with_token for held in tokens):
            self.close()
            return
        self._move(Event.OPENS)
        self._home = current_registry()
        found = dict.fromkeys((self._first, find_request_auth(self._scope)))
        self._auths = tuple([auth for auth in found if auth is not None])
        for auth in self._auths:
            auth.attach(self)
        self._watch(tokens)
        # Only now, since a revocation may have come from another thread before the feed had this listener.
        if any(map(_is_revoked, tokens)):
            self._end_with(RevokedTokenError())

    def close(self) -> None:
        """Leave the connection alone from now on; one that is ending still ends."""
        self._move(Event.CLOSES)

    def renew(self) -> None:
        """See `OpenConnection`; from a thread that has no event loop, soon."""
        if self._home is not None and not self._home.is_here:
            self._home.call_soon(self.renew)
        elif self.state is OPEN:
            self._watch(self._held())
            self.recheck()

    def unwatch(self) -> None:
        """Take the connection out of the registry, if it is there."""
        if self._registry is not None:
            self._ends_at = math.inf
            self._registry.remove(self)
            self._registry = None

    def detach(self) -> None:
        """Drop every reference to the connection: the application has returned."""
        self.close()
        for auth in self._auths:
            auth.detach(self)
        self._auths = ()

    def expire(self) -> None:
        """End the connection at its deadline; watch it again if its clock was set back in the meantime."""
        if self.is_over:
            self.end_soon()
        else:
            self._watch(self._held())

    def recheck(self) -> None:
        """End the connection if the store knows locally that one of its tokens is revoked."""
        if self._registry is not None and any(map(_is_revoked, self._held())):
            self._end_with(RevokedTokenError())
            self.end_soon()

    @property
    def is_over(self) -> bool:
        """Whether a token has ended, as the store or the clock, read at this moment, has it."""
        if self._ends_at != math.inf and not self._clock() < self._ends_at:
            self._end_with(ExpiredTokenError())
        return self.error is not None

    @abstractmethod
    def end_soon(self) -> None:
        """Let the end be sent, without waiting for it."""

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS.get((self.state, event), self.state)
        if self._registry is not None and self.state is not OPEN:
            self.unwatch()

    def _end_with(self, error: TokenError) -> None:
        self._move(Event.TOKEN_ENDS)
        self.error = error

    def _held(self) -> list[HeldToken]:
        """Return the tokens that let the connection in; those of a middleware further in, too, if that shares its scope."""
        first, scope = self._first, self._scope
        grants = [] if first is None else first.grants_for(scope)
        if scope.get(SCOPE_KEY) is not first and (inner := find_request_auth(scope)) is not None:
            grants += [grant for grant in inner.grants_for(scope) if grant not in grants]
        return [held for grant in grants if (held := grant.held()) is not None]

    def _watch(self, tokens: Iterable[HeldToken]) -> None:
        self.unwatch()
        feeds, digests = set[RevocationFeed](), set[bytes]()
        for token, config, store, ends, checks in tokens:
            if not ends:
                continue
            until = valid_until(token, config)
            if until is not None and until < self._ends_at:
                self._ends_at, self._clock = until, config.clock
            feed = None if store is None else store.feed
            if feed is not None and checks:
                feeds.add(feed)
                digests.update(digest for digest in digests_of(token, config)[:3] if digest)
        if feeds or self._ends_at != math.inf:
            self.digests = tuple(digests)
            self._registry = self._home = self._home or current_registry()
            self._registry.add(self, self._ends_at, self._clock, feeds)


def _is_revoked(held: HeldToken) -> bool:
    if held.store is None or not held.check_revocation:
        return False
    return held.store.is_revoked_locally(held.token, held.config) is True
