"""Define the errors of the application: settings, keys and arguments."""

from __future__ import annotations

from ._base import JWTError


class ConfigurationError(JWTError, ValueError):
    """A setting, a key or an argument of the application is wrong. The message says what to write instead."""

    code = "invalid_configuration"


class SettingError(ConfigurationError):
    """A setting or an argument cannot be used."""

    code = "invalid_setting"


class KeyConfigurationError(ConfigurationError):
    """A key, a secret or a set of keys cannot be used."""

    code = "invalid_key"


class SigningKeyMissingError(ConfigurationError):
    """The configuration can only verify tokens, and the application asked it to mint one."""

    code = "missing_signing_key"


class MintingError(ConfigurationError):
    """The application asked for a token that no verifier should accept, or that would not say what was meant."""

    code = "minting_refused"


class CookieTooLargeError(ConfigurationError):
    """A token does not fit into a cookie: browsers ignore one of more than 4096 bytes (RFC 6265bis section 5.6)."""

    code = "cookie_too_large"


class NotGuardedError(ConfigurationError):
    """A handler asked for the token of a request that no middleware and no `install` has examined."""

    code = "not_guarded"


class UnsupportedScopeError(ConfigurationError):
    """The server opened an ASGI scope of a type other than http, websocket and lifespan, which no guard covers."""

    code = "unsupported_scope_type"
