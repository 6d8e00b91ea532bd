"""The outcome of one request: token, absence or error. Worked out at most once, whoever asks, however often.

It stands in the scope under `SCOPE_KEY`. Guards ask it (`admit`) instead of looking at the request again; that is what
makes one verification serve any number of them. Where the middleware does not ask (exempt paths), the first guard does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from contextvars import Token as Reset
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast, overload

from ._compact import as_ascii
from ._store import is_of_session
from .access import Access
from .config import JWTConfig
from .errors import MissingTokenError, NotGuardedError, RevokedTokenError, StoreUnavailableError, TokenError
from .sources import DEFAULT_SOURCES, Offered, Source, find_token
from .token import SCOPE_KEY, Token
from .verification import verify

if TYPE_CHECKING:
    from ._store import RevocationStore
    from .challenges import Challenges
    from .issuers import Trust

__all__ = [
    "ANY_ACCESS_TOKEN",
    "CURRENT_TOKEN",
    "HOLDERS_KEY",
    "HoldsToken",
    "Outcome",
    "TokenHolder",
    "attach",
    "current_token",
    "examined",
    "get_token",
    "hold",
    "holders_of",
    "outcome_for",
    "outcome_under",
    "scope_of",
]

ANY_ACCESS_TOKEN = Access()
"""The rule where none is stated: a valid access token."""


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
    """The token of one request, for `current_token()`; made by `hold`."""

    __slots__ = ("_before", "token")

    def __init__(self, token: Token | None) -> None:
        self.token = token
        self._before: Reset[HoldsToken | None] = CURRENT_TOKEN.set(self)

    def release(self) -> None:
        """Take the token away: the request has ended."""
        self.token = None
        CURRENT_TOKEN.reset(self._before)


def hold(scope: MutableMapping[str, Any], token: Token | None) -> TokenHolder:
    """Let `current_token()` be `token`, in this task and in what starts in it, until the holder is released."""
    holder = TokenHolder(token)
    scope[HOLDERS_KEY] = (*holders_of(scope), holder)
    return holder


def holders_of(scope: Mapping[str, Any]) -> tuple[HoldsToken, ...]:
    """All objects that have the token of the request, whatever else may have come into the scope under their name."""
    holders = scope.get(HOLDERS_KEY)
    return holders if type(holders) is tuple else ()


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
        revocation: What knows which tokens are revoked; None: nobody asks.
        following: The outcome under another configuration, or by other sources, if one was asked for too.
        passed: The rules that the request was let in by.
        held: The token that was let in; None as long as nobody has.
        end_with_token: Whether a connection that outlives the request ends with the token.
        heeds_revocation: Whether it also ends when the token is revoked.
        connections: That connection, as each of the middlewares around the application watches it.
        is_accepted: Whether it is a websocket that has been accepted.
        is_of_gate: Whether a middleware has made it, so that its sources are those that the middleware looks in.
        is_demanded: Whether a middleware lets nobody on without the token, whatever guards say.
    """

    __slots__ = (
        "_awaits_keys",
        "_error",
        "_examined",
        "_revoked",
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
        "passed",
        "revocation",
        "trust",
    )

    def __init__(
        self,
        trust: Trust,
        sources: tuple[Source, ...],
        challenges: Challenges,
        revocation: RevocationStore | None = None,
    ) -> None:
        self.trust = trust
        self.config = trust if isinstance(trust, JWTConfig) else None
        self.challenges = challenges
        self.following: Outcome | None = None
        self.passed: tuple[Access, ...] = ()
        self.held: Token | None = None
        self.end_with_token = True
        self.heeds_revocation = True
        self.connections: tuple[Renewable, ...] = ()
        self.is_accepted = False
        self.is_demanded = False
        self.is_of_gate = False
        self._sources = sources
        self.revocation = revocation
        self.attended = not trust.is_remote and revocation is None
        self._awaits_keys = trust.is_remote
        self._examined = False
        self._revoked: bool | TokenError | None = False
        self._token: Token | None = None
        self._error: TokenError | None = None

    @overload
    def admit(self, scope: Mapping[str, Any], access: Access, *, optional: Literal[False] = ...) -> Token: ...

    @overload
    def admit(self, scope: Mapping[str, Any], access: Access, *, optional: bool) -> Token | None: ...

    def admit(self, scope: Mapping[str, Any], access: Access, *, optional: bool = False) -> Token | None:
        """The token, if it is valid and `access` lets it pass.

        Args:
            scope: The scope of the request.
            access: The rules.
            optional: Whether absence is tolerated: None then. A bad token never is.

        Raises:
            TokenError: Why not.
        """
        if not self._examined:
            self._examine(scope)
        if self._error is not None:
            # Asked again, the same error must not drag the traceback of the first time along.
            raise self._error.with_traceback(None)
        if self._token is None:
            if optional:
                return None
            raise MissingTokenError()
        if self._revoked is not False and access.check_revocation:
            raise self._refusal().with_traceback(None)
        access.check(self._token)
        if access is not ANY_ACCESS_TOKEN:
            self.end_with_token = self.end_with_token and access.end_with_token
            if access not in self.passed:
                self.passed = (*self.passed, access)
            # As long as one of those who let it in wants to know, it counts when the token is revoked.
            self.heeds_revocation = self.is_demanded or any(one.check_revocation for one in self.passed)
        if self.held is None:
            self.renew(self._token)
        return self._token

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
        """Whether the token is good, and only its store can say whether it has been revoked."""
        return self._revoked is None

    def _refusal(self) -> TokenError:
        if self._revoked is None:
            return StoreUnavailableError(reason="nobody could wait for the store here")
        return RevokedTokenError() if self._revoked is True else cast("TokenError", self._revoked)

    async def prepare(self, scope: Mapping[str, Any], *, check_revocation: bool = True) -> None:
        """Before `admit`, wherever it is possible to wait: for keys and for what is revoked, if need be.

        With keys in hand, and a mirror of what is revoked, nothing is waited for. Raises nothing; `admit` does.

        Args:
            scope: The scope of the request.
            check_revocation: Whether anybody wants to know if the token is revoked.
        """
        if self.attended:
            return
        if not self._examined:
            self._examine(scope)
        if self._awaits_keys:
            self._awaits_keys = False
            await self._attend_keys(scope)
        if self._token is None or self._revoked is not None or self.revocation is None or self.config is None:
            self.attended = True
        elif check_revocation:
            self.attended = True
            try:
                self._revoked = await self.revocation.check(self._token, self.config)
            except TokenError as error:
                self._revoked = error

    async def _attend_keys(self, scope: Mapping[str, Any]) -> None:
        if self.config is None or self.config.key_source is None:
            return
        try:
            if await self.config.key_source.attend(self._error):
                self._error = None
                self._examine(scope)
        except TokenError as error:
            self._error = error

    def _examine(self, scope: Mapping[str, Any]) -> None:
        try:
            offered = find_token(scope, self._sources, self.trust.max_token_size)
            if offered is not None:
                self._token = self._verified(offered)
                if self.revocation is not None and self.config is not None:
                    revoked = self.revocation.known(self._token, self.config)
                    # A store that knows every mark may still have to look for the session of a refresh token.
                    self._revoked = None if revoked is False and is_of_session(self._token) else revoked
        except TokenError as error:
            self._error = error
        self._examined = True

    def _verified(self, offered: Offered) -> Token:
        trust = self.trust
        if isinstance(trust, JWTConfig):
            return verify(offered.raw, trust, offered.source)
        raw = as_ascii(offered.raw, trust.max_token_size)
        self.config = trust.config_for(raw)
        token = verify(raw, self.config, offered.source)
        trust.learn(raw, self.config)
        return token


