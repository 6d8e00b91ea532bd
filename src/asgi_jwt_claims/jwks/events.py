"""Status and events of a remote key set."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

__all__ = ["KeySetEvent", "KeySetStatus", "OnKeySetEvent"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeySetStatus:
    """A remote key set at one moment.

    Attributes:
        state: `"new"` if nothing has been fetched or tried yet; `"fresh"` if all is well; `"stale"` if the keys are
            past their time, and verify for at most `max_stale` while the issuer is down; `"failing"` if there are no
            keys to verify with, so that requests are answered with 503.
        last_success: When keys were last fetched, in seconds since the epoch; None if never.
        next_refresh: When they will be fetched next, in seconds since the epoch. In the past if no request came since.
        keys: The number of keys in hand.
        skipped: The number of entries that are not used: for another purpose, secret, ambiguous or bad.
        consecutive_failures: The number of scheduled fetches that have failed since the last success.
        last_failure: Why the last fetch that failed did so; None if none has.
        fetches: The number of fetches that were started.
        failures: The number of fetches that failed.
        rotations: The number of fetches that brought other keys than the one before.
        unknown_kids: The number of tokens with an unknown key that could wait for a fetch.
        unknown_kids_refused: The number of those that were refused without one.
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
        name: `"fetched"`, `"failed"` or `"rotated"`, which follows `"fetched"` if the keys have changed.
        url: The URL of the keys, or the issuer.
        reason: Why a fetch failed; None otherwise.
        added: The kids that a rotation added.
        removed: The kids that a rotation removed. Their tokens are refused from now on.
        skipped: Why entries of the fetched set are not used, one reason for each.
    """

    name: Literal["fetched", "failed", "rotated"]
    url: str
    reason: str | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


OnKeySetEvent: TypeAlias = Callable[[KeySetEvent], "Awaitable[object] | object"]
"""A function that receives every event; sync or async. What it raises is logged, and no request waits for it.

An async function is cancelled after one second; a sync one cannot be, and blocks the event loop.
"""
