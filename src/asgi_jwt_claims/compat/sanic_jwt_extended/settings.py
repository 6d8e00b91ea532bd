"""Read the settings of 0.4.4 from `app.config`, once per application, and turn them into a `JWTConfig`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, MutableMapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.keys.key import Key
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.sources.header import BearerHeader

if TYPE_CHECKING:
    from asgi_jwt_claims.sources._credentials import Source

__all__ = ["Settings", "read_settings", "set_defaults"]


class Settings(NamedTuple):
    """The settings of one application, under the names of 0.4.4 where it has any."""

    config: JWTConfig  # without lifetimes, because here a token may never expire
    sources: tuple[Source, ...]
    access_expires: timedelta | float | None  # never, if None or False
    refresh_expires: timedelta | float | None
    claims_in_refresh_token: bool
    message_key: str
    rbac: bool


def set_defaults(config: MutableMapping[str, Any]) -> None:
    """Set the defaults of 0.4.4 for settings that are not set."""
    defaults: dict[str, Any] = {
        "JWT_TOKEN_LOCATION": ["headers"],
        "JWT_HEADER_NAME": "Authorization",
        "JWT_HEADER_TYPE": "Bearer",
        "JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=15),
        "JWT_REFRESH_TOKEN_EXPIRES": timedelta(days=30),
        "JWT_ALGORITHM": "HS256",
        "JWT_SECRET_KEY": None,
        "JWT_PUBLIC_KEY": None,
        "JWT_PRIVATE_KEY": None,
        "JWT_IDENTITY_CLAIM": "identity",
        "JWT_USER_CLAIMS": "user_claims",
        "JWT_CLAIMS_IN_REFRESH_TOKEN": True,
        "JWT_ERROR_MESSAGE_KEY": "msg",
        "RBAC_ENABLED": False,
        "RBAC_ENABLE": False,
    }
    for name, value in defaults.items():
        config.setdefault(name, value)


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Read the settings of an application, after `set_defaults`."""
    if list(config["JWT_TOKEN_LOCATION"]) != ["headers"]:
        raise SettingError('JWT_TOKEN_LOCATION must be ["headers"]; 0.4.4 read tokens from nowhere else')
    keeps_claims = _boolean(config, "JWT_CLAIMS_IN_REFRESH_TOKEN")
    if not keeps_claims:
        warnings.warn(
            "JWT_CLAIMS_IN_REFRESH_TOKEN is False: user claims given to create_refresh_token are dropped",
            UserWarning,
            stacklevel=2,
        )
    return Settings(
        config=JWTConfig(
            **_keys(config),
            access_lifetime=None,
            refresh_lifetime=None,
            identity_claim=config["JWT_IDENTITY_CLAIM"],
            user_claims_claim=config["JWT_USER_CLAIMS"],
            roles_claim="role",
            required_claims=("iat", "jti"),
            send_kid=False,
        ),
        sources=(BearerHeader(config["JWT_HEADER_NAME"], config["JWT_HEADER_TYPE"] or ""),),
        access_expires=config["JWT_ACCESS_TOKEN_EXPIRES"],
        refresh_expires=config["JWT_REFRESH_TOKEN_EXPIRES"],
        claims_in_refresh_token=keeps_claims,
        message_key=str(plain(config["JWT_ERROR_MESSAGE_KEY"])),
        # 0.4.4 documented one name and read the other.
        rbac=_boolean(config, "RBAC_ENABLED") or _boolean(config, "RBAC_ENABLE"),
    )


def _keys(config: Mapping[str, Any]) -> dict[str, Any]:
    algorithm = config["JWT_ALGORITHM"]
    if not isinstance(algorithm, str):
        raise SettingError("JWT_ALGORITHM must be a str such as HS256")
    if algorithm.startswith("HS"):
        if config["JWT_SECRET_KEY"] is None:
            raise SettingError(f"JWT_SECRET_KEY is not set; {algorithm} needs it")
        return {"secret_key": config["JWT_SECRET_KEY"], "algorithm": algorithm}
    private, public = config["JWT_PRIVATE_KEY"], config["JWT_PUBLIC_KEY"]
    if private is None and public is None:
        raise SettingError(f"JWT_PRIVATE_KEY and JWT_PUBLIC_KEY are not set; {algorithm} needs one of them")
    signing = None if private is None else Key.from_pem(private, algorithm)
    verifying = None if public is None else Key.from_pem(public, algorithm)
    if verifying is None or (signing is not None and signing.kid == verifying.kid):
        return {"signing_key": signing}
    if signing is not None:
        raise SettingError("JWT_PUBLIC_KEY must be the public half of JWT_PRIVATE_KEY, or no token would be accepted")
    return {"verification_keys": [verifying]}


def _boolean(config: Mapping[str, Any], name: str) -> bool:
    if not isinstance(config[name], bool):
        raise SettingError(f"{name} must be True or False, not {config[name]!r}")
    return bool(config[name])
