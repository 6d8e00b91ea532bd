"""Memory of good signatures: a token that comes again and again is judged each time, but no longer verified.

An entry says that exactly these bytes carried a good signature of this key, and what those bytes say, as values that
nothing can change. Tokens are told apart by their SHA-256; the token itself is not kept. Only successes come in, and
only when they come for the second time, so that tokens used once neither take up room nor the time to digest them. The
number of entries and the size of each are bounded. When the set of keys changes, whatever a key that is gone has
verified is gone with it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from asgi_jwt_claims.keys.key import Key
    from asgi_jwt_claims.keys.key_set import KeySet

__all__ = ["MAX_REMEMBERED_SIZE", "VerifiedTokenCache"]

MAX_REMEMBERED_SIZE = 4096
"""Characters of the longest token that is remembered."""


SaidT = TypeVar("SaidT")


class _Entry(NamedTuple, Generic[SaidT]):
    digest: bytes
    key: Key
    keys: KeySet
    said: SaidT


class VerifiedTokenCache(Generic[SaidT]):
    """Good signatures by token, the least recently seen forgotten first.

    Threads may share it: each step on a container is one operation, and no step relies on another.

    Args:
        size: Most entries; 0 remembers nothing.
    """

    __slots__ = ("_candidates", "_entries", "_keys", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        # By Python's hash, which costs little and only narrows the search; the digest decides.
        self._entries: OrderedDict[int, _Entry[SaidT]] = OrderedDict()
        self._candidates: set[int] = set()
        self._keys: KeySet | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, raw: bytes, keys: KeySet) -> SaidT | None:
        """What a token says, if a key of `keys` has verified it."""
        if keys is not self._keys:
            self._change_keys(keys)
        found_by = hash(raw)
        entry = self._entries.get(found_by)
        if entry is None:
            return None
        digest, _, verified_by, said = entry
        # The keys are compared even so: another thread may still be at work with those from before.
        if verified_by is not keys or digest != hashlib.sha256(raw).digest():
            return None
        try:
            self._entries.move_to_end(found_by)
        except KeyError:  # another thread has just forgotten it; it was good all the same
            return said
        return said

    def remember(self, raw: bytes, key: Key, keys: KeySet, said: SaidT) -> None:
        """Note that `key`, one of `keys`, has verified a token, and what it says."""
        found_by = hash(raw)
        if found_by not in self._candidates:
            if len(self._candidates) >= self._size:
                self._candidates.clear()
            self._candidates.add(found_by)
        elif len(raw) <= MAX_REMEMBERED_SIZE and self._size:
            self._entries[found_by] = _Entry(hashlib.sha256(raw).digest(), key, keys, said)
            self._candidates.discard(found_by)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def _change_keys(self, keys: KeySet) -> None:
        self._keys = keys
        for found_by, entry in list(self._entries.items()):
            if entry.key in keys:
                self._entries[found_by] = entry._replace(keys=keys)
            else:
                self._entries.pop(found_by, None)
