"""`RemoteKeySet`: the keys of an issuer, fetched ahead of time, and kept while the issuer cannot be reached.

A token with a known key never waits, not even during a fetch. A token that arrives before there are keys, or that names
an unknown key, waits for a fetch. All such tokens share one fetch per event loop, in a task that belongs to no request.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable
from typing import Literal

import anyio

from asgi_jwt_claims.errors import KeysUnavailableError, SettingError, TokenError, UnknownKeyError
from asgi_jwt_claims.keys.key import ASYMMETRIC_ALGORITHMS
from asgi_jwt_claims.keys.key_set import KeySet, KeySource
from asgi_jwt_claims.runtime.callbacks import notify
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.tasks import ends_task, in_event_loop
from asgi_jwt_claims.runtime.values import plain

from ._discovery import Provider
from ._documents import ReadSet, RefusedDocumentError
from ._schedule import Schedule
from ._single_flight import Fetching, SingleFlight
from ._urls import checked_hosts
from .events import KeySetEvent, KeySetStatus, OnKeySetEvent
from .fetch import Fetch, HTTPXFetch, why_not_fetched
from .policy import FetchPolicy

__all__ = ["RemoteKeySet"]

_DEFAULT_POLICY = FetchPolicy()
_LOOK_AGAIN = 30.0  # seconds; a fetch for an unknown key may meanwhile have brought the next one forward

# Processes that were forked from one another must not draw the same numbers.
_uniform = random.SystemRandom().uniform


class RemoteKeySet(KeySource):
    """The keys that an issuer publishes (RFC 7517 section 5), for `JWTConfig(jwks=...)`.

    Nothing is fetched before the application starts or receives its first request, so that it can start while the
    issuer is down. Event loops and threads may share the set; each event loop has a fetch of its own.

    Args:
        url: The https URL of the JWK Set.
        issuer: The issuer whose metadata says where its keys are (OpenID Connect Discovery 1.0 section 4, else RFC 8414
            section 3.1), in place of `url`; exactly as it stands in the metadata and in the tokens.
        algorithms: The only `alg` values that keys may be for. A key that does not name its own is bound to the first
            that fits it. If empty, all but those of secrets, and RS256 for an RSA key that does not name its own.
        policy: When to fetch, and how much of a response to read.
        fetch: The function that fetches; None for `HTTPXFetch()`.
        on_event: A function that receives every `KeySetEvent`; sync, or async and cancelled after one second.
        loopback_http: Whether an address on loopback may also be http.
        insecure_http_hosts: Hosts of a private network that may also be asked by http, such as `["keycloak"]`. Anyone
            who can answer in their place can forge tokens.
        monotonic: A clock in seconds that never jumps.

    Attributes:
        issuer: The issuer; None if `url` was given.
        policy: The policy.
        algorithms: The only `alg` values; empty for all but those of secrets.

    Raises:
        SettingError: An address must not be asked, or an option cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        issuer: str | None = None,
        algorithms: Iterable[str] = (),
        policy: FetchPolicy = _DEFAULT_POLICY,
        fetch: Fetch | None = None,
        on_event: OnKeySetEvent | None = None,
        loopback_http: bool = False,
        insecure_http_hosts: Iterable[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        url, issuer = plain(url), plain(issuer)
        if (url is None) == (issuer is None):
            raise SettingError(
                "give either the url of a JWK Set, or the issuer whose metadata says where it is: RemoteKeySet(issuer=...)"
            )
        if not isinstance(policy, FetchPolicy):
            raise SettingError(f"policy must be a FetchPolicy, not {type(policy).__name__}")
        for name, function in (("fetch", fetch), ("on_event", on_event)):
            if function is not None and not callable(function):
                raise SettingError(f"{name} must be a function, not {type(function).__name__}")
        if not isinstance(loopback_http, bool):
            raise SettingError(f"loopback_http must be True or False, not {loopback_http!r}")
        if not callable(monotonic) or type(monotonic()) not in (int, float):
            raise SettingError("monotonic must be a callable that returns seconds, as time.monotonic does")
        self.issuer = issuer
        self.policy = policy
        self.algorithms = _checked_algorithms(algorithms)
        self._where = url or issuer or ""
        self._provider = Provider(
            url,
            issuer,
            fetch=HTTPXFetch() if fetch is None else fetch,
            policy=policy,
            algorithms=self.algorithms,
            loopback_http=loopback_http,
            insecure_http_hosts=checked_hosts(insecure_http_hosts),
        )
        self._on_event = on_event
        self._monotonic = monotonic
        self._schedule = Schedule(policy, _uniform)
        self._fetching = SingleFlight(self._fetch)
        self._keys: KeySet | None = None
        self._usable_until = -math.inf
        self._skipped: tuple[str, ...] = ()
        self._last_failure: str | None = None
        self._failures = self._rotations = self._unknown_kids = self._unknown_kids_refused = 0

    def __repr__(self) -> str:
        if not hasattr(self, "_unknown_kids_refused"):
            return "<RemoteKeySet, not built>"  # a local variable of an error about it
        status = self.status()
        return f"<RemoteKeySet {self._where} {status.state}, {status.keys} keys>"

    @property
    def keys(self) -> KeySet:
        """The keys in hand, if they may be used: fresh ones, or older ones after a fetch has failed."""
        keys = self._keys
        if keys is None or self._monotonic() >= self._usable_until:
            raise self._unavailable()
        return keys

    def refresh_if_due(self, issuer: str | None = None) -> None:  # noqa: ARG002 -- all keys are of one set
        """Start a scheduled fetch in the background if it is time for one, and an event loop runs. Never waits."""
        if self._schedule.is_due(self._monotonic()) and in_event_loop():
            self._fetching.start()

    async def fetch_for(self, error: TokenError) -> bool:
        """Wait for a fetch if the token cannot be verified without one; else do as `refresh_if_due`. See `KeySource`.

        Raises:
            KeysUnavailableError: The token names an unknown key, and it cannot be found out now whether there is such a
                key: the fetch failed, or too many tokens with unknown keys came before.
        """
        if isinstance(error, UnknownKeyError):
            name = error.evidence.get("kid", error.evidence.get("thumbprint", ""))
            return await self._look_for(name, self._monotonic())
        self.refresh_if_due()
        fetching = self._fetching.current
        if fetching is None or not isinstance(error, KeysUnavailableError):
            return False
        await fetching.done.wait()
        return True

    async def fetch_now(self) -> None:
        """Fetch now, even if the schedule does not ask for it, or wait for the fetch that is running.

        For programs that verify mostly without an event loop, and to start with keys in hand.

        Raises:
            KeysUnavailableError: The fetch failed. Keys from before may still be in use.
        """
        await self._ended(self._fetching.start())

    async def run(self) -> None:
        """Fetch on schedule until cancelled. `JWTMiddleware` and `install` run this during the lifespan."""
        try:
            while True:
                pause = self._schedule.next_attempt - self._monotonic()
                if pause > 0:
                    await anyio.sleep(min(pause, _LOOK_AGAIN))
                else:
                    await self._fetching.start().done.wait()
        finally:
            self._fetching.cancel()

    def status(self) -> KeySetStatus:
        """Report the state of the set, for health checks and metrics."""
        schedule, now = self._schedule, self._monotonic()
        epoch = time.time() - now  # as that clock has it now
        state: Literal["new", "fresh", "stale", "failing"]
        if now < schedule.expires_at:
            state = "fresh"
        elif schedule.failures and now >= schedule.usable_until:
            state = "failing"
        else:
            state = "new" if schedule.fetched_at is None else "stale"
        return KeySetStatus(
            state=state,
            last_success=None if schedule.fetched_at is None else epoch + schedule.fetched_at,
            next_refresh=epoch + max(schedule.next_attempt, now if schedule.fetched_at is None else -math.inf),
            keys=len(self._keys or ()),
            skipped=len(self._skipped),
            consecutive_failures=schedule.failures,
            last_failure=self._last_failure,
            fetches=self._fetching.started,
            failures=self._failures,
            rotations=self._rotations,
            unknown_kids=self._unknown_kids,
            unknown_kids_refused=self._unknown_kids_refused,
        )

    async def _look_for(self, name: str, now: float) -> bool:
        """Fetch because of an unknown key, if that is within the budget. Its `name` is a kid, a thumbprint or "".

        The key may be a new one, so the token is refused only after a fetch that began when it was already there.
        """
        self._unknown_kids += 1
        running = self._fetching.current
        if running is not None:
            # It began before this token came, and may have been answered before the key was published.
            await self._ended(running)
            if not name or (self._keys is not None and self._keys.has_name(name)):
                return True
        schedule = self._schedule
        if self._fetching.current is None and not schedule.is_due(now):
            is_unknown = schedule.is_known_to_be_unknown(name, now)
            if schedule.failures or is_unknown or now < schedule.next_look:
                self._unknown_kids_refused += 1
                if schedule.failures:
                    raise self._unavailable()
                if is_unknown:
                    return False
                raise self._unavailable(schedule.next_look, "too many tokens with unknown keys")
            schedule.look(now)
        await self._ended(self._fetching.start())
        schedule.note_unknown(name, now)
        return True

    async def _ended(self, fetching: Fetching) -> None:
        await fetching.done.wait()
        if fetching.failed:
            raise self._unavailable()

    def _unavailable(self, until: float | None = None, reason: str | None = None) -> KeysUnavailableError:
        pause = (self._schedule.next_attempt if until is None else until) - self._monotonic()
        return KeysUnavailableError(
            retry_after=max(1, math.ceil(pause)) if math.isfinite(pause) else 1,
            keys_of=self._where,
            reason=reason or self._last_failure or "not fetched yet",
        )

    async def _fetch(self, fetching: Fetching) -> None:
        try:
            found, max_age = await self._provider.read(self._keys, self._monotonic())
        except BaseException as error:
            if ends_task(error):
                raise
            events = [self._failed(error)]
        else:
            events = self._succeeded(found, max_age)
            fetching.failed = False
        finally:
            self._fetching.finish(fetching)
        if self._on_event is not None:
            for event in events:
                await notify(self._on_event, event, f"{event.name} of {self._where}")

    def _succeeded(self, found: ReadSet, max_age: float | None) -> list[KeySetEvent]:
        before, self._keys = self._keys, found.keys
        self._skipped = found.skipped
        self._schedule.succeeded(self._monotonic(), max_age)
        self._usable_until = self._schedule.usable_until
        events = [KeySetEvent(name="fetched", url=self._where, skipped=found.skipped)]
        if before is not None and before is not found.keys:
            self._rotations += 1
            added = tuple(key.kid for key in found.keys if key not in before)
            removed = tuple(key.kid for key in before if key not in found.keys)
            logger().info("keys of %s have changed: added %s, removed %s", self._where, added, removed)
            events.append(KeySetEvent(name="rotated", url=self._where, added=added, removed=removed))
        return events

    def _failed(self, error: BaseException) -> KeySetEvent:
        if isinstance(error, RefusedDocumentError):
            reason, skipped, retry_after = str(error), error.skipped, error.retry_after
        else:
            is_late = isinstance(error, TimeoutError)
            reason = f"no answer within {self.policy.timeout} seconds" if is_late else why_not_fetched(error)
            skipped, retry_after = (), 0.0
        self._failures += 1
        self._last_failure = reason
        self._skipped = skipped or self._skipped
        self._schedule.failed(self._monotonic(), retry_after)
        self._usable_until = self._schedule.usable_until
        logger().warning("keys of %s could not be fetched: %s", self._where, reason)
        logger().debug("what the fetch raised", exc_info=error)
        return KeySetEvent(name="failed", url=self._where, reason=reason, skipped=skipped)


def _checked_algorithms(algorithms: Iterable[str]) -> tuple[str, ...]:
    if isinstance(algorithms, str) or not isinstance(algorithms, Iterable):
        raise SettingError(f'algorithms must be a list of names such as algorithms=("RS256",), not {algorithms!r}')
    names = tuple(map(plain, algorithms))
    for name in names:
        if name not in ASYMMETRIC_ALGORITHMS:
            raise SettingError(f"algorithms: {name!r} is not one of {', '.join(ASYMMETRIC_ALGORITHMS)}")
    return names
