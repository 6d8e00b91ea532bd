"""`KeyRing`: one's own signing keys, one after the other.

The clock alone decides which key signs: processes with the same keys and times rotate together.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from asgi_jwt_claims.errors import KeyConfigurationError, SettingError
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.values import plain

from .key import Key
from .key_set import KeySet, KeySource

__all__ = ["KeyRing"]


class _Entry(NamedTuple):
    starts_at: float
    key: Key
    public: Key


class _State(NamedTuple):
    """What holds while the clock shows `valid_from` to `valid_until`. Made anew for every change.

    `entries` keeps keys whose time is over, so that a clock that jumps ahead and is set right takes no key away.
    """

    entries: tuple[_Entry, ...]  # all of them, by their times; in the same order those that count:
    retired: tuple[_Entry, ...]
    current: _Entry
    upcoming: tuple[_Entry, ...]
    keys: KeySet
    valid_from: float
    valid_until: float


class KeyRing(KeySource):
    """Signing keys for `JWTConfig(key_ring=...)` and `JWKSEndpoint`.

    Every key signs from a given time on. It is published before that, and verifies for `retain` longer after its
    successor has taken over. Threads may share a ring.

    Args:
        key: The key that signs, or pairs of a key and the time from which it signs, in seconds since the epoch, such as
            those of a saved `schedule`. One of them must sign already.
        publish_ahead: How long a key is published before it signs: longer than verifiers remember a set of keys.
        retain: How long a key still verifies after it has signed its last token: at least as long as a token lives.
        clock: A function that returns seconds since the epoch, as `time.time` does.

    Attributes:
        publish_ahead, retain: The arguments of these names, each as a `timedelta`.

    Raises:
        KeyConfigurationError: A key is a secret or public, a kid or a time occurs twice, or no key signs now.
        SettingError: `publish_ahead` or `retain` is not a duration.
    """

    __slots__ = ("_clock", "_lock", "_state", "publish_ahead", "retain")

    def __init__(
        self,
        key: Key | Iterable[tuple[Key, float]],
        *,
        publish_ahead: timedelta | float = timedelta(minutes=30),
        retain: timedelta | float = timedelta(days=15),
        clock: Callable[[], float] = time.time,
    ) -> None:
        try:
            pairs = [(key, 0.0)] if isinstance(key, Key) else [(one, starts_at) for one, starts_at in key]
        except (TypeError, ValueError):
            raise KeyConfigurationError(
                "a KeyRing is made of one private Key, or of pairs: [(key, 0), (next_key, 1800000000)]"
            ) from None
        self.publish_ahead = as_duration(publish_ahead, "publish_ahead")
        self.retain = as_duration(retain, "retain")
        self._clock = clock
        self._lock = threading.RLock()
        self._state = self._state_of(tuple(_entry(key, starts_at) for key, starts_at in pairs))

    def __repr__(self) -> str:
        if not hasattr(self, "_state"):
            return "<KeyRing, not built>"  # a local variable of an error about it
        names = [f"current {self.current.kid!r}"]
        names += [f"next {key.kid!r}" for key in self.upcoming]
        names += [f"retired {key.kid!r}" for key in self.retired]
        return f"<KeyRing {', '.join(names)}>"

    @property
    def current(self) -> Key:
        """The key that signs now."""
        return self._now().current.key

    @property
    def upcoming(self) -> tuple[Key, ...]:
        """The keys that will sign, the next one first. They are already published."""
        return tuple(entry.key for entry in self._now().upcoming)

    @property
    def retired(self) -> tuple[Key, ...]:
        """The keys that no longer sign and still verify, the last one first."""
        return tuple(entry.key for entry in reversed(self._now().retired))

    @property
    def keys(self) -> KeySet:
        """The public halves of all keys that verify now."""
        return self._now().keys

    @property
    def schedule(self) -> tuple[tuple[str, float], ...]:
        """The kids on the ring with the times from which they sign, in seconds since the epoch."""
        state = self._now()
        kept = (*state.retired, state.current, *state.upcoming)
        return tuple((entry.key.kid, entry.starts_at) for entry in kept)

    def add(self, key: Key, *, starts_at: float | None = None) -> float:
        """Publish a private key, and return when it starts to sign, in seconds since the epoch.

        That is `starts_at`, which must not be earlier than `publish_ahead` from now; None means exactly then.

        Raises:
            SettingError: `starts_at` is too early for verifiers to know the key by then.
            KeyConfigurationError: The key is a secret or public, or the ring has its kid or its time already.
        """
        with self._lock:
            now = self._clock()
            earliest = now + self.publish_ahead.total_seconds()
            signs_from: float = plain(earliest if starts_at is None else starts_at)
            if type(signs_from) not in (int, float) or not signs_from >= earliest:
                raise SettingError(
                    "starts_at must be a number of seconds since the epoch, and at least publish_ahead "
                    f"({self.publish_ahead.total_seconds():.0f} seconds) from now: verifiers have to see the key before "
                    "it signs"
                )
            # The first keys, whose last token expired `retain` ago, are dropped, so that they do not pile up.
            entries, longest = self._state.entries, 2 * self.retain.total_seconds()
            ended = sum(successor.starts_at + longest <= now for successor in entries[1:])
            self._state = self._state_of((*entries[ended:], _entry(key, signs_from)))
        return signs_from

    def remove(self, kid: str) -> None:
        """Remove a key at once, because it may have leaked: it is no longer published, and its tokens are refused here.

        If it is the key that signs, the next one takes over now, though some verifiers may not know it yet. In
        `schedule` the next key takes the removed key's time, so that the key before it
        verifies for as long as it would have.

        Raises:
            KeyConfigurationError: There is no such key, or no other key that signs now or later.
        """
        with self._lock:
            state = self._now()
            entries = list(state.entries)
            at = next((number for number, entry in enumerate(state.entries) if entry.key.kid == kid), None)
            if at is None:
                raise KeyConfigurationError(f"there is no key {kid!r} on the ring; see its schedule")
            if kid == state.current.key.kid and not state.upcoming:
                raise KeyConfigurationError(f"the key {kid!r} is the only one that may sign; add another first")
            removed = entries.pop(at)
            if removed not in state.upcoming:
                entries[at] = entries[at]._replace(starts_at=removed.starts_at)
            self._state = self._state_of(tuple(entries))

    def public_jwks(self) -> dict[str, Any]:
        """The JWK Set to publish (RFC 7517 section 5): current, upcoming and retired keys. Never a private member."""
        return {"keys": [key.public_jwk() for key in self.keys]}

    def _now(self) -> _State:
        state = self._state
        if state.valid_from <= self._clock() < state.valid_until:
            return state
        with self._lock:  # or a key that is being added might be forgotten again
            self._state = state = self._state_of(self._state.entries)
        return state

    def _state_of(self, entries: tuple[_Entry, ...]) -> _State:
        """Work out what follows from the keys and their times now."""
        now, retain = self._clock(), self.retain.total_seconds()
        for one, other in itertools.combinations(entries, 2):
            if one.key.kid == other.key.kid:
                raise KeyConfigurationError(f"two keys of the ring have the kid {one.key.kid!r}")
            if one.starts_at == other.starts_at:
                raise KeyConfigurationError(
                    f"two keys of the ring sign from {one.starts_at}; give them different times"
                )
        known = getattr(self, "_state", None)
        ordered = sorted(entries, key=lambda entry: entry.starts_at)
        signing = [entry for entry in ordered if entry.starts_at <= now]
        upcoming = ordered[len(signing) :]
        if not signing and known is None:
            raise KeyConfigurationError("no key on the ring signs yet; give one of them a time in the past")
        if not signing:  # a clock that was set back by years, in the middle of requests
            signing, upcoming = ordered[:1], ordered[1:]
        ends = [successor.starts_at + retain for successor in signing[1:]]
        retired = [entry for entry, end in zip(signing, ends, strict=False) if now < end]
        keys = KeySet(entry.public for entry in (signing[-1], *upcoming, *reversed(retired)))
        if known is not None and set(known.keys) == set(keys):
            keys = known.keys
        times = [*(entry.starts_at for entry in ordered), *ends]
        valid_from = max((moment for moment in times if moment <= now), default=-math.inf)
        valid_until = min((moment for moment in times if now < moment), default=math.inf)
        return _State(tuple(ordered), tuple(retired), signing[-1], tuple(upcoming), keys, valid_from, valid_until)


def _entry(key: Key, starts_at: float) -> _Entry:
    if not isinstance(key, Key):
        raise KeyConfigurationError(f"a KeyRing holds Key objects, not {type(key).__name__}; see Key.from_pem")
    if key.is_symmetric:
        raise KeyConfigurationError("a secret has no public half to publish; use an asymmetric key")
    if not key.can_sign:
        raise KeyConfigurationError(f"the key {key.kid!r} is a public key and cannot sign; load the private one")
    starts_at = plain(starts_at)
    if type(starts_at) not in (int, float) or not math.isfinite(starts_at):
        raise KeyConfigurationError(
            "the time from which a key signs must be a finite number of seconds since the epoch"
        )
    return _Entry(starts_at, key, key.public())
