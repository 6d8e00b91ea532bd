"""Many Sanic applications in one process, one after another.

Sanic takes the sending of signals that nobody waits for out of methods of its own when an application starts, for the
first one only, or in test mode for each. It reads, parses and compiles its sources for that every time, which took a
tenth of a run of the tests. Here it does so once for the same signals.
"""

from __future__ import annotations

from typing import Any

from sanic import Sanic
from sanic.touchup.schemes import BaseScheme

__all__ = ["allow_many"]

_build = BaseScheme.build
_built: dict[tuple[Any, frozenset[str]], Any] = {}


def allow_many() -> None:
    """Let any number of applications start in this process."""
    Sanic.test_mode = True
    BaseScheme.build = _build_once  # type: ignore[method-assign,assignment]


def _build_once(method: Any, module_globals: dict[str, Any], app: Any) -> Any:
    # Under a server of its own the addresses of all applications matter too.
    if any(other.state.server_info for other in Sanic._app_registry.values()):
        return _build(method, module_globals, app)
    key = method, frozenset(signal.name for signal in app.signal_router.routes)
    if key not in _built:
        _built[key] = _build(method, module_globals, app)
    return _built[key]
