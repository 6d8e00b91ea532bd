"""How the OpenAPI document names the places where a token may be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from fastapi.openapi.models import APIKey, HTTPBase, HTTPBearer, OAuth2, OAuthFlowPassword, OAuthFlows
from fastapi.openapi.models import SecurityBase as SchemeModel
from fastapi.security.base import SecurityBase

from asgi_jwt_claims.sources import BearerHeader, Cookie, Source

__all__ = ["SCHEME_NAME", "Scheme", "Wording"]

_DEFAULT_COOKIE = Cookie().name


SCHEME_NAME = re.compile(r"[A-Za-z0-9._-]+")  # OpenAPI Specification 3.1.0 section 4.8.7: the name of a component


class Scheme(SecurityBase):
    """One place where a token may be offered, as the OpenAPI document names it."""

    def __init__(self, scheme_name: str, model: SchemeModel) -> None:
        self.scheme_name, self.model = scheme_name, model

    async def __call__(self) -> None:
        """Nothing: `JWTBearer` has looked there."""


class Wording(NamedTuple):
    """What a guard wants the OpenAPI document to say of it."""

    scheme_name: str | None
    description: str | None
    token_url: str | None

    def schemes(self, sources: Iterable[Source]) -> list[Scheme]:
        """The schemes of these sources. OpenAPI describes no WebSockets and no functions; if all are such, the header is named."""
        models = dict(filter(None, map(self._scheme, sources))) or dict([self._scheme(BearerHeader())])  # type: ignore[list-item]  # which is described
        names = [*models]
        if self.scheme_name is not None:
            names = [self.scheme_name, *(f"{self.scheme_name}-{name}" for name in names[1:])]
        return [Scheme(name, model) for name, model in zip(names, models.values(), strict=True)]

    def _scheme(self, source: Source) -> tuple[str, SchemeModel] | None:
        if isinstance(source, Cookie):
            return _name("JWTCookie", source.name, _DEFAULT_COOKIE), self._api_key("cookie", source.name)
        if not isinstance(source, BearerHeader):
            return None
        if source.name != "authorization" or not source.scheme:
            return _name("JWTHeader", source.name), self._api_key("header", source.name)
        if source.scheme != "bearer":
            return _name("JWTHeader", source.scheme), HTTPBase(scheme=source.scheme, description=self.description)
        if self.token_url is None:
            return "JWTBearer", HTTPBearer(bearerFormat="JWT", description=self.description)
        flows = OAuthFlows(password=OAuthFlowPassword(tokenUrl=self.token_url))
        return _name("JWTPassword", self.token_url), OAuth2(flows=flows, description=self.description)

    def _api_key(self, place: str, name: str) -> SchemeModel:
        return APIKey.model_validate({"in": place, "name": name, "description": self.description})


def _name(kind: str, place: str, default: str | None = None) -> str:
    return kind if place == default else f"{kind}-{'_'.join(SCHEME_NAME.findall(place))}"
