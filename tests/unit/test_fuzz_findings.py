"""What the fuzzer has found, and what it starts from, through every target: these need no fuzzer."""

from __future__ import annotations

import random
from typing import Any

import pytest

from asgi_jwt_claims import Key, KeySet
from asgi_jwt_claims.errors import InvalidSignatureError
from tests.conftest import is_thorough
from tests.fuzz import model, target
from tests.fuzz.mutations import MUTATORS
from tests.fuzz.seeds import WORDS, seeds
from tests.fuzz.target import TARGETS

SEEDS = seeds()

INPUTS: list[tuple[str, bytes]] = [
    # As text, the first character that is not ASCII decides; as bytes, the number of parts does. Refused either way.
    ("token", b"e30.e30\xd8.e30.e30.e30"),
    ("token", b'r\x00\x00\x00otected": "\xff\xff\xff\x07ignature": "AA"}'),
    # Close to PEM, and yet only a secret.
    ("key", b"-----BEGIN'CERTIFICATE-----\n" + b"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvxzX" * 4 + b"-----\n"),
    ("key", b'{"keys":' * 2000),
    ("key", b'{"kty":"EC","crv":"P-256","x":"' + b"A" * 43 + b'","y":"' + b"A" * 43 + b'"}'),
    ("key", b'{"kty":"RSA","n":"' + b"_" * 342 + b'","e":"AQAB","d":"' + b"_" * 342 + b'"}'),
    ("key", b'{"kty":"oct","k":"' + b"A" * 43 + b'","key_ops":[["sign"],{}]}'),
    # With d * e = 1 there is nothing to recover the primes from, and cryptography 42 goes on trying for ever.
    ("key", b'{"kty":"RSA","n":"' + b"_" * 342 + b'","e":"AQ","d":"AQ"}'),
    ("sealed", b""),
    ("sealed", b"\x00"),
    ("sealed", b"\x00{}\x00{}"),
    ("sealed", b'\x00{"alg":"HS256"}\x00' + b"[" * 2000),
    ("json", b'{"a":"\\ud83d"}'),
    ("json", b'{"\\ud83d\\ude00":"\\ude00\\ud83d"}'),
    ("json", b'{"a":-0}'),
    ("json", b'{"a":-9007199254740992}'),
    ("json", b'{"a":1E+3}'),
    ("framing", b"AA.AA.AA"),
    ("framing", b"A" * 600),
    ("authorization", b"Bearer " + b"A" * 8192),
    ("authorization", b"Bearer\x00Bearer"),
    ("authorization", b"\xff\xfe \x80"),
]


@pytest.mark.parametrize(("name", "data"), INPUTS)
def test_what_was_found_is_found_no_more(name: str, data: bytes) -> None:
    """An input that once told something holds every promise of its target."""
    TARGETS[name](data)


@pytest.mark.thorough
@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_holds(name: str) -> None:
    """The library and the model agree about everything that the fuzzer starts from."""
    # The keys take seconds: a quick run takes every eighth.
    for data in SEEDS[name][:: 8 if name == "key" and not is_thorough() else 1]:
        TARGETS[name](data)


def test_nothing_stands_around_json() -> None:
    """Any byte in front of an object or behind it is white space, or the text is refused."""
    for byte in range(256):
        for text in (b'%c{"a":1}', b'{"a":1}%c'):
            TARGETS["json"](text % byte)


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_takes_the_seeds_of_the_others(name: str) -> None:
    """Whatever is meant for one target means nothing bad to another."""
    for data in WORDS + [seed for other, inputs in SEEDS.items() for seed in inputs[:12] if other != name]:
        TARGETS[name](data)


@pytest.mark.thorough
@pytest.mark.parametrize("name", MUTATORS)
def test_mutated_seeds_hold(name: str) -> None:
    """The changes that keep an input's shape make inputs that hold too: a short walk without guidance."""
    rng = random.Random(20)

    def mutate(data: bytes, max_size: int) -> bytes:
        place = rng.randrange(len(data) + 1)
        return (data[:place] + rng.choice(WORDS) + data[place + rng.randrange(3) :])[:max_size]

    for _ in range(200):
        data = rng.choice(SEEDS[name])
        for _ in range(rng.randint(1, 4)):
            data = MUTATORS[name](data, 3000, rng, mutate)
        TARGETS[name](data)


def replay(name: str) -> None:
    for data in SEEDS[name]:
        TARGETS[name](data)


def broken(*_: Any, **__: Any) -> Any:
    raise IndexError


@pytest.mark.parametrize(
    ("name", "owner", "what"),
    [
        ("token", target, "verify_token"),
        ("sealed", target, "verify_token"),
        ("framing", target, "split_compact"),
        ("json", target, "load_json"),
        ("authorization", target, "JWTMiddleware"),
        ("key", KeySet, "from_jwks"),
    ],
)
def test_a_foreign_exception_escapes(name: str, owner: Any, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No target swallows what is no error of the library."""
    monkeypatch.setattr(owner, what, broken)
    with pytest.raises(IndexError):
        replay(name)


def refused(*_: Any, **__: Any) -> Any:
    raise InvalidSignatureError()


@pytest.mark.parametrize(
    ("name", "owner", "what", "instead"),
    [
        ("token", target, "verify_token", refused),
        ("token", model, "is_true", lambda *_: False),
        ("sealed", target, "verify_token", refused),
        ("sealed", model, "_is_type", lambda *_: False),
        ("framing", target, "b64url_decode", lambda _: b""),
        ("framing", target, "split_compact", refused),
        ("json", target, "load_json", lambda _: ("{}", {})),
        ("authorization", model, "bearer", lambda *_: None),
        ("authorization", target, "verify_token", refused),
        ("key", Key, "verify", lambda *_: True),
        ("key", Key, "verify", lambda *_: False),
    ],
)
def test_a_wrong_verdict_is_noticed(
    name: str, owner: Any, what: str, instead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that accepts more or less than the model, or a key that does not work, is found by the seeds alone."""
    monkeypatch.setattr(owner, what, instead)
    with pytest.raises(AssertionError):
        replay(name)
