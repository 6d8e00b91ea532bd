"""Errors of the application: its settings, keys and arguments."""

from __future__ import annotations

from ._base import JWTError

__all__ = [
    "ConfigurationError",
    "KeyConfigurationError",
    "MintingError",
    "NotGuardedError",
    "SettingError",
    "SigningKeyMissingError",
    "UnsupportedScopeError",
]


class ConfigurationError(JWTError, ValueError):
    """The application is wrong, not the client: a setting, a key or an argument. The message says how to mend it."""

    code = "invalid_configuration"


class SettingError(ConfigurationError):
    """A setting cannot be used."""

    code = "invalid_setting"


class KeyConfigurationError(ConfigurationError):
    """A key, a secret or a set of keys cannot be used."""

    code = "invalid_key"


class SigningKeyMissingError(ConfigurationError):
    """A token was to be minted with a configuration that can only verify."""

    code = "missing_signing_key"


class MintingError(ConfigurationError):
    """A token was to be minted that no verifier should accept, or that would say something else than was meant."""

    code = "minting_refused"


class NotGuardedError(ConfigurationError):
    """A handler asks for the token, but nothing has examined the request: no middleware, no `install`."""

    code = "not_guarded"


class UnsupportedScopeError(ConfigurationError):
    """The server opened an ASGI scope that is neither http, websocket nor lifespan; nobody has guarded such a thing."""

    code = "unsupported_scope_type"
