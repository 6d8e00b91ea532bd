"""A connection that ends with its token: when that is, and who hears of it. How it ends is for each kind to say."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.state import RequestAuth, find_request_auth
from asgi_jwt_claims.errors import ExpiredTokenError, RevokedTokenError, TokenError
from asgi_jwt_claims.stores.base import RevocationFeed
from asgi_jwt_claims.tokens.claims import valid_until
from asgi_jwt_claims.tokens.digests import digests_of

from .registry import connections_here

if TYPE_CHECKING:
    from asgi_jwt_claims.auth.grant import HeldToken

    from .registry import Connections, Schedule

__all__ = ["Connection"]


class Connection(ABC):
    """An open connection, as far as its end goes. Made when the middleware has examined the request.

    Args:
        scope: The scope of the request.
        auth: The `RequestAuth` of the middleware; None: it stands in the scope.

    Attributes:
        error: Why it has to end, or has ended; None: it has not.
        place: Where it waits for the end of its token.
        digests: By what revocations its tokens are known, while the connection listens to any.
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
        "place",
    )

    def __init__(self, scope: MutableMapping[str, Any], auth: RequestAuth | None = None) -> None:
        self._scope = scope
        # Another middleware further in may put its own into the scope.
        self._first = auth or find_request_auth(scope)
        self._auths: tuple[RequestAuth, ...] = ()
        self._ends_at = math.inf
        self._clock: Callable[[], float] = time.time
        self._home: Connections | None = None
        self._registry: Connections | None = None
        self.error: TokenError | None = None
        self.place: tuple[Schedule, int] | None = None
        self.digests: tuple[bytes, ...] = ()

    def begin(self) -> None:
        """From now on the connection is open: watch it, if it has a token to end with."""
        if not all(held.end_with_token for held in self._held()):
            return
        self._home = connections_here()
        inner = find_request_auth(self._scope)
        self._auths = tuple([auth for auth in (self._first, inner) if auth is not None])
        for auth in self._auths:
            auth.attach(self)
        self._watch()
        # Only now, since a revocation may have come from another thread before anybody listened.
        if any(map(_is_revoked, self._held())):
            self.error = RevokedTokenError()
            self.release()

    def renew(self) -> None:
        """See `OpenConnection`; from a thread that has no event loop, soon."""
        if self._home is not None and not self._home.is_here:
            self._home.call(self.renew)
            return
        self._watch()
        self.recheck()

    def release(self) -> None:
        """The connection has ended, or is going to be watched in another way. Harmless when it is not watched."""
        if self._registry is not None:
            self._ends_at = math.inf
            self._registry.remove(self)
            self._registry = None

    def leave(self) -> None:
        """The application has done with the connection: nothing refers to it any more."""
        self.release()
        for auth in self._auths:
            auth.detach(self)
        self._auths = ()

    def expire(self) -> None:
        """End, if the token has; the clock decides, which may have been set in the meantime."""
        if self.is_over:
            self.end(self.error or ExpiredTokenError())
        else:
            self._watch()

    def recheck(self) -> None:
        """End, if a token is known to be revoked."""
        if self._registry is not None and any(map(_is_revoked, self._held())):
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

    def _held(self) -> list[HeldToken]:
        """Return the tokens that let the connection in; those of a middleware further in, too, if that shares its scope."""
        first, scope = self._first, self._scope
        grants = [] if first is None else first.grants_for(scope)
        if scope.get(SCOPE_KEY) is not first and (inner := find_request_auth(scope)) is not None:
            grants += [grant for grant in inner.grants_for(scope) if grant not in grants]
        return [held for grant in grants if (held := grant.held()) is not None]

    def _watch(self) -> None:
        self.release()
        feeds, digests = set[RevocationFeed](), set[bytes]()
        for token, config, store, ends, checks in self._held():
            if not ends:
                continue
            until = valid_until(token, config)
            if until is not None and until < self._ends_at:
                self._ends_at, self._clock = until, config.clock
            feed = None if store is None else store.feed
            if feed is not None and checks:
                feeds.add(feed)
                digests.update(mark for mark in digests_of(token, config)[:3] if mark)
        if feeds or self._ends_at != math.inf:
            self.digests = tuple(digests)
            self._registry = self._home = self._home or connections_here()
            self._registry.add(self, self._ends_at, self._clock, feeds)


def _is_revoked(held: HeldToken) -> bool:
    if held.store is None or not held.check_revocation:
        return False
    return held.store.is_revoked_locally(held.token, held.config) is True
