"""Metadata by which clients find their way in: of protected resources (RFC 9728) and authorization servers (RFC 8414)."""

from __future__ import annotations

from .resource import ProtectedResource
from .server import AuthorizationServer

__all__ = ["AuthorizationServer", "ProtectedResource"]
