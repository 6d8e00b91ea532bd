"""The options of middlewares and guards: each is named, typed and described here, once."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from asgi_jwt_claims.access.policy import AccessPolicy
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.values import Frozen
from asgi_jwt_claims.sources._credentials import Source, is_source

if TYPE_CHECKING:
    from typing import Unpack

    from asgi_jwt_claims.access.rules import Rule
    from asgi_jwt_claims.oauth import ProtectedResource
    from asgi_jwt_claims.responses import OnError
    from asgi_jwt_claims.runtime.endpoint import Endpoint
    from asgi_jwt_claims.stores.base import TokenStore

__all__ = [
    "ACCESS_TOKEN",
    "OPTIONAL_TOKEN",
    "Guard",
    "GuardOptions",
    "MiddlewareOptions",
    "check_flags",
    "takes_options",
]

TakerT = TypeVar("TakerT", bound=Callable[..., Any])


class MiddlewareOptions(TypedDict, total=False):
    """The options of `JWTMiddleware` and of `install`, all by name.

    Attributes:
        required: Whether a request without a token is refused. False lets every request on, and guards decide.
        require: A `Rule` that the token of every request has to fulfil, exempt paths excepted.
        rules: A `Rule` for each path, such as `{"GET /reports/*": Scopes("reports:read"), "/admin/*": Roles("admin")}`.
            A request to such a path needs a token that fulfils all rules that match, no matter what `exempt`,
            `allow_preflight` and `required` say. `"/admin/*"` includes `/admin`, and `GET` includes HEAD. Upper and lower
            case are the same, as is a slash at the end, and `root_path` makes no difference. For a WebSocket, and a request
            that overrides its method, the rules of all methods count. Where there are rules, a path that can be read in
            more than one way is refused.
        exempt: Paths that need no token: exact ones (`"/login"`), all below one (`"/docs/*"`), or either for one method
            (`"GET /items"`, which includes HEAD). They are compared with `scope["path"]` without the `root_path` of
            server or mount; a path spelled with needless escapes is not exempt.
        allow_preflight: Let CORS preflights on without a token, for every path. Any client can send one, so the
            application must then answer each `OPTIONS` request by itself, and never run a handler for it that needs a
            token. The better way is a CORS middleware outside of this one. A rule for a path still needs a token,
            unless its methods leave `OPTIONS` out.
        realm: The protection space named in `WWW-Authenticate`.
        problem_json: Send RFC 9457 problem details as the bodies of refusals.
        on_error: A sync or async function that is called with each `TokenError`, its `ErrorResponse` and the scope; it
            may return another `ErrorResponse`.
        sources: Where to look for tokens, in order; the Authorization header unless set.
        set_user: Put the token into `scope["user"]`, and its scopes with `"authenticated"` into `scope["auth"]`, for
            Starlette's `@requires`.
        store: A `TokenStore` that is asked about every token, optional or not. None if revocation is not checked.
        end_with_token: Whether WebSockets and `text/event-stream` responses end when their token expires, the leeway
            added, or when it is revoked and the store has a feed.
        close_code: The code that a WebSocket is closed with then: 3000 to 4999, 1000 or 1008.
        adopt_within: The time, as seconds or a `timedelta`, in which a WebSocket that was let on without a token has to
            adopt one by `adopt_token`; it is closed with `close_code` otherwise. None for no limit.
        drain: How many bytes of its body are read, within one second, before an http request is refused: with some
            servers a client that is still sending does not see the response otherwise. 0 if none are.
        protected_resource: A `ProtectedResource`, whose metadata is answered without a token, and which challenges name.
        endpoints: Endpoints of this library by path: `{"/auth": TokenEndpoints(config, store)}`. They answer in front of
            the guard, and demand by themselves what they need; their paths need no `exempt`.
    """

    required: bool
    require: Rule | None
    rules: Mapping[str, Rule]
    exempt: Iterable[str]
    allow_preflight: bool
    realm: str
    problem_json: bool
    on_error: OnError | None
    sources: Iterable[Source]
    set_user: bool
    store: TokenStore | None
    end_with_token: bool
    close_code: int
    adopt_within: timedelta | float | None
    drain: int
    protected_resource: ProtectedResource | None
    endpoints: Mapping[str, Endpoint]


class _PolicyOptions(TypedDict, total=False):
    type: str
    fresh: bool | timedelta
    allow: str | Iterable[str] | None
    deny: str | Iterable[str] | None
    scopes: str | Iterable[str]
    require: Rule | None


class GuardOptions(_PolicyOptions, total=False):
    """The options of `jwt_required` and `JWTBearer`, all by name.

    Attributes:
        optional: Whether a request without a token passes; the handler's token is None then. A bad token never passes.
        fresh: Whether the token must come from a recent login; a `timedelta` says how recent.
        type: The type of token wanted. Where the middleware demands access tokens, the path of a handler for another
            type has to be `exempt`.
        allow: Roles of which the token must have one; a str is one role, an empty collection allows no token.
        deny: Roles of which the token must have none; a str is one role.
        scopes: Scopes that the token must have, all of them; a str is split at spaces.
        require: A `Rule` that must hold too, such as `Scopes("orders:read") | Roles("support")`.
        check_revocation: Whether a revoked token is refused. False does not help where the middleware demands access
            tokens, since it has asked the store already, unless the path is `exempt`.
        sources: Where to look for the token; empty for wherever the middleware looks. A middleware that demands access
            tokens has to find one in its own sources first, unless the path is `exempt`.
        end_with_token: Whether a WebSocket, or a `text/event-stream` response, ends when its token expires or is
            revoked.
    """

    optional: bool
    check_revocation: bool
    sources: Iterable[Source]
    end_with_token: bool


def check_flags(flags: Mapping[str, object]) -> None:
    """Refuse options that must be True or False, by name, and are not.

    Raises:
        SettingError: One is something else.
    """
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise SettingError(f"{name} must be True or False, not {value!r}")


class Guard(Frozen):
    """The `GuardOptions` of a handler, or what a middleware demands. Immutable, comparable, checked when built.

    Attributes:
        policy: The rules about the token.

    Raises:
        SettingError: An option cannot be used.
    """

    policy: AccessPolicy
    optional: bool
    check_revocation: bool
    sources: tuple[Source, ...]
    end_with_token: bool

    def __init__(
        self,
        *,
        optional: bool = False,
        check_revocation: bool = True,
        sources: Iterable[Source] = (),
        end_with_token: bool = True,
        **rules: Unpack[_PolicyOptions],
    ) -> None:
        flags = {"optional": optional, "check_revocation": check_revocation, "end_with_token": end_with_token}
        check_flags(flags)
        found = tuple(sources) if isinstance(sources, Iterable) else (sources,)
        if not all(map(is_source, found)):
            raise SettingError(f"sources must be a list of sources: sources=[BearerHeader()], not {sources!r}")
        vars(self).update(policy=AccessPolicy(**rules), sources=found, **flags)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guard) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def with_scopes(self, scopes: Iterable[str]) -> Guard:
        """Return the same guard with further scopes in its policy."""
        guard = copy.copy(self)
        vars(guard)["policy"] = self.policy.with_scopes([*scopes])
        return guard


ACCESS_TOKEN = Guard()
"""What is demanded unless options say otherwise: a valid access token that is not revoked."""

OPTIONAL_TOKEN = Guard(optional=True)
"""As `ACCESS_TOKEN`, and a request without a token passes."""


def takes_options(options: type[Any], *owners: Callable[..., Any]) -> Callable[[TakerT], TakerT]:
    """Let `help` and editors show the options that a function or class passes on, with their defaults and meaning.

    The class `options` describes them, and `owners` take them by name.
    """

    def show(taker: TakerT) -> TakerT:
        if taker.__doc__ is not None and options.__doc__ is not None:  # Python may leave docstrings out
            described = inspect.cleandoc(options.__doc__).partition("Attributes:\n")[2]
            taker.__doc__ = f"{inspect.cleandoc(taker.__doc__)}\n\nOptions:\n{described}\n"
        # A `__new__` takes anything, and what tools show of a class is how it is built.
        functions = [getattr(taker, name) for name in ("__init__", "__new__") if name in vars(taker)] or [taker]
        signature = inspect.signature(functions[0])
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        passed = [one for owner in owners for one in inspect.signature(owner).parameters.values()]
        named = [one for one in passed if one.kind is one.KEYWORD_ONLY]
        for function in functions:
            vars(function)["__signature__"] = signature.replace(parameters=[*own, *named])
        return taker

    return show
