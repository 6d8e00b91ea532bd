"""The hostile provider."""

from tests.system.jwks.provider import elsewhere, provider

__all__ = ["elsewhere", "provider"]
