"""What a request's method and path demand of its token. Built once from the `rules` option.

Where a router could read a path or a method in several ways, the rules of each reading hold; where that cannot be told, the
request is refused.
"""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from asgi_jwt_claims.access import Rule
from asgi_jwt_claims.auth.options import Guard
from asgi_jwt_claims.errors import AmbiguousPathError, SettingError
from asgi_jwt_claims.runtime.values import plain

from .exempt import ANY_METHOD, MAX_PATH, PathPattern, has_plain_segments, overrides_method

if TYPE_CHECKING:
    from .exempt import Exemptions

__all__ = ["PathRules"]

_SLASH = re.compile("/")
_DROPPED = re.compile(r"[. ](?:/|\Z)")
_NEEDLESS_ESCAPE = re.compile(rb"%(?:2[D-F]|3\d|[46][1-9A-F]|[57][\dA]|5F|7E)", re.IGNORECASE)
"""The escape of a slash or of an unreserved character, `A-Za-z0-9-._~` (RFC 3986 section 2.3)."""


class _PathRule(NamedTuple):
    """One entry of the option. Its `key` is the path as paths are compared."""

    key: str
    pattern: PathPattern
    rule: Rule

    def covers(self, other: PathPattern) -> bool:
        """Whether every request that the other pattern means is one of this rule."""
        key, pattern = _key(other.path), self.pattern
        is_above = key == self.key or (pattern.is_below and key.startswith(f"{self.key}/"))
        has_methods = ANY_METHOD in pattern.methods or other.methods <= pattern.methods
        return is_above and has_methods and (pattern.is_below or not other.is_below)


class PathRules:
    """The rules of the option `rules`; all that match a request have to hold.

    Some routers see no difference between upper and lower case, nor in a slash at the end, so neither does this.

    Args:
        rules: A `Rule` for each pattern of paths.
        demanded: What is demanded of every request beside; None if nothing is.
        exemptions: The paths that need no token. A rule may not cover all that one of them opens.

    Raises:
        SettingError: A rule cannot be used.
    """

    def __init__(self, rules: Mapping[str, Rule], demanded: Rule | None, exemptions: Exemptions) -> None:
        if not isinstance(rules, Mapping):
            raise SettingError(
                f'rules must be a mapping of paths to rules, {{"/admin/*": Roles("admin")}}, not {rules!r}'
            )
        self._demanded = () if demanded is None else (demanded,)
        self._rules = tuple(_parse(text, rule) for text, rule in rules.items())
        for one in self._rules:
            shut = next(filter(one.covers, exemptions.patterns), None)
            if shut is not None:
                raise SettingError(
                    f"exempt: {shut.text!r} would never be open, since {one.pattern.text!r} in rules demands a token there; "
                    "leave it out of exempt, write rules for fewer paths or methods, or use require for all that is not exempt"
                )
        self._by_key: dict[str, list[int]] = {}
        for number, one in enumerate(self._rules):
            self._by_key.setdefault(one.key, []).append(number)
        self._tell_methods = any(ANY_METHOD not in one.pattern.methods for one in self._rules)
        self._longest = max(map(len, self._by_key), default=0)
        self._guards: dict[tuple[int, ...], Guard] = {}

    def __bool__(self) -> bool:
        """Whether there are any rules."""
        return bool(self._rules)

    def guard_for(self, scope: Mapping[str, Any]) -> Guard | None:
        """Return what the rules demand of a request; None if none of them matches it.

        Raises:
            AmbiguousPathError: Programs may read the path in several ways.
        """
        found = {number for path in _readings(scope) for number in self._matching(_key(path))}
        if found and self._tell_methods and (method := _method(scope)) is not None:
            methods = {ANY_METHOD, method}
            found = {number for number in found if not methods.isdisjoint(self._rules[number].pattern.methods)}
        return self._guard(tuple(sorted(found))) if found else None

    def _matching(self, key: str) -> Iterator[int]:
        """The numbers of the rules for a path, of all methods."""
        ends = itertools.chain((slash.start() for slash in _SLASH.finditer(key)), (len(key),))
        for end in itertools.takewhile(self._longest.__ge__, ends):
            for number in self._by_key.get(key[:end], ()):
                if end == len(key) or self._rules[number].pattern.is_below:
                    yield number

    def _guard(self, numbers: tuple[int, ...]) -> Guard:
        """The guard for several rules. Their paths and methods bound how many there are."""
        guard = self._guards.get(numbers)
        if guard is None:
            rules = (*self._demanded, *(self._rules[number].rule for number in numbers))
            guard = self._guards[numbers] = Guard(require=functools.reduce(operator.and_, rules))
        return guard


def _parse(text: object, rule: object) -> _PathRule:
    pattern = PathPattern.parse(
        plain(text),
        "rules",
        every='every path is "/*"',
        template='for all paths below one write "/items/*", for one route use jwt_required or require',
        may_be_all=True,
    )
    if pattern.path and not _is_plain(pattern.path):
        raise SettingError(
            f"rules: {pattern.text!r} would match no request, since such paths are refused: leave out dot segments, "
            "empty segments, semicolons, backslashes, control characters, and dots and spaces at the end of segments"
        )
    if not isinstance(rule, Rule):
        raise SettingError(f'rules: {pattern.text!r} needs a rule such as Scopes("reports:read"), not {rule!r}')
    return _PathRule(_key(pattern.path), pattern, rule)


def _key(path: str) -> str:
    key = path.removesuffix("/").casefold()
    # Python's regular expressions see no difference between these, for routers that go by them.
    return key if key.isascii() else key.replace("i\u0307", "i").replace("\u0131", "i")


def _is_plain(path: str) -> bool:
    """Whether every program finds the same segments in a path. Some drop dots and spaces at the end of a segment."""
    return (
        path.startswith("/")
        and len(path) <= MAX_PATH
        and has_plain_segments(path[1:])
        and _DROPPED.search(path) is None
    )


def _readings(scope: Mapping[str, Any]) -> set[str]:
    """All paths that a router may find in a request.

    Frameworks route by `path` or `raw_path`, of which a mount may change one, with the `root_path` of server or mount or
    without it. Not every one of them takes that off as whole segments (Quart), or at the beginning alone (Litestar).

    Raises:
        AmbiguousPathError: Programs further in may read one of them as any other path.
    """
    found = {scope["path"]}
    raw_path: bytes | None = scope.get("raw_path")
    if raw_path is not None:
        raw_path = raw_path.partition(b"?")[0]
        if _NEEDLESS_ESCAPE.search(raw_path) is not None:
            raise AmbiguousPathError
        found.add(unquote_to_bytes(raw_path).decode("utf-8", "surrogateescape"))
    root_path: str = scope.get("root_path") or ""
    for root in filter(None, {root_path, root_path.rstrip("/")}):
        found |= {f"/{path.partition(root)[2].lstrip('/')}" for path in found if root in path}
    if not all(map(_is_plain, found)):
        raise AmbiguousPathError
    if root_path:  # which some servers leave out of the path; no router finds this, so it need not be plain
        found.add(f"/{root_path.strip('/')}{scope['path']}")
    return found


def _method(scope: Mapping[str, Any]) -> str | None:
    """The method of a request; None if it has none, as a WebSocket, or if a layer further in may go by another one."""
    method: str | None = scope.get("method") if scope["type"] == "http" else None
    is_sure = method is not None and method == method.upper() and not overrides_method(scope)
    return method if is_sure else None
