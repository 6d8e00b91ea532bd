"""Remember what costs time to find out: verified tokens, and the header of the key that signs.

A token that comes again is checked each time, but its signature is verified only once. An entry holds the token's
SHA-256 in place of the token, and what the token says as values that nothing can change. A token is remembered when it
comes for the second time, so that tokens used once cost neither room nor a digest.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from asgi_jwt_claims.errors import SigningKeyMissingError
from asgi_jwt_claims.jose.compact import b64url_encode
from asgi_jwt_claims.jose.strict_json import dump_json
from asgi_jwt_claims.keys import KeyRing

if TYPE_CHECKING:
    from asgi_jwt_claims.keys import Key, KeySet

__all__ = ["MAX_REMEMBERED_SIZE", "SignerCache", "VerifiedTokenCache"]

MAX_REMEMBERED_SIZE = 4096  # characters of the longest token that is remembered
FieldsT = TypeVar("FieldsT")


class _Entry(NamedTuple, Generic[FieldsT]):
    digest: bytes
    key: Key
    keys: KeySet
    fields: FieldsT


class VerifiedTokenCache(Generic[FieldsT]):
    """At most `size` verified tokens. When the cache is full, the token seen least recently is forgotten first.

    Without `has_one_set`, tokens of several sets of keys share it. A token is then verified again after its set has changed.

    Threads may share it: each step on a container is one operation, and no step relies on another.
    """

    __slots__ = ("_candidates", "_entries", "_has_one_set", "_keys", "_size")

    def __init__(self, size: int, *, has_one_set: bool = True) -> None:
        self._size = size
        self._has_one_set = has_one_set
        # By Python's hash, which costs little and only narrows the search; the digest decides.
        self._entries: OrderedDict[int, _Entry[FieldsT]] = OrderedDict()
        self._candidates: set[int] = set()
        self._keys: KeySet | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, raw: bytes, keys: KeySet) -> FieldsT | None:
        """Return what a token says; None unless a key of `keys` has verified it."""
        if keys is not self._keys:
            self._change_keys(keys)
        found_by = hash(raw)
        entry = self._entries.get(found_by)
        if entry is None:
            return None
        digest, _, verified_by, fields = entry
        # The keys are compared even so: another thread may still be at work with those from before.
        if verified_by is not keys or digest != hashlib.sha256(raw).digest():
            return None
        try:
            self._entries.move_to_end(found_by)
        except KeyError:  # another thread has just forgotten it; it was good all the same
            return fields
        return fields

    def remember(self, raw: bytes, key: Key, keys: KeySet, fields: FieldsT) -> None:
        """Remember that `key`, one of `keys`, has verified a token, and what the token says."""
        found_by = hash(raw)
        if found_by not in self._candidates:
            if len(self._candidates) >= self._size:
                self._candidates.clear()
            self._candidates.add(found_by)
        elif len(raw) <= MAX_REMEMBERED_SIZE and self._size:
            self._entries[found_by] = _Entry(hashlib.sha256(raw).digest(), key, keys, fields)
            self._candidates.discard(found_by)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def _change_keys(self, keys: KeySet) -> None:
        self._keys = keys
        if not self._has_one_set:
            return
        for found_by, entry in list(self._entries.items()):
            if entry.key in keys and keys.issuer_of(entry.key) == entry.keys.issuer_of(entry.key):
                self._entries[found_by] = entry._replace(keys=keys)
            else:
                self._entries.pop(found_by, None)


class SignerCache:
    """The key that signs now (the one key, that of a ring, or none), with the header of its tokens."""

    __slots__ = ("_keys", "_send_kid", "_signer")

    def __init__(self, keys: Key | KeyRing | None, *, send_kid: bool) -> None:
        self._keys = keys
        self._send_kid = send_kid
        self._signer: tuple[Key, dict[str, str], bytes] | None = None

    def current(self) -> tuple[Key, dict[str, str], bytes]:
        """Return the key that signs now with its header, parsed and encoded, or raise `SigningKeyMissingError`."""
        if self._keys is None:
            raise SigningKeyMissingError(
                "this configuration only verifies; set secret_key, signing_key or key_ring to mint tokens"
            )
        key = self._keys.current if isinstance(self._keys, KeyRing) else self._keys
        signer = self._signer
        if signer is None or signer[0] is not key:
            header = {"alg": key.algorithm, "typ": "JWT"} | ({"kid": key.kid} if self._send_kid else {})
            self._signer = signer = (key, header, b64url_encode(dump_json(header)))
        return signer
