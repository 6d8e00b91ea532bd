"""Which requests need no token, by method and path. Built once from the `exempt` option.

A path is compared as the application's router sees it: without the `root_path` of the server or the mount. Anything
that a router, a proxy or a framework could read in two ways is not exempt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from asgi_jwt_claims.errors import SettingError, TokenError
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.sources import extract_credentials
from asgi_jwt_claims.sources._credentials import header_values
from asgi_jwt_claims.sources.cookie import Cookie
from asgi_jwt_claims.sources.header import BearerHeader

if TYPE_CHECKING:
    from asgi_jwt_claims.auth.authenticator import Authenticator

__all__ = [
    "ANY_METHOD",
    "CORS_INSIDE",
    "MAX_PATH",
    "PREFLIGHT_REFUSED",
    "Exemptions",
    "PathPattern",
    "PreflightRule",
    "has_cors",
    "has_plain_segments",
    "overrides_method",
    "without_root",
]

MAX_PATH: Final = 8 * 1024  # characters of a path, and bytes of its spelling, beyond which nothing is sure about it
ANY_METHOD: Final = "*"
_PATTERN = re.compile(r"(?:(?P<method>[A-Z][A-Z-]*) )?(?P<path>(?:/[^*]*?)?)(?P<below>/\*)?", re.DOTALL)
_TEMPLATE = re.compile(r"[{}<>]|/:")
_NO_METHODS = frozenset({"ALL", "ANY", "WEBSOCKET", "WS"})  # which look like ones, and would match no request
_NEVER_IN_A_PATH = "%?#"  # an escape is decoded, and a query is not part of `scope["path"]`

_NEEDS_NO_ESCAPE = "/!$&'()*+,;=:@"
"""What a path may hold as it is (RFC 3986 section 3.3), beside letters, digits and `-._~`. Browsers do not escape it."""

# Layers that go by another method find it in such a header, or in a parameter of that name or called `_method`.
_OVERRIDE: Final = rb"http[-_]method|method[-_]?override"
_OVERRIDING_HEADER = re.compile(_OVERRIDE, re.IGNORECASE)
_OVERRIDING_PARAMETER = re.compile(rb"(?:^|[&;])[^=&;]*(?:\b_method|" + _OVERRIDE + rb")", re.IGNORECASE)
_MAX_QUERY: Final = 8 * 1024  # bytes that are searched for it
_MAX_NAME: Final = 64  # bytes of a header's name; no layer knows a longer one

_WITHOUT_SPACES_AND_DOTS = str.maketrans("", "", " .")


class PathPattern(NamedTuple):
    """What one path among the options of a middleware stands for.

    Attributes:
        text: What was written.
        path: The path in it, without `/*`.
        methods: The methods; `ANY_METHOD` if none was written.
        is_below: Whether all paths below are meant.
    """

    text: str
    path: str
    methods: frozenset[str]
    is_below: bool

    @classmethod
    def parse(cls, text: object, option: str, *, every: str, template: str, may_be_all: bool) -> PathPattern:
        """Parse a path of an option. Errors say how to mean `every` request, and what to write for a `template`.

        Raises:
            SettingError: It cannot be used.
        """
        match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
        if match is None or not (match["path"] or (may_be_all and match["below"])):
            raise SettingError(
                f'{option}: {text!r} is not a path such as "/login", nor all paths below one, "/docs/*", nor one of these '
                f'after a method in capitals, "GET /items"; {every}'
            )
        path, method = match["path"], match["method"] or ANY_METHOD
        if method in _NO_METHODS:
            raise SettingError(
                f"{option}: {text!r} would match no request, since {method} is no method; without one a path is for all "
                "methods, and for WebSockets"
            )
        if _TEMPLATE.search(path):
            raise SettingError(f"{option}: {text!r} is a template, and {option} compares paths as they are; {template}")
        if any(character in path for character in _NEVER_IN_A_PATH):
            raise SettingError(f"{option}: {text!r} would match no request; write the path decoded and without a query")
        methods = frozenset({"GET", "HEAD"} if method == "GET" else {method})  # RFC 9110 section 9.3.2
        return cls(match[0], path, methods, match["below"] is not None)


class Exemptions:
    """The requests that go on without a token, by the rules of the option `exempt`.

    A rule with a method is for http only, and for requests that name no other method to go by.

    Attributes:
        patterns: The rules.

    Raises:
        SettingError: A rule cannot be used.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        if isinstance(rules, str) or not isinstance(rules, Iterable):
            raise SettingError(f"exempt must be a list of paths: exempt=({rules!r},)")
        self._exact: dict[str, set[str]] = {}
        self._below: dict[str, set[str]] = {}
        self.patterns = tuple(map(_parse, map(plain, rules)))
        for _, path, methods, is_below in self.patterns:
            if is_below:
                self._below.setdefault(f"{path}/", set()).update(methods)
            else:
                self._exact.setdefault(path, set()).update(methods)
        found = set().union(*self._exact.values(), *self._below.values())
        self._tell_methods = not found <= {ANY_METHOD}
        self._longest = max(map(len, self._below), default=0)

    def __bool__(self) -> bool:
        """Whether there are any rules."""
        return bool(self._exact or self._below)

    def __contains__(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request goes on without a token."""
        path: str = scope["path"]
        if len(path) > MAX_PATH:
            return False
        root_path = scope.get("root_path")
        route_path = without_root(path, root_path) if root_path else path
        # Litestar takes a root path off wherever it finds it, so that the rest could be any path.
        cut = path.find(root_path) + len(root_path) if root_path and route_path is path and root_path in path else 0
        is_exempt = self._have(route_path, ANY_METHOD, cut) or (
            self._tell_methods
            and scope["type"] == "http"
            and self._have(route_path, scope.get("method"), cut)
            and not overrides_method(scope)
        )
        return is_exempt and _is_plainly_spelled(scope.get("raw_path"), path, route_path)

    def _have(self, path: str, method: str | None, cut: int) -> bool:
        """Whether there is a rule for this path and this method.

        A router may read no more of the path than what stands behind `cut`, so the rule has to reach further.
        """
        if method in self._exact.get(path, ()):
            return True
        slash = path.find("/", 1) if self._below else -1
        while -1 < slash < self._longest:
            is_below = method in self._below.get(path[: slash + 1], ()) and cut < slash
            if is_below and has_plain_segments(path[slash + 1 :]):
                return True
            slash = path.find("/", slash + 1)
        return False


def overrides_method(scope: Mapping[str, Any]) -> bool:
    """Whether an http request names another method, by which a layer further in may go."""
    query: bytes = scope.get("query_string", b"")
    return (
        len(query) > _MAX_QUERY
        or _OVERRIDING_PARAMETER.search(unquote_to_bytes(query)) is not None
        or any(len(name) <= _MAX_NAME and _OVERRIDING_HEADER.search(name) is not None for name, _ in scope["headers"])
    )


def _parse(rule: object) -> PathPattern:
    return PathPattern.parse(
        rule,
        "exempt",
        every="to let every request through use required=False",
        template='to open all paths below one write "/items/*", to open one route use required=False and guard the others '
        "with jwt_required",
        may_be_all=False,
    )


def without_root(path: str, root_path: str) -> str:
    """The path that a router sees: without the prefix under which a server or a mount has put the application."""
    # Whole segments only, as Starlette's router does. The rest is empty for the root path itself, which no rule matches.
    # A root path that ends with a slash would turn "//login" into "/login".
    is_inside = path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/")
    return path[len(root_path) :] if is_inside and not root_path.endswith("/") else path


def has_plain_segments(rest: str) -> bool:
    """Whether every program that reads these segments finds the same path in them.

    Servers leave dot segments, doubled slashes and twice-encoded characters for later programs to resolve.
    """
    if not rest:
        return True
    # Some programs drop control characters, and spaces behind dots.
    if not rest.isprintable() or any(character in rest for character in "%;\\"):
        return False
    return "//" not in f"/{rest.removesuffix('/')}/".translate(_WITHOUT_SPACES_AND_DOTS)


def _is_plainly_spelled(raw_path: bytes | None, *paths: str) -> bool:
    """Whether the request line spells one of these paths in the usual way.

    For frameworks that route on `raw_path`, `/lo%67in` is not `/login`, but may well be `/<name>`.
    """
    if raw_path is None:
        return True
    raw_path = raw_path.partition(b"?")[0]
    return len(raw_path) <= MAX_PATH and any(
        raw_path == path.encode("utf-8", "surrogateescape")
        or raw_path.decode("latin-1")
        in (quote(path, errors="replace"), quote(path, _NEEDS_NO_ESCAPE, errors="replace"))
        for path in paths
    )


# CORS preflights, which browsers send without credentials ------------------------------------------------------------

_DEEPEST = 32  # layers around an application that are looked at

_CREDENTIAL_HEADERS = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_BODY_HEADERS = frozenset({b"transfer-encoding", b"content-type"})  # in HTTP/2 a body may come without a length
_REQUEST_METHOD = b"access-control-request-method"

_REMEDY = (
    "put a CORS middleware outside of JWTMiddleware (in Starlette and FastAPI, add it after install), or set "
    "allow_preflight=True if the application answers every OPTIONS request by itself; rules for its path must then name "
    "their methods"
)
PREFLIGHT_REFUSED: Final = f"a CORS preflight was refused, since it has no token: {_REMEDY}"
CORS_INSIDE: Final = (
    f"CORS is handled inside of the guard, which refuses all preflights, as they have no token: {_REMEDY}"
)


class PreflightRule:
    """Tells whether a request is a CORS preflight as browsers send it (Fetch standard, section 4.8), and nothing more.

    Any client can send the same. So a preflight has no credentials that the sources of the authenticator would find, no
    body, and no other method that a layer further in would go by.
    """

    __slots__ = ("_authenticator", "_credential_headers")

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._credential_headers = _CREDENTIAL_HEADERS.union(
            (source.header for source in authenticator.sources if isinstance(source, BearerHeader)),
            (source.csrf_header for source in authenticator.sources if isinstance(source, Cookie)),
        )

    def __call__(self, scope: Mapping[str, Any]) -> bool:
        """Whether the request is a preflight."""
        if scope["type"] != "http" or scope.get("method") != "OPTIONS":
            return False
        values = header_values(scope["headers"], (b"origin", _REQUEST_METHOD))
        is_asked = values.get(b"origin") and values.get(_REQUEST_METHOD)
        is_more = any(self._is_more(name, value) for name, value in scope["headers"])
        if not is_asked or is_more or overrides_method(scope):
            return False
        authenticator = self._authenticator
        try:
            return extract_credentials(scope, authenticator.sources, authenticator.verifier.max_token_size) is None
        except TokenError:
            return False

    def _is_more(self, name: bytes, value: bytes) -> bool:
        """Whether a header makes more than a preflight of a request."""
        spelled = name.lower().replace(b"_", b"-")  # gateways to WSGI make the same name of an underscore and a hyphen
        return (
            spelled in self._credential_headers
            or spelled in _BODY_HEADERS
            or (spelled == b"content-length" and value.strip() != b"0")
            or (b"method" in spelled and name != _REQUEST_METHOD)
        )


def has_cors(app: object) -> bool:
    """Whether a CORS middleware stands in an application: among those around it, or those that it puts around itself."""
    for _ in range(_DEEPEST):
        # Starlette and FastAPI keep theirs under this name until they start.
        kinds = [getattr(one, "cls", None) for one in getattr(app, "user_middleware", ())]
        if any("CORS" in getattr(kind, "__name__", "") for kind in (type(app), *kinds)):
            return True
        app = getattr(app, "app", None)
    return False
