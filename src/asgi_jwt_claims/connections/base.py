"""A connection that ends with its tokens: when it ends, and why. Its subclasses say how."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.auth.request import Outcome, outcome_of, outcomes_from
from asgi_jwt_claims.errors import ExpiredTokenError, RevokedTokenError, TokenError
from asgi_jwt_claims.stores.base import RevocationFeed
from asgi_jwt_claims.tokens.claims import valid_until
from asgi_jwt_claims.tokens.digests import digests_of

from .registry import current_registry
from .states import OPEN, PENDING, TRANSITIONS, Event

if TYPE_CHECKING:
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
        "_clock",
        "_ends_at",
        "_first",
        "_home",
        "_outcomes",
        "_registry",
        "_scope",
        "digests",
        "error",
        "slot",
        "state",
    )

    def __init__(self, scope: MutableMapping[str, Any], outcome: Outcome | None = None) -> None:
        self._scope = scope
        # An inner middleware may put its own outcome into the scope.
        self._first = outcome or outcome_of(scope)
        self._outcomes: tuple[Outcome, ...] = ()
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
        found = dict.fromkeys((*outcomes_from(self._first), *outcomes_from(outcome_of(self._scope))))
        outcomes = self._own(found)
        if not all(outcome.end_with_token for outcome in outcomes):
            self.close()
            return
        self._move(Event.OPENS)
        self._home = current_registry()
        for outcome in outcomes:
            self.join(outcome)
        self._watch()
        # Only now, since a revocation may have come from another thread before the feed had this listener.
        if any(map(_is_revoked, outcomes)):
            self._end_with(RevokedTokenError())

    def close(self) -> None:
        """Leave the connection alone from now on; one that is ending still ends."""
        self._move(Event.CLOSES)

    def renew(self) -> None:
        """See `Renewable`; from a thread that has no event loop, soon."""
        if self._home is not None and not self._home.is_here:
            self._home.call_soon(self.renew)
        elif self.state is OPEN:
            self._watch()
            self.recheck()

    def join(self, outcome: Outcome) -> None:
        """See `Renewable`."""
        self._outcomes = (*self._outcomes, outcome)
        outcome.connections = (*outcome.connections, self)

    def unwatch(self) -> None:
        """Take the connection out of the registry, if it is there."""
        if self._registry is not None:
            self._ends_at = math.inf
            self._registry.remove(self)
            self._registry = None

    def detach(self) -> None:
        """Drop every reference to the connection: the application has returned."""
        self.close()
        for outcome in self._outcomes:
            outcome.connections = tuple(one for one in outcome.connections if one is not self)
        self._outcomes = ()

    def expire(self) -> None:
        """End the connection at its deadline; watch it again if its clock was set back in the meantime."""
        if self.is_over:
            self.end_soon()
        else:
            self._watch()

    def recheck(self) -> None:
        """End the connection if the store knows locally that one of its tokens is revoked."""
        if self._registry is not None and any(map(_is_revoked, self._own(self._outcomes))):
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

    def _own(self, outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
        """Those of this scope; others were found in copies of it, for other requests."""
        return tuple([outcome for outcome in outcomes if outcome is self._first or outcome.is_of(self._scope)])

    def _watch(self) -> None:
        self.unwatch()
        feeds, digests = set[RevocationFeed](), set[bytes]()
        for outcome in self._own(self._outcomes):
            token, config = outcome.held, outcome.config
            if token is None or config is None or not outcome.end_with_token:
                continue
            until = valid_until(token, config)
            if until is not None and until < self._ends_at:
                self._ends_at, self._clock = until, config.clock
            feed = None if outcome.store is None else outcome.store.feed
            if feed is not None and outcome.heeds_revocation:
                feeds.add(feed)
                digests.update(digest for digest in digests_of(token, config)[:3] if digest)
        if feeds or self._ends_at != math.inf:
            self.digests = tuple(digests)
            self._registry = self._home = self._home or current_registry()
            self._registry.add(self, self._ends_at, self._clock, feeds)


def _is_revoked(outcome: Outcome) -> bool:
    if outcome.store is None or outcome.held is None or outcome.config is None or not outcome.heeds_revocation:
        return False
    return outcome.store.is_revoked_locally(outcome.held, outcome.config) is True
