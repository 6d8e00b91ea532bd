"""The gate: whether a request may go on to the application. The same for the middleware and for Sanic's own server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TypedDict
from urllib.parse import quote

from ._store import RevocationStore
from .challenges import UNAUTHORIZED_CLOSE, Challenges, OnError
from .claims import plain
from .config import JWTConfig
from .errors import SettingError, TokenError
from .issuers import trust_in
from .outcome import ANY_ACCESS_TOKEN, Outcome, outcome_for
from .sources import DEFAULT_SOURCES, Cookie, Source, WebSocketProtocol, is_source
from .sources.cookie import SAFE_METHODS
from .token import SCOPE_KEY, Anonymous, Token

if TYPE_CHECKING:
    from .issuers import Trust
    from .keys import KeySource

__all__ = ["GUARDED", "Gate", "GateOptions", "gate_for_install"]

GUARDED: Final = ("http", "websocket")
"""The types of scope that carry requests."""

_ANONYMOUS = Anonymous()
_CLOSE_CODES = frozenset((1000, 1008, *range(3000, 5000)))  # RFC 6455 section 7.4; 1008: policy violation

_NEEDS_NO_ESCAPE = "/!$&'()*+,;=:@"
"""What a path may hold as it is (RFC 3986 section 3.3), beside letters, digits and `-._~`. Browsers leave it alone."""


class GateOptions(TypedDict, total=False):
    """The options of `Gate`, for whoever passes them on."""

    required: bool
    exempt: Iterable[str]
    realm: str
    problem_json: bool
    on_error: OnError | None
    sources: Iterable[Source]
    set_user: bool
    revocation: RevocationStore | None
    end_with_token: bool
    close_code: int


class Gate:
    """Examines requests by their scope.

    Args:
        config: Keys, parties, times and names; several for several issuers.
        required: Whether a request without a valid access token is refused here. False: every request goes on, and the
            guards of its handlers decide by the recorded outcome.
        exempt: Paths that go on unexamined: exact ones (`"/login"`) or all below one (`"/docs/*"`). Compared with
            `scope["path"]` as it is; a path spelled with needless escapes is not exempt.
        realm: Named in `WWW-Authenticate`.
        problem_json: Whether bodies are RFC 9457 problem details.
        on_error: Sees every refusal, and may change the answer.
        sources: Where tokens may be offered, in order.
        set_user: Whether the token also becomes `scope["user"]` and `scope["auth"]`, for Starlette's `@requires`.
        revocation: What knows which tokens are revoked. None: nobody asks.
        end_with_token: Whether connections that outlive their request end with their token.
        close_code: What a WebSocket is closed with then.

    Attributes:
        challenges: How requests are refused.
        end_with_token: See above.
        close_code: See above.
        is_remote: Whether keys may have to be waited for, so that `examine` is what to call.
        reads_forms: Whether a form may have to be read before the request can be examined.
        background: What wants to be looked after while the application runs.

    Raises:
        SettingError: An option cannot be used.
    """

    def __init__(  # noqa: PLR0913 -- what may be said about a guard, all of it by name
        self,
        config: JWTConfig | Iterable[JWTConfig],
        *,
        required: bool = True,
        exempt: Iterable[str] = (),
        realm: str = "api",
        problem_json: bool = False,
        on_error: OnError | None = None,
        sources: Iterable[Source] = DEFAULT_SOURCES,
        set_user: bool = False,
        revocation: RevocationStore | None = None,
        end_with_token: bool = True,
        close_code: int = UNAUTHORIZED_CLOSE,
    ) -> None:
        self._trust = trust_in(config)
        for name, value in (("required", required), ("set_user", set_user), ("end_with_token", end_with_token)):
            if not isinstance(value, bool):
                raise SettingError(f"{name} must be True or False")
        self._required = required
        self._exact, self._below = _exemptions(exempt)
        self._sources = tuple(sources) if isinstance(sources, Iterable) else ()
        if not self._sources or not all(map(is_source, self._sources)):
            raise SettingError("sources must be one or more sources such as BearerHeader()")
        self._cookies = tuple(source for source in self._sources if isinstance(source, Cookie))
        cookies = {config.cookies for config in _configs(self._trust)}
        if any(source.is_default and source.cookies not in cookies for source in self._cookies):
            raise SettingError(
                "Cookie() looks for the default names, and the configuration has others: Cookie(config.cookies)"
            )
        self._protocols = tuple(source for source in self._sources if isinstance(source, WebSocketProtocol))
        self.reads_forms = bool(self._cookies)
        if type(close_code) is not int or close_code not in _CLOSE_CODES:
            raise SettingError("close_code must be an int from 3000 to 4999, or 1000 or 1008")
        self.end_with_token, self.close_code = end_with_token, close_code
        self._set_user = set_user
        if revocation is not None and not isinstance(revocation, RevocationStore):
            raise SettingError("revocation must be a RevocationStore such as SQLiteStore(path)")
        self._revocation = revocation
        self.challenges = Challenges(realm, problem_json=problem_json, on_error=on_error, on_event=self._trust.on_event)
        self.is_remote = self._trust.is_remote
        remote_keys = tuple(config.jwks for config in _configs(self._trust) if config.jwks is not None)
        self.background: tuple[KeySource | RevocationStore, ...] = (
            remote_keys if revocation is None else (*remote_keys, revocation)
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where tokens may be offered, in order."""
        return self._sources

    def take_protocol(self, scope: MutableMapping[str, Any]) -> str | None:
        """Take a token out of the subprotocols that the application sees; the protocol to answer with, if any."""
        taken = [source.name for source in self._protocols if source.take_out(scope)]
        return taken[0] if taken else None

    def wanted_field(self, scope: MutableMapping[str, Any]) -> str | None:
        """The field of a form that has to be read before the request can be examined; None: nothing has to be."""
        if scope["type"] != "http" or scope.get("method") in SAFE_METHODS or self._goes_unexamined(scope):
            return None
        with contextlib.suppress(TokenError):  # which the request will be refused with
            return next(filter(None, (cookie.wanted_field(scope) for cookie in self._cookies)), None)
        return None

    def is_undecided(self, scope: MutableMapping[str, Any]) -> bool:
        """After `open`: whether a store has to be asked about the token, that of a middleware around this one included."""
        undecided: bool = scope[SCOPE_KEY].is_undecided
        return undecided

    async def examine(self, scope: MutableMapping[str, Any]) -> TokenError | None:
        """As `open`, and waits for what it needs: for keys if `is_remote`, for a store if `is_undecided` after `open`."""
        if self.is_remote:
            await self._prepare(scope)
        error = self.open(scope)
        if self.is_undecided(scope):
            await self._prepare(scope)
            error = self.open(scope)
        return error

    async def _prepare(self, scope: MutableMapping[str, Any]) -> None:
        if self._goes_unexamined(scope):
            return
        outcome = outcome_for(scope, self._trust, self._sources, self._revocation)
        if outcome is None:
            outcome = self._outcome()
        scope[SCOPE_KEY] = outcome
        await outcome.prepare(scope)

    def _outcome(self) -> Outcome:
        outcome = Outcome(self._trust, self._sources, self.challenges, self._revocation)
        outcome.is_of_gate = True
        return outcome

    def open(self, scope: MutableMapping[str, Any]) -> TokenError | None:
        """Examine a request and write what was found into its scope: `scope["token"]`, and the outcome beside it.

        Both keys are always written, so that nothing found there can come from elsewhere.

        Returns:
            The error to refuse the request with; None when it may go on.
        """
        outcome = outcome_for(scope, self._trust, self._sources, self._revocation) if SCOPE_KEY in scope else None
        if outcome is None:
            outcome = self._outcome()
        else:
            # The middleware around this one has verified the token already; only the way to refuse may be another.
            outcome.challenges = self.challenges
        scope[SCOPE_KEY] = outcome
        token: Token | None = None
        error: TokenError | None = None
        if not self._goes_unexamined(scope):
            try:
                token = outcome.admit(scope, ANY_ACCESS_TOKEN)
                outcome.is_demanded = outcome.is_demanded or self._required
            except TokenError as refusal:
                error = refusal.with_traceback(None)
        scope["token"] = token
        if self._set_user:
            scope["user"] = scope["auth"] = token or _ANONYMOUS
        return error if self._required else None

    def _goes_unexamined(self, scope: MutableMapping[str, Any]) -> bool:
        path = scope["path"]
        exempt = path in self._exact or (self._below and _is_below(path, self._below))
        if exempt and _is_plainly_spelled(scope):
            return True
        return scope.get("method") == "OPTIONS" and _is_preflight(scope)


