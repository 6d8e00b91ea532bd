"""`JWKSEndpoint`: an ASGI application that publishes keys (RFC 7517 section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from asgi_jwt_claims.errors import KeyConfigurationError, SettingError
from asgi_jwt_claims.jose.strict_json import dump_json
from asgi_jwt_claims.keys.key_set import FixedKeys, KeySet, KeySource
from asgi_jwt_claims.keys.ring import KeyRing
from asgi_jwt_claims.runtime.durations import as_duration, whole_seconds
from asgi_jwt_claims.runtime.endpoint import Document, entity_tag

if TYPE_CHECKING:
    from asgi_jwt_claims.keys.key import Key

__all__ = ["JWKSEndpoint"]


class JWKSEndpoint(Document):
    """Answers GET and HEAD with the public keys, wherever it is mounted. Never sends a private member.

    An `ETag` tells clients that nothing has changed (RFC 9110 section 13.1.2), and `Cache-Control` makes them fetch a
    key before it signs.

    Args:
        keys: A `KeyRing`, or keys that never change.
        max_age: How long the response may be cached, a `timedelta` or seconds; at most half of the ring's
            `publish_ahead`.

    Raises:
        KeyConfigurationError: A secret is among the keys.
        SettingError: `max_age` is not a duration, or too long for the ring.
    """

    _media_type = b"application/jwk-set+json"  # RFC 7517 section 8.5.2

    def __init__(
        self, keys: KeyRing | KeySet | Iterable[Key], *, max_age: timedelta | float = timedelta(minutes=5)
    ) -> None:
        duration = as_duration(max_age, "max_age")
        if not isinstance(keys, KeyRing):
            self._source: KeySource = FixedKeys(keys if isinstance(keys, KeySet) else KeySet(keys))
        elif duration <= keys.publish_ahead / 2:
            self._source = keys
        else:
            raise SettingError(
                "max_age must be at most half of the ring's publish_ahead, "
                f"{keys.publish_ahead.total_seconds() / 2:.0f} seconds: caches have to see a key before it signs"
            )
        if any(key.is_symmetric for key in self._source.keys):
            raise KeyConfigurationError(
                "keys holds a secret, with which every reader of the set could sign; use Key.generate"
            )
        self._cache_control = f"public, max-age={whole_seconds(duration)}".encode()
        self._keys: KeySet | None = None
        self._content()

    def _content(self) -> tuple[bytes, bytes]:
        keys = self._source.keys
        if keys is not self._keys:
            self._body = dump_json({"keys": [key.public_jwk() for key in keys]})
            self._etag = entity_tag(self._body)
            self._keys = keys
        return self._body, self._etag
