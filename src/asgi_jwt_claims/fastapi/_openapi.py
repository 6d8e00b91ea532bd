"""What the OpenAPI document says of guarded operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI, routing
from fastapi.encoders import jsonable_encoder

from asgi_jwt_claims.auth.options import Guard
from asgi_jwt_claims.sources import DEFAULT_SOURCES, Source

from ._bearer import JWTBearer, guards_below

__all__ = ["describe_guards"]


def describe_guards(app: FastAPI, sources: Iterable[Source] = DEFAULT_SOURCES) -> None:
    """Let the OpenAPI document of `app` say which operations may answer 401 and 403, and where tokens may be.

    `install` does so. This is for an application without it: one that `JWTBearer(config)` guards, or that is mounted in
    another application.

    Args:
        app: The application. Its operations may be added later.
        sources: Those of the middleware around it, which guards without sources of their own have.

    Raises:
        SettingError: `sources` are none.
    """
    places = Guard(sources=sources).sources
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        # FastAPI keeps the document that it has made, so this runs again on what it has already changed.
        document = generate()
        replaced: set[str] = set()
        named: dict[str, set[str]] = {}
        # A FastAPI that keeps included routers as they are has a function for their routes; an older one copies them.
        for route in getattr(routing, "iter_route_contexts", iter)(app.routes):
            dependant = getattr(route, "dependant", None)
            guards = [guard for guard, _ in guards_below(dependant)] if dependant is not None else []
            operations = document.get("paths", {}).get(getattr(route, "path_format", None), {})
            for method in getattr(route, "methods", None) or ():
                if guards and method.lower() in operations:
                    operation = operations[method.lower()]
                    replaced |= _describe_operation(document, operation, guards, places)
                    for requirement in operation.get("security", []):
                        for name, scopes in requirement.items():
                            named.setdefault(name, set()).update(scopes)
        for name in replaced.difference(*_requirements_in(document)):  # what nothing in the document names any more
            _schemes_of(document).pop(name, None)
        for name, scopes in named.items():
            # OpenAPI Specification 3.1.0 section 4.8.29: the scopes that there are, each with a text.
            for flow in _schemes_of(document).get(name, {}).get("flows", {}).values():
                flow["scopes"] = dict.fromkeys(sorted(scopes), "") | flow["scopes"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI wants it


def _describe_operation(
    document: dict[str, Any], operation: dict[str, Any], guards: list[JWTBearer], sources: tuple[Source, ...]
) -> set[str]:
    """Say what an operation answers, name the sources of the middleware where guards have none of their own, and scopes.

    Return the names of the schemes that those of the middleware take the place of.
    """
    responses = operation.setdefault("responses", {})
    responses.setdefault("401", {"description": "The token is missing, or not valid."})
    responses.setdefault("403", {"description": "The token does not allow this."})
    places = {guard.scheme_name: guard.places(sources) for guard in guards if guard.looks_where_middleware_does}
    kept = {guard.scheme_name for guard in guards if not guard.looks_where_middleware_does}
    requirements = operation.get("security", [])
    security: list[dict[str, list[str]]] = []
    for requirement in requirements:
        name, scopes = next(iter(requirement.items()), ("", []))
        own = [scope for guard in guards if name in guard.scheme_names for scope in guard.scopes]
        scopes[:] = dict.fromkeys([*scopes, *own])
        found = places.get(name, []) if len(requirement) == 1 else []
        alternatives: list[dict[str, list[str]]] = [{scheme.scheme_name: scopes} for scheme in found]
        if not found or name in kept:
            alternatives.append(requirement)
        security += [alternative for alternative in alternatives if alternative not in security]
        models = {one.scheme_name: jsonable_encoder(one.model, by_alias=True, exclude_none=True) for one in found}
        _schemes_of(document).update(models)
    requirements[:] = security
    return set(places)


def _requirements_in(part: Any) -> Iterator[Any]:
    """All security requirements in a part of the document: of operations, and of callbacks and webhooks as well."""
    if isinstance(part, dict):
        for name, inner in part.items():
            if name == "security" and isinstance(inner, list):
                yield from inner
            else:
                yield from _requirements_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _requirements_in(inner)


def _schemes_of(document: dict[str, Any]) -> dict[str, Any]:
    schemes: dict[str, Any] = document.setdefault("components", {}).setdefault("securitySchemes", {})
    return schemes
