"""`KeyRing`: which key signs, which verify, and which are published, at every moment of a rotation."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    JWTConfig,
    Key,
    create_access_token,
    create_refresh_token,
    verify_token,
)
from asgi_jwt_claims.errors import (
    KeyConfigurationError,
    MintingError,
    SettingError,
    UnknownKeyError,
)
from asgi_jwt_claims.keys import KeyRing
from tests.conftest import NOW, HeldClock

FIRST, SECOND, THIRD, FOURTH = (Key.generate("ES256", kid=name) for name in ("first", "second", "third", "fourth"))
LEAD, KEEP = 1800, 15 * 86400
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def kids(keys: Any) -> list[str]:
    return [key.kid for key in keys]


def test_a_rotation_from_beginning_to_end(clock: HeldClock) -> None:
    """A new key is published, then signs, then verifies only, and then is gone; each step at its time."""  # S144
    ring = KeyRing(FIRST, clock=clock)
    assert ("first", (), ()) == (ring.current.kid, ring.upcoming, ring.retired)
    assert NOW + LEAD == ring.add(SECOND)
    assert ("first", ["second"], []) == (ring.current.kid, kids(ring.upcoming), kids(ring.retired))
    assert ["first", "second"] == [jwk["kid"] for jwk in ring.public_jwks()["keys"]]
    clock.now += LEAD - 0.001
    assert "first" == ring.current.kid
    clock.now = NOW + LEAD
    assert ("second", [], ["first"]) == (ring.current.kid, kids(ring.upcoming), kids(ring.retired))
    assert {"first", "second"} == set(kids(ring.keys))
    clock.now = NOW + LEAD + KEEP - 0.001
    assert ["first"] == kids(ring.retired)
    clock.now = NOW + LEAD + KEEP
    assert ("second", [], []) == (ring.current.kid, kids(ring.upcoming), kids(ring.retired))
    assert (("second", NOW + LEAD),) == ring.schedule
    assert "<KeyRing current 'second'>" == repr(ring)


def test_the_last_token_of_a_key_is_accepted_to_its_end(clock: HeldClock) -> None:
    """What a key signs in its last moment is accepted for as long as the token lives, and minting follows the ring."""
    ring = KeyRing(FIRST, clock=clock)
    config = JWTConfig(key_ring=ring, clock=clock)
    ring.add(SECOND)
    clock.now += LEAD - 1
    last = create_refresh_token("alice", config)
    clock.now += 1
    assert "second" == verify_token(create_access_token("alice", config), config).headers["kid"]
    clock.now += 14 * 86400 - 2
    token = verify_token(last, config, type="refresh")
    assert ("alice", "first") == (token.identity, token.headers["kid"])


def test_keys_keep_their_identity(clock: HeldClock) -> None:
    """The set is one object until something changes, and a key that stays is one object throughout."""
    ring = KeyRing(FIRST, clock=clock)
    before = ring.keys
    assert before is ring.keys
    ring.add(SECOND)
    during = ring.keys
    assert (True, False) == (next(iter(before)) in during, before is during)
    clock.now += LEAD
    assert during is ring.keys  # another one signs, but the same ones verify
    clock.now += KEEP
    assert ([True], False) == ([key in during for key in ring.keys], during is ring.keys)
    assert [] == [key for key in during if key.can_sign]


def test_processes_with_the_same_keys_agree(clock: HeldClock) -> None:
    """A saved schedule, restored elsewhere in any order, says the same at every time."""
    by_kid = {key.kid: key for key in (FIRST, SECOND, THIRD)}
    one = KeyRing(FIRST, clock=clock)
    one.add(SECOND)
    one.add(THIRD, starts_at=NOW + 86400)
    other = KeyRing([(by_kid[kid], at) for kid, at in reversed(one.schedule)], clock=clock)
    for pause in (0, LEAD, 86400, KEEP, KEEP):
        clock.now += pause
        assert repr(one) == repr(other)
        assert one.public_jwks() == other.public_jwks()


def test_a_stolen_key_ends_at_once(clock: HeldClock) -> None:
    """Removed while it signs, it is succeeded by the next, published no longer, and nothing it has signed is accepted."""
    ring = KeyRing(FIRST, clock=clock)
    config = JWTConfig(key_ring=ring, clock=clock)
    stolen = create_access_token("alice", config)
    for _ in range(3):
        verify_token(stolen, config)
    with pytest.raises(KeyConfigurationError, match="the key 'first' is the only one that may sign; add another"):
        ring.remove("first")
    ring.add(SECOND)
    ring.add(THIRD, starts_at=NOW + 86400)
    ring.remove("first")
    assert ("second", ["third"], []) == (ring.current.kid, kids(ring.upcoming), kids(ring.retired))
    with pytest.raises(UnknownKeyError):
        verify_token(stolen, config)
    assert "second" == verify_token(create_access_token("alice", config), config).headers["kid"]
    ring.remove("third")
    assert [] == kids(ring.upcoming)
    with pytest.raises(KeyConfigurationError, match="there is no key 'first' on the ring"):
        ring.remove("first")


def test_a_retired_key_never_signs_again(clock: HeldClock) -> None:
    """With the current key stolen and only retired ones left, there is nobody to take over."""
    ring = KeyRing(FIRST, clock=clock)
    ring.add(SECOND)
    clock.now += LEAD
    with pytest.raises(KeyConfigurationError, match="the key 'second' is the only one that may sign"):
        ring.remove("second")
    ring.remove("first")
    assert (["second"], []) == (kids(ring.keys), kids(ring.retired))


def test_a_clock_that_jumps_ahead_takes_nothing_away(clock: HeldClock) -> None:
    """Once it is set right, all is as if it had never been wrong: the same key signs, and the same keys verify."""
    ring = KeyRing([(FIRST, 0), (SECOND, NOW + 10)], retain=100, clock=clock)
    before = repr(ring), ring.public_jwks(), ring.schedule
    clock.now += 200
    assert ("second", ["second"]) == (ring.current.kid, kids(ring.keys))
    clock.now -= 200
    assert before == (repr(ring), ring.public_jwks(), ring.schedule)


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ([], "no key on the ring signs yet"),
        ([(FIRST, NOW + 1)], "no key on the ring signs yet"),
        ("pem", "made of one private Key, or of pairs"),
        (7, "made of one private Key, or of pairs"),
        ([FIRST], "made of one private Key, or of pairs"),
        ([(FIRST, 0, 1)], "made of one private Key, or of pairs"),
        ([("pem", 0)], "a KeyRing holds Key objects, not str"),
        (Key.generate("HS256"), "a secret has no public half"),
        (FIRST.public(), "the key 'first' is a public key"),
        ([(FIRST, 0), (FIRST, 1)], "two keys of the ring have the kid 'first'"),
        ([(FIRST, 0), (SECOND, 0.0)], "two keys of the ring sign from 0"),
        ([(FIRST, "0")], "a finite number of seconds since the epoch"),
        ([(FIRST, True)], "a finite number of seconds since the epoch"),
        ([(FIRST, float("nan"))], "a finite number of seconds since the epoch"),
    ],
)
def test_what_cannot_be_on_a_ring_is_refused(keys: Any, match: str, clock: HeldClock) -> None:
    """Secrets, public keys, and keys or times that come twice; the message says what to do."""
    with pytest.raises(KeyConfigurationError, match=match):
        KeyRing(keys, clock=clock)


def test_what_cannot_be_added_is_refused_and_changes_nothing(clock: HeldClock) -> None:
    """Too early a time, or a key that cannot be on the ring: it stays as it was."""
    ring = KeyRing(FIRST, clock=clock)
    for starts_at in (NOW + LEAD - 1, 0, float("nan")):
        with pytest.raises(SettingError, match=r"and at least publish_ahead \(1800 seconds\) from now"):
            ring.add(SECOND, starts_at=starts_at)
    for key in (FIRST, SECOND.public(), Key.generate("HS256")):
        with pytest.raises(KeyConfigurationError):
            ring.add(key)
    assert (("first", 0.0),) == ring.schedule
    with pytest.raises(SettingError, match="retain must be more than zero"):
        KeyRing(FIRST, retain=0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"key_ring": FIRST}, "key_ring must be a KeyRing, not Key"),
        ({"key_ring": KeyRing(FIRST), "secret_key": "x" * 32}, "key_ring cannot be combined with"),
        ({"key_ring": KeyRing(FIRST), "signing_key": SECOND}, "key_ring cannot be combined with"),
        ({"key_ring": KeyRing(FIRST), "jwks": KeyRing(SECOND)}, "jwks cannot be combined with"),
        ({"key_ring": KeyRing(FIRST), "send_kid": False}, "key_ring needs send_kid"),
        ({"key_ring": KeyRing(FIRST), "send_kid": 1}, "send_kid must be True or False"),
        ({"key_ring": KeyRing(FIRST, retain=60)}, r"KeyRing\(\.\.\., retain=1209610\)"),
        ({"key_ring": KeyRing(FIRST, retain=60), "type_claim": None}, r"KeyRing\(\.\.\., retain=910\)"),
        (
            {
                "key_ring": KeyRing(FIRST),
                "access_lifetime": None,
                "refresh_lifetime": None,
                "required_claims": (),
            },
            "key_ring cannot keep a retired key for as long as its tokens live: let them expire",
        ),
    ],
    ids=str,
)
def test_a_configuration_checks_its_ring(settings: dict[str, Any], match: str) -> None:
    """A ring that forgets keys before their tokens end, or stands beside other keys, is refused when built."""  # S150
    with pytest.raises(SettingError, match=match):
        JWTConfig(**settings)


def test_no_token_outlives_its_key(clock: HeldClock) -> None:
    """A lifetime asked for at minting is held against the ring as well."""
    config = JWTConfig(key_ring=KeyRing(FIRST, clock=clock), clock=clock, max_lifetime=timedelta(days=365))
    with pytest.raises(MintingError, match="longer than key_ring retains its keys"):
        create_access_token("alice", config, lifetime=KEEP)
    assert create_access_token("alice", config, lifetime=KEEP - 10)


def test_threads_lose_no_key() -> None:
    """While threads read a ring whose keys change every moment, none that is added is lost, and there is always a current."""
    ring = KeyRing(FIRST, publish_ahead=0.001)
    odd: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            kid = ring.current.kid
            if kid not in kids(ring.keys):
                odd.append(kid)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    added = [Key.generate("ES256", kid=f"key-{number}") for number in range(100)]
    for key in added:
        ring.add(key)
    done.set()
    for reader in readers:
        reader.join()
    assert [] == odd
    assert ["first", *kids(added)] == [kid for kid, _ in ring.schedule]


@given(st.lists(st.tuples(st.integers(1, 3 * KEEP), st.booleans()), max_size=8))
def test_at_every_time_all_that_counts_is_published(steps: list[tuple[int, bool]]) -> None:
    """Whatever the times: one key signs, each key has one part to play, all of them verify, none is private."""  # S144
    clock = HeldClock()
    ring = KeyRing(FIRST, clock=clock)
    spare = [SECOND, THIRD, FOURTH]
    for pause, rotates in steps:
        clock.now += pause
        if rotates and spare:
            ring.add(spare.pop())
        parts = [ring.current, *ring.upcoming, *ring.retired]
        assert sorted(kids(parts)) == sorted(kids(ring.keys)) == sorted(kid for kid, _ in ring.schedule)
        published = ring.public_jwks()["keys"]
        assert (kids(ring.keys), True) == (
            [jwk["kid"] for jwk in published],
            all(PRIVATE_MEMBERS.isdisjoint(jwk) for jwk in published),
        )
        assert ring.keys.find(ring.current.kid, "ES256").verify(b"said", ring.current.sign(b"said"))
