"""Keys: one (`Key`), several (`KeySet`), and those that sign one after the other (`KeyRing`)."""

from __future__ import annotations

from .key import Key
from .key_set import KeySet, KeySource
from .ring import KeyRing

__all__ = ["Key", "KeyRing", "KeySet", "KeySource"]
