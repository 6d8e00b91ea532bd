"""Make instances that cannot be changed, and reduce values of other classes to what they hold."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

__all__ = ["Frozen", "HiddenSecret", "plain", "revealed"]


class Frozen:
    """Refuses to set and to delete attributes. `__init__` sets them with `object.__setattr__`."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is frozen: {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is frozen: {name!r} cannot be deleted")


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


class HiddenSecret(Protocol):
    """A secret that does not show itself, such as pydantic's `SecretStr` and `SecretBytes`."""

    def get_secret_value(self) -> str | bytes:
        """Return the secret."""
        raise NotImplementedError


def revealed(value: Any) -> Any:
    """Return the secret that a `HiddenSecret` holds, and any other value as it is."""
    reveal = getattr(value, "get_secret_value", None)
    return reveal() if callable(reveal) else value
