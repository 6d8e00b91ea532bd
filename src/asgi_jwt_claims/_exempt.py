"""Which requests need no token, by method and path. Built once from the `exempt` option.

A path is compared as the application's router sees it: without the `root_path` of the server or the mount. Anything
that a router, a proxy or a framework could read in two ways is not exempt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from .claims import plain
from .errors import SettingError

__all__ = ["Exemptions"]

_MAX_PATH: Final = 8 * 1024
"""Characters of a path, and bytes of its spelling, beyond which no request is exempt."""

_ANY_METHOD: Final = "*"
_RULE = re.compile(r"(?:(?P<method>[A-Z][A-Z-]*) )?(?P<path>/[^*]*?)(?P<below>/\*)?", re.DOTALL)
_TEMPLATE = re.compile(r"[{}<>]|/:")
_NEVER_IN_A_PATH = "%?#"  # an escape is decoded, and a query is not part of `scope["path"]`

_NEEDS_NO_ESCAPE = "/!$&'()*+,;=:@"
"""What a path may hold as it is (RFC 3986 section 3.3), beside letters, digits and `-._~`. Browsers do not escape it."""

_WITHOUT_SPACES_AND_DOTS = str.maketrans("", "", " .")


class Exemptions:
    """The requests that go on without a token.

    Args:
        rules: Paths (`"/login"`), all paths below one (`"/docs/*"`), either for one method only (`"GET /items"`). GET
            includes HEAD. A rule with a method is for http only.

    Raises:
        SettingError: A rule is neither.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        if isinstance(rules, str) or not isinstance(rules, Iterable):
            raise SettingError(f"exempt must be a list of paths: exempt=({rules!r},)")
        self._exact: dict[str, frozenset[str]] = {}
        self._below: dict[str, frozenset[str]] = {}
        for rule in map(plain, rules):
            path, methods, is_below = _parse(rule)
            known = self._below if is_below else self._exact
            known[path] = known.get(path, frozenset()) | methods
        self._longest = max(map(len, self._below), default=0)

    def __bool__(self) -> bool:
        """Whether there are any rules."""
        return bool(self._exact or self._below)

    def __contains__(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request goes on without a token."""
        path: str = scope["path"]
        if len(path) > _MAX_PATH:
            return False
        root_path = scope.get("root_path")
        route_path = _without_root(path, root_path) if root_path else path
        method = scope.get("method") if scope["type"] == "http" else None
        exact = self._exact.get(route_path)
        if (exact is not None and (_ANY_METHOD in exact or method in exact)) or (
            self._below and self._is_below(route_path, method)
        ):
            return _is_plainly_spelled(scope.get("raw_path"), path, route_path)
        return False

    def _is_below(self, path: str, method: str | None) -> bool:
        slash = path.find("/", 1)
        while -1 < slash < self._longest:
            methods = self._below.get(path[: slash + 1])
            if (
                methods is not None
                and (_ANY_METHOD in methods or method in methods)
                and _has_plain_segments(path[slash + 1 :])
            ):
                return True
            slash = path.find("/", slash + 1)
        return False


def _parse(rule: object) -> tuple[str, frozenset[str], bool]:
    """The path, the methods, and whether all paths below are meant."""
    match = _RULE.fullmatch(rule) if isinstance(rule, str) else None
    if match is None or not (path := match["path"]):
        raise SettingError(
            f'exempt: {rule!r} is not a path such as "/login", nor all paths below one, "/docs/*", nor one of these '
            'after a method in capitals, "GET /items"; to let every request through use required=False'
        )
    if _TEMPLATE.search(path):
        raise SettingError(
            f"exempt: {rule!r} is a template, and exempt compares paths as they are; to open all paths below one write "
            '"/items/*", to open one route use required=False and guard the others with jwt_required'
        )
    if any(character in path for character in _NEVER_IN_A_PATH):
        raise SettingError(f"exempt: {rule!r} would match no request; write the path decoded and without a query")
    method = match["method"] or _ANY_METHOD
    methods = frozenset({"GET", "HEAD"} if method == "GET" else {method})  # RFC 9110 section 9.3.2
    return (f"{path}/", methods, True) if match["below"] else (path, methods, False)


def _without_root(path: str, root_path: str) -> str:
    """The path that a router sees: without the prefix under which a server or a mount has put the application."""
    # Whole segments only, as Starlette's router does. The rest is empty for the root path itself, which no rule matches.
    # A root path that ends with a slash would turn "//login" into "/login".
    is_inside = path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/")
    return path[len(root_path) :] if is_inside and not root_path.endswith("/") else path


def _has_plain_segments(rest: str) -> bool:
    """Whether every program that reads these segments finds the same path in them.

    Servers leave dot segments, doubled slashes and twice-encoded characters in the path. A program that resolves them
    later would arrive elsewhere.
    """
    if not rest:
        return True
    # Some programs drop control characters, and spaces behind dots.
    if not rest.isprintable() or any(character in rest for character in "%;\\"):
        return False
    return "//" not in f"/{rest.removesuffix('/')}/".translate(_WITHOUT_SPACES_AND_DOTS)


def _is_plainly_spelled(raw_path: bytes | None, *paths: str) -> bool:
    """Whether the request line spells one of these paths in the usual way.

    Some frameworks route on `raw_path`. For them `/lo%67in` is not `/login`, but it may well be `/<name>`.
    """
    if raw_path is None:
        return True
    raw_path = raw_path.partition(b"?")[0]
    return len(raw_path) <= _MAX_PATH and any(raw_path in _spellings(path) for path in paths)


def _spellings(path: str) -> tuple[bytes, ...]:
    encoded = path.encode("utf-8", "surrogateescape")
    return (
        encoded,
        quote(path, errors="replace").encode(),
        quote(path, safe=_NEEDS_NO_ESCAPE, errors="replace").encode(),
    )
