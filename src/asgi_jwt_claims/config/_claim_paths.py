"""Read where a claim stands: a name, a path of names into objects, or several of either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jose.strict_json import has_lone_surrogate
from asgi_jwt_claims.runtime.values import plain

__all__ = ["ABSENT", "ClaimPath", "as_path", "as_paths", "find", "is_name", "name_of"]

ClaimPath: TypeAlias = tuple[str, ...]
"""The names of the objects that a claim stands in, from the outside, and its own; one name for a claim at the top."""

ABSENT: Final = object()
"""Stands for the value of a claim that is not there, since null is a value."""


def as_path(value: Any, setting: str) -> ClaimPath:
    """Read a name, or a tuple of names, as a path.

    Raises:
        SettingError: It is neither, or a name with dots that may have been meant as a path.
    """
    if isinstance(value, str):
        name = plain(value)
        # A name with a colon or a slash is a URN or a URL, in which a dot is nothing but a dot.
        if "." in name and ":" not in name and "/" not in name:
            raise SettingError(
                f"{setting}: write {tuple(name.split('.'))!r} for the path {name!r}, or ({name!r},) for a claim with "
                "that name"
            )
        value = (name,)
    path: ClaimPath = tuple(map(plain, value)) if isinstance(value, tuple) else ()
    if not path or not all(map(is_name, path)):
        raise SettingError(f"{setting} must be a non-empty str, or a tuple of them for a path, not {value!r}")
    return path


def as_paths(value: Any, setting: str) -> tuple[ClaimPath, ...]:
    """Read a name, a path, or a list of either, as paths.

    A tuple whose members are tuples is a list that has been read before.

    Raises:
        SettingError: It is something else, an empty list, or names a claim twice.
    """
    is_list = isinstance(value, list) or (isinstance(value, tuple) and any(isinstance(item, tuple) for item in value))
    paths = tuple(as_path(item, setting) for item in (value if is_list else (value,)))
    if not paths or len(set(paths)) != len(paths):
        raise SettingError(f"{setting} must name at least one claim, and none twice, not {value!r}")
    return paths


def find(claims: Mapping[str, Any], path: Iterable[str]) -> Any:
    """Return the value that a path leads to; `ABSENT` if it ends early or meets something that is no object."""
    value: Any = claims
    for name in path:
        if not isinstance(value, dict):
            return ABSENT
        value = value.get(name, ABSENT)
    return value


def name_of(path: ClaimPath) -> str:
    """Write a path for events, logs and messages."""
    return ".".join(path)


def is_name(value: object) -> bool:
    """Whether `value` can be the name of a claim, or of a party: a non-empty str of whole characters."""
    return isinstance(value, str) and bool(value) and not has_lone_surrogate(value)
