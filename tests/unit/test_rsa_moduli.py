"""RSA moduli that anyone can factor are refused when a key is loaded, and no sound one is."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_jwt_claims import Key, KeySet
from asgi_jwt_claims.errors import KeyConfigurationError
from asgi_jwt_claims.jwks._documents import read_jwks
from asgi_jwt_claims.keys._moduli import _root, _thoroughly, why_worthless
from tests.forging import b64


@functools.cache
def prime(bits: int, number: int = 0) -> int:
    """A random prime of at least 512 bits; the one with this number."""
    return rsa.generate_private_key(65537, 2 * bits).private_numbers().p


SMALL = 65539
MERSENNE = 2**2281 - 1
CLOSE = 2**1024 - 105, 2**1024 - 179  # the two largest primes of 1,024 bits
LARGE = 2**2048 - 1557  # the largest prime of 2,048 bits; a random one takes a second to find

# Primes take long to find, so each is looked for by the test that uses it.
WORTHLESS: dict[str, tuple[Callable[[], int], str]] = {
    "even": (lambda: prime(1024) * prime(1024, 1) + 1, "a factor below 65536"),
    "a power of two": (lambda: 1 << 2047, "a factor below 65536"),
    "a small factor": (lambda: 65521 * MERSENNE, "a factor below 65536"),
    "a power of a small number": (lambda: 3**1300, "a factor below 65536"),
    "a prime": (lambda: LARGE, "a prime"),
    "a prime of a known form": (lambda: MERSENNE, "a prime"),
    "a power of a prime": (lambda: prime(700) ** 3, "a prime, a power of one"),
    "a power of a prime that is just large enough": (lambda: SMALL**130, "a square"),
    "an odd power of such a prime": (lambda: SMALL**131, "a prime, a power of one"),
    "the square of a prime": (lambda: prime(1024) ** 2, "a square"),
    "the square of a product": (lambda: (prime(516) * prime(516, 1)) ** 2, "a square"),
    "the cube of a product": (lambda: (prime(516) * prime(516, 1)) ** 3, "a power of a smaller number"),
    "primes that are close together": (lambda: math.prod(CLOSE), "close together"),
}


def jwk(modulus: int) -> dict[str, Any]:
    size = (modulus.bit_length() + 7) // 8
    return {"kty": "RSA", "n": b64(modulus.to_bytes(size, "big")).decode(), "e": "AQAB", "kid": "k", "alg": "RS256"}


@pytest.mark.thorough
@pytest.mark.parametrize(("make", "reason"), WORTHLESS.values(), ids=WORTHLESS)
def test_a_modulus_that_anyone_can_factor_is_refused(make: Callable[[], int], reason: str) -> None:
    """However it is loaded: alone, with a set, or from a provider, where the other keys are used all the same."""
    modulus = make()
    with pytest.raises(KeyConfigurationError, match=f"the RSA modulus .*{reason}.*make a new key"):
        Key.from_jwk(jwk(modulus))
    with pytest.raises(KeyConfigurationError, match=reason):
        KeySet.from_jwks({"keys": [jwk(modulus)]})
    good = Key.generate("ES256", kid="good").public_jwk()
    keys, skipped = read_jwks(b'{"keys": [%s, %s]}' % (dumped(jwk(modulus)), dumped(good)), (), 64, None)
    assert (["good"], 1) == ([key.kid for key in keys], len(skipped))


def dumped(value: dict[str, Any]) -> bytes:
    return str(value).replace("'", '"').encode()


def test_a_prime_modulus_is_refused_in_pem_too() -> None:
    """PEM leads to the same check."""
    public = rsa.RSAPublicNumbers(65537, MERSENNE).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyConfigurationError, match="the RSA modulus is a prime"):
        Key.from_pem(pem)


@pytest.mark.thorough
@pytest.mark.parametrize("bits", [2048, 2056, 3072])
def test_a_sound_modulus_is_accepted(bits: int) -> None:
    """A product of two random primes has nothing wrong with it."""
    assert None is why_worthless(rsa.generate_private_key(65537, bits).public_key().public_numbers().n)


def test_a_modulus_is_checked_once() -> None:
    """A provider publishes the same keys again and again; only the first time is the modulus computed with."""
    key = Key.generate("RS256").public_jwk()
    Key.from_jwk(key)
    before = _thoroughly.cache_info()
    for _ in range(5):
        Key.from_jwk(key)
    after = _thoroughly.cache_info()
    assert (before.hits + 5, before.misses) == (after.hits, after.misses)
    assert after.maxsize is not None


@pytest.mark.thorough
@settings(deadline=None, max_examples=200)
@given(st.integers(2, 120), st.data())
def test_every_power_is_known(exponent: int, data: st.DataObject) -> None:
    """Whatever the base: a power of the size of a modulus is never taken for a product of two primes."""
    bits = 2048 // exponent
    base = data.draw(st.integers(1 << bits, 1 << (bits + 1)).map(lambda number: number | 1))
    assert why_worthless(base**exponent) is not None


@given(st.sampled_from([3, 5, 7, 11, 31, 127]), st.data())
def test_roots_are_exact(exponent: int, data: st.DataObject) -> None:
    """The root is the largest integer whose power does not exceed the number, also beside exact powers."""
    number = data.draw(st.integers(1 << (17 * exponent), 1 << 3000))
    for one in (number, _root(number, exponent) ** exponent, _root(number, exponent) ** exponent - 1):
        root = _root(one, exponent)
        assert root**exponent <= one < (root + 1) ** exponent
