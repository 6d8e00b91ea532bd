"""The gate: whether a request may go on to the application. The same for the middleware and for Sanic's own server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import SettingError, TokenError
from asgi_jwt_claims.responses import UNAUTHORIZED_CLOSE, ErrorResponder, OnError
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.sources import DEFAULT_SOURCES, extract_credentials
from asgi_jwt_claims.sources._credentials import Source, header_values, is_source, schemes_of
from asgi_jwt_claims.sources.cookie import Cookie
from asgi_jwt_claims.sources.header import BearerHeader
from asgi_jwt_claims.sources.websocket import WebSocketProtocol
from asgi_jwt_claims.stores.base import TokenStore
from asgi_jwt_claims.tokens.issuers import verifier_for
from asgi_jwt_claims.tokens.token import Anonymous, Granted, Token

from .exempt import Exemptions, overrides_method
from .options import ACCESS_TOKEN, MiddlewareOptions, check_flag
from .request import Outcome, outcome_for

if TYPE_CHECKING:
    from asgi_jwt_claims.keys.key_set import KeySource
    from asgi_jwt_claims.tokens.issuers import Verifier

    from .request import ReadForm

__all__ = ["CORS_INSIDE", "Gate", "gate_for_install"]

_ANONYMOUS = Anonymous()
_OUR_USERS = (Token, Anonymous)
_CLOSE_CODES = frozenset((1000, 1008, *range(3000, 5000)))  # RFC 6455 section 7.4; 1008: policy violation


_CREDENTIAL_HEADERS = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_BODY_HEADERS = frozenset({b"transfer-encoding", b"content-type"})  # in HTTP/2 a body may come without a length
_REQUEST_METHOD = b"access-control-request-method"

_REMEDY = (
    "put a CORS middleware outside of JWTMiddleware (in Starlette and FastAPI, add it after install), or set "
    "allow_preflight=True if the application answers every OPTIONS request by itself"
)
_PREFLIGHT_REFUSED = f"a CORS preflight was refused, since it has no token: {_REMEDY}"
CORS_INSIDE: Final = (
    f"CORS is handled inside of the guard, which refuses all preflights, as they have no token: {_REMEDY}"
)
"""What is logged at startup where that is so."""


class Gate:
    """Examines requests by their scope.

    Args:
        config: Keys, parties, times and names; several for several issuers.
        options: Those of `MiddlewareOptions`.

    Attributes:
        challenges: How requests are refused.
        end_with_token: See above.
        close_code: See above.
        drain: See above.
        refuses_preflights: Whether CORS preflights are refused like any other request without a token.
        is_remote: Whether keys may have to be waited for, so that `examine` is what to call.
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
        allow_preflight: bool = False,
        realm: str = "api",
        problem_json: bool = False,
        on_error: OnError | None = None,
        sources: Iterable[Source] = DEFAULT_SOURCES,
        set_user: bool = False,
        store: TokenStore | None = None,
        end_with_token: bool = True,
        close_code: int = UNAUTHORIZED_CLOSE,
        drain: int = 0,
    ) -> None:
        self._trust = verifier_for(config)
        for name, value in (
            ("required", required),
            ("allow_preflight", allow_preflight),
            ("set_user", set_user),
            ("end_with_token", end_with_token),
        ):
            check_flag(name, value)
        self._required = required
        self._exempt = Exemptions(exempt)
        self._sources = tuple(sources) if isinstance(sources, Iterable) else ()
        if not self._sources or not all(map(is_source, self._sources)):
            raise SettingError("sources must be one or more sources such as BearerHeader()")
        if any(isinstance(source, Cookie) for source in self._sources):
            cookies = {config.cookies for config in _configs(self._trust)}
            self._sources = tuple(
                source.bind(cookies) if isinstance(source, Cookie) else source for source in self._sources
            )
        self._protocols = tuple(source for source in self._sources if isinstance(source, WebSocketProtocol))
        self._passes_as_preflight = self._is_preflight if allow_preflight else None
        self._examines_all = not self._exempt and not allow_preflight
        self.refuses_preflights = required and not allow_preflight
        self._credential_headers = _CREDENTIAL_HEADERS.union(
            (source.header for source in self._sources if isinstance(source, BearerHeader)),
            (source.csrf_header for source in self._sources if isinstance(source, Cookie)),
        )
        self._has_warned = False
        if type(close_code) is not int or close_code not in _CLOSE_CODES:
            raise SettingError("close_code must be an int from 3000 to 4999, or 1000 or 1008")
        self.end_with_token, self.close_code = end_with_token, close_code
        if type(drain) is not int or drain < 0:
            raise SettingError("drain must be an int of bytes such as 1024 * 1024, or 0")
        self.drain = drain
        self._set_user = set_user
        if store is not None and not isinstance(store, TokenStore):
            raise SettingError("store must be a TokenStore such as SQLiteStore(path)")
        self._store = store
        self.challenges = ErrorResponder(
            realm,
            problem_json=problem_json,
            on_error=on_error,
            listeners=self._trust.on_event,
            schemes=schemes_of(self._sources),
        )
        self.is_remote = self._trust.is_remote
        remote_keys = tuple(config.jwks for config in _configs(self._trust) if config.jwks is not None)
        self.background: tuple[KeySource | TokenStore, ...] = remote_keys if store is None else (*remote_keys, store)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where tokens may be offered, in order."""
        return self._sources

    def strip_subprotocol(self, scope: MutableMapping[str, Any]) -> str | None:
        """Take a token out of the subprotocols that the application sees; the protocol to answer with, if any."""
        taken = [source.name for source in self._protocols if source.strip(scope)]
        return taken[0] if taken else None

    async def examine(self, scope: MutableMapping[str, Any], read_form: ReadForm) -> TokenError | None:
        """As `open`, and waits for what it needs, if `is_remote`, or if the outcome `is_undecided` after `open`.

        Args:
            scope: The scope of the request.
            read_form: Puts what a form says in one field into the scope. It is called only where nothing but the CSRF
                value of a good token is wanting.
        """
        if not self._goes_unexamined(scope):
            await self._outcome_in(scope).prepare(scope, read_form=read_form)
        return self.open(scope)

    def _outcome_in(self, scope: MutableMapping[str, Any]) -> Outcome:
        """The outcome of a request, which stands in its scope then: one of a middleware around this one, or a new one."""
        outcome = outcome_for(scope, self._trust, self._sources, self._store) if SCOPE_KEY in scope else None
        if outcome is None:
            outcome = Outcome(self._trust, self._sources, self.challenges, self._store)
            outcome.is_of_gate = True
        else:
            # The middleware around this one has verified the token already; only the way to refuse may be another.
            outcome.challenges = self.challenges
        outcome.is_preflight = self._passes_as_preflight
        scope[SCOPE_KEY] = outcome
        return outcome

    def open(self, scope: MutableMapping[str, Any]) -> TokenError | None:
        """Examine a request and write what was found into its scope: `scope["token"]`, and the outcome beside it.

        Both keys are always written, so that nothing found there can come from elsewhere.

        Returns:
            The error to refuse the request with; None when it may go on.
        """
        outcome = self._outcome_in(scope)
        token: Token | None = None
        error: TokenError | None = None
        if self._examines_all or not self._goes_unexamined(scope):
            try:
                token = outcome.admit(scope, ACCESS_TOKEN)
                outcome.is_demanded = outcome.is_demanded or self._required
            except TokenError as refusal:
                error = refusal.with_traceback(None)
        scope["token"] = token
        # What another middleware of this library has put there must not speak of another token than that.
        if self._set_user or ("user" in scope and isinstance(scope["user"], _OUR_USERS)):
            scope["user"], scope["auth"] = (_ANONYMOUS, _ANONYMOUS) if token is None else (token, Granted(token))
        if not self._required or error is None:
            return None
        if not self._has_warned and scope.get("method") == "OPTIONS" and self._is_preflight(scope):
            self._has_warned = True
            logger().warning(_PREFLIGHT_REFUSED)
        return error

    def _goes_unexamined(self, scope: MutableMapping[str, Any]) -> bool:
        if scope in self._exempt:
            return True
        return self._passes_as_preflight is not None and self._passes_as_preflight(scope)

    def _is_preflight(self, scope: Mapping[str, Any]) -> bool:
        """Whether that is a CORS preflight, as browsers send it (Fetch standard, section 4.8), and nothing more.

        Anyone can send the same by hand. So nothing that makes another request of it counts as one: no credentials, no
        body, and no other method that a layer further in would go by.
        """
        if scope["type"] != "http" or scope.get("method") != "OPTIONS":
            return False
        values = header_values(scope["headers"], (b"origin", _REQUEST_METHOD))
        is_asked = values.get(b"origin") and values.get(_REQUEST_METHOD)
        if (
            not is_asked
            or any(self._is_more(name, value) for name, value in scope["headers"])
            or overrides_method(scope)
        ):
            return False
        try:
            return extract_credentials(scope, self._sources, self._trust.max_token_size) is None
        except TokenError:
            return False

    def _is_more(self, name: bytes, value: bytes) -> bool:
        """Whether a header makes more than a preflight of a request."""
        plainly = name.lower().replace(b"_", b"-")  # gateways to WSGI make the same name of an underscore and a hyphen
        return (
            plainly in self._credential_headers
            or plainly in _BODY_HEADERS
            or (plainly == b"content-length" and value.strip() != b"0")
            or (b"method" in plainly and name != _REQUEST_METHOD)
        )


def gate_for_install(config: JWTConfig | Iterable[JWTConfig], options: Mapping[str, Any]) -> Gate:
    """The gate of an adapter's `install`, so that a mistake is told where `install` is called.

    Args:
        config: As for `Gate`.
        options: Those of `Gate`, by name.

    Raises:
        SettingError: There is no such option, or it cannot be used.
    """
    names = MiddlewareOptions.__optional_keys__
    unknown = ", ".join(map(repr, sorted(options.keys() - names)))
    if unknown:
        raise SettingError(f"install has no option {unknown}; its options are {', '.join(sorted(names))}")
    return Gate(config, **options)


def _configs(trust: Verifier) -> tuple[JWTConfig, ...]:
    return (trust,) if isinstance(trust, JWTConfig) else tuple(trust)
