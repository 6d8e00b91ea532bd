"""`TokenPair`: the response of a login, an access token with its refresh token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

__all__ = ["TokenPair"]


class TokenPair(Mapping[str, Any]):
    """An access token with its refresh token. `dict(pair)` is the response of RFC 6749 section 5.1.

    Send it with `Cache-Control: no-store` (RFC 6750 section 5.3). `repr` shows neither token.
    """

    __slots__ = ("_response",)

    def __init__(
        self, access_token: str, refresh_token: str, *, expires_in: int | None = None, scope: str | None = None
    ) -> None:
        members: dict[str, Any] = {"access_token": access_token, "token_type": "Bearer", "expires_in": expires_in}
        members |= {"refresh_token": refresh_token, "scope": scope}
        self._response = {name: value for name, value in members.items() if value is not None}

    def __getitem__(self, name: str) -> Any:
        return self._response[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._response)

    def __len__(self) -> int:
        return len(self._response)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Describe the members of `dict(pair)` to pydantic and FastAPI, for `TokenPair` as the type of a response."""
        text, number = {"type": "str"}, {"type": "int"}
        members = {"access_token": text, "token_type": text, "expires_in": number, "refresh_token": text, "scope": text}
        fields = {
            name: {"type": "typed-dict-field", "schema": schema, "required": name not in ("expires_in", "scope")}
            for name, schema in members.items()
        }
        answer = {"type": "typed-dict", "fields": fields}
        pair = {"type": "union", "choices": [{"type": "is-instance", "cls": cls}, answer]}
        return {
            "type": "json-or-python",
            "json_schema": answer,
            "python_schema": pair,
            "serialization": {"type": "function-plain", "function": dict, "return_schema": answer},
        }

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
        """The lifetime of the access token, in seconds; None if it never expires."""
        return cast("int | None", self._response.get("expires_in"))

    @property
    def scope(self) -> str | None:
        """The scopes granted, space-separated; None if there are none."""
        return cast("str | None", self._response.get("scope"))
