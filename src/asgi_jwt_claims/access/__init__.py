"""Rules about a verified token."""

from __future__ import annotations

from .policy import AccessPolicy

__all__ = ["AccessPolicy"]
