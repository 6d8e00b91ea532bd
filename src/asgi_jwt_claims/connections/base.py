"""A connection that ends with its tokens, or for lack of one: when it ends, and why. Its subclasses say how."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.state import find_request_auth
from asgi_jwt_claims.errors import ExpiredTokenError, MissingTokenError, RevokedTokenError
from asgi_jwt_claims.tokens.claims import valid_until
from asgi_jwt_claims.tokens.digests import digests_of

from .registry import current_registry
from .states import OPEN, PENDING, TRANSITIONS, WAITING, Event

if TYPE_CHECKING:
    from asgi_jwt_claims.auth.grant import HeldToken
    from asgi_jwt_claims.auth.state import RequestAuth
    from asgi_jwt_claims.errors import TokenError
    from asgi_jwt_claims.stores.base import RevocationFeed

    from .registry import ConnectionRegistry, DeadlineQueue

__all__ = ["Connection"]

_NEVER: tuple[float, Callable[[], float]] = (math.inf, time.time)  # when, by which clock


class Connection(ABC):
    """A connection, made when the middleware has authenticated the request; `auth` is the result.

    Attributes:
        state: The state in the table of `states`.
        error: Why it ends or has ended. None in any state but `ENDING` and `ENDED`.
        slot: The queue and the tick in which it waits for its deadline.
        digests: The digests that a revocation of its tokens can have, while it is watched.
    """

    __slots__ = (
        "_adopt_by",
        "_auth",
        "_auths",
        "_deadline",
        "_home",
        "_registry",
        "_scope",
        "digests",
        "error",
        "slot",
        "state",
    )

    _adopt_by: float  # in `WAITING`, by the monotonic clock
    _home: ConnectionRegistry  # from `open` on

    def __init__(self, scope: MutableMapping[str, Any], auth: RequestAuth | None = None) -> None:
        self._scope = scope
        self._auth: RequestAuth = auth or scope[SCOPE_KEY]
        self._auths: tuple[RequestAuth, ...] = ()
        self._deadline = _NEVER
        self._registry: ConnectionRegistry | None = None
        self.state = PENDING
        self.error: TokenError | None = None
        self.slot: tuple[DeadlineQueue, int] | None = None
        self.digests: tuple[bytes, ...] = ()

    def open(self, adopt_within: float | None = None) -> None:
        """Watch the connection from now on, unless a guard lets it outlive its token.

        One without a token has to adopt one within `adopt_within` seconds, if that is not None.
        """
        tokens = self._held()
        if False in [held.end_with_token for held in tokens]:
            self.close()
            return
        if adopt_within is None or tokens:
            self._move(Event.OPENS)
        else:
            self._move(Event.WAITS)
            self._adopt_by = monotonic() + adopt_within
        self._home = current_registry()
        self._auths = self._find_auths()
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
        if not self._home.is_here:
            self._home.call_soon(self.renew)
        elif self.is_open:
            self._watch(self._held())
            self.recheck()

    def unwatch(self) -> None:
        """Take the connection out of the registry, if it is there."""
        if self._registry is not None:
            self._deadline = _NEVER
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
    def is_open(self) -> bool:
        """See `OpenConnection`."""
        return self.state is OPEN or self.state is WAITING

    @property
    def is_over(self) -> bool:
        """Whether a token, or the time for one, has ended, as the store or the clock, read at this moment, has it."""
        ends_at, clock = self._deadline
        if ends_at != math.inf and not clock() < ends_at:
            self._end_with(MissingTokenError() if self.state is WAITING else ExpiredTokenError())
        return self.error is not None

    @property
    def reason(self) -> str:
        """What the client is told of `error`."""
        return "" if self.error is None else self.error.description

    @abstractmethod
    def end_soon(self) -> None:
        """Let the end be sent, without waiting for it."""

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS.get((self.state, event), self.state)
        if self._registry is not None and not self.is_open:
            self.unwatch()

    def _end_with(self, error: TokenError) -> None:
        self._move(Event.TIME_IS_UP if self.state is WAITING else Event.TOKEN_ENDS)
        self.error = error

    def _find_auths(self) -> tuple[RequestAuth, ...]:
        """The `RequestAuth` of the middleware; that of a middleware further in, too, if that shares its scope."""
        inner = find_request_auth(self._scope)
        return (self._auth,) if inner is None or inner is self._auth else (self._auth, inner)

    def _held(self) -> list[HeldToken]:
        """The tokens that let the connection in."""
        grants = [grant for auth in self._find_auths() for grant in auth.grants_for(self._scope)]
        return [held for grant in grants if (held := grant.held()) is not None]

    def _watch(self, tokens: list[HeldToken]) -> None:
        self.unwatch()
        if tokens:
            self._move(Event.TOKEN_COMES)
        elif self.state is WAITING:
            self._deadline = self._adopt_by, monotonic
        else:
            return
        feeds: set[RevocationFeed] = set()
        digests: set[bytes] = set()
        for token, config, store, ends, checks in tokens:
            if not ends:
                continue
            until = valid_until(token, config)
            if until is not None and until < self._deadline[0]:
                self._deadline = until, config.clock
            feed = None if store is None else store.feed
            if feed is not None and checks:
                feeds.add(feed)
                digests.update(digest for digest in digests_of(token, config)[:3] if digest)
        if feeds or self._deadline is not _NEVER:
            self.digests = tuple(digests)
            self._registry = self._home
            self._registry.add(self, *self._deadline, feeds)


def _is_revoked(held: HeldToken) -> bool:
    if held.store is None or not held.check_revocation:
        return False
    return held.store.is_revoked_locally(held.token, held.config) is True
