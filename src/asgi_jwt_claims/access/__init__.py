"""Rules about a verified token, and the scopes that imply others."""

from __future__ import annotations

from asgi_jwt_claims.config.scopes import ScopeHierarchy

from .parts import ACR, AnyScope, Check, Claim, Fresh, Roles, Scopes
from .policy import AccessPolicy
from .rules import Rule

__all__ = [
    "ACR",
    "AccessPolicy",
    "AnyScope",
    "Check",
    "Claim",
    "Fresh",
    "Roles",
    "Rule",
    "ScopeHierarchy",
    "Scopes",
]
