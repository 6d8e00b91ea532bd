"""`MemoryStore`: its pages, and that no call looks at every session there is."""

from __future__ import annotations

import math

import pytest

from asgi_jwt_claims.stores import MemoryStore, SessionRecord
from tests.conftest import NOW, HeldClock
from tests.raw_asgi import finish


def record(number: int, identity: bytes = b"alice", expires_at: float = math.inf) -> SessionRecord:
    session = number.to_bytes(16, "big")
    return SessionRecord(session, identity, str(number), session, b"", 0.0, b"", 0.0, NOW, NOW, expires_at, "")


def begin(store: MemoryStore, *records: SessionRecord) -> None:
    for one in records:
        assert finish(store.replace_session(one.session, b"", one))


@pytest.fixture
def store(clock: HeldClock) -> MemoryStore:
    """A store on the held clock."""
    return MemoryStore(clock=clock)


def test_pages(store: MemoryStore) -> None:
    """Sessions are in the order of their digests, after the one that is named, and no more than the limit."""
    begin(store, *(record(number) for number in (5, 3, 9, 1, 7)), record(4, b"bob"))
    for after, limit, expected in ((0, 500, [1, 3, 5, 7, 9]), (0, 2, [1, 3]), (3, 2, [5, 7]), (7, 2, [9]), (9, 2, [])):
        page = finish(store.sessions(b"alice", after=after.to_bytes(16, "big"), limit=limit))
        assert expected == [int(one.session_id) for one in page]
    assert [] == finish(store.sessions(b"carol"))


def test_what_has_ended_is_in_no_page(store: MemoryStore, clock: HeldClock) -> None:
    """Neither a session that was ended nor one that has expired takes up room in a page."""
    ended = record(1)._replace(has_ended=True)
    begin(store, ended, record(2, expires_at=NOW + 5), record(3), record(4))
    clock.now += 5
    assert [3] == [int(one.session_id) for one in finish(store.sessions(b"alice", limit=1))]
    assert ended == finish(store.session(ended.session))


def test_what_has_expired_is_dropped_little_by_little(store: MemoryStore, clock: HeldClock) -> None:
    """Each write looks at a few sessions, and after as many as there are nothing that has expired is left."""
    begin(store, *(record(number, b"%d" % (number % 7), NOW + 5) for number in range(100)))
    lasting = [record(1000 + number, b"lasting") for number in range(100)]
    begin(store, *lasting)
    clock.now += 5
    for _ in range(100):
        one = lasting[0]
        assert finish(store.replace_session(one.session, one.current, one))
    assert {one.session for one in lasting} == set(store._sessions)
    assert {b"lasting": {one.session for one in lasting}} == store._by_identity


def test_a_session_can_begin_again_after_it_has_expired(store: MemoryStore, clock: HeldClock) -> None:
    """A session that has expired is as if it had never been, whether or not it has been dropped."""
    begin(store, record(1, expires_at=NOW + 5))
    clock.now += 5
    begin(store, record(1))
    assert [1] == [int(one.session_id) for one in finish(store.sessions(b"alice"))]
