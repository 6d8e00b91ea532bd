"""The outcome of one request: token, absence or error. Worked out at most once, whoever asks, however often.

It stands in the scope under `SCOPE_KEY`. Guards ask it (`admit`) instead of looking at the request again; that is what
makes one verification serve any number of them. Where the middleware does not ask (exempt paths), the first guard does.

An outcome belongs to what it was worked out from: the token as it was offered, the source that found it, and whether the
method is safe. A scope may be copied with other headers or another method (the parts of a batch, for example), and the
copy brings the outcome along. So an outcome is used for a scope only if `Outcome.is_of` says that it belongs to it;
otherwise the scope gets an outcome of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from contextvars import Token as Reset
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, TypeAlias, cast, overload

from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.config.events import AuthEvent, request_facts, tell
from asgi_jwt_claims.errors import (
    CSRFTokenError,
    MissingTokenError,
    NotGuardedError,
    RevokedTokenError,
    StoreUnavailableError,
    TokenError,
)
from asgi_jwt_claims.jose.compact import as_ascii
from asgi_jwt_claims.sources import DEFAULT_SOURCES, extract_credentials, why_absent
from asgi_jwt_claims.sources._credentials import Credentials, Source
from asgi_jwt_claims.sources.cookie import Cookie
from asgi_jwt_claims.sources.csrf import CSRF_TOKEN_KEY, SAFE_METHODS, check_csrf
from asgi_jwt_claims.sources.header import BearerHeader
from asgi_jwt_claims.sources.websocket import InsecureWebSocketQuery, WebSocketProtocol, offered_protocols
from asgi_jwt_claims.stores.base import is_of_session
from asgi_jwt_claims.tokens.token import NotAParameter, Token, about, facts_of
from asgi_jwt_claims.tokens.verification import verify

from .options import ACCESS_TOKEN, OPTIONAL_TOKEN, Guard

if TYPE_CHECKING:
    from asgi_jwt_claims.responses import ErrorResponder
    from asgi_jwt_claims.stores.base import TokenStore
    from asgi_jwt_claims.tokens.issuers import MultiIssuerVerifier, Verifier

__all__ = [
    "CURRENT_TOKEN",
    "HOLDERS_KEY",
    "HoldsToken",
    "Outcome",
    "TokenHolder",
    "attach",
    "current_token",
    "examined",
    "forget_error",
    "get_token",
    "holders_of",
    "is_guarded",
    "is_preflight",
    "noted_error",
    "outcome_for",
    "outcome_of",
    "outcome_under",
    "outcomes_from",
    "scope_of",
]


class HoldsToken(Protocol):
    """What has the token of one request, and none of any other."""

    @property
    def token(self) -> Token | None:
        """The token; None: there is none, or the request has ended."""

    @token.setter
    def token(self, token: Token | None) -> None: ...


CURRENT_TOKEN: ContextVar[HoldsToken | None] = ContextVar("asgi_jwt_claims_current_token", default=None)
"""What `current_token()` asks.

