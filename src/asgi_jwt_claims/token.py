"""What a request becomes: a `Token` that handlers read, and the `TokenPair` that a login answers with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, TypedDict, cast

if TYPE_CHECKING:
    # The default makes a bare `Token` complete for type checkers. At run time it would cost the import of
    # typing_extensions before Python 3.13, for nothing.
    from typing_extensions import TypeVar

    ClaimsT = TypeVar("ClaimsT", bound=Mapping[str, object], default=dict[str, Any])
else:
    from typing import TypeVar

    ClaimsT = TypeVar("ClaimsT", bound=Mapping[str, object])

__all__ = ["SCOPE_KEY", "Anonymous", "Token", "TokenFields", "TokenPair"]

SCOPE_KEY = "asgi_jwt_claims"
"""The ASGI scope key under which the outcome of the request (token, absence or error) stands beside `scope["token"]`."""


class TokenFields(TypedDict):
    """The parts of a `Token`, as verification has read them from the claims."""

    identity: Any
    user_claims: dict[str, Any]
    type: str
    fresh: bool
    jti: str | None
    issuer: str | None
    audience: tuple[str, ...]
    scopes: frozenset[str]
    roles: frozenset[str]
    issued_at: float | None
    expires_at: float | None
    claims: dict[str, Any]
    headers: dict[str, Any]
    source: str | None


class Token(Generic[ClaimsT]):
    """A verified token, as handlers receive it. Frozen; never holds the encoded token.

    Verification makes tokens (`verify_token`, the middleware); nothing else should. What is handed out as a container
    (`user_claims`, `claims`, `headers`) is this token's own copy, made when first asked for: changing it changes
    nothing that anybody decides by.

    A plain class, not a dataclass: the injectors of several frameworks try to rebuild a dataclass from the request.
    """

    __slots__ = ("_fields", "_own")

    _fields: TokenFields
    _own: dict[str, dict[str, Any]]
    """Copies that have been handed out; not there before the first, since most requests ask for one at most."""

    def __init__(self, fields: TokenFields) -> None:
        object.__setattr__(self, "_fields", fields)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Token is frozen: {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Token is frozen: {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy starts from what was verified, not from what a handler has made of its own copies.
        return (Token, (self._fields,))

    def __repr__(self) -> str:
        return f"<Token {self.type} identity={self.identity!r} jti={self.jti!r}>"

    def _copy_of(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        own = getattr(self, "_own", None)
        if own is None:
            object.__setattr__(self, "_own", own := {})
        if name not in own:
            own[name] = copy_json(value)
        copied: dict[str, Any] = own[name]
        return copied

    @property
    def identity(self) -> Any:
        """Whom the token speaks for: the `sub` claim (a non-empty str), or the claim named by `identity_claim`."""
        return self._fields["identity"]

    @property
    def user_claims(self) -> ClaimsT:
        """The application's own claims; an empty dict when there are none."""
        return cast("ClaimsT", self._copy_of("user_claims", self._fields["user_claims"]))

    @property
    def type(self) -> str:
        """`"access"`, `"refresh"`, or what the application has named."""
        return self._fields["type"]

    @property
    def fresh(self) -> bool:
        """Whether the token came from a login that still counted as recent when the token was verified."""
        return self._fields["fresh"]

    @property
    def jti(self) -> str | None:
        """The token's own identifier (RFC 7519 section 4.1.7)."""
        return self._fields["jti"]

    @property
    def issuer(self) -> str | None:
        """The `iss` claim (RFC 7519 section 4.1.1)."""
        return self._fields["issuer"]

    @property
    def audience(self) -> tuple[str, ...]:
        """The `aud` claim, one or several (RFC 7519 section 4.1.3); empty when absent."""
        return self._fields["audience"]

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes granted (RFC 8693 section 4.2); empty when absent."""
        return self._fields["scopes"]

    @property
    def roles(self) -> frozenset[str]:
        """The roles of the identity (RFC 9068 section 2.2.3.1); empty when absent."""
        return self._fields["roles"]

    @property
    def issued_at(self) -> float | None:
        """The `iat` claim: seconds since the epoch."""
        return self._fields["issued_at"]

    @property
    def expires_at(self) -> float | None:
        """The `exp` claim: seconds since the epoch; None for a token that never expires."""
        return self._fields["expires_at"]

    @property
    def source(self) -> str | None:
        """Where the token was found: `"header"`, or None when the application verified it itself."""
        return self._fields["source"]

    @property
    def claims(self) -> dict[str, Any]:
        """All claims, as they stood in the token."""
        return self._copy_of("claims", self._fields["claims"])

    @property
    def headers(self) -> dict[str, Any]:
        """The JOSE header (RFC 7515 section 4)."""
        return self._copy_of("headers", self._fields["headers"])

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

    # With `scopes` above, what Starlette expects of `scope["user"]` and `scope["auth"]`.

    @property
    def is_authenticated(self) -> Literal[True]:
        """Always true: a `Token` exists only after verification."""
        return True

    @property
    def display_name(self) -> str:
        """The identity as text."""
        return str(self.identity)


class Anonymous:
    """Stands as `scope["user"]` and `scope["auth"]` where there is no token: nobody, with no scopes."""

    __slots__ = ()

    is_authenticated: Literal[False] = False
    identity = ""
    display_name = ""
    scopes: frozenset[str] = frozenset()


class TokenPair(Mapping[str, Any]):
    """An access token with its refresh token. As a mapping, the answer of RFC 6749 section 5.1: `dict(pair)`.

    Send it with `Cache-Control: no-store` (RFC 6750 section 5.3). `repr` shows neither token.

    Attributes:
        access_token: The encoded access token.
        refresh_token: The encoded refresh token.
        expires_in: Lifetime of the access token, in seconds; None when it never expires.
        scope: The scopes granted, space-separated; None when there are none.
        token_type: Always `"Bearer"`.
    """

    __slots__ = ("_response",)

    def __init__(
        self, access_token: str, refresh_token: str, *, expires_in: int | None = None, scope: str | None = None
    ) -> None:
        response: dict[str, Any] = {"access_token": access_token, "token_type": "Bearer"}
        if expires_in is not None:
            response["expires_in"] = expires_in
        response["refresh_token"] = refresh_token
        if scope is not None:
            response["scope"] = scope
        self._response = response

    def __getitem__(self, name: str) -> Any:
        return self._response[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._response)

    def __len__(self) -> int:
        return len(self._response)

    def __repr__(self) -> str:
        return f"<TokenPair expires_in={self.expires_in!r} scope={self.scope!r}>"

    @property
    def access_token(self) -> str:
        """The encoded access token."""
        return cast("str", self._response["access_token"])

    @property
    def refresh_token(self) -> str:
        """The encoded refresh token."""
        return cast("str", self._response["refresh_token"])

    @property
    def token_type(self) -> Literal["Bearer"]:
        """How to send the access token (RFC 6750)."""
        return "Bearer"

    @property
    def expires_in(self) -> int | None:
        """Lifetime of the access token in seconds."""
        return cast("int | None", self._response.get("expires_in"))

    @property
    def scope(self) -> str | None:
        """The scopes granted, space-separated."""
        return cast("str | None", self._response.get("scope"))


def copy_json(value: Any) -> Any:
    """A deep copy of a JSON value: several times quicker than `copy.deepcopy`, and nothing else occurs in a token."""
    if isinstance(value, dict):
        return {name: copy_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [copy_json(member) for member in value]
    return value
