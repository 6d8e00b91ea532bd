"""Reduce values of subclasses of str, int and float to the characters or the number that they hold."""

from __future__ import annotations

from typing import Any

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Return the characters or the number that a str, int or float holds, and any other value as it is.

    The methods of a subclass do not count: `str()` of a member of a `(str, Enum)` class is not its value, and its hash
    and equality need not be those of the value.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return value if isinstance(value, bool) else int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else value
