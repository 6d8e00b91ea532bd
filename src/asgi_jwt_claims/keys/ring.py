"""`KeyRing`: one's own signing keys, one after the other.

The clock alone decides which key signs: processes with the same keys and times rotate together.
"""

from __future__ import annotations

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

    entries: tuple[_Entry, ...]  # all of them, by their times
    kept: tuple[_Entry, ...]  # those that count now
    current: Key
    upcoming: tuple[Key, ...]
    retired: tuple[Key, ...]
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
        publish_ahead, retain: The same as `timedelta`.

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
        state = self._now()
        names = [f"current {state.current.kid!r}"]
        names += [f"next {key.kid!r}" for key in state.upcoming]
        names += [f"retired {key.kid!r}" for key in state.retired]
        return f"<KeyRing {', '.join(names)}>"

    @property
    def current(self) -> Key:
        """The key that signs now."""
        return self._now().current

    @property
    def upcoming(self) -> tuple[Key, ...]:
        """The keys that will sign, the next one first. They are already published."""
        return self._now().upcoming

    @property
    def retired(self) -> tuple[Key, ...]:
        """The keys that no longer sign and still verify, the last one first."""
        return self._now().retired

    @property
    def keys(self) -> KeySet:
        """The public halves of all keys that verify now."""
        return self._now().keys

    @property
    def schedule(self) -> tuple[tuple[str, float], ...]:
        """The kids on the ring with the times from which they sign, in seconds since the epoch."""
        return tuple((entry.key.kid, entry.starts_at) for entry in self._now().kept)

    def add(self, key: Key, *, starts_at: float | None = None) -> float:
        """Publish a key, and let it take over later.

        Args:
            key: A private key.
            starts_at: When it starts to sign, in seconds since the epoch. Not earlier than `publish_ahead` from now,
                which is the default.

        Returns:
            When it starts to sign.

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
            self._state = self._state_of((*self._without_long_ended(now), _entry(key, signs_from)))
        return signs_from

    def _without_long_ended(self, now: float) -> tuple[_Entry, ...]:
        """Drop the keys whose last token expired `retain` ago, so that they do not pile up."""
        entries, longest = self._state.entries, 2 * self.retain.total_seconds()
        ended = [successor.starts_at + longest <= now for successor in entries[1:]]
        return tuple(entry for entry, is_over in zip(entries, (*ended, False), strict=True) if not is_over)

    def remove(self, kid: str) -> None:
        """Remove a key at once, because it may have leaked: it is no longer published, and its tokens are refused here.

        If it is the key that signs, the next one takes over now, though some verifiers may not know it yet: a few
        refused tokens are better than forged ones. In `schedule` the next key takes the removed key's time, so that the
        key before it verifies for as long as it would have.

        Raises:
            KeyConfigurationError: There is no such key, or no other key that signs now or later.
        """
        with self._lock:
            state = self._now()
            entries = list(state.entries)
            at = next((number for number, entry in enumerate(state.entries) if entry.key.kid == kid), None)
            if at is None:
                raise KeyConfigurationError(f"there is no key {kid!r} on the ring; see its schedule")
            if kid == state.current.kid and not state.upcoming:
                raise KeyConfigurationError(f"the key {kid!r} is the only one that may sign; add another first")
            removed = entries.pop(at)
            if removed.key not in state.upcoming:
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
        _check_distinct(entries)
        ordered = sorted(entries, key=lambda entry: entry.starts_at)
        signing = [entry for entry in ordered if entry.starts_at <= now]
        upcoming = ordered[len(signing) :]
        if not signing and not hasattr(self, "_state"):
            raise KeyConfigurationError("no key on the ring signs yet; give one of them a time in the past")
        if not signing:  # a clock that was set back by years, in the middle of requests
            signing, upcoming = ordered[:1], ordered[1:]
        ends = [successor.starts_at + retain for successor in signing[1:]]
        retired = [entry for entry, end in zip(signing, ends, strict=False) if now < end]
        current = signing[-1]
        kept = (*retired, current, *upcoming)
        public = KeySet(entry.public for entry in (current, *upcoming, *reversed(retired)))
        known = getattr(self, "_state", None)
        times = [*(entry.starts_at for entry in ordered), *ends]
        return _State(
            entries=tuple(ordered),
            kept=kept,
            current=current.key,
            upcoming=tuple(entry.key for entry in upcoming),
            retired=tuple(entry.key for entry in reversed(retired)),
            keys=known.keys if known is not None and set(known.keys) == set(public) else public,
            valid_from=max((moment for moment in times if moment <= now), default=-math.inf),
            valid_until=min((moment for moment in times if now < moment), default=math.inf),
        )


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


def _check_distinct(entries: Iterable[_Entry]) -> None:
    kids, times = set(), set()
    for entry in entries:
        if entry.key.kid in kids:
            raise KeyConfigurationError(f"two keys of the ring have the kid {entry.key.kid!r}")
        if entry.starts_at in times:
            raise KeyConfigurationError(f"two keys of the ring sign from {entry.starts_at}; give them different times")
        kids.add(entry.key.kid)
        times.add(entry.starts_at)
