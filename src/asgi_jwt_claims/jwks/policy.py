"""`FetchPolicy`: when a remote key set is fetched, how often at most, and how much of a response is read."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.durations import as_duration

__all__ = ["FetchPolicy"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """When keys are fetched, and which responses are accepted. Frozen; keyword arguments only.

    Durations are given as `timedelta` or seconds, and kept as seconds (float).

    Args:
        ttl: How long fetched keys count as fresh if the response's `Cache-Control` does not say.
        min_ttl: The shortest time that `Cache-Control: max-age` (RFC 9111 section 5.2.2.1) can ask for.
        max_ttl: The longest time that it can ask for.
        jitter: The largest fraction, 0 to 0.5, by which that time is lengthened or shortened at random, so that the
            processes of an application do not all fetch at once.
        refresh_ahead: The fraction of that time, between 0 and 1, after which keys are fetched again in the background.
        max_stale: How long keys that are no longer fresh still verify after a fetch has failed; 0 for not at all.
        unknown_kid_interval: The time in which tokens with unknown `kid` cause at most one fetch on average.
        unknown_kid_burst: The number of such fetches that can be saved up.
        backoff: The pause after a failed fetch. It doubles with each further failure, and is shortened by up to a half.
        max_backoff: The longest pause.
        discovery_ttl: How long a discovered address is used before it is discovered again.
        timeout: The longest time that a fetch may take in all.
        max_size: The largest document, in bytes, also after decompression.
        max_keys: The largest number of entries in a JWK Set.

    Raises:
        SettingError: A value cannot be used.
    """

    ttl: timedelta | float = 600.0
    min_ttl: timedelta | float = 60.0
    max_ttl: timedelta | float = 3600.0
    jitter: float = 0.1
    refresh_ahead: float = 0.8
    max_stale: timedelta | float = 3600.0
    unknown_kid_interval: timedelta | float = 30.0
    unknown_kid_burst: int = 2
    backoff: timedelta | float = 1.0
    max_backoff: timedelta | float = 60.0
    discovery_ttl: timedelta | float = 3600.0
    timeout: timedelta | float = 5.0
    max_size: int = 256 * 1024
    max_keys: int = 64

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if str(field.type).startswith("timedelta"):
                duration = as_duration(getattr(self, field.name), field.name, zero=field.name == "max_stale")
                object.__setattr__(self, field.name, duration.total_seconds())
        if not self.seconds("min_ttl") <= self.seconds("ttl") <= self.seconds("max_ttl"):
            raise SettingError("ttl must lie between min_ttl and max_ttl; set those as well")
        if self.seconds("backoff") > self.seconds("max_backoff"):
            raise SettingError("backoff must not be longer than max_backoff")
        self._check("jitter", 0.0, 0.5)
        self._check("refresh_ahead", 0.01, 0.99)
        self._check("unknown_kid_burst", 1, 100)
        self._check("max_size", 1024, 16 * 1024 * 1024)
        self._check("max_keys", 1, 1024)

    def seconds(self, name: str) -> float:
        """Return a duration by its name, in seconds."""
        value: float = getattr(self, name)
        return value

    def _check(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        kinds, what = ((int,), "an int") if isinstance(least, int) else ((int, float), "a number")
        if type(value) not in kinds or not least <= value <= most:
            raise SettingError(f"{name} must be {what} from {least} to {most}, not {value!r}")
