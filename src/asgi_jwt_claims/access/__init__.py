"""Rules about a verified token."""

from __future__ import annotations

from .policy import Access

__all__ = ["Access"]
