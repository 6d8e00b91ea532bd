"""Many Sanic applications in one process, one after another.

Sanic takes the sending of signals that nobody waits for out of methods of its own when an application starts, for the
first one only, or in test mode for each. It reads, parses and compiles its sources for that every time, which took a
tenth of a run of the tests. Here it does so once for the same signals.
"""

from __future__ import annotations

from typing import Any

from sanic import Sanic
from sanic.http.constants import HTTP
from sanic.touchup.schemes import BaseScheme

__all__ = ["allow_many"]

_build = BaseScheme.build
_built: dict[Any, Any] = {}


def allow_many() -> None:
    """Let any number of applications start in this process."""
    Sanic.test_mode = True
    BaseScheme.build = _build_once  # type: ignore[method-assign,assignment]  # in the place of a class method


def _build_once(method: Any, module_globals: dict[str, Any], app: Any) -> Any:
    for scheme in BaseScheme._registry:
        scheme(app)  # which may give it the signals of other applications
    versions = frozenset(info.settings["version"] for info in app.state.server_info)
    if HTTP.VERSION_3 in versions:  # its port becomes part of the method
        return _build(method, module_globals, app)
    key = method, versions, frozenset(signal.name for signal in app.signal_router.routes)
    if key not in _built:
        _built[key] = _build(method, module_globals, app)
    return _built[key]
