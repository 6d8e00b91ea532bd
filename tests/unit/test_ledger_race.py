"""What is looked up may be dropped by another thread at any moment."""

from __future__ import annotations

import pytest

from asgi_jwt_claims.stores import Revocation
from asgi_jwt_claims.stores._revocation_index import RevocationIndex
from asgi_jwt_claims.tokens import TokenDigests


class Vanishing(dict[bytes, float]):
    """A dict that loses a key as soon as it has been found there."""

    def __contains__(self, key: object) -> bool:
        return self.pop(key, None) is not None  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("kind", ["token", "session", "identity"])
@pytest.mark.parametrize("field", ["_until", "_cutoffs"])
def test_what_is_dropped_meanwhile(kind: str, field: str) -> None:
    """A lookup looks once, so that what is dropped in between is no error."""
    ledger, mark = RevocationIndex(), b"m" * 16
    ledger.add(Revocation(kind, mark, 100.0, 5.0 if kind == "identity" else 0.0), 1.0)  # type: ignore[arg-type]
    setattr(ledger, field, Vanishing(getattr(ledger, field)))
    marks = TokenDigests(b"", b"", b"", 1.0)._replace(**{kind: mark})
    assert ledger.is_revoked(marks, 1.0)
    assert not ledger.is_revoked(marks, 100.0)
