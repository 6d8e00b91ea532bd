"""Authenticate a request without waiting: find its credentials, verify the token, ask what the store knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import (
    IntrospectionUnavailableError,
    KeysUnavailableError,
    RevokedTokenError,
    StoreUnavailableError,
    TokenError,
    UnknownKeyError,
)
from asgi_jwt_claims.jose.compact import as_ascii
from asgi_jwt_claims.runtime.values import Frozen
from asgi_jwt_claims.sources import extract_credentials, why_absent
from asgi_jwt_claims.sources.cookie import Cookie
from asgi_jwt_claims.sources.csrf import CSRF_TOKEN_KEY, SAFE_METHODS, check_csrf
from asgi_jwt_claims.sources.header import BearerHeader
from asgi_jwt_claims.sources.websocket import InsecureWebSocketQuery, WebSocketProtocol
from asgi_jwt_claims.stores.base import is_of_session
from asgi_jwt_claims.tokens.token import Token, about
from asgi_jwt_claims.tokens.verification import verify

from .result import (
    ABSENT,
    ACCEPTED,
    NEEDS_FORM,
    NEEDS_KEYS,
    NEEDS_STORE,
    REFUSED,
    REVOKED,
    UNCHECKED,
    UNREADABLE,
    AuthResult,
    make_result,
)

if TYPE_CHECKING:
    from asgi_jwt_claims.responses import ErrorResponder
    from asgi_jwt_claims.sources._credentials import Credentials, Source
    from asgi_jwt_claims.stores.base import TokenStore
    from asgi_jwt_claims.tokens.issuers import Verifier

__all__ = ["Authenticator"]

_OUR_SOURCES = frozenset({BearerHeader, Cookie, InsecureWebSocketQuery, WebSocketProtocol})

_LOOKED_AT_AGAIN = (NEEDS_KEYS, ABSENT)
_FETCHED_FOR = (UnknownKeyError, KeysUnavailableError, IntrospectionUnavailableError)


class Authenticator(Frozen):
    """Whose tokens are accepted, where they are looked for, and which store knows the revoked ones. Immutable.

    Two with equal verifiers, sources and stores are equal, since they come to the same results.

    Attributes:
        verifier: A configuration, or several by issuer.
        sources: Where to look for tokens, in order.
        store: The store that knows which tokens are revoked; None if revocation is not checked.
        responder: How refusals are answered.
        is_remote: Whether an identity provider may have to be asked, for keys or about a token.
        has_only_our_sources: Whether all sources are this library's own, of which it is known what they read.
    """

    verifier: Verifier
    sources: tuple[Source, ...]
    store: TokenStore | None
    responder: ErrorResponder
    is_remote: bool
    has_only_our_sources: bool
    _max_token_size: int
    _extract: Callable[[Mapping[str, Any], int], Credentials | None]

    def __init__(
        self, verifier: Verifier, sources: tuple[Source, ...], store: TokenStore | None, responder: ErrorResponder
    ) -> None:
        is_ours = _OUR_SOURCES.issuperset(map(type, sources))
        vars(self).update(
            verifier=verifier,
            sources=sources,
            store=store,
            responder=responder,
            is_remote=verifier.is_remote,
            has_only_our_sources=is_ours,
            _max_token_size=verifier.max_token_size,
            _extract=sources[0] if is_ours and len(sources) == 1 else partial(_extract_from, sources),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Authenticator) and (
            (self.verifier, self.sources) == (other.verifier, other.sources) and self.store is other.store
        )

    def __hash__(self) -> int:
        return hash((self.verifier, self.sources, id(self.store)))

    def replace(self, sources: tuple[Source, ...], store: TokenStore | None) -> Authenticator:
        """Return an authenticator with other sources and another store."""
        return Authenticator(self.verifier, sources, store, self.responder)

    def with_store_of(self, others: Iterable[Authenticator]) -> Authenticator:
        """Return this one; or, if it has no store, one that asks the store of the first other that finds the same tokens.

        What a store revokes for one part of an application must not pass in another part, which has named no store.
        """
        for other in others if self.store is None else ():
            if other.store is not None and other.sources == self.sources and other.accepts_tokens_of(self.verifier):
                return self.replace(self.sources, other.store)
        return self

    def accepts_tokens_of(self, verifier: Verifier) -> bool:
        """Whether its verifier is equal to another one, or has that among several configurations."""
        configs = () if isinstance(self.verifier, JWTConfig) else tuple(self.verifier)
        return self.verifier == verifier or any(one is verifier for one in configs)

    def authenticate(self, scope: Mapping[str, Any], known: Iterable[AuthResult] = ()) -> AuthResult:
        """Return what becomes of the credentials of a scope. Never waits, and writes nothing into the scope.

        `known` holds results of this request; one that was worked out from the same credentials is returned.
        """
        is_safe = scope.get("type") == "http" and scope.get("method") in SAFE_METHODS
        try:
            credentials = self._extract(scope, self._max_token_size)
        except TokenError as error:
            return AuthResult(self, UNREADABLE, is_safe, REFUSED, None, error.with_traceback(None))
        for result in known:
            # Keys that were missing then may be in hand by now; what was absent may be so for another reason.
            if result.state not in _LOOKED_AT_AGAIN and result.is_of(self, credentials, is_safe):
                return result
        if credentials is None:
            return make_result((self, None, is_safe, ABSENT, None, None, None, why_absent(scope, self.sources)))
        verifier, config = self.verifier, None
        try:
            if isinstance(verifier, JWTConfig):
                config = verifier
                token = verify(credentials.token, config, credentials.source)
            else:
                raw = as_ascii(credentials.token, verifier.max_token_size)
                config, framed = verifier.config_for(raw)
                token = verify(raw, config, credentials.source, framed=framed)
                verifier.remember(raw, config)
        except TokenError as error:
            can_fetch = self.is_remote and config is not None and config.is_remote
            state = NEEDS_KEYS if can_fetch and isinstance(error, _FETCHED_FOR) else REFUSED
            return AuthResult(self, credentials, is_safe, state, None, error.with_traceback(None), config)
        if self.is_remote:
            config._prepared.key_source.refresh_if_due(token.issuer)
        if self.store is None and credentials.csrf_field is None:
            return make_result((self, credentials, is_safe, ACCEPTED, token, None, config, None))
        return self._with_store(AuthResult(self, credentials, is_safe, NEEDS_STORE, token, None, config), token, config)

    def finds(self, scope: Mapping[str, Any], result: AuthResult) -> bool:
        """Whether the scope offers what a result was worked out from."""
        is_safe = scope.get("type") == "http" and scope.get("method") in SAFE_METHODS
        try:
            return result.is_of(self, self._extract(scope, self._max_token_size), is_safe)
        except TokenError:  # with which the scope is refused
            return False

    def after_fetch(self, scope: Mapping[str, Any], result: AuthResult, error: TokenError | None) -> AuthResult:
        """Return what follows a result that needed keys: they are new, or `error` says why they are not."""
        if error is None:
            result = self.authenticate(scope)
            error = result.error
        # The issuer is asked once for each request.
        return result._replace(state=REFUSED, error=error) if result.state.needs == "keys" else result

    def after_answer(self, result: AuthResult, token: Token) -> AuthResult:
        """Return what follows a result that needed an answer about its token, now that the answer has verified it."""
        result = result._replace(state=NEEDS_STORE, token=token, error=None)
        if self.store is None and cast("Credentials", result.credentials).csrf_field is None:
            return result._replace(state=ACCEPTED)
        return self._with_store(result, token, cast("JWTConfig", result.config))

    def after_form(self, result: AuthResult, scope: Mapping[str, Any]) -> AuthResult:
        """Return what follows a result that needed the form, now that its CSRF value stands in the scope."""
        token, credentials = cast("Token", result.token), cast("Credentials", result.credentials)
        result = result._replace(credentials=credentials._replace(csrf_field=None), state=NEEDS_STORE)
        try:
            check_csrf(scope.get(CSRF_TOKEN_KEY), credentials.token)
        except TokenError as error:
            return result._replace(state=REFUSED, token=None, error=error.with_traceback(None))
        return self._with_store(result, token, cast("JWTConfig", result.config))

    def after_question(self, result: AuthResult, answer: object) -> AuthResult:
        """Return what follows a result that needed the store, by its answer or by the error with which it failed."""
        if answer is False:
            return result._replace(state=ACCEPTED)
        error: TokenError
        if answer is True:
            error = RevokedTokenError()
        elif isinstance(answer, TokenError):
            error = answer
        else:
            error = StoreUnavailableError(reason=f"the store answered {type(answer).__name__}")
        state = REVOKED if answer is True else UNCHECKED
        error = about(error, cast("Token", result.token)).with_traceback(None)
        return result._replace(state=state, error=error)

    def _with_store(self, result: AuthResult, token: Token, config: JWTConfig) -> AuthResult:
        """Return what follows for a good token from what the store knows without being asked."""
        store, credentials = self.store, result.credentials
        known: object = False
        if store is not None:
            try:
                known = store.is_revoked_locally(token, config)
            except TokenError as error:
                known = error
            # A store that knows every digest may still have to look for the session of a refresh token.
            if known is False and is_of_session(token):
                known = None
        if credentials is not None and credentials.csrf_field is not None:
            if known is True:  # so that no body is read for it
                return result._replace(state=REFUSED, token=None, error=about(RevokedTokenError(), token))
            return result._replace(state=NEEDS_FORM)
        is_decided = known is True or known is False or isinstance(known, TokenError)
        return self.after_question(result, known) if is_decided else result


def _extract_from(sources: tuple[Source, ...], scope: Mapping[str, Any], max_size: int) -> Credentials | None:
    return extract_credentials(scope, sources, max_size)
