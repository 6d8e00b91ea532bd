"""Check durations, given as `timedelta` or seconds."""

from __future__ import annotations

from datetime import timedelta

from asgi_jwt_claims.errors import SettingError

from .values import plain

__all__ = ["as_duration", "whole_seconds"]


def as_duration(value: timedelta | float, name: str, *, zero: bool = False) -> timedelta:
    """Return the setting or argument `name`, a positive duration (or `zero`), as a `timedelta`.

    Raises:
        SettingError: It is neither a `timedelta` nor seconds, or not positive.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=plain(value))
        except (OverflowError, ValueError):
            raise SettingError(f"{name} must be a number of seconds within reason") from None
    if not isinstance(value, timedelta):
        raise SettingError(f"{name} must be a timedelta or seconds, not {type(value).__name__}")
    if value < timedelta(0) or (value == timedelta(0) and not zero):
        raise SettingError(f"{name} must be {'zero or more' if zero else 'more than zero'}")
    return value


def whole_seconds(lifetime: timedelta) -> int:
    """Round a lifetime to whole seconds, as most parsers expect, and to at least one."""
    return max(1, round(lifetime.total_seconds()))
