"""`JWKSEndpoint`: an ASGI application that publishes keys (RFC 7517 section 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.errors import KeyConfigurationError, SettingError, UnsupportedScopeError
from asgi_jwt_claims.jose.compact import b64url_encode
from asgi_jwt_claims.jose.strict_json import dump_json
from asgi_jwt_claims.keys.key_set import FixedKeys, KeySet, KeySource
from asgi_jwt_claims.keys.ring import KeyRing
from asgi_jwt_claims.runtime.durations import as_duration, whole_seconds

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Scope, Send
    from asgi_jwt_claims.keys.key import Key

__all__ = ["JWKSEndpoint"]


class JWKSEndpoint:
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
        self._encode_keys()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 -- ASGI; no body is read
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        if scope["type"] != "http":
            raise UnsupportedScopeError(f"scope type {scope['type']!r} is not answered; mount this in an application")
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, [(b"allow", b"GET, HEAD"), (b"content-length", b"0")])
            return
        self._encode_keys()
        validators = [(b"cache-control", self._cache_control), (b"etag", self._etag)]
        if self._is_known(scope):
            await _send(send, 304, validators)
            return
        content = [
            (b"content-type", b"application/jwk-set+json"),  # RFC 7517 section 8.5.2
            (b"content-length", str(len(self._body)).encode()),
        ]
        await _send(send, 200, [*content, *validators], b"" if scope["method"] == "HEAD" else self._body)

    def _encode_keys(self) -> None:
        """Make the body and its entity tag, if the keys have changed since."""
        keys = self._source.keys
        if keys is not self._keys:
            self._body = dump_json({"keys": [key.public_jwk() for key in keys]})
            self._etag = b'"' + b64url_encode(hashlib.sha256(self._body).digest()) + b'"'
            self._keys = keys

    def _is_known(self, scope: Scope) -> bool:
        """Whether the client has these keys: `If-None-Match`, compared weakly (RFC 9110 section 13.1.2)."""
        # An entity tag may hold a comma, but ours does not, so that splitting at commas cannot break it.
        values = [value for name, value in scope["headers"] if name == b"if-none-match"]
        tags = {tag.strip().removeprefix(b"W/") for value in values for tag in value.split(b",")}
        return self._etag in tags or b"*" in tags


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
