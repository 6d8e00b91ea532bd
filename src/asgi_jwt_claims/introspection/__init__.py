"""Ask an authorization server about opaque tokens (RFC 7662): `Introspection`, for `JWTConfig(introspection=...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgi_jwt_claims.runtime.imports import importer

if TYPE_CHECKING:
    from .endpoint import Introspection

__all__ = ["Introspection"]

__getattr__ = importer(__name__, {"endpoint": ("Introspection",)})
