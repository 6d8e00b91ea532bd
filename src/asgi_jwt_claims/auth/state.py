"""What is known about one request, kept in its scope: the results of its guards, and what they have let in.

A scope may be copied with other headers or another method (the parts of a batch, for example), and the copy brings the
`RequestAuth` along. So each result belongs to what it was worked out from: the credentials, the source that found them,
and whether the method is safe. A scope that offers something else gets a `RequestAuth` of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.access.policy import naming_scopes
from asgi_jwt_claims.config.events import AuthEvent, notify, request_facts
from asgi_jwt_claims.errors import NotGuardedError, TokenError
from asgi_jwt_claims.sources.csrf import CSRF_TOKEN_KEY
from asgi_jwt_claims.sources.websocket import offered_protocols
from asgi_jwt_claims.tokens.token import Anonymous, Granted, Token, facts_of

from .grant import Grant
from .options import OPTIONAL_TOKEN
from .result import ABSENT, ACCEPTED, NEEDS_KEYS, UNREADABLE, AuthResult

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.sources._credentials import Source

    from .authenticator import Authenticator
    from .grant import OpenConnection
    from .options import Guard
    from .settings import MiddlewareSettings

__all__ = ["RequestAuth", "find_request_auth", "forget_error", "request_auth"]

_ANONYMOUS = Anonymous()
_OUR_USERS = (Token, Anonymous)
_PAIRS = frozenset({tuple})
_MOST_GUARDS = 64  # that a renewed token has to satisfy
_MANY = 16  # grants of guards, beyond which bad tokens are forgotten, of which a long connection may bring any number


class RequestAuth(Grant):
    """What one middleware, or a guard without a middleware, knows about one request.

    Attributes:
        settings: The settings of the middleware; None if a guard has made this.
        shared: The `RequestAuth` of an outer middleware with an equal authenticator, which has the results and
            connections of both; None if this object has its own.
        outer: The `RequestAuth` of the middleware around this one; None if there is none.
        is_exempt: Whether the middleware lets the request on without a token.
        protocol: The subprotocol to answer with, whose token was stripped; None if there was none.
        is_accepted: Whether it is a WebSocket that has been accepted.
        raised: The error that `get_token` has raised for the request; None if it has raised none.
        demanded: What the middleware demands of this request, if it is not what it demands of every request.
        refusal: Why the middleware refuses the request without looking for a token; None if it does look.
        others: The grants of guards with other authenticators.
        without_token: The guards that have let the request in without a token.
        watching: The connections that the request has opened, as each of the middlewares around the application has it.
        view: What our own sources read of the scope, as it was when the result was worked out.
        is_exact: Whether equal views mean equal credentials; None if that has not been looked at yet.
        untold: A result whose token was let in, and of which an event is still to be told; None if there is none.
        passed: The result that passes where nothing but a valid access token is demanded.
    """

    # What few requests have stands in the class as long as it has not been set.
    __slots__ = (
        "__dict__",
        "is_exact",
        "is_exempt",
        "outer",
        "passed",
        "settings",
        "shared",
        "untold",
        "view",
        "watching",
    )

    protocol: str | None = None
    is_accepted = False
    raised: TokenError | None = None
    demanded: Guard | None = None
    refusal: TokenError | None = None
    others: tuple[Grant, ...] = ()
    without_token: tuple[Guard, ...] = ()

    def __init__(self, authenticator: Authenticator, settings: MiddlewareSettings | None = None) -> None:
        self.authenticator = authenticator
        self.result = None
        self.guards = ()
        self.is_let_in = False
        self.settings = settings
        self.shared: RequestAuth | None = None
        self.outer: RequestAuth | None = None
        self.untold: AuthResult | None = None
        self.watching: tuple[OpenConnection, ...] = ()
        self.is_exempt = False
        self.passed: AuthResult | None = None
        self.view: tuple[Any, ...] | None = None
        self.is_exact: bool | None = None

    @classmethod
    def enter(cls, scope: MutableMapping[str, Any], settings: MiddlewareSettings) -> RequestAuth:
        """Prepare the scope of a request that has reached a middleware, and strip a token from the subprotocols.

        This writes the private key, and `admit` writes `scope["token"]`, so that nothing there comes from elsewhere.
        """
        if not isinstance(scope["headers"], list):  # ASGI allows any iterable, even one that can be read only once
            scope["headers"] = list(map(tuple, scope["headers"]))
        auth = cls(settings.authenticator, settings)
        if not settings.demands_the_same:
            auth._look_at_path(scope, settings)
        if scope["type"] == "websocket":
            auth.protocol = settings.strip_subprotocol(scope)
        if SCOPE_KEY in scope:
            auth.outer = outer = find_request_auth(scope)
            if outer is not None:
                auth.authenticator = auth.authenticator.with_store_of(one.authenticator for one in outer.all_grants())
                if outer.authenticator == auth.authenticator:
                    # The outer middleware has verified the token already, if the scope still offers the same.
                    found = outer.for_scope(scope)
                    auth.shared, auth.is_accepted = found.shared or found, found.is_accepted
        scope[SCOPE_KEY] = auth
        return auth

    def _look_at_path(self, scope: Mapping[str, Any], settings: MiddlewareSettings) -> None:
        try:
            self.demanded = settings.demand(scope)
        except TokenError as error:
            self.refusal = error.with_traceback(None)
        self.is_exempt = self.demanded is None

    def admit(self, scope: MutableMapping[str, Any], result: AuthResult | None) -> TokenError | None:
        """Write the token into the scope, if the middleware lets it in; also as its user, if the middleware is to do so.

        `result` is None if the request is exempt. Return the error to refuse the request with; None if it may go on.
        """
        settings, token, error = self.settings, None, None
        guard = self.demanded or (OPTIONAL_TOKEN if settings is None else settings.guard)
        if result is not None:
            error = result.refusal(guard)
            if error is None:
                token, self.passed = result.token, result
                self.grant(result, None if guard.optional else guard)
            else:
                error = naming_scopes(error, self.scopes_asked_of(result))
        scope["token"] = token
        # What another middleware of this library has put there must not speak of another token.
        if (settings is not None and settings.set_user) or ("user" in scope and isinstance(scope["user"], _OUR_USERS)):
            scope["user"], scope["auth"] = (_ANONYMOUS, _ANONYMOUS) if token is None else (token, Granted(token))
        if error is None or guard.optional or settings is None:
            return self.refusal
        if scope.get("method") == "OPTIONS" and settings.is_preflight(scope):
            settings.warn_of_preflight()
        return error

    def fill(self, scope: MutableMapping[str, Any]) -> None:
        """Write `scope["token"]` where a guard has made this, as there is no middleware that does so."""
        if self.settings is None and scope["token"] is None:
            self.admit(scope, self.result_for(scope))

    def for_scope(self, scope: MutableMapping[str, Any]) -> RequestAuth:
        """Return this object; or, if the scope offers something else by now, a new one that takes its place there."""
        own, view = self.shared or self, _view(scope)
        if own.is_exact is None and own.view is not None:
            # A pair that is a list may be changed in place, and a source of the application may read anything.
            headers = own.view[0]
            are_pairs = type(headers) in (list, tuple) and _PAIRS.issuperset(map(type, headers))
            own.is_exact = are_pairs and own.authenticator.has_only_our_sources
        if own.result is None or (own.is_exact and view == own.view):
            return self
        # The rules for cross-site requests are checked for this very scope.
        result = own.authenticator.authenticate(scope, (own.result,))
        if own.result.is_of(*result[:3]):
            own.remember(result, scope)
            return self
        auth = scope[SCOPE_KEY] = RequestAuth(self.authenticator, self.settings)
        auth.outer, auth.is_accepted = self.outer, self.is_accepted
        auth.remember(result, scope)
        return auth

    def remember(self, result: AuthResult | None, scope: Mapping[str, Any]) -> None:
        """Remember a result, and the scope that it was worked out from."""
        self.result, self.view, self.is_exact = result, _view(scope), None

    def result_for(self, scope: Mapping[str, Any], authenticator: Authenticator | None = None) -> AuthResult:
        """Return the result for the scope that this object is for, of `authenticator` or else of the middleware's."""
        own = self.shared or self
        if authenticator is None or authenticator == self.authenticator:
            result = own.result
            if result is None or result.state is NEEDS_KEYS:  # which may be in hand by now
                own.result = result = own.authenticator.authenticate(scope)
                own.view = _view(scope)
            return result
        grants = self.all_grants()
        known = [grant.result for grant in grants if grant.result is not None]
        result = authenticator.authenticate(scope, known)
        # What is not there is not kept, however often it is asked for.
        if result.credentials is not None and result.credentials is not UNREADABLE:
            grant = next((one for one in grants if one.result is result), None) or Grant(authenticator, result)
            if grant not in own.others:
                is_full = len(own.others) >= _MANY
                own.others = (*[one for one in own.others if not (is_full and one.is_refused)], grant)
        return result

    def all_grants(self) -> list[Grant]:
        """Return the grants of this middleware and of those around it, let in or not."""
        own = self.shared or self
        grants = [own, *own.others]
        return grants if self.outer is None else [*grants, *self.outer.all_grants()]

    def grant_of(self, result: AuthResult) -> Grant | None:
        """Return the grant that has this result."""
        own = self.shared or self
        return own if own.result is result else next((one for one in own.others if one.result is result), None)

    def authenticator_with(self, sources: tuple[Source, ...]) -> Authenticator | None:
        """Return the authenticator with the sources of a guard; None, for this one, if the guard has none."""
        if not sources:
            return None
        authenticator = self.authenticator.replace(sources, self.authenticator.store)
        return authenticator.with_store_of(one.authenticator for one in self.all_grants())

    def scopes_asked_of(self, result: AuthResult) -> list[str]:
        """Return the scopes that the guards demand which have let the token in."""
        grant = self.grant_of(result)
        return [] if grant is None else [scope for guard in grant.guards for scope in guard.policy.scopes]

    def grant(self, result: AuthResult, guard: Guard | None = None) -> None:
        """Record that a guard has let a token in; None stands for `get_token` and a middleware with `required=False`.

        Of a request without a token, only the guard is remembered, whose rules count for a token that is adopted.
        """
        own = self.shared or self
        grant = own if own.result is result else self.grant_of(result)
        config = result.config
        if grant is None or config is None or result.token is None:
            if guard is not None and result.state is ABSENT and guard not in own.without_token:
                own.without_token = (*own.without_token, guard)
            return
        # A handler of a WebSocket may require something else for each message.
        if guard is not None and guard not in grant.guards and len(grant.guards) < _MOST_GUARDS:
            grant.guards = (*grant.guards, guard)
        if not grant.is_let_in:
            grant.is_let_in = True
            if config.accepted_events:
                self.untold = result
            for connection in own.watching:
                connection.renew()

    def decide(self, result: AuthResult, guard: Guard, inner_scopes: Iterable[str] = ()) -> TokenError | None:
        """Let a guard decide: return the error that it refuses with, or None and record that it lets the request in.

        The error names the scopes that all guards of the resource demand, `inner_scopes` among them.
        """
        error = result.refusal(guard)
        if error is not None:
            return naming_scopes(error, (*self.scopes_asked_of(result), *guard.policy.scopes, *inner_scopes))
        self.grant(result, guard)
        return None

    async def tell_accepted(self, scope: Mapping[str, Any]) -> None:
        """Tell of the token that was let in, once. Call it after `grant`, if there is something `untold`."""
        result, self.untold = self.untold, None
        if result is not None and result.token is not None and result.config is not None:
            event = AuthEvent(name="accepted", **facts_of(result.token), **request_facts(scope))
            await notify(result.config.on_event, event)

    def grants_for(self, scope: Mapping[str, Any]) -> list[Grant]:
        """Return what has been let in for this scope, and not for a copy of it that has other tokens."""
        own = self.shared or self
        others = [one for one in own.others if one.is_let_in]
        grants = [one for one in others if one.authenticator.finds(scope, cast("AuthResult", one.result))]
        return [own, *grants] if own.is_let_in else grants

    def renew(self, grants: Iterable[Grant], token: Token) -> None:
        """Let `token` take the place of the token that was let in, in each of these grants."""
        for grant in grants:
            grant.result = cast("AuthResult", grant.result)._replace(state=ACCEPTED, token=token, error=None)
        for connection in self.connections:
            connection.renew()

    def adopt(self, scope: Mapping[str, Any], token: Token, config: JWTConfig) -> None:
        """Let a token in that came in a message, as if it had come with the handshake."""
        own = self.shared or self
        found = self.result_for(scope)
        self.passed = found._replace(state=ACCEPTED, token=token, error=None, config=config, evidence=None)
        own.remember(self.passed, scope)
        own.guards = own.without_token
        self.grant(self.passed)

    @property
    def connections(self) -> tuple[OpenConnection, ...]:
        """What the request has opened, as each of the middlewares around the application watches it."""
        return (self.shared or self).watching

    def attach(self, connection: OpenConnection) -> None:
        """Let a connection know from now on what is let in, or renewed."""
        own = self.shared or self
        if connection not in own.watching:
            own.watching = (*own.watching, connection)

    def detach(self, connection: OpenConnection) -> None:
        """Drop every reference to a connection."""
        own = self.shared or self
        own.watching = tuple([one for one in own.watching if one is not connection])

    def note(self, error: TokenError | None) -> None:
        """Remember the error that `get_token` has raised for this request, or forget it."""
        self.raised = error