Tasks and threads that start in a request inherit its context, and may outlive it. They inherit this object and not the
token itself, so that the end of the request can take the token from all of them.
"""

HOLDERS_KEY: Final = "asgi_jwt_claims.holders"
"""The scope key of all objects that have the token of the request: a renewed token has to get into each."""


class TokenHolder:
    """Lets `current_token()` be one token, in this task and in what starts in it, until it is released.

    Args:
        scope: The scope of the request.
        token: Its token.
    """

    __slots__ = ("_before", "token")

    def __init__(self, scope: MutableMapping[str, Any], token: Token | None) -> None:
        self.token = token
        scope[HOLDERS_KEY] = (*holders_of(scope), self) if HOLDERS_KEY in scope else (self,)
        self._before: Reset[HoldsToken | None] = CURRENT_TOKEN.set(self)

    def release(self) -> None:
        """Take the token away: the request has ended."""
        self.token = None
        CURRENT_TOKEN.reset(self._before)


def holders_of(scope: Mapping[str, Any]) -> tuple[HoldsToken, ...]:
    """All objects that have the token of the request; none if something else than ours stands under the key."""
    holders = scope.get(HOLDERS_KEY)
    return holders if type(holders) is tuple else ()


ReadForm: TypeAlias = Callable[[str], Awaitable[None]]

_ACCESS = "access"
_OUR_SOURCES = frozenset({BearerHeader, Cookie, InsecureWebSocketQuery, WebSocketProtocol})
_PAIRS = frozenset({tuple})
_UNREADABLE = Credentials(b"", "")
"""Stands for what no source could read. It is equal to nothing that a source offers, as that is never empty."""


class Renewable(Protocol):
    """A connection that ends with its token, and with a later one if it gets that in time."""

    error: TokenError | None
    """Why it has ended, if it has."""

    def renew(self) -> None:
        """Go by the tokens that are held now."""

    def join(self, outcome: Outcome) -> None:
        """Go by the token of this outcome, too, once it has one."""


class Outcome:
    """What became of a request's credentials under one configuration, or under that of several which they are for.

    Attributes:
        trust: The configuration, or the several ones.
        config: The configuration; None of several as long as no token has named one.
        challenges: How to answer when a guard refuses.
        attended: Whether there is nothing, or nothing any more, to wait for before `admit`.
        store: What knows which tokens are revoked; None: nobody asks.
        following: The outcome under another configuration, or by other sources, if one was asked for too.
        passed: The rules that the request was let in by.
        held: The token that was let in; None as long as nobody has.
        end_with_token: Whether a connection that outlives the request ends with the token.
        heeds_revocation: Whether it also ends when the token is revoked.
        connections: That connection, as each of the middlewares around the application watches it.
        is_accepted: Whether it is a websocket that has been accepted.
        is_of_gate: Whether a middleware has made it, so that its sources are those that the middleware looks in.
        is_demanded: Whether a middleware lets nobody on without the token, whatever guards say.
        is_preflight: Tells a CORS preflight, which needs no token; None: every request needs one.
        raised: The error that `get_token` has raised for the request.
        is_untold: Whether the token has been let in, and an event of that is still to be told; see `tell_accepted`.
    """

    __slots__ = (
        "_awaits_form",
        "_awaits_keys",
        "_csrf_value",
        "_error",
        "_examined",
        "_handshake",
        "_headers",
        "_is_exact",
        "_kind",
        "_method",
        "_offered",
        "_revoked",
        "_scheme",
        "_sources",
        "_token",
        "attended",
        "challenges",
        "config",
        "connections",
        "end_with_token",
        "following",
        "heeds_revocation",
        "held",
        "is_accepted",
        "is_demanded",
        "is_of_gate",
        "is_preflight",
        "is_untold",
        "passed",
        "raised",
        "store",
        "trust",
    )

    _headers: Any
    _offered: Credentials | None
    _is_exact: bool | None

    def __init__(
        self,
        trust: Verifier,
        sources: tuple[Source, ...],
        challenges: ErrorResponder,
        store: TokenStore | None = None,
    ) -> None:
        self.trust = trust
        self.config = trust if isinstance(trust, JWTConfig) else None
        self.challenges = challenges
        self.following: Outcome | None = None
        self.passed: tuple[Guard, ...] = ()
        self.held: Token | None = None
        self.end_with_token = True
        self.heeds_revocation = True
        self.connections: tuple[Renewable, ...] = ()
        self.is_accepted = False
        self.is_demanded = False
        self.is_untold = False
        self.is_of_gate = False
        self.is_preflight: Callable[[Mapping[str, Any]], bool] | None = None
        self.raised: TokenError | None = None
        self._sources = sources
        self.store = store
        self._awaits_keys = trust.is_remote
        self.attended = not self._awaits_keys and store is None
        self._awaits_form = False
        self._examined = False
        self._revoked: bool | TokenError | None = False
        self._token: Token | None = None
        self._error: TokenError | None = None

    def admit(self, scope: Mapping[str, Any], guard: Guard) -> Token | None:
        """The token, if it is valid and `guard` lets it pass.

        Args:
            scope: The scope of the request.
            guard: What is demanded.

        Raises:
            TokenError: Why not.
        """
        if not self._examined:
            self._examine(scope)
        if self._error is not None:
            # Asked again, the same error must not drag the traceback of the first time along.
            raise self._error.with_traceback(None)
        if self._token is None:
            if guard.optional:
                return None
            raise MissingTokenError(**why_absent(scope, self._sources))
        if self._revoked is not False and guard.check_revocation:
            raise about(self._refusal(), self._token).with_traceback(None)
        guard.policy.check(self._token)
        if self._awaits_form:
            raise CSRFTokenError(reason="the form that may have the CSRF value has not been read")
        if guard is not ACCESS_TOKEN and guard is not OPTIONAL_TOKEN:
            self.end_with_token = self.end_with_token and guard.end_with_token
            if guard not in self.passed:
                self.passed = (*self.passed, guard)
            # As long as one of those who let it in wants to know, it counts when the token is revoked.
            self.heeds_revocation = self.is_demanded or any(one.check_revocation for one in self.passed)
        if self.held is None:
            self.renew(self._token)
            self.is_untold = self.config is not None and self.config.accepted_events
        return self._token

    async def tell_accepted(self, scope: Mapping[str, Any]) -> None:
        """Tell of the token that was let in, once; to be called after `admit` where `is_untold`."""
        self.is_untold = False
        event = AuthEvent(name="accepted", **facts_of(cast("Token", self.held)), **request_facts(scope))
        await tell(cast("JWTConfig", self.config).on_event, event)

    def renew(self, token: Token) -> None:
        """Let `token` be the one that is held, in the place of that which a connection came with if there is one."""
        if token is not self._token:
            self._token = token
            self._revoked = False
        self.held = token
        for connection in self.connections:
            connection.renew()

    @property
    def is_undecided(self) -> bool:
        """Whether the token is good, and only a form or its store can say whether it is let in."""
        return self._revoked is None or self._awaits_form

    def is_of(self, scope: Mapping[str, Any]) -> bool:
        """Whether this scope offers what the outcome was worked out from.

        That is the same token, in the same source, by a method of the same kind; or no token again. The rules for
        cross-site requests are held against this very scope.
        """
        if not self._examined:
            return True
        if (
            scope.get("headers") == self._headers
            and scope.get("method") == self._method
            and scope.get("type") == self._kind
            and scope.get("scheme") == self._scheme
            and scope.get(CSRF_TOKEN_KEY) == self._csrf_value
            and (self._handshake is None or _handshake(scope) == self._handshake)
            and (self._is_exact or self._find_exactness())
        ):
            return True
        try:
            offered = extract_credentials(scope, self._sources, self.trust.max_token_size)
        except TokenError:  # with which the scope is refused
            return False
        is_safe = _is_safe(scope.get("type"), scope.get("method"))
        return offered == self._offered and is_safe is _is_safe(self._kind, self._method)

    def _find_exactness(self) -> bool:
        """Whether equal views mean equal credentials; this saves nearly every guard a search."""
        if self._is_exact is None:
            # A pair that is a list may have been changed in place, and a source of the application may read anything.
            self._is_exact = (
                type(self._headers) in (list, tuple)
                and _PAIRS.issuperset(map(type, self._headers))
                and (self._sources is DEFAULT_SOURCES or _OUR_SOURCES.issuperset(map(type, self._sources)))
            )
        return self._is_exact

    def anew(self) -> Outcome:
        """An outcome by the same settings, not yet worked out, for a scope to which this one does not belong."""
        outcome = Outcome(self.trust, self._sources, self.challenges, self.store)
        outcome.is_of_gate, outcome.is_preflight, outcome.is_accepted = (
            self.is_of_gate,
            self.is_preflight,
            self.is_accepted,
        )
        return outcome

    def _refusal(self) -> TokenError:
        if self._revoked is None:
            return StoreUnavailableError(reason="nobody could wait for the store here")
        return RevokedTokenError() if self._revoked is True else cast("TokenError", self._revoked)

    async def prepare(
        self, scope: Mapping[str, Any], *, check_revocation: bool = True, read_form: ReadForm | None = None
    ) -> None:
        """Before `admit`, wherever it is possible to wait: for keys, for a form and for what is revoked, if need be.

        With keys in hand, and a mirror of what is revoked, nothing is waited for. Raises nothing; `admit` does.

        Args:
            scope: The scope of the request.
            check_revocation: Whether anybody wants to know if the token is revoked.
            read_form: Puts what a form says in one field into the scope; None: the caller cannot read the body.
        """
        if self.attended and read_form is None:
            return
        if not self._examined:
            self._examine(scope)
        if self._awaits_keys:
            self._awaits_keys = False
            await self._attend_keys(scope)
        if read_form is not None:
            await self._attend_form(scope, read_form)
        if self._token is None or self._revoked is not None or self.store is None or self.config is None:
            self.attended = True
        elif check_revocation:
            self.attended = True
            try:
                self._revoked = await self.store.check(self._token, self.config)
            except TokenError as error:
                self._revoked = error

    async def _attend_keys(self, scope: Mapping[str, Any]) -> None:
        if self.config is None:
            return
        try:
            if self._error is None:
                self.config._prepared.key_source.refresh_if_due()
            elif await self.config._prepared.key_source.fetch_for(self._error):
                self._error = None
                self._examine(scope)
        except TokenError as error:
            self._error = error

    async def _attend_form(self, scope: Mapping[str, Any], read_form: ReadForm) -> None:
        """Read the form that may have the CSRF value, where nothing else is wanting."""
        offered, token = self._offered, self._token
        if offered is None or token is None or token.type != _ACCESS or self._revoked is True:
            return
        if not isinstance(offered.csrf_field, str):  # a source of the application may have put something else there
            return
        await read_form(offered.csrf_field)
        self._awaits_form = False
        self._offered = offered._replace(csrf_field=None)
        self._csrf_value = scope.get(CSRF_TOKEN_KEY)
        try:
            check_csrf(scope.get(CSRF_TOKEN_KEY), offered.token)
        except TokenError as error:
            self._token, self._error = None, error

    def _examine(self, scope: Mapping[str, Any]) -> None:
        # All that our own sources read of a scope.
        headers, self._kind, self._method = scope.get("headers"), scope.get("type"), scope.get("method")
        self._headers = headers[:] if type(headers) is list else headers  # a list may be changed in place
        self._scheme, self._csrf_value = scope.get("scheme"), scope.get(CSRF_TOKEN_KEY)
        self._handshake = _handshake(scope) if self._kind == "websocket" else None
        self._is_exact = None
        self._offered = _UNREADABLE
        try:
            self._offered = offered = extract_credentials(scope, self._sources, self.trust.max_token_size)
            if offered is not None:
                trust = self.trust
                self._token = (
                    verify(offered.token, trust, offered.source)
                    if isinstance(trust, JWTConfig)
                    else self._verified_by(trust, offered)
                )
                self._awaits_form = offered.csrf_field is not None
                if self.store is not None and self.config is not None:
                    revoked = self.store.is_revoked_locally(self._token, self.config)
                    # A store that knows every mark may still have to look for the session of a refresh token.
                    self._revoked = None if revoked is False and is_of_session(self._token) else revoked
        except TokenError as error:
            self._error = error
        self._examined = True

    def _verified_by(self, trust: MultiIssuerVerifier, offered: Credentials) -> Token:
        raw = as_ascii(offered.token, trust.max_token_size)
        self.config, framed = trust.config_for(raw)
        token = verify(raw, self.config, offered.source, framed=framed)
        trust.remember(raw, self.config)
        return token


def _is_safe(kind: str | None, method: str | None) -> bool:
    return kind == "http" and method in SAFE_METHODS


def _handshake(scope: Mapping[str, Any]) -> tuple[bytes | None, list[str]]:
    """What our sources read of a websocket beside that."""
    return scope.get("query_string"), offered_protocols(scope)


def outcomes_from(outcome: object) -> Iterator[Outcome]:
    """An outcome, and those that follow it; none, where something else stands in its place."""
    # Only our own kind of object counts; anything else may have come into the scope under this name.
    while isinstance(outcome, Outcome):
        yield outcome
        outcome = outcome.following


def outcome_of(scope: MutableMapping[str, Any]) -> Outcome | None:
    """The outcome that the innermost middleware, or a guard without any, goes by; one of this very scope.

    Where the one in the scope was worked out from something else, another one takes its place, in this scope alone.
    """
    outcome = scope.get(SCOPE_KEY)
    if not isinstance(outcome, Outcome):
        return None
    if not outcome.is_of(scope):
        scope[SCOPE_KEY] = outcome = outcome.anew()
    return outcome


def outcome_for(
    scope: Mapping[str, Any],
    trust: Verifier,
    sources: tuple[Source, ...] = (),
    store: TokenStore | None = None,
) -> Outcome | None:
    """The outcome that already stands in the scope, and is of this very scope.

    Args:
        scope: The scope of the request.
        trust: Under this configuration, or these.
        sources: Found in these places; empty: wherever it was found.
        store: Held against what this store knows; None: whether or not against any.
    """
    outcome = scope.get(SCOPE_KEY)
    while isinstance(outcome, Outcome):  # as `outcomes_from`, in less time
        if (
            (outcome.config is trust or outcome.trust == trust)
            and sources in ((), outcome._sources)  # noqa: SLF001 -- this module's own class
            and (store is None or outcome.store is store)
            and outcome.is_of(scope)
        ):
            return outcome
        outcome = outcome.following
    return None


def noted_error(scope: Mapping[str, Any]) -> TokenError | None:
    """The error that `get_token` has raised for this request; None: it has raised none."""
    outcome = scope.get(SCOPE_KEY)
    return outcome.raised if isinstance(outcome, Outcome) else None


def forget_error(scope: Mapping[str, Any]) -> None:
    """Forget what `get_token` has raised: the library itself answers the request now, and its answer has to stay."""
    outcome = scope.get(SCOPE_KEY)
    if isinstance(outcome, Outcome):
        outcome.raised = None


def is_guarded(scope: Mapping[str, Any]) -> bool:
    """Whether a middleware has looked at the request, which so says what its current token is."""
    outcome = scope.get(SCOPE_KEY)
    return isinstance(outcome, Outcome) and outcome.is_of_gate


def is_preflight(scope: Mapping[str, Any]) -> bool:
    """Whether the innermost middleware takes the request for a CORS preflight, and lets such pass without a token."""
    outcome = scope.get(SCOPE_KEY) if scope.get("method") == "OPTIONS" else None
    return isinstance(outcome, Outcome) and outcome.is_preflight is not None and outcome.is_preflight(scope)


def outcome_under(scope: MutableMapping[str, Any], guard: Guard) -> Outcome:
    """The outcome that a guard with these rules goes by: the middleware's, or one by the guard's own sources.

    Raises:
        NotGuardedError: There is no middleware.
    """
    first = outcome_of(scope)
    if first is None:
        raise NotGuardedError(
            "nothing has examined this request: call install(app, config) or wrap the application, "
            "JWTMiddleware(app, config); in FastAPI a JWTBearer(config) does without either"
        )
    if not guard.sources:
        return first
    outcome = outcome_for(scope, first.trust, guard.sources, first.store)
    if outcome is None:
        outcome = Outcome(first.trust, guard.sources, first.challenges, first.store)
        attach(scope, outcome)
    return outcome


def attach(scope: MutableMapping[str, Any], outcome: Outcome) -> None:
    """Put an outcome into a scope that no middleware has prepared for its configuration.

    The first one in a scope also fills `scope["token"]`; any other stands behind it, and changes nothing for handlers.
    """
    first = outcome_of(scope)
    if first is not None:
        outcome.following, first.following = first.following, outcome
        for connection in first.connections:
            connection.join(outcome)
        return
    scope[SCOPE_KEY] = outcome
    scope["token"] = None
    with contextlib.suppress(TokenError):  # recorded in the outcome, for whoever asks
        scope["token"] = outcome.admit(scope, OPTIONAL_TOKEN)


async def examined(
    scope: MutableMapping[str, Any],
    trust: Verifier,
    challenges: ErrorResponder,
    store: TokenStore | None,
    *,
    check_revocation: bool = True,
    sources: tuple[Source, ...] = (),
) -> Outcome:
    """The outcome of a request for whoever has a configuration of its own: found, or made and attached; prepared.

    Args:
        scope: The scope of the request.
        trust: Under this configuration, or these.
        challenges: How to answer when nobody else has said.
        store: What knows which tokens are revoked.
        check_revocation: Whether anybody wants to know if the token is.
        sources: Where it may be offered; empty: wherever a middleware looks, or in the Authorization header.
    """
    outcome_of(scope)  # so that the settings of a middleware are found in a copied scope, too
    if not sources and not _gate_looks(scope, trust):
        sources = DEFAULT_SOURCES  # what another guard has found in sources of its own is nothing to this one
    found = outcome_for(scope, trust, sources, store)
    if found is None and store is None and (beside := outcome_for(scope, trust)) is not None:
        # By sources of its own a guard finds what the middleware has not; that may be revoked all the same.
        store = beside.store
    outcome = Outcome(trust, sources or DEFAULT_SOURCES, challenges, store) if found is None else found
    await outcome.prepare(scope, check_revocation=check_revocation)
    if found is None:
        attach(scope, outcome)
    return outcome


def _gate_looks(scope: Mapping[str, Any], trust: Verifier) -> bool:
    first = outcome_for(scope, trust)
    return any(outcome.is_of_gate for outcome in outcomes_from(first))


def scope_of(connection: Any) -> Mapping[str, Any]:
    """The ASGI scope of a scope, or of whatever a framework calls a request, connection or websocket.

    Raises:
        NotGuardedError: The object has no scope, or, on Sanic's own server, `install` has not prepared one.
    """
    if type(connection) is dict:
        return connection
    context = getattr(connection, "ctx", None)
    prepared = None if context is None else getattr(context, SCOPE_KEY, None)
    if prepared is not None and isinstance(prepared, Mapping):
        return prepared
    try:
        scope = connection.scope
    except (AttributeError, NotImplementedError):  # Sanic's request has the attribute even where it has no scope
        scope = connection
    if type(scope) is dict or isinstance(scope, Mapping):  # the first of them is nearly always true, and quick
        return scope
    raise NotGuardedError(
        f"{type(connection).__name__} has no ASGI scope; on Sanic's own server call asgi_jwt_claims.sanic.install first, "
        "whose guard runs before request middleware with a priority below 100"
    )


_NO_DEPENDENCY = NotAParameter(
    "Depends(get_token) needs the get_token of asgi_jwt_claims.fastapi; or write `token: CurrentToken` of the same module"
)


@overload
def get_token(request_or_scope: Any, *, optional: Literal[False] = ...) -> Token: ...


@overload
def get_token(request_or_scope: Any, *, optional: bool) -> Token | None: ...


def get_token(request_or_scope: Annotated[Any, _NO_DEPENDENCY], *, optional: bool = False) -> Token | None:
    """The access token of a request.

    It is the token that this very scope offers. A scope that was copied with other headers, another query or another kind
    of method is examined anew, while its `scope["token"]` stays what was copied.

    Args:
        request_or_scope: An ASGI scope, or any framework's request or websocket object.
        optional: Whether absence is tolerated: None then. A bad token never is.

    Raises:
        TokenError: What was wrong with the credentials; `MissingTokenError` when there were none.
        NotGuardedError: Nothing has prepared the request: no middleware, no `install`.
    """
    scope: Any = scope_of(request_or_scope)
    outcome = outcome_of(scope)
    if outcome is None:
        raise NotGuardedError(
            "no JWTMiddleware around this application: wrap it, JWTMiddleware(app, config), or install(app, config); in "
            "Sanic, the guard of install runs before request middleware with a priority below 100"
        )
    try:
        return outcome.admit(scope, OPTIONAL_TOKEN if optional else ACCESS_TOKEN)
    except TokenError as error:
        outcome.raised = error  # which the middleware answers with, where a framework makes an error 500 of it
        raise


def current_token() -> Token | None:
    """The access token of the request being handled, without a request at hand; None when there is none.

    Set by `JWTMiddleware`, by `install`, and by a `JWTBearer(config)` without a middleware. It is None before they have
    looked at the request, and after the request has ended: for tasks and threads, too, that were started in it. A token
    that only a guard has looked at on an exempt path is not here: ask `get_token`.
    """
    holder = CURRENT_TOKEN.get()
    return None if holder is None else holder.token
