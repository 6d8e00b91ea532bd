"""Keys and sets of keys: which key does a token's header mean?

A `KeySet` answers the one question verification asks: which key do this `kid` and this `alg` belong to?
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    KeyConfigurationError,
    UnknownKeyError,
)

from ._loading import PRIVATE_MEMBERS
from .key import (
    ASYMMETRIC_ALGORITHMS,
    MAX_KID_LENGTH,
    Key,
    as_mapping,
    is_kid,
    keeps_no_secret,
    why_not_for_signatures,
    without_empty,
)

if TYPE_CHECKING:
    from asgi_jwt_claims.errors import TokenError

__all__ = ["ASYMMETRIC_ALGORITHMS", "MAX_KID_LENGTH", "Key", "KeySet", "KeySource", "is_kid"]

_MAX_KNOWN_HEADERS = 1024


class KeySet:
    """Keys to verify with, found by `kid` and algorithm. Frozen.

    Args:
        keys: At least one key; no two with the same `kid` and the same algorithm (RFC 7517 section 4.5 allows one `kid`
            for keys of several kinds); secrets and public keys do not mix (a public key that is taken for a secret is
            how algorithm confusion begins, RFC 8725 section 2.1).

    Raises:
        KeyConfigurationError: If that does not hold.
    """

    __slots__ = ("_by_name", "_kids", "_known_headers")

    def __init__(self, keys: Iterable[Key]) -> None:
        by_name: dict[tuple[str, str], Key] = {}
        if not isinstance(keys, Iterable) or isinstance(keys, str | bytes):
            raise KeyConfigurationError(
                f"a KeySet is made of several keys, KeySet([key]), not of {type(keys).__name__}"
            )
        for key in keys:
            if not isinstance(key, Key):
                raise KeyConfigurationError(f"a KeySet holds Key objects, not {type(key).__name__}; see Key.from_pem")
            if (key.kid, key.algorithm) in by_name:
                raise KeyConfigurationError(
                    f"two keys have the kid {key.kid!r} and the algorithm {key.algorithm}; name them apart with kid=..."
                )
            by_name[key.kid, key.algorithm] = key
        if not by_name:
            raise KeyConfigurationError("a KeySet needs at least one key")
        if len({key.is_symmetric for key in by_name.values()}) > 1:
            raise KeyConfigurationError("secrets and public keys do not mix in one set; use one configuration for each")
        self._by_name = by_name
        self._kids = frozenset(kid for kid, _ in by_name)
        self._known_headers: dict[bytes, tuple[Key, dict[str, Any]]] = {}

    @classmethod
    @keeps_no_secret
    def from_jwks(cls, document: Mapping[str, Any] | str | bytes) -> KeySet:
        """The signature keys of a JWK Set (RFC 7517 section 5), given as a mapping or JSON text.

        Keys that are there for something else (`use`, `key_ops`) or of an unknown `kty` are passed over, as RFC 7517
        section 5 says; a private key, or one that cannot be used, is an error.
        """
        keys = as_mapping(document, "a JWK Set").get("keys")
        if not isinstance(keys, list):
            raise KeyConfigurationError('a JWK Set is an object with a "keys" array (RFC 7517 section 5)')
        jwks = [without_empty(as_mapping(jwk, "a key of a JWK Set")) for jwk in keys]
        if any(jwk.get("kty") != "oct" and not PRIVATE_MEMBERS.isdisjoint(jwk) for jwk in jwks):
            raise KeyConfigurationError("the JWK Set holds a private key; publish and load only public ones")
        return cls(
            Key.from_jwk(jwk)
            for jwk in jwks
            if jwk.get("kty") in ("oct", "RSA", "EC", "OKP") and why_not_for_signatures(jwk) is None
        )

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, key: object) -> bool:
        """Whether this very key is in the set; another one with the same bytes is not."""
        return isinstance(key, Key) and self._by_name.get((key.kid, key.algorithm)) is key

    def __repr__(self) -> str:
        if not hasattr(self, "_by_name"):
            return "<KeySet, not built>"  # a local variable of an error about it
        return f"<KeySet of {len(self)}: {', '.join(map(repr, self))}>"

    def find(self, kid: str | None, algorithm: str) -> Key:
        """The one key a token may be verified with.

        Args:
            kid: From the token's header: only a key of that name will do. None: there must be exactly one key of
                `algorithm`.
            algorithm: From the token's header: compared with the key's, never obeyed.

        Raises:
            UnknownKeyError: No such key, or no single one.
            AlgorithmRefusedError: The keys of that name are for other algorithms.
        """
        if kid is not None:
            key = self._by_name.get((kid, algorithm))
            if key is not None:
                return key
            if kid in self._kids:
                raise AlgorithmRefusedError(alg=algorithm, kid=kid)
            raise UnknownKeyError(kid=kid)
        candidates = [key for key in self if key.algorithm == algorithm]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise UnknownKeyError(reason="no kid, and several keys could be meant")
        raise AlgorithmRefusedError(alg=algorithm)

    def has_kid(self, kid: str) -> bool:
        """Whether any key has this name."""
        return kid in self._kids

    def get_header(self, segment: bytes) -> tuple[Key, dict[str, Any]] | None:
        """The key and the checked header that an encoded header meant when it last came with a good signature."""
        return self._known_headers.get(segment)

    def put_header(self, segment: bytes, key: Key, header: dict[str, Any]) -> None:
        """Note what an encoded header means, once a signature over it has been verified; never before.

        Args:
            segment: The header as it stands in the token.
            key: The key that it means.
            header: What it holds; from now on only read, since tokens share it.
        """
        if len(self._known_headers) >= _MAX_KNOWN_HEADERS:
            self._known_headers.clear()  # an issuer with a new header for every token: nothing is worth keeping
        self._known_headers[segment] = (key, header)


class KeySource(abc.ABC):
    """Keys that change while the application runs: those of another party (`RemoteKeySet`) or one's own (`KeyRing`)."""

    __slots__ = ()

    @property
    @abc.abstractmethod
    def keys(self) -> KeySet:
        """The keys that verify now: the same object for as long as nothing has changed. Asked for every token.

        A key that stays is the same `Key` in the next set, so that what it has verified stays remembered.

        Raises:
            KeysUnavailableError: There are none, or none that may be relied on any longer.
        """

    async def attend(self, error: TokenError | None) -> bool:  # noqa: ARG002 -- for those that can do something about it
        """Look after the keys, once for every token where the caller can wait.

        Args:
            error: Why the token was refused with the keys in hand; None when it was not.

        Returns:
            Whether the keys may be others now, so that the token should be verified once more.
        """
        return False

    async def run(self) -> None:  # noqa: B027 -- nothing to do, for all but those that fetch
        """Look after the keys in the background, until cancelled, as long as the application runs."""
