"""Decide when to fetch a remote key set. No I/O and no clock: callers pass the time, in monotonic seconds.

Scheduled fetches (the first, the refresh ahead of time, the retry after a failure) depend only on the last success or
failure. Fetches for unknown keys have a budget of their own, and a failed one does not change the schedule: clients
that send made-up keys can neither delay a refresh nor cause many fetches. Only the issuer can put off both, by
`Retry-After`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .policy import FetchPolicy

__all__ = ["MAX_UNKNOWN_KIDS", "Schedule"]

MAX_UNKNOWN_KIDS = 256


class Schedule:
    """The times of one remote key set. `uniform` returns a random number between two, as `random.uniform` does."""

    def __init__(self, policy: FetchPolicy, uniform: Callable[[float, float], float]) -> None:
        self._policy = policy
        self._uniform = uniform
        self.fetched_at: float | None = None  # by the last fetch that succeeded
        self.expires_at = self.next_attempt = -math.inf
        self.failures = 0  # of scheduled fetches, since then
        self._spent_until = self._left_alone_until = -math.inf
        self._unknown: OrderedDict[str, float] = OrderedDict()

    @property
    def usable_until(self) -> float:
        """When the keys must no longer verify: when they stop being fresh, or later if a fetch has failed."""
        return self.expires_at + (self._policy.seconds("max_stale") if self.failures else 0.0)

    def is_due(self, now: float) -> bool:
        """Whether a scheduled fetch should start."""
        return now >= self.next_attempt

    def succeeded(self, now: float, max_age: float | None) -> None:
        """Note a fetch that brought keys, and for how many seconds the response says that it may be used."""
        policy = self._policy
        ttl = policy.seconds("ttl")
        if max_age is not None:
            ttl = min(max(max_age, policy.seconds("min_ttl")), policy.seconds("max_ttl"))
        ttl *= self._uniform(1 - policy.jitter, 1 + policy.jitter)
        self.fetched_at = now
        self.expires_at = now + ttl
        self.next_attempt = now + ttl * policy.refresh_ahead
        self.failures = 0

    def failed(self, now: float, retry_after: float = 0.0) -> None:
        """Note a fetch that failed, and for how many seconds the issuer asks not to be called, up to `max_ttl`."""
        policy = self._policy
        due = now
        if self.is_due(now):  # a fetch for an unknown key leaves the schedule as it is
            pause = policy.seconds("backoff") * 2.0 ** min(self.failures, 32)
            due += min(pause, policy.seconds("max_backoff")) * self._uniform(0.5, 1.0)
        if retry_after > 0:
            # Later by a little, or all processes would come back at once.
            wait = min(retry_after, policy.seconds("max_ttl")) * self._uniform(1.0, 1.0 + policy.jitter)
            self._left_alone_until = now + wait
            due = max(due, self._left_alone_until)
        if due > self.next_attempt:
            # A refresh that is put off counts as failed: the keys may have to outlive their time until it comes.
            self.failures += 1
            self.next_attempt = due

    def is_known_to_be_unknown(self, kid: str, now: float) -> bool:
        """Whether a recent fetch has not found a key."""
        return now - self._unknown.get(kid, -math.inf) < self._policy.seconds("unknown_kid_interval")

    @property
    def next_look(self) -> float:
        """When an unknown key may be looked for again, in monotonic seconds; possibly in the past."""
        # The budget is kept as the time up to which it is spent; that may lie ahead by what could be saved up.
        saved_up = (self._policy.unknown_kid_burst - 1) * self._policy.seconds("unknown_kid_interval")
        return max(self._spent_until - saved_up, self._left_alone_until)

    def look(self, now: float) -> None:
        """Take one fetch for an unknown key from the budget."""
        self._spent_until = max(self._spent_until, now) + self._policy.seconds("unknown_kid_interval")

    def note_unknown(self, kid: str, now: float) -> None:
        """Note that a key was looked for and not found, so that its next token causes no fetch."""
        self._unknown.pop(kid, None)
        self._unknown[kid] = now
        if len(self._unknown) > MAX_UNKNOWN_KIDS:
            self._unknown.popitem(last=False)
