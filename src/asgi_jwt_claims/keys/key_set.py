"""Find the key that a token's header names: `KeySet`, and `KeySource` for keys that change over time."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from asgi_jwt_claims.errors import AlgorithmRefusedError, KeyConfigurationError, TokenError, UnknownKeyError
from asgi_jwt_claims.runtime.values import Frozen

from ._loading import PRIVATE_MEMBERS
from .key import Key, as_mapping, is_kid, keeps_no_secret, why_not_for_signatures, without_empty

__all__ = ["FixedKeys", "KeySet", "KeySource"]

_MAX_CACHED_HEADERS = 128  # of up to 2 KB; there may be a set for each of many tenants, who choose their headers


class KeySet(Frozen):
    """Keys to verify with, found by `kid` and algorithm. Frozen.

    Args:
        keys: At least one key. No two may have the same `kid` and the same algorithm (RFC 7517 section 4.5 allows one
            `kid` for keys of several kinds). Secrets and public keys do not mix: algorithm confusion begins with a
            public key that is taken for a secret (RFC 8725 section 2.1).

    Raises:
        KeyConfigurationError: The keys break one of these rules.
    """

    __slots__ = ("_by_name", "_header_cache", "_kid_by_thumbprint", "_kids")

    _by_name: dict[tuple[str, str], Key]
    _kid_by_thumbprint: dict[str, str]
    _kids: frozenset[str]
    _header_cache: dict[bytes, tuple[Key, dict[str, Any]]]

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
        set_once = object.__setattr__
        set_once(self, "_by_name", by_name)
        set_once(self, "_kids", frozenset(kid for kid, _ in by_name))
        kids: dict[str, set[str]] = {}
        for key in by_name.values():
            for thumbprint in key.thumbprints:
                kids.setdefault(thumbprint, set()).add(key.kid)
        # Which of two keys of one certificate is meant cannot be known, so the certificate names neither.
        names = {thumbprint: named.pop() for thumbprint, named in kids.items() if len(named) == 1}
        set_once(self, "_kid_by_thumbprint", names)
        set_once(self, "_header_cache", {})

    @classmethod
    @keeps_no_secret
    def from_jwks(cls, document: Mapping[str, Any] | str | bytes) -> KeySet:
        """Load the signature keys of a JWK Set (RFC 7517 section 5), a mapping or JSON text.

        Keys for another purpose (`use`, `key_ops`) or of an unknown `kty` are skipped, as RFC 7517 section 5 says.

        Raises:
            KeyConfigurationError: The document is not a JWK Set, or holds a private key or one that cannot be used.
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
        """Whether this very object is in the set. Another key with the same bytes is not."""
        return isinstance(key, Key) and self._by_name.get((key.kid, key.algorithm)) is key

    def __repr__(self) -> str:
        if not hasattr(self, "_by_name"):
            return "<KeySet, not built>"  # a local variable of an error about it
        return f"<KeySet of {len(self)}: {', '.join(map(repr, self))}>"

    def find(self, kid: str | None, algorithm: str, thumbprint: object = None) -> Key:
        """Return the one key with the `kid` and `alg` of a token's header, by which the token may be verified.

        The `algorithm` must be that of the key; it only tells keys of one `kid` apart. If the header has no `kid`, the
        `thumbprint` of a certificate (`x5t#S256` or `x5t`, of any type) finds the key. Without either, there must be
        exactly one key of the `algorithm`.

        Raises:
            UnknownKeyError: There is no such key, or more than one.
            AlgorithmRefusedError: The keys of that name are for other algorithms.
        """
        if kid is None and is_kid(thumbprint):
            kid = self._kid_by_thumbprint.get(str(thumbprint))
        if kid is not None:
            key = self._by_name.get((kid, algorithm))
            if key is not None:
                return key
            raise AlgorithmRefusedError(alg=algorithm, kid=kid) if kid in self._kids else UnknownKeyError(kid=kid)
        candidates = [key for key in self if key.algorithm == algorithm]
        if is_kid(thumbprint) and any(key.thumbprints for key in candidates):
            raise UnknownKeyError(thumbprint=thumbprint, reason="no kid, and a certificate that no key has")
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise UnknownKeyError(reason="no kid, and several keys could be meant")
        raise AlgorithmRefusedError(alg=algorithm)

    def has_name(self, name: str) -> bool:
        """Whether any key has this `kid`, or a certificate with this thumbprint."""
        return name in self._kids or name in self._kid_by_thumbprint

    def issuer_of(self, key: Key) -> str | None:  # noqa: ARG002 -- for sets that say so
        """Return the issuer whose tokens alone a key may verify; None, or text with `{`, if it may verify those of all."""
        return None

    def get_header(self, segment: bytes) -> tuple[Key, dict[str, Any]] | None:
        """Return key and parsed header for an encoded header that once came with a good signature, else None."""
        return self._header_cache.get(segment)

    def put_header(self, segment: bytes, key: Key, header: dict[str, Any]) -> None:
        """Remember an encoded header after a signature over it has been verified, with the key that it names.

        Tokens share the parsed `header`, so it must not be changed from now on.
        """
        if len(self._header_cache) >= _MAX_CACHED_HEADERS:
            self._header_cache.clear()  # an issuer with a new header for every token: nothing is worth keeping
        self._header_cache[segment] = (key, header)


class KeySource(abc.ABC):
    """Keys that change while the application runs: those of an issuer (`RemoteKeySet`) or one's own (`KeyRing`).

    Attributes:
        is_for_one_client: Whether the issuer signs the tokens of one client only with these keys, so that no claim has to
            say for whom a token is.
    """

    __slots__ = ()

    is_for_one_client: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def keys(self) -> KeySet:
        """The keys that verify now: the same object for as long as nothing has changed. Read for every token.

        A key that stays is the same `Key` in the next set, so that the tokens it has verified stay remembered.

        Raises:
            KeysUnavailableError: There are no keys, or none that may still be used.
        """

    def refresh_if_due(self, issuer: str | None = None) -> None:  # noqa: B027 -- nothing to do, except for keys that are fetched
        """Start a fetch in the background if it is time for one. Never waits.

        Called for every good token, with its `issuer`, since each tenant of a provider may have keys of its own.
        """

    async def fetch_for(self, error: TokenError) -> bool:  # noqa: ARG002 -- for keys that are fetched
        """Fetch keys if a token cannot be verified without new ones. Return whether to verify it once more.

        Called with the error of every refused token where the caller can wait.

        Raises:
            KeysUnavailableError: The fetch failed, and only it could tell whether the token is good.
        """
        return False

    async def run(self) -> None:  # noqa: B027 -- nothing to do, except for keys that are fetched
        """Keep the keys up to date in the background, until cancelled, as long as the application runs."""


class FixedKeys(KeySource):
    """Keys that never change."""

    __slots__ = ("keys",)

    keys: KeySet

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys  # pyright: ignore[reportIncompatibleMethodOverride] -- a slot is quicker than a property
