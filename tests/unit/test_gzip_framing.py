"""Compressed answers end where their compressed data does: what follows is refused, and so is what ends before."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims.jwks._documents import RefusedDocumentError
from asgi_jwt_claims.jwks.fetch import _Body

MAX_SIZE = 4096
TEXT = b'{"keys": []}' * 20


def read(coding: str, *pieces: bytes) -> bytes:
    body = _Body(coding, MAX_SIZE)
    for piece in pieces:
        body.feed(piece)
    return body.whole()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, empty ones included."""
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


@given(st.binary(max_size=MAX_SIZE), st.lists(st.integers(0, 10_000), max_size=6), st.sampled_from(["gzip", "x-gzip"]))
def test_a_body_is_read_however_it_is_cut(data: bytes, places: list[int], coding: str) -> None:
    """Whatever the pieces, the body is what was compressed; both names of the coding mean the same."""
    assert data == read(coding, *cut(gzip.compress(data), places))
    assert data == read("", *cut(data, places))


@pytest.mark.parametrize("coding", ["utf-8", "none", "aws-chunked", "identity", "UTF-8, identity", " , "])
def test_a_word_that_is_no_coding_changes_nothing(coding: str) -> None:
    """Servers leave other words in Content-Encoding; the body is as it stands, or gzip where the header says that too."""
    assert TEXT == read(coding, TEXT)
    assert TEXT == read(f"{coding}, gzip", gzip.compress(TEXT))
    assert TEXT == read(f"GZIP,{coding}", gzip.compress(TEXT))


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, br", "aws-chunked, compress"])
def test_a_coding_that_was_not_asked_for_is_refused(coding: str) -> None:
    """What is compressed in another way, or twice, is not read."""
    with pytest.raises(RefusedDocumentError, match="compressed in a way that was not asked for"):
        read(coding, TEXT)


@given(st.binary(min_size=1, max_size=100), st.lists(st.integers(0, 10_000), max_size=6))
def test_what_follows_the_end_is_refused(tail: bytes, places: list[int]) -> None:
    """In the same piece or in a later one, and also where it is compressed data again."""
    for follows in (tail, gzip.compress(tail)):
        with pytest.raises(RefusedDocumentError, match="the answer goes on after the end of its compressed data"):
            read("gzip", *cut(gzip.compress(TEXT) + follows, places))


@given(st.integers(1, 10_000), st.lists(st.integers(0, 10_000), max_size=6))
def test_what_ends_too_early_is_refused(missing: int, places: list[int]) -> None:
    """Without its end, which holds the check sum, a body is not whole, though all of its text may be there."""
    whole = gzip.compress(TEXT)
    with pytest.raises(RefusedDocumentError, match="the answer ends before its compressed data does"):
        read("gzip", *cut(whole[: -(missing % len(whole) or 1)], places))


@pytest.mark.parametrize("damaged", [b"\x00" * 20, TEXT, zlib.compress(TEXT)], ids=["zeros", "plain", "zlib"])
def test_what_is_no_gzip_is_refused(damaged: bytes) -> None:
    """Other bytes than the header promises are not read as they are."""
    with pytest.raises(RefusedDocumentError, match="the answer is not gzip, as it says"):
        read("gzip", damaged)


def test_what_is_fed_after_the_end_takes_no_memory() -> None:
    """Sixty megabytes after the end are refused piece by piece, and none of them is kept."""
    body = _Body("gzip", MAX_SIZE)
    body.feed(gzip.compress(TEXT))
    piece = bytes(1 << 20)
    tracemalloc.start()
    try:
        for _ in range(60):
            with pytest.raises(RefusedDocumentError, match="goes on"):
                body.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 1 << 20 > peak
