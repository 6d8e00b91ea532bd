"""When to fetch: the times of one remote key set. Sans-IO: every question brings the time along, in monotonic seconds.

Two things are kept apart. Scheduled fetches (the first, the refresh ahead of time, the retry after a failure) follow
from the last success or failure alone. Fetches for unknown keys have a budget of their own, and a failed one among them
changes no time of the schedule; so whoever sends made-up keys can neither delay a refresh nor ask for many.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._policy import RefreshPolicy

__all__ = ["MAX_UNKNOWN_KIDS", "Schedule"]

MAX_UNKNOWN_KIDS = 256
"""How many unknown kids are remembered at most; the oldest are forgotten first."""

_MAX_DOUBLINGS = 32


class Schedule:
    """The times of one remote key set.

    Args:
        policy: How long things take.
        uniform: A random number between two, as `random.uniform`.

    Attributes:
        fetched_at: When the last fetch succeeded; None before the first.
        expires_at: Until when its keys are fresh.
        failures: Scheduled fetches that have failed since.
        next_attempt: When the next fetch is due.
    """

    __slots__ = (
        "_policy",
        "_spent_until",
        "_uniform",
        "_unknown",
        "expires_at",
        "failures",
        "fetched_at",
        "next_attempt",
    )

    def __init__(self, policy: RefreshPolicy, uniform: Callable[[float, float], float]) -> None:
        self._policy = policy
        self._uniform = uniform
        self.fetched_at: float | None = None
        self.expires_at = -math.inf
        self.next_attempt = -math.inf
        self.failures = 0
        self._spent_until = -math.inf
        self._unknown: OrderedDict[str, float] = OrderedDict()

    @property
    def usable_until(self) -> float:
        """Until when the keys may verify: longer than they are fresh, once a fetch has failed, and never without one."""
        return self.expires_at + (self._policy.seconds("max_stale") if self.failures else 0.0)

    def is_due(self, now: float) -> bool:
        """Whether a scheduled fetch should start."""
        return now >= self.next_attempt

    def succeeded(self, now: float, max_age: float | None) -> None:
        """Note a fetch that brought keys.

        Args:
            now: When it ended.
            max_age: How long the answer may be used, by its own account, in seconds; None: it does not say.
        """
        policy = self._policy
        ttl = policy.seconds("ttl")
        if max_age is not None:
            ttl = min(max(max_age, policy.seconds("min_ttl")), policy.seconds("max_ttl"))
        ttl *= self._uniform(1 - policy.jitter, 1 + policy.jitter)
        self.fetched_at = now
        self.expires_at = now + ttl
        self.next_attempt = now + ttl * policy.refresh_ahead
        self.failures = 0

    def failed(self, now: float) -> None:
        """Note a fetch that failed. One that only looked for an unknown key leaves the schedule as it is."""
        if not self.is_due(now):
            return
        policy = self._policy
        pause = policy.seconds("backoff") * 2.0 ** min(self.failures, _MAX_DOUBLINGS)
        self.failures += 1
        self.next_attempt = now + min(pause, policy.seconds("max_backoff")) * self._uniform(0.5, 1.0)

    def may_look_for(self, kid: str, now: float) -> bool:
        """Whether an unknown key may be looked for now. If so, that is taken from the budget."""
        interval = self._policy.seconds("unknown_kid_interval")
        if now - self._unknown.get(kid, -math.inf) < interval:
            return False
        # The budget is kept as the time up to which it is spent; that may lie ahead by what could be saved up.
        if self._spent_until > now + (self._policy.unknown_kid_burst - 1) * interval:
            return False
        self._spent_until = max(self._spent_until, now) + interval
        return True

    def note_unknown(self, kid: str, now: float) -> None:
        """Note that a key has been looked for and not found, so that its next token is not paid for again."""
        self._unknown.pop(kid, None)
        self._unknown[kid] = now
        if len(self._unknown) > MAX_UNKNOWN_KIDS:
            self._unknown.popitem(last=False)
