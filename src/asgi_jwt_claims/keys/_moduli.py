"""Find RSA moduli that anyone can factor. Pure arithmetic, done when a key is loaded, and never for a token.

A modulus is the product of two large and independent primes (RFC 8017 section 3.1). A few computations reveal moduli
that are not, by finding a factor:

1. a factor below 2**16: even numbers, and powers of small primes;
2. Fermat's method, a few steps: squares, and primes that are close together (CVE-2022-26320);
3. Pollard's p - 1 method with the exponent n - 1: primes, powers of primes, and primes that are made from each other;
4. a root: powers of anything else.

The first two take milliseconds, the third 50 milliseconds for a sound modulus of 2,048 bits and 350 for one of 4,096.
An issuer could publish dozens of large keys, and new ones with every response, so the caller decides how many of those
are checked thoroughly.
"""

from __future__ import annotations

import functools
import itertools
import math

__all__ = ["why_worthless"]

_SMALL = 1 << 16
_FERMAT_STEPS = 128
_SQUARES_MODULO_16 = frozenset({0, 1, 4, 9})
_MAX_POWER_BITS = 8192  # the time grows with the third power of the length; 16,384 bits would take ten seconds


def why_worthless(modulus: int, *, thorough: bool = True) -> str | None:
    """Say what is wrong with an RSA modulus, as the rest of a sentence; None if nothing is known.

    The modulus must not be longer than OpenSSL accepts, or this could take hours. The last two computations are done
    only if `thorough`.
    """
    return _at_once(modulus) or (_thoroughly(modulus) if thorough else None)


# A provider publishes the same keys again and again.
@functools.lru_cache(256)
def _at_once(modulus: int) -> str | None:
    if math.gcd(modulus, _product_of_small_primes()) != 1:
        return "has a factor below 65536"
    if _has_close_factors(modulus):
        return "is a square, or the product of two numbers that are close together"
    return None


@functools.lru_cache(256)
def _thoroughly(modulus: int) -> str | None:
    if modulus.bit_length() <= _MAX_POWER_BITS and math.gcd(_power_of_two(modulus - 1, modulus) - 1, modulus) != 1:
        return "is a prime, a power of one, or the product of primes that depend on each other"
    if _is_power(modulus):
        return "is a power of a smaller number"
    return None


@functools.cache
def _product_of_small_primes() -> int:
    sieve = bytearray([1]) * _SMALL
    sieve[:2] = b"\0\0"
    for number in range(2, math.isqrt(_SMALL) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, _SMALL, number)))
    return math.prod(itertools.compress(range(_SMALL), sieve))


def _has_close_factors(modulus: int) -> bool:
    """Whether `modulus` is middle ** 2 - rest ** 2 for a middle that is near its root."""
    middle = math.isqrt(modulus - 1) + 1
    for step in range(_FERMAT_STEPS):
        square = (middle + step) ** 2 - modulus
        if square & 15 in _SQUARES_MODULO_16 and math.isqrt(square) ** 2 == square:
            return True
    return False


def _power_of_two(exponent: int, modulus: int) -> int:
    """2 ** exponent % modulus, in small steps, so that other threads can run in between. `pow` would block them."""
    power = 1
    for bit in f"{exponent:b}":
        power = power * power % modulus
        if bit == "1":
            power = (power << 1) % modulus
    return power


def _is_power(modulus: int) -> bool:
    # The root is larger than the factors that were ruled out. Prime exponents would do; trying the others costs little.
    return any(
        _root(modulus, exponent) ** exponent == modulus for exponent in range(3, modulus.bit_length() // 16 + 1, 2)
    )


def _root(number: int, exponent: int) -> int:
    """Compute the root, rounded down, by Newton's method from above."""
    # A little more than the root, from the logarithm, which is exact to about twelve digits.
    fraction, whole = math.modf(math.log2(number) / exponent)
    mantissa = int(2.0 ** (fraction + 52) * (1 + 2**-32)) + 1
    guess = (mantissa << int(whole)) // (1 << 52) + 1
    while True:
        better = ((exponent - 1) * guess + number // guess ** (exponent - 1)) // exponent
        if better >= guess:
            return guess
        guess = better
