"""Index of revocations in memory, for `MemoryStore` and `MirroredStore`."""

from __future__ import annotations

import heapq
import math

from .base import Revocation, TokenDigests

__all__ = ["RevocationIndex"]

_PRUNED_AT_ONCE = 64
_BUCKET = 60.0  # seconds


class RevocationIndex:
    """The revocations that a process knows. A lookup takes the same time however many there are.

    Each addition drops a few entries whose tokens have expired, so that no call waits for a cleanup.
    """

    __slots__ = ("_buckets", "_cutoffs", "_expired", "_order", "_until")

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}
        self._cutoffs: dict[bytes, float] = {}
        # Digests by the minute in which they expire, and a heap of those minutes.
        self._buckets: dict[int, list[bytes]] = {}
        self._order: list[int] = []
        self._expired: list[bytes] = []  # of a minute that has passed, to be dropped

    def __len__(self) -> int:
        return len(self._until)

    def add(self, revocation: Revocation, now: float) -> None:
        """Add a revocation, unless its tokens have expired."""
        _, digest, until, cutoff = revocation
        if until > now and until > self._until.get(digest, 0.0):
            self._until[digest] = until
            if until != math.inf:
                minute = int(until // _BUCKET) + 1
                if minute not in self._buckets:
                    self._buckets[minute] = []
                    heapq.heappush(self._order, minute)
                self._buckets[minute].append(digest)
        if cutoff and digest in self._until:
            self._cutoffs[digest] = max(cutoff, self._cutoffs.get(digest, 0.0))
        self._prune(now)

    def is_revoked(self, digests: TokenDigests, now: float) -> bool:
        """Whether a token is revoked."""
        # One lookup for each, because another thread may drop an entry that has expired at any moment.
        until = self._until.get
        token, session, identity, issued_at = digests
        if until(token, 0.0) > now or until(session, 0.0) > now:
            return True
        return issued_at <= self._cutoffs.get(identity, -math.inf) and until(identity, 0.0) > now

    def cutoff(self, identity: bytes, now: float) -> float:
        """The time up to which tokens of an identity are revoked; 0 if none are."""
        return self._cutoffs.get(identity, 0.0) if self._until.get(identity, 0.0) > now else 0.0

    def entries(self) -> list[tuple[bytes, float]]:
        """All digests with their `until`."""
        return list(self._until.items())

    def revocation(self, digest: bytes, until: float) -> Revocation:
        """The revocation of a digest. It does not tell tokens and sessions apart, nor do stores."""
        cutoff = self._cutoffs.get(digest, 0.0)
        return Revocation("identity" if cutoff else "token", digest, until, cutoff)

    def _prune(self, now: float) -> None:
        if not self._expired:
            if not self._order or self._order[0] * _BUCKET > now:
                return
            self._expired = self._buckets.pop(heapq.heappop(self._order))
        for _ in range(min(_PRUNED_AT_ONCE, len(self._expired))):
            digest = self._expired.pop()
            if self._until.get(digest, math.inf) <= now:  # otherwise a later revocation lasts longer
                del self._until[digest]
                self._cutoffs.pop(digest, None)