def _view(scope: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return all that our own sources read of a scope."""
    headers = scope.get("headers")
    if type(headers) is list:
        headers = headers[:]  # it may be changed in place
    view = (headers, scope.get("type"), scope.get("method"), scope.get("scheme"), scope.get(CSRF_TOKEN_KEY))
    return view if view[1] != "websocket" else (*view, scope.get("query_string"), offered_protocols(scope))


def find_request_auth(scope: Mapping[str, Any]) -> RequestAuth | None:
    """Return the `RequestAuth` in a scope; None if there is none, or something that is not ours."""
    auth = scope.get(SCOPE_KEY)
    return auth if type(auth) is RequestAuth else None


def request_auth(scope: MutableMapping[str, Any]) -> RequestAuth:
    """Return the `RequestAuth` of this very scope.

    Raises:
        NotGuardedError: There is no middleware.
    """
    auth = scope.get(SCOPE_KEY)
    if type(auth) is not RequestAuth:
        raise NotGuardedError(
            "no middleware has prepared this request: call install(app, config) or wrap the application, "
            "JWTMiddleware(app, config); in FastAPI a JWTBearer(config) does without either; in Sanic, the guard of "
            "install runs before request middleware with a priority below 100"
        )
    own = auth.shared or auth
    return auth if own.is_exact and _view(scope) == own.view else auth.for_scope(scope)


def forget_error(scope: Mapping[str, Any]) -> None:
    """Forget what `get_token` has raised: the library itself answers the request now, and its answer has to stay."""
    auth = find_request_auth(scope)
    if auth is not None:
        auth.note(None)
