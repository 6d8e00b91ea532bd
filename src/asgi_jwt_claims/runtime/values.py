"""Values of subclasses of str, int and float, as the characters or the number that they hold."""

from __future__ import annotations

from typing import Any

__all__ = ["plain"]

# Out: into a token that is to be minted -------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A str, int or float as the characters or the number that it holds; any other value as it is.

    What a subclass makes of itself does not count: `str()` of a member of a `(str, Enum)` class is not its value, and
    neither are its hash and its equality bound to be those of the value.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return value if isinstance(value, bool) else int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else value
