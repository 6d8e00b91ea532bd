"""Fetch the keys of other issuers (`RemoteKeySet`), and publish one's own (`JWKSEndpoint`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgi_jwt_claims.runtime.imports import importer

if TYPE_CHECKING:
    from .endpoint import JWKSEndpoint
    from .events import KeySetEvent, KeySetStatus, OnKeySetEvent
    from .fetch import Fetch, FetchResponse, HTTPXFetch, Post
    from .policy import FetchPolicy
    from .remote import RemoteKeySet
    from .tenants import TenantKeySets

__all__ = [
    "Fetch",
    "FetchPolicy",
    "FetchResponse",
    "HTTPXFetch",
    "JWKSEndpoint",
    "KeySetEvent",
    "KeySetStatus",
    "OnKeySetEvent",
    "Post",
    "RemoteKeySet",
    "TenantKeySets",
]

__getattr__ = importer(
    __name__,
    {
        "endpoint": ("JWKSEndpoint",),
        "events": ("KeySetEvent", "KeySetStatus", "OnKeySetEvent"),
        "fetch": ("Fetch", "FetchResponse", "HTTPXFetch", "Post"),
        "policy": ("FetchPolicy",),
        "remote": ("RemoteKeySet",),
        "tenants": ("TenantKeySets",),
    },
)
