"""A connection that ends with its token: when that is, and who hears of it. How it ends is for each kind to say."""

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

from .registry import connections_here

if TYPE_CHECKING:
    from .registry import Connections, Schedule

__all__ = ["Connection"]


class Connection(ABC):
    """An open connection, as far as its end goes. Made when the middleware has examined the request.

    Args:
        scope: The scope of the request.
        outcome: That of the middleware; None: it stands in the scope.

    Attributes:
        error: Why it has to end, or has ended; None: it has not.
        place: Where it waits for the end of its token.
        digests: By what revocations its tokens are known, while the connection listens to any.
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
        "place",
    )

    def __init__(self, scope: MutableMapping[str, Any], outcome: Outcome | None = None) -> None:
        self._scope = scope
        # Another middleware further in may put its own outcome into the scope.
        self._first = outcome or outcome_of(scope)
        self._outcomes: tuple[Outcome, ...] = ()
        self._ends_at = math.inf
        self._clock: Callable[[], float] = time.time
        self._home: Connections | None = None
        self._registry: Connections | None = None
        self.error: TokenError | None = None
        self.place: tuple[Schedule, int] | None = None
        self.digests: tuple[bytes, ...] = ()

    def begin(self) -> None:
        """From now on the connection is open: watch it, if it has a token to end with."""
        found = dict.fromkeys((*outcomes_from(self._first), *outcomes_from(outcome_of(self._scope))))
        outcomes = self._own(found)
        if not all(outcome.end_with_token for outcome in outcomes):
            return
        self._home = connections_here()
        self._outcomes = outcomes
        for outcome in outcomes:
            outcome.connections = (*outcome.connections, self)
        self._watch()
        # Only now, since a revocation may have come from another thread before anybody listened.
        if any(map(_is_revoked, outcomes)):
            self.error = RevokedTokenError()
            self.release()

    def renew(self) -> None:
        """See `Renewable`; from a thread that has no event loop, soon."""
        if self._home is not None and not self._home.is_here:
            self._home.call(self.renew)
            return
        self._watch()
        self.recheck()

    def join(self, outcome: Outcome) -> None:
        """See `Renewable`."""
        self._outcomes = (*self._outcomes, outcome)
        outcome.connections = (*outcome.connections, self)

    def release(self) -> None:
        """The connection has ended, or is going to be watched in another way. Harmless when it is not watched."""
        if self._registry is not None:
            self._ends_at = math.inf
            self._registry.remove(self)
            self._registry = None

    def leave(self) -> None:
        """The application has done with the connection: nothing refers to it any more."""
        self.release()
        for outcome in self._outcomes:
            outcome.connections = tuple(one for one in outcome.connections if one is not self)
        self._outcomes = ()

    def expire(self) -> None:
        """End, if the token has; the clock decides, which may have been set in the meantime."""
        if self.is_over:
            self.end(self.error or ExpiredTokenError())
        else:
            self._watch()

    def recheck(self) -> None:
        """End, if a token is known to be revoked."""
        if self._registry is not None and any(map(_is_revoked, self._own(self._outcomes))):
            self.end(RevokedTokenError())

    @property
    def is_over(self) -> bool:
        """Whether its time is over."""
        if self.error is None and self._ends_at != math.inf and not self._clock() < self._ends_at:
            self.error = ExpiredTokenError()
        return self.error is not None

    @abstractmethod
    def end(self, error: TokenError) -> None:
        """Bring about the end, without waiting for it."""

    def _own(self, outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
        """Those by whose tokens the connection goes; others have been found in copies of its scope, for other requests."""
        return tuple([outcome for outcome in outcomes if outcome is self._first or outcome.is_of(self._scope)])

    def _watch(self) -> None:
        self.release()
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
                digests.update(mark for mark in digests_of(token, config)[:3] if mark)
        if feeds or self._ends_at != math.inf:
            self.digests = tuple(digests)
            self._registry = self._home = self._home or connections_here()
            self._registry.add(self, self._ends_at, self._clock, feeds)


def _is_revoked(outcome: Outcome) -> bool:
    if outcome.store is None or outcome.held is None or outcome.config is None or not outcome.heeds_revocation:
        return False
    return outcome.store.is_revoked_locally(outcome.held, outcome.config) is True
