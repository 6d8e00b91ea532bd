"""`Token`, which handlers read, and `Anonymous`, which stands where there is no token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, NoReturn, cast

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jose.strict_json import copy_json
from asgi_jwt_claims.runtime.values import Frozen

__all__ = ["Anonymous", "Granted", "NotAParameter", "Token", "TokenFields", "about", "age_of_login", "facts_of"]

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
    """What a token says. Requests with the same token share it, so nothing but `cache` ever changes.

    Handlers get copies of containers: `payload` is parsed and `headers` copied for each request that asks.
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
    cache: dict[Any, Any]
    """The digests of the token by the names of issuers, and the claims that rules have asked for by their paths."""
    unreadable: tuple[tuple[str, str], ...]
    """What could not be read (`roles`, `scopes`, `fresh`, `session_id`, `jti`), each with the name of its claim."""
    judged: tuple[Any, ...]
    """The claims that functions of `required_claims` judge for every request."""


class Token(Frozen, Generic[ClaimsT]):
    """A verified token, as handlers receive it. Frozen; never holds the encoded token.

    Only verification makes tokens (`verify_token`, the middleware). The containers `user_claims`, `claims` and
    `headers` are copies, made when first read: changing them changes no decision and no other token.

    A plain class, not a dataclass: the injectors of several frameworks try to rebuild a dataclass from the request.
    """

    __slots__ = ("_own", "_verified")

    _verified: tuple[TokenFields, float, str | None]
    """What the token says, when it was verified, and where it was found."""
    _own: dict[str, Any]
    """The copies made so far. Absent before the first one, since most requests read one container at most."""

    def __init__(self, fields: TokenFields, verified_at: float, source: str | None = None) -> None:
        _set_verified(self, (fields, verified_at, source))

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy starts from the verified fields, not from containers that a handler may have changed.
        return (Token, self._verified)

    def __repr__(self) -> str:
        return f"<Token {self.type} identity={self.identity!r} jti={self.jti!r}>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Explain why `Token` annotates no parameter, no response, and no field without `arbitrary_types_allowed`."""
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
            own[name] = _CONTAINERS[name](self._verified[0])
        return own[name]

    @property
    def identity(self) -> Any:
        """Whom the token speaks for: the `sub` claim (a non-empty str), or the claim named by `identity_claim`."""
        identity = self._verified[0].identity
        return self._owned("identity") if identity is None else identity

    @property
    def user_claims(self) -> ClaimsT:
        """The application's own claims; an empty dict if there are none."""
        return cast("ClaimsT", self._owned("user_claims"))

    @property
    def type(self) -> str:
        """`"access"`, `"refresh"`, or a type of the application's own."""
        return self._verified[0].type

    @property
    def fresh(self) -> bool:
        """Whether the login counted as recent when the token was verified."""
        fields, verified_at, _ = self._verified
        return verified_at < (fields.fresh or 0)

    @property
    def authenticated_at(self) -> float | None:
        """When the user logged in: `auth_time` (OpenID Connect Core section 2), else `iat` of a fresh token, else None."""
        return self._verified[0].authenticated_at

    @property
    def login_age(self) -> float | None:
        """Seconds from the login to the verification; None for a token that cannot count as fresh.

        A refreshed token is never fresh, however recent the login was. For tokens of a provider, which have no `fresh`
        claim, `auth_time` alone counts (RFC 9470 section 5).
        """
        return age_of_login(*self._verified[:2])

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
        """The `aud` claim, one or several names (RFC 7519 section 4.1.3); empty if it is absent."""
        return self._verified[0].audience

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes granted, as they stand in the token (RFC 8693 section 4.2); empty if there are none."""
        return self._verified[0].scopes

    @property
    def roles(self) -> frozenset[str]:
        """The roles of the identity (RFC 9068 section 2.2.3.1); empty if there are none."""
        return self._verified[0].roles

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The claims of another party's token that could not be read, and so grant nothing; usually none."""
        return tuple(dict.fromkeys(name for _, name in self._verified[0].unreadable))

    @property
    def issued_at(self) -> float | None:
        """The `iat` claim: seconds since the epoch."""
        return self._verified[0].issued_at

    @property
    def expires_at(self) -> float | None:
        """The `exp` claim: seconds since the epoch; None if the token never expires."""
        return self._verified[0].expires_at

    @property
    def source(self) -> str | None:
        """Where the token was found, such as `"header"`; None if the application verified it itself."""
        return self._verified[2]

    @property
    def claims(self) -> dict[str, Any]:
        """All claims, as they stood in the token."""
        return cast("dict[str, Any]", self._owned("claims"))

    @property
    def headers(self) -> dict[str, Any]:
        """The JOSE header (RFC 7515 section 4)."""
        return cast("dict[str, Any]", self._owned("headers"))

    # The names of sanic-jwt-extended.
    jwt_identity = identity
    jwt_user_claims = user_claims
    raw_jwt = claims

    # What Starlette expects of `scope["user"]`. A `Token` exists only after verification.
    is_authenticated: ClassVar[Literal[True]] = True

    @property
    def display_name(self) -> str:
        """The identity as text."""
        return str(self.identity)


def age_of_login(fields: TokenFields, verified_at: float) -> float | None:
    """See `Token.login_age`."""
    fresh_until, authenticated_at = fields.fresh, fields.authenticated_at
    if authenticated_at is None or (fresh_until is not None and not verified_at < fresh_until):
        return None
    return verified_at - authenticated_at


_CONTAINERS: dict[str, Callable[[TokenFields], Any]] = {
    "identity": lambda fields: fields.claim_names.find_identity(json.loads(fields.payload))[1],
    "user_claims": lambda fields: fields.claim_names.own(json.loads(fields.payload)),
    "claims": lambda fields: json.loads(fields.payload),
    "headers": lambda fields: copy_json(fields.headers),
}
"""How to make a handler's own copy of each container."""

_set_verified = vars(Token)["_verified"].__set__
"""Quicker than `object.__setattr__`, for the token of every request."""


def facts_of(token: Token[Any]) -> dict[str, Any]:
    """Collect what events and errors say of a token."""
    facts = {name: getattr(token, name) for name in ("type", "issuer", "identity", "jti", "session_id")}
    return facts | {"unreadable": token.unreadable} if token.unreadable else facts


def about(error: ErrorT, token: Token[Any]) -> ErrorT:
    """Attach the facts of a verified `token` to `error`, and return it."""
    error.verified = facts_of(token)
    return error


class NotAParameter:
    """Annotates the first parameter of a function that users of FastAPI wrongly try in `Depends`, with advice."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> NoReturn:
        """Refuse to be read from a request, by raising `SettingError`."""
        raise SettingError(self._message)


class Granted:
    """Stands as `scope["auth"]` if there is a token."""

    __slots__ = ("token",)

    def __init__(self, token: Token[Any]) -> None:
        self.token = token

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes of the token, those that they imply, and `"authenticated"`, which Starlette gives to every user who has logged in."""
        fields = self.token._verified[0]  # noqa: SLF001 -- what the configuration says is for no handler
        hierarchy = fields.claim_names.hierarchy
        scopes = fields.scopes if hierarchy is None else hierarchy.expand(fields.scopes)
        return scopes | {"authenticated"}


class Anonymous:
    """Stands as `scope["user"]` and `scope["auth"]` if there is no token: no user, and no scopes."""

    __slots__ = ()

    is_authenticated: Literal[False] = False
    identity = ""
    display_name = ""
    scopes: frozenset[str] = frozenset()
