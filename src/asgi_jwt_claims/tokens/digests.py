"""The digests by which stores know tokens, sessions and identities."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from asgi_jwt_claims.jose.strict_json import dump_json

from .token import digest_cache_of

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig

    from .token import Token

__all__ = ["Kind", "TokenDigests", "digest", "digests_of"]

Kind: TypeAlias = Literal["token", "session", "identity"]
"""What can be revoked: one token, all tokens of one login, or all of an identity up to now."""

_MAX_CACHED = 256  # characters

_LETTERS = {"token": "t", "session": "f", "identity": "i"}


class TokenDigests(NamedTuple):
    """What a store knows a token by.

    Attributes:
        token: The digest of its `jti`; empty when it has none.
        session: The digest of its session; empty when it has none.
        identity: The digest of its identity.
        issued_at: From when on it counts as issued, in seconds since the epoch, for the revocation of its identity.
    """

    token: bytes
    session: bytes
    identity: bytes
    issued_at: float


def digest(kind: Kind, issuer: str | None, value: Any) -> bytes:
    """What stores know a token, a session or an identity by: 16 bytes, from which it cannot be read back.

    The members of an object may come in any order, and a number in either spelling (`7`, `7.0`): it is the same identity
    (RFC 8259 sections 4 and 6).

    Args:
        kind: Which of them.
        issuer: The configuration's issuer: two issuers may name their tokens and their users alike.
        value: The `jti`, the session, or the identity, which may be any JSON value.
    """
    if type(value) is str and kind != "token" and len(value) <= _MAX_CACHED:
        return _cached_digest(kind, issuer, value)
    return _digest(kind, issuer, value)


def _digest(kind: Kind, issuer: str | None, value: Any) -> bytes:
    digest = _begun(kind, issuer).copy()
    # No text in UTF-8 has this byte, so no text has the digest of another value.
    digest.update(
        value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b"\xff" + dump_json(_canonical(value))
    )
    return digest.digest()


def _canonical(value: Any) -> Any:
    """A JSON value as it is spelled for its digest."""
    if isinstance(value, dict):
        return {name: _canonical(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_canonical(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


_cached_digest = functools.lru_cache(4096)(_digest)
"""Users and their sessions come with many tokens, each of which would have the same digest made again."""


@functools.lru_cache(256)
def _begun(kind: Kind, issuer: str | None) -> hashlib.blake2b:
    named = issuer or ""
    return hashlib.blake2b(f"{_LETTERS[kind]}{len(named)}:{named}".encode("utf-8", "surrogatepass"), digest_size=16)


def digests_of(token: Token, config: JWTConfig) -> TokenDigests:
    """The digests of a token, made once for all requests that bring it."""
    cache, issuer = digest_cache_of(token), config.issuer
    digests: TokenDigests | None = cache.get(issuer)
    if digests is None:
        jti, session, issued_at = token.jti, token.session_id, token.issued_at
        if issued_at is None:
            issued_at = 0.0  # the beginning of time
        elif session is None:
            # The clock that it was minted by may be ahead of the one by which its identity is revoked. (A session ends by
            # its name as well, so that no clock matters.)
            issued_at -= config._prepared.leeway_seconds
        digests = cache[issuer] = TokenDigests(
            digest("token", issuer, jti) if jti else b"",
            digest("session", issuer, session) if session else b"",
            digest("identity", issuer, token.identity),
            issued_at,
        )
    return digests
