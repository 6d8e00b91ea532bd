"""A revocation may be dropped by another thread while it is looked up."""

from __future__ import annotations

import pytest

from asgi_jwt_claims.stores import Revocation, TokenDigests
from asgi_jwt_claims.stores._revocation_index import RevocationIndex


class Vanishing(dict[bytes, float]):
    """A dict that loses a key as soon as it has been found there."""

    def __contains__(self, key: object) -> bool:
        return self.pop(key, None) is not None  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("kind", ["token", "session", "identity"])
@pytest.mark.parametrize("field", ["_until", "_cutoffs"])
def test_what_is_dropped_meanwhile(kind: str, field: str) -> None:
    """A lookup reads each entry once, so that one that is dropped in between is no error."""
    index, mark = RevocationIndex(), b"m" * 16
    index.add(Revocation(kind, mark, 100.0, 5.0 if kind == "identity" else 0.0), 1.0)  # type: ignore[arg-type]
    setattr(index, field, Vanishing(getattr(index, field)))
    marks = TokenDigests(b"", b"", b"", 1.0)._replace(**{kind: mark})
    assert index.is_revoked(marks, 1.0)
    assert not index.is_revoked(marks, 100.0)