def outcome_for(
    scope: Mapping[str, Any],
    trust: Trust | None,
    sources: tuple[Source, ...] = (),
    revocation: RevocationStore | None = None,
) -> Outcome | None:
    """The outcome that already stands in the scope.

    Args:
        scope: The scope of the request.
        trust: Under this configuration, or these; None: under what the innermost middleware has.
        sources: Found in these places; empty: wherever it was found.
        revocation: Held against what this store knows; None: whether or not against any.
    """
    outcome = scope.get(SCOPE_KEY)
    # Only our own kind of object counts, whatever else may have come into the scope under this name.
    while isinstance(outcome, Outcome):
        if trust is None or (
            (outcome.config is trust or outcome.trust == trust)
            and sources in ((), outcome._sources)  # noqa: SLF001 -- this module's own class
            and (revocation is None or outcome.revocation is revocation)
        ):
            return outcome
        outcome = outcome.following
    return None


def outcome_under(scope: MutableMapping[str, Any], access: Access) -> Outcome:
    """The outcome that a guard with these rules goes by: the middleware's, or one by the guard's own sources.

    Raises:
        NotGuardedError: There is no middleware.
    """
    first = outcome_for(scope, None)
    if first is None:
        raise NotGuardedError("jwt_required needs JWTMiddleware around the application, or install(app, config)")
    if not access.sources:
        return first
    outcome = outcome_for(scope, first.trust, access.sources, first.revocation)
    if outcome is None:
        outcome = Outcome(first.trust, access.sources, first.challenges, first.revocation)
        attach(scope, outcome)
    return outcome


