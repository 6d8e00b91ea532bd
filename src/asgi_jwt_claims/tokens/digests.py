"""The digests by which stores know tokens, sessions and identities."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from asgi_jwt_claims.jose.strict_json import dump_json

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig

    from .token import Token

__all__ = ["Kind", "TokenDigests", "digest", "digests_of"]

Kind: TypeAlias = Literal["token", "session", "identity"]
"""What can be revoked: one token, all tokens of one login, or all of an identity up to now."""

_MAX_CACHED = 256  # characters

_LETTERS = {"token": "t", "session": "f", "identity": "i"}


class TokenDigests(NamedTuple):
    """The digests by which a store finds a token.

    Attributes:
        token: The digest of its `jti`; empty if it has none.
        session: The digest of its session; empty if it has none.
        identity: The digest of its identity.
        issued_at: When it counts as issued for a revocation of its identity, in seconds since the epoch.
    """

    token: bytes
    session: bytes
    identity: bytes
    issued_at: float


def digest(kind: Kind, issuer: str | None, value: Any) -> bytes:
    """Compute the 16 bytes by which stores find a token, a session or an identity. They cannot be reversed.

    `value` is the `jti`, the session, or the identity, which may be any JSON value. The order of members and the
    spelling of a number (`7`, `7.0`) make no difference (RFC 8259 sections 4 and 6). The configuration's `issuer`
    counts, since two issuers may use the same names.
    """
    if type(value) is str and kind != "token" and len(value) <= _MAX_CACHED:
        return _cached_digest(kind, issuer, value)
    return _digest(kind, issuer, value)


def _digest(kind: Kind, issuer: str | None, value: Any) -> bytes:
    digest = _begun(kind, issuer).copy()
    # No UTF-8 text has the byte 0xFF, so no text has the digest of another value.
    is_text = isinstance(value, str)
    digest.update(value.encode("utf-8", "surrogatepass") if is_text else b"\xff" + dump_json(_canonical(value)))
    return digest.digest()


def _canonical(value: Any) -> Any:
    """Spell a JSON value in one way only."""
    if isinstance(value, dict):
        return {name: _canonical(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_canonical(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


_cached_digest = functools.lru_cache(4096)(_digest)
"""A user and a session have many tokens, all with the same two digests."""


@functools.lru_cache(256)
def _begun(kind: Kind, issuer: str | None) -> hashlib.blake2b:
    named = issuer or ""
    return hashlib.blake2b(f"{_LETTERS[kind]}{len(named)}:{named}".encode("utf-8", "surrogatepass"), digest_size=16)


def digests_of(token: Token, config: JWTConfig) -> TokenDigests:
    """Return the digests of a token, computed once for all requests that bring it."""
    fields, issuers = token._verified[0], config._prepared.issuers  # noqa: SLF001 -- what all tokens of the same bytes share
    # Each tenant has an `alice` of its own, and an issuer with two names has one.
    issuer = issuers.canonical if issuers.template is None else fields.issuer
    digests: TokenDigests | None = fields.cache.get(issuer)
    if digests is None:
        jti, session, issued_at = fields.jti, fields.session_id, fields.issued_at
        if issued_at is None:
            issued_at = 0.0  # so that every revocation of its identity counts
        elif session is None:
            # The clock of minting may be ahead of that of revoking. A session is also revoked by name, without a clock.
            issued_at -= config._prepared.leeway_seconds
        digests = fields.cache[issuer] = TokenDigests(
            digest("token", issuer, jti) if jti else b"",
            digest("session", issuer, session) if session else b"",
            digest("identity", issuer, token.identity if fields.identity is None else fields.identity),
            issued_at,
        )
    return digests
