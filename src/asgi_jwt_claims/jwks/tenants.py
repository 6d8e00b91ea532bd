"""`TenantKeySets`: the keys of many tenants, each of which publishes a set of its own."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from asgi_jwt_claims.errors import KeysUnavailableError, SettingError, TokenError
from asgi_jwt_claims.keys.key_set import KeySet, KeySource
from asgi_jwt_claims.runtime.log import logger

from .fetch import HTTPXFetch
from .remote import RemoteKeySet

__all__ = ["TenantKeySets"]

_STAY: Final = 60.0  # seconds that a set stays after it was made or has verified a token
_MAX_ISSUERS: Final = 1024  # of tokens that are remembered


class _Tenant:
    __slots__ = ("keys", "used_at")

    def __init__(self, keys: KeySource, used_at: float) -> None:
        self.keys = keys
        self.used_at = used_at


class TenantKeySets(KeySource):
    """A set of keys for each tenant of an `IssuerTemplate`, for `JWTConfig(jwks=...)`.

    A set is made and fetched when the first token of an allowed tenant comes. When there are `max_sets`, the one that has
    verified no token for the longest time gives way to the next, but only if that is a minute ago: forged tokens of many
    tenants cannot cause more fetches than that, nor take the keys of tenants that are at work. Threads may share it.

    Args:
        key_set: A function that makes the key set of an issuer. None for `RemoteKeySet(issuer=issuer)`, which finds the
            keys through the metadata of each tenant.
        max_sets: How many tenants may have a set at the same time. Tokens of further ones are answered with 503.

    Raises:
        SettingError: An argument cannot be used.
    """

    def __init__(self, key_set: Callable[[str], KeySource] | None = None, *, max_sets: int = 1000) -> None:
        if key_set is not None and not callable(key_set):
            raise SettingError(
                "key_set must be a function that makes the key set of an issuer, as in "
                f"TenantKeySets(lambda issuer: RemoteKeySet(issuer + '/jwks')), not {type(key_set).__name__}"
            )
        if type(max_sets) is not int or max_sets < 1:
            raise SettingError(f"max_sets must be an int of 1 or more, not {max_sets!r}")
        if key_set is None:
            fetch = HTTPXFetch()  # the same for all, as its certificates take time and room
            key_set = lambda issuer: RemoteKeySet(issuer=issuer, fetch=fetch)  # noqa: E731
        self._key_set = key_set
        self._max_sets = max_sets
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()  # the one that is used least recently first
        self._lock = threading.Lock()
        self.issuer_cache: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"<TenantKeySets of {len(self._tenants)} tenants>"

    @property
    def sets(self) -> dict[str, KeySource]:
        """The sets that there are now, by issuer, for health checks and metrics."""
        return {issuer: tenant.keys for issuer, tenant in list(self._tenants.items())}

    @property
    def keys(self) -> KeySet:
        """Raises KeysUnavailableError: no set verifies the tokens of all tenants."""
        raise KeysUnavailableError("each tenant has keys of its own")

    def make(self, issuer: str) -> KeySource:
        """Return the key set of an issuer, without keeping it. Raises SettingError if it is of another type."""
        keys = self._key_set(issuer)
        if not isinstance(keys, KeySource):
            raise SettingError(f"key_set must return a RemoteKeySet, not {type(keys).__name__}")
        return keys

    def of(self, issuer: str) -> KeySource:
        """Return the set of one tenant.

        Raises:
            KeysUnavailableError: There is none yet.
        """
        tenant = self._tenants.get(issuer)
        if tenant is None:
            raise KeysUnavailableError("not fetched yet", keys_of=issuer)
        return tenant.keys

    def remember(self, raw: bytes, issuer: str) -> None:
        """Remember the issuer of a token once it has been verified, so that it need not be looked for again."""
        if len(self.issuer_cache) >= _MAX_ISSUERS:
            self.issuer_cache.clear()
        self.issuer_cache[hash(raw)] = issuer

    def refresh_if_due(self, issuer: str | None = None) -> None:
        """Do so for the set of the issuer, which has just verified a token."""
        with self._lock:
            tenant = self._tenants.get(issuer or "")
            if tenant is None:
                return
            tenant.used_at = time.monotonic()
            self._tenants.move_to_end(issuer or "")
        tenant.keys.refresh_if_due()

    async def fetch_of(self, issuer: str, error: TokenError) -> bool:
        """Call `fetch_for` of one tenant's set, which is made if there is none. The tenant must be allowed.

        Raises:
            KeysUnavailableError: As by `fetch_for`; also if the set cannot be made, or there is no room for one.
        """
        return await self._made(issuer).fetch_for(error)

    def _made(self, issuer: str) -> KeySource:
        with self._lock:
            tenant = self._tenants.get(issuer)
            if tenant is None:
                now = time.monotonic()
                if len(self._tenants) >= self._max_sets:
                    self._make_room(now)
                try:
                    keys = self.make(issuer)
                except Exception as error:  # noqa: BLE001 -- of the application
                    logger().error("no key set could be made for an issuer", exc_info=error)
                    raise KeysUnavailableError("no key set could be made", keys_of=issuer) from None
                tenant = self._tenants[issuer] = _Tenant(keys, now)
            return tenant.keys

    def _make_room(self, now: float) -> None:
        issuer, oldest = next(iter(self._tenants.items()))
        pause = oldest.used_at + _STAY - now
        if pause > 0:
            raise KeysUnavailableError("more tenants at once than max_sets", retry_after=math.ceil(pause))
        del self._tenants[issuer]