def attach(scope: MutableMapping[str, Any], outcome: Outcome) -> None:
    """Put an outcome into a scope that no middleware has prepared for its configuration.

    The first one in a scope also fills `scope["token"]`; any other stands behind it, and changes nothing for handlers.
    """
    first = outcome_for(scope, None)
    if first is not None:
        outcome.following, first.following = first.following, outcome
        for connection in first.connections:
            connection.join(outcome)
        return
    scope[SCOPE_KEY] = outcome
    scope["token"] = None
    with contextlib.suppress(TokenError):  # recorded in the outcome, for whoever asks
        scope["token"] = outcome.admit(scope, ANY_ACCESS_TOKEN, optional=True)


async def examined(
    scope: MutableMapping[str, Any],
    trust: Trust,
    challenges: Challenges,
    revocation: RevocationStore | None,
    *,
    check_revocation: bool = True,
    sources: tuple[Source, ...] = (),
) -> Outcome:
    """The outcome of a request for whoever has a configuration of its own: found, or made and attached; prepared.

    Args:
        scope: The scope of the request.
        trust: Under this configuration, or these.
        challenges: How to answer when nobody else has said.
        revocation: What knows which tokens are revoked.
        check_revocation: Whether anybody wants to know if the token is.
        sources: Where it may be offered; empty: wherever a middleware looks, or in the Authorization header.
    """
    if not sources and not _gate_looks(scope, trust):
        sources = DEFAULT_SOURCES  # what another guard has found in sources of its own is nothing to this one
    found = outcome_for(scope, trust, sources, revocation)
    if found is None and revocation is None and (beside := outcome_for(scope, trust)) is not None:
        # By sources of its own a guard finds what the middleware has not; that may be revoked all the same.
        revocation = beside.revocation
    outcome = Outcome(trust, sources or DEFAULT_SOURCES, challenges, revocation) if found is None else found
    await outcome.prepare(scope, check_revocation=check_revocation)
    if found is None:
        attach(scope, outcome)
    return outcome


def _gate_looks(scope: Mapping[str, Any], trust: Trust) -> bool:
    outcome = outcome_for(scope, trust)
    while outcome is not None and not outcome.is_of_gate:
        outcome = outcome.following
    return outcome is not None


def scope_of(connection: Any) -> Mapping[str, Any]:
    """The ASGI scope of a scope, or of whatever a framework calls a request, connection or websocket.

    Raises:
        NotGuardedError: The object has no scope, or, on Sanic's own server, `install` has not prepared one.
    """
    prepared = getattr(getattr(connection, "ctx", None), SCOPE_KEY, None)
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


@overload
def get_token(request_or_scope: Any, *, optional: Literal[False] = ...) -> Token: ...


@overload
def get_token(request_or_scope: Any, *, optional: bool) -> Token | None: ...


def get_token(request_or_scope: Any, *, optional: bool = False) -> Token | None:
    """The access token of a request.

    Args:
        request_or_scope: An ASGI scope, or any framework's request or websocket object.
        optional: Whether absence is tolerated: None then. A bad token never is.

    Raises:
        TokenError: What was wrong with the credentials; `MissingTokenError` when there were none.
        NotGuardedError: Nothing has prepared the request: no middleware, no `install`.
    """
    scope = scope_of(request_or_scope)
    outcome = outcome_for(scope, None)
    if outcome is None:
        raise NotGuardedError(
            "no JWTMiddleware around this application: wrap it, JWTMiddleware(app, config), or install(app, config); in "
            "Sanic, the guard of install runs before request middleware with a priority below 100"
        )
    return outcome.admit(scope, ANY_ACCESS_TOKEN, optional=optional)


def current_token() -> Token | None:
    """The access token of the request being handled, without a request at hand; None when there is none.

    Set by `JWTMiddleware`, by `install`, and by a `JWTBearer(config)` without a middleware. It is None before they have
    looked at the request, and after the request has ended: for tasks and threads, too, that were started in it. A token
    that only a guard has looked at on an exempt path is not here: ask `get_token`.
    """
    holder = CURRENT_TOKEN.get()
    return None if holder is None else holder.token
