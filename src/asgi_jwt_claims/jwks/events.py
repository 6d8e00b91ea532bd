"""What there is to know about a remote key set: its status for health checks, and the events of its life."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

__all__ = ["KeySetEvent", "KeySetStatus", "OnKeySetEvent"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeySetStatus:
    """A remote key set at one moment.

    Attributes:
        state: `"new"`: nothing has been fetched or tried yet. `"fresh"`: all is well. `"stale"`: the keys are past their
            time, and verify for `max_stale` at most where the provider is down. `"failing"`: there are no keys to
            verify with; requests are answered with 503.
        last_success: When keys were last fetched, in seconds since the epoch; None: never.
        next_refresh: When they will be fetched next, likewise. In the past where no request has asked yet.
        keys: Number of keys in hand.
        skipped: Number of entries of the set that are not used: for another purpose, secret, ambiguous or bad.
        consecutive_failures: Scheduled fetches that have failed since the last success.
        last_failure: Why the last fetch that failed did so; None: none has.
        fetches: Fetches that were started.
        failures: Those that failed.
        rotations: How often a fetch brought other keys than the one before.
        unknown_kids: How many tokens with an unknown key came where keys can be waited for.
        unknown_kids_refused: Those for which no fetch was made or waited for.
    """

    state: Literal["new", "fresh", "stale", "failing"]
    last_success: float | None
    next_refresh: float
    keys: int
    skipped: int
    consecutive_failures: int
    last_failure: str | None
    fetches: int
    failures: int
    rotations: int
    unknown_kids: int
    unknown_kids_refused: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeySetEvent:
    """Something that happened to a remote key set.

    Attributes:
        name: `"fetched"`, `"failed"` or `"rotated"`; the last follows `"fetched"` when the keys are others than before.
        url: Where the keys are, or the issuer that says where.
        reason: Why a fetch failed; None otherwise.
        added: The kids that are new, after a rotation.
        removed: Those that are gone. Nothing they have signed is accepted from now on.
        skipped: Why entries of the fetched set are not used, one reason for each, also where none could be used.
    """

    name: Literal["fetched", "failed", "rotated"]
    url: str
    reason: str | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


OnKeySetEvent: TypeAlias = Callable[[KeySetEvent], "Awaitable[object] | object"]
"""A callback that is told of every event; sync or async. What it raises is only logged, and no request waits for it.

An async one is cancelled when it has not ended after one second. A sync one cannot be, and holds up the event loop.
"""
