"""What a request becomes: a `Token` that handlers read, and the `TokenPair` that a login answers with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, NoReturn, cast

from asgi_jwt_claims.errors import SettingError

__all__ = [
    "Anonymous",
    "Granted",
    "NotAParameter",
    "Token",
    "TokenFields",
    "about",
    "copy_json",
    "digest_cache_of",
    "facts_of",
]

if TYPE_CHECKING:
    # The default makes a bare `Token` complete for type checkers. At run time it would cost the import of
    # typing_extensions before Python 3.13, for nothing.
    from typing_extensions import TypeVar

    from asgi_jwt_claims.config._prepared import ClaimNames
    from asgi_jwt_claims.errors import TokenError

    ClaimsT = TypeVar("ClaimsT", bound=Mapping[str, object], default=dict[str, Any])
else:
    from typing import TypeVar

    ClaimsT = TypeVar("ClaimsT", bound=Mapping[str, object])

ErrorT = TypeVar("ErrorT", bound="TokenError")


class TokenFields(NamedTuple):
    """What a token says, read from its claims once. Requests with the same token share it, so nothing here can change.

    Containers that could be changed are handed out as copies only: `payload` is parsed, `headers` copied for each
    request that asks. `notes` is what is meant to change, and none of a handler's business: see `digest_cache_of`.
    """

    identity: Any
    type: str
    fresh: float | None
    authenticated_at: float | None
    session_id: str | None
    jti: str | None
    issuer: str | None
    audience: tuple[str, ...]
    scopes: frozenset[str]
    roles: frozenset[str]
    issued_at: float | None
    not_before: float | None
    expires_at: float | None
    payload: str
    headers: dict[str, Any]
    claim_names: ClaimNames
    digest_cache: dict[str | None, Any]


class Token(Generic[ClaimsT]):
    """A verified token, as handlers receive it. Frozen; never holds the encoded token.

    Verification makes tokens (`verify_token`, the middleware); nothing else should. What is handed out as a container
    (`user_claims`, `claims`, `headers`) is this token's own, made when first asked for: changing it changes nothing
    that anybody decides by, and no other token.

    A plain class, not a dataclass: the injectors of several frameworks try to rebuild a dataclass from the request.
    """

    __slots__ = ("_own", "_verified")

    _verified: tuple[TokenFields, float, str | None]
    """What the token says, when that was verified, and where it was found."""
    _own: dict[str, Any]
    """What has been handed out; not there before the first time, since most requests ask for one container at most."""

    def __init__(self, fields: TokenFields, verified_at: float, source: str | None = None) -> None:
        _set_verified(self, (fields, verified_at, source))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Token is frozen: {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Token is frozen: {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy starts from what was verified, not from what a handler has made of its own containers.
        return (Token, self._verified)

    def __repr__(self) -> str:
        return f"<Token {self.type} identity={self.identity!r} jti={self.jti!r}>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """What pydantic, and so FastAPI, is told when `Token` annotates a parameter, a response or a field.

        Raises:
            SettingError: A request has no such parameter. A model with `arbitrary_types_allowed` may have such a field.
        """
        try:
            return handler(cls)
        except RuntimeError as error:  # the family of pydantic's own errors, which the core does not import
            raise SettingError(
                "FastAPI cannot read a Token from a request: write `token: CurrentToken`, or put jwt_required, both of "
                "asgi_jwt_claims.fastapi, between the route decorator and the handler. Nor is a Token a response: "
                "return token.user_claims"
            ) from error

    def _owned(self, name: str) -> Any:
        try:
            own = self._own
        except AttributeError:
            object.__setattr__(self, "_own", own := {})
        if name not in own:
            own[name] = self._made(name)
        return own[name]

    def _made(self, name: str) -> Any:
        if name == "headers":
            return copy_json(self._verified[0].headers)
        claims = json.loads(self._verified[0].payload)
        if name == "identity":
            return claims[self._verified[0].claim_names.identity]
        return self._verified[0].claim_names.own(claims) if name == "user_claims" else claims

    @property
    def identity(self) -> Any:
        """Whom the token speaks for: the `sub` claim (a non-empty str), or the claim named by `identity_claim`."""
        identity = self._verified[0].identity
        return self._owned("identity") if identity is None else identity

    @property
    def user_claims(self) -> ClaimsT:
        """The application's own claims; an empty dict when there are none."""
        return cast("ClaimsT", self._owned("user_claims"))

    @property
    def type(self) -> str:
        """`"access"`, `"refresh"`, or what the application has named."""
        return self._verified[0].type

    @property
    def fresh(self) -> bool:
        """Whether the token came from a login that still counted as recent when the token was verified."""
        fields, verified_at, _ = self._verified
        return verified_at < (fields.fresh or 0)

    @property
    def authenticated_at(self) -> float | None:
        """When the user logged in: `auth_time` (OpenID Connect Core section 2), else `iat` of a fresh token, else None."""
        return self._verified[0].authenticated_at

    @property
    def login_age(self) -> float | None:
        """Seconds from the login to the verification of a token that may count as fresh; None for any other.

        A token that was refreshed says that it is not fresh, however recent the login was. One of a provider, which
        does not speak of freshness, is judged by its `auth_time` alone (RFC 9470 section 5).
        """
        fields, verified_at, _ = self._verified
        authenticated_at = fields.authenticated_at
        if authenticated_at is None or (fields.fresh is not None and not self.fresh):
            return None
        return verified_at - authenticated_at

    @property
    def session_id(self) -> str | None:
        """The session that the token belongs to: the `sid` claim, or the claim named by `session_claim`."""
        return self._verified[0].session_id

    @property
    def jti(self) -> str | None:
        """The token's own identifier (RFC 7519 section 4.1.7)."""
        return self._verified[0].jti

    @property
    def issuer(self) -> str | None:
        """The `iss` claim (RFC 7519 section 4.1.1)."""
        return self._verified[0].issuer

    @property
    def audience(self) -> tuple[str, ...]:
        """The `aud` claim, one or several (RFC 7519 section 4.1.3); empty when absent."""
        return self._verified[0].audience

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes granted (RFC 8693 section 4.2); empty when absent."""
        return self._verified[0].scopes

    @property
    def roles(self) -> frozenset[str]:
        """The roles of the identity (RFC 9068 section 2.2.3.1); empty when absent."""
        return self._verified[0].roles

    @property
    def issued_at(self) -> float | None:
        """The `iat` claim: seconds since the epoch."""
        return self._verified[0].issued_at

    @property
    def expires_at(self) -> float | None:
        """The `exp` claim: seconds since the epoch; None for a token that never expires."""
        return self._verified[0].expires_at

    @property
    def source(self) -> str | None:
        """Where the token was found: `"header"`, or None when the application verified it itself."""
        return self._verified[2]

    @property
    def claims(self) -> dict[str, Any]:
        """All claims, as they stood in the token."""
        claims: dict[str, Any] = self._owned("claims")
        return claims

    @property
    def headers(self) -> dict[str, Any]:
        """The JOSE header (RFC 7515 section 4)."""
        headers: dict[str, Any] = self._owned("headers")
        return headers

    # The names that sanic-jwt-extended gave them.

    @property
    def jwt_identity(self) -> Any:
        """The same as `identity`."""
        return self.identity

    @property
    def jwt_user_claims(self) -> ClaimsT:
        """The same as `user_claims`."""
        return self.user_claims

    @property
    def raw_jwt(self) -> dict[str, Any]:
        """The same as `claims`."""
        return self.claims

    # What Starlette expects of `scope["user"]`.

    @property
    def is_authenticated(self) -> Literal[True]:
        """Always true: a `Token` exists only after verification."""
        return True

    @property
    def display_name(self) -> str:
        """The identity as text."""
        return str(self.identity)


_set_verified = vars(Token)["_verified"].__set__
"""As `object.__setattr__`, which takes longer: the token of every request is made with it."""


def facts_of(token: Token[Any]) -> dict[str, Any]:
    """What events and errors say of a token, by the names that they have for it."""
    return {
        "type": token.type,
        "issuer": token.issuer,
        "identity": token.identity,
        "jti": token.jti,
        "session_id": token.session_id,
    }


def about(error: ErrorT, token: Token[Any]) -> ErrorT:
    """`error`, with what the verified `token` says of itself."""
    error.verified = facts_of(token)
    return error


class NotAParameter:
    """Annotates the first parameter of what is no dependency of FastAPI, though its users try `Depends` on it.

    Args:
        message: What to write instead.
    """

    def __init__(self, message: str) -> None:
        self._message = message

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> NoReturn:
        """Refuse to be read from a request.

        Raises:
            SettingError: Always.
        """
        raise SettingError(self._message)


def digest_cache_of(token: Token[Any]) -> dict[str | None, Any]:
    """What stores have worked out of a token, by issuer, kept for all requests that bring the same bytes."""
    return token._verified[0].digest_cache  # noqa: SLF001 -- of this module's own class; handlers must not find it on a token


class Granted:
    """Stands as `scope["auth"]` where there is a token: its scopes, and the one of each user who has logged in.

    Attributes:
        token: The token.
    """

    __slots__ = ("token",)

    def __init__(self, token: Token[Any]) -> None:
        self.token = token

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes of the token, and `"authenticated"`, which Starlette's documentation gives to each such user."""
        return self.token.scopes | {"authenticated"}


class Anonymous:
    """Stands as `scope["user"]` and `scope["auth"]` where there is no token: nobody, with no scopes."""

    __slots__ = ()

    is_authenticated: Literal[False] = False
    identity = ""
    display_name = ""
    scopes: frozenset[str] = frozenset()


def copy_json(value: Any) -> Any:
    """A deep copy of a JSON value: several times quicker than `copy.deepcopy`, and nothing else occurs in a token."""
    if isinstance(value, dict):
        return {name: copy_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [copy_json(member) for member in value]
    return value
