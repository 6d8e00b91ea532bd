"""Changes that keep the shape of an input, so that the fuzzer gets past the framing: to the claims, and to the keys."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any, TypeAlias

from tests.forging import b64
from tests.fuzz.seeds import CHANGES, HEADER_CHANGES, MEMBERS
from tests.fuzz.target import SEALING, seal

__all__ = ["MUTATORS", "Mutate", "Mutator"]

Mutate: TypeAlias = Callable[[bytes, int], bytes]
"""The fuzzer's own: bytes, and how many of them there may be."""

Mutator: TypeAlias = Callable[[bytes, int, random.Random, Mutate], bytes]

_SEPARATORS = [(",", ":"), (", ", ": "), (" ,\n", "\t: ")]


def of_sealed(data: bytes, max_size: int, rng: random.Random, mutate: Mutate) -> bytes:
    """Another key, another header or another payload."""
    choice = rng.random()
    if choice < 0.2 or not data:
        return mutate(data, max_size)
    header, _, payload = data[1:].partition(b"\0")
    if choice < 0.3:
        kid = rng.choice([*SEALING])
        header = json.dumps({"alg": SEALING[kid][0], "typ": rng.choice(["JWT", "at+jwt"]), "kid": kid}).encode()
        return bytes([[*SEALING].index(kid)]) + header + b"\0" + payload
    if choice < 0.5:
        header = _other_object(header, max_size, rng, mutate, HEADER_CHANGES)
    else:
        payload = _other_object(payload, max_size, rng, mutate, CHANGES)
    return data[:1] + header + b"\0" + payload


def of_token(data: bytes, max_size: int, rng: random.Random, mutate: Mutate) -> bytes:
    """A change inside one of the parts, and now and then a true signature over it."""
    parts = data.split(b".")
    if rng.random() < 0.3 or len(parts) != 3:
        return mutate(data, max_size)
    place = rng.randrange(3)
    inner = _decoded(parts[place])
    changes = (HEADER_CHANGES, CHANGES, [])[place]
    parts[place] = b64(_other_object(inner, max_size, rng, mutate, changes) if changes else mutate(inner, max_size))
    if rng.random() < 0.4:
        return seal(rng.choice([*SEALING]), _decoded(parts[0]), _decoded(parts[1]))
    return b".".join(parts)


def of_authorization(data: bytes, max_size: int, rng: random.Random, mutate: Mutate) -> bytes:
    """Another token behind the same scheme, or any other bytes."""
    scheme, space, token = data.rpartition(b" ")
    if rng.random() < 0.6 or not space:
        return mutate(data, max_size)
    return scheme + space + of_token(token, max_size, rng, mutate)


def of_json(data: bytes, max_size: int, rng: random.Random, mutate: Mutate) -> bytes:
    """Another member of the object, or any other bytes."""
    if rng.random() < 0.6:
        return mutate(data, max_size)
    return _other_object(data, max_size, rng, mutate, CHANGES)


def of_key(data: bytes, max_size: int, rng: random.Random, mutate: Mutate) -> bytes:
    """Another member of a JWK, or any other bytes."""
    if rng.random() < 0.5:
        return mutate(data, max_size)
    return _other_object(data, max_size, rng, mutate, [])


def _decoded(segment: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except ValueError:
        return segment


def _other_object(
    text: bytes, max_size: int, rng: random.Random, mutate: Mutate, changes: list[tuple[str, Any]]
) -> bytes:
    """A JSON object with one thing changed; any other bytes mutated as they are."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return mutate(text, max_size)
    if not isinstance(value, dict) or rng.random() < 0.2:
        return mutate(text, max_size)
    for _ in range(rng.randint(1, 3)):
        _change(value, rng, mutate, changes)
    written = json.dumps(value, ensure_ascii=rng.random() < 0.5, separators=rng.choice(_SEPARATORS))
    encoded = written.encode("utf-8", "surrogatepass")
    if rng.random() < 0.05 and value:
        name = json.dumps(rng.choice([*value])).encode()
        encoded = encoded[:-1] + b"," + name + b":1}"
    return encoded


def _change(value: dict[str, Any], rng: random.Random, mutate: Mutate, changes: list[tuple[str, Any]]) -> None:
    names = [*value]
    choice = rng.random()
    if changes and choice < 0.35:
        value.update([rng.choice(changes)])
    elif not names or choice < 0.5:
        value[rng.choice([*names, "a", "", "sub"])] = rng.choice(MEMBERS)
    elif choice < 0.6:
        del value[rng.choice(names)]
    elif choice < 0.7:
        value[rng.choice(names)] = value[rng.choice(names)]
    else:
        name = rng.choice(names)
        value[name] = _other_value(value[name], rng, mutate)


def _other_value(value: Any, rng: random.Random, mutate: Mutate) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, str):
        return mutate(value.encode("utf-8", "surrogatepass"), len(value) * 4 + 8).decode("utf-8", "replace")
    if isinstance(value, int | float):
        return rng.choice([value + 1, value - 1, -value, value + 0.5, value * 10, str(value), [value]])
    if isinstance(value, dict):
        return {**value, rng.choice([*value, "a"]): rng.choice(MEMBERS)}
    return [*value, rng.choice(MEMBERS)] if rng.random() < 0.7 else value[1:]


MUTATORS: dict[str, Mutator] = {
    "token": of_token,
    "sealed": of_sealed,
    "json": of_json,
    "authorization": of_authorization,
    "key": of_key,
}
