"""`Frozen`: the base of classes whose instances refuse every assignment."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Frozen"]


class Frozen:
    """Refuses to set and to delete attributes. `__init__` sets them with `object.__setattr__`."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is frozen: {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is frozen: {name!r} cannot be deleted")
