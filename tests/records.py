"""A session and the digests of a token, as stores keep them."""

from __future__ import annotations

import math

from asgi_jwt_claims.stores import SessionRecord, TokenDigests

__all__ = ["MARK", "MARKS", "RECORD"]

MARK = b"m" * 16
MARKS = TokenDigests(MARK, MARK, MARK, 1.0)
RECORD = SessionRecord(MARK, MARK, "id", MARK, b"", 0.0, b"", 0.0, 1.0, 1.0, math.inf, "")
