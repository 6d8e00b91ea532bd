"""`KeyRing` and its times: removing a key prolongs no other, and a wrong clock takes nothing away for good."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_jwt_claims import Key
from asgi_jwt_claims.errors import KeyConfigurationError
from asgi_jwt_claims.keys import KeyRing
from tests.conftest import NOW, HeldClock

KEYS = [Key.generate("ES256", kid=f"key-{number}") for number in range(6)]
BY_KID = {key.kid: key for key in KEYS}
KEEP = 1000


def kids(keys: Iterable[Key]) -> list[str]:
    return [key.kid for key in keys]


def test_removing_a_key_prolongs_no_other() -> None:
    """A retired key ends when it would have, though the key that followed it is gone, here and where the times are restored."""
    clock = HeldClock(250)
    ring = KeyRing([(KEYS[0], 0), (KEYS[1], 100), (KEYS[2], 200)], retain=KEEP, clock=clock)
    ring.remove("key-1")
    restored = KeyRing([(BY_KID[kid], at) for kid, at in ring.schedule], retain=KEEP, clock=clock)
    for one in (ring, restored):
        clock.now = 1099
        assert (["key-0"], "key-2") == (kids(one.retired), one.current.kid)
        clock.now = 1100
        assert ([], "key-2") == (kids(one.retired), one.current.kid)
        clock.now = 250


def test_removing_the_key_that_signs_prolongs_no_other() -> None:
    """The next key takes over at once, and stays current when the clock is set back a little."""
    clock = HeldClock(150)
    ring = KeyRing([(KEYS[0], 0), (KEYS[1], 100), (KEYS[2], 9000)], retain=KEEP, clock=clock)
    ring.remove("key-1")
    for now, retired in ((150, ["key-0"]), (120, ["key-0"]), (1099, ["key-0"]), (1100, [])):
        clock.now = now
        assert ("key-2", retired) == (ring.current.kid, kids(ring.retired))


def test_removing_a_key_to_come_changes_no_other() -> None:
    """Those after it sign when they would have."""
    clock = HeldClock(50)
    ring = KeyRing([(KEYS[0], 0), (KEYS[1], 5000), (KEYS[2], 9000)], retain=KEEP, clock=clock)
    ring.remove("key-1")
    assert (("key-0", 0), ("key-2", 9000)) == ring.schedule


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
    st.integers(0, 5),
    st.integers(0, 2500),
    st.lists(st.integers(0, 4000), max_size=5),
)
def test_what_is_removed_changes_the_end_of_no_other(
    pauses: list[int], removed: int, now: int, moments: list[int]
) -> None:
    """Whatever is removed when: at every moment the other retired keys are those of a ring that has it still."""
    times = [0]
    for pause in pauses:
        times.append(times[-1] + pause)
    clock = HeldClock(now)
    pairs = list(zip(KEYS, times, strict=False))
    ring, whole = (KeyRing(pairs, retain=KEEP, clock=clock) for _ in range(2))
    kid = KEYS[removed % len(pairs)].kid
    try:
        ring.remove(kid)
    except KeyConfigurationError:
        assert kid == whole.current.kid
        return
    if kid in kids(whole.upcoming):
        return  # the key before it signs for longer, and so verifies for longer
    for moment in sorted(moments):
        clock.now = max(now, moment)
        assert set(kids(whole.retired)) - {kid} >= set(kids(ring.retired))
        assert kid not in kids(ring.keys)


@settings(deadline=None)
@given(st.lists(st.integers(-20_000, 20_000), max_size=8))
def test_what_the_clock_says_is_all_that_counts(moments: list[int]) -> None:
    """Wherever the clock has been before: a ring is what a new one would be that was made now."""
    pairs = [(KEYS[0], -(10**9)), (KEYS[1], 0), (KEYS[2], 500), (KEYS[3], 5000)]
    clock = HeldClock(0)
    ring = KeyRing(pairs, retain=KEEP, clock=clock)
    for moment in moments:
        clock.now = moment
        new = KeyRing(pairs, retain=KEEP, clock=clock)
        assert (repr(new), new.schedule, set(kids(new.keys))) == (repr(ring), ring.schedule, set(kids(ring.keys)))


def test_a_clock_that_is_set_back_by_years_stops_nothing() -> None:
    """Before the first key's time there is still a key to sign and to verify with, and no error for a request."""
    clock = HeldClock()
    ring = KeyRing([(KEYS[0], NOW - 10), (KEYS[1], NOW + 10)], clock=clock)
    clock.now = 0
    assert ("key-0", ["key-0", "key-1"]) == (ring.current.kid, kids(ring.keys))
    with pytest.raises(KeyConfigurationError, match="no key on the ring signs yet"):
        KeyRing([(KEYS[0], NOW - 10)], clock=clock)


def test_a_removed_key_does_not_come_back() -> None:
    """Not even one that had ended by a clock which was ahead."""
    clock = HeldClock(5000)
    ring = KeyRing([(KEYS[0], 0), (KEYS[1], 100)], retain=KEEP, clock=clock)
    assert ["key-1"] == kids(ring.keys)
    ring.remove("key-0")
    clock.now = 150
    assert ["key-1"] == kids(ring.keys)


def test_old_keys_do_not_pile_up() -> None:
    """Keys that ended long ago are forgotten when another is added."""
    clock = HeldClock()
    ring = KeyRing(KEYS[0], publish_ahead=10, retain=KEEP, clock=clock)
    for number in range(50):
        ring.add(Key.generate("ES256", kid=f"added-{number}"))
        clock.now += KEEP
    assert 5 >= len(ring._state.entries)
    assert "added-49" == ring.current.kid