def gate_for_install(config: JWTConfig | Iterable[JWTConfig], options: Mapping[str, Any]) -> Gate:
    """The gate of an adapter's `install`, so that a mistake is told where `install` is called.

    Args:
        config: As for `Gate`.
        options: Those of `Gate`, by name.

    Raises:
        SettingError: There is no such option, or it cannot be used.
    """
    names = GateOptions.__optional_keys__
    unknown = ", ".join(map(repr, sorted(options.keys() - names)))
    if unknown:
        raise SettingError(f"install has no option {unknown}; its options are {', '.join(sorted(names))}")
    return Gate(config, **options)


def _configs(trust: Trust) -> tuple[JWTConfig, ...]:
    return (trust,) if isinstance(trust, JWTConfig) else tuple(trust)


def _exemptions(exempt: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    if isinstance(exempt, str) or not isinstance(exempt, Iterable):
        raise SettingError(f"exempt must be a list of paths: exempt=({exempt!r},)")
    exact, below = set(), set()
    for path in map(plain, exempt):
        if not isinstance(path, str) or not path.startswith("/") or path == "/*" or "*" in path.removesuffix("/*"):
            raise SettingError(
                f'exempt: {path!r} is not a path such as "/login", nor all paths below one, "/docs/*"; '
                "to let every request through use required=False"
            )
        if path.endswith("/*"):
            below.add(path[:-1])
        else:
            exact.add(path)
    return frozenset(exact), tuple(sorted(below))


def _is_below(path: str, prefixes: tuple[str, ...]) -> bool:
    for prefix in prefixes:
        if path.startswith(prefix):
            # Servers leave dot segments, doubled slashes and twice-encoded characters in the path. Whoever resolves
            # them later would end up elsewhere, so a path with any of them is below nothing.
            segments = path[len(prefix) :].removesuffix("/").split("/")
            if all(_is_plain(segment) for segment in segments) or path == prefix:
                return True
    return False


def _is_plain(segment: str) -> bool:
    # Dots with spaces behind them, and control characters, are left out by some of those who come later.
    if not segment.strip(" .") or not segment.isprintable():
        return False
    return not any(character in segment for character in "%;\\")


def _is_plainly_spelled(scope: MutableMapping[str, Any]) -> bool:
    """Whether the request line spelled the path as anybody would.

    Some frameworks route on `raw_path`. For them `/lo%67in` is not `/login`, but it may well be `/<name>`.
    """
    raw_path = scope.get("raw_path")
    if raw_path is None:
        return True
    path = scope["path"]
    return raw_path.split(b"?", 1)[0] in (
        path.encode("utf-8", "surrogateescape"),
        quote(path, errors="replace").encode(),
        quote(path, safe=_NEEDS_NO_ESCAPE, errors="replace").encode(),
    )


def _is_preflight(scope: MutableMapping[str, Any]) -> bool:
    """A CORS preflight (Fetch standard, section 4.8): browsers send it without credentials, so it cannot have any."""
    names = {name for name, _ in scope["headers"]}
    return b"origin" in names and b"access-control-request-method" in names
