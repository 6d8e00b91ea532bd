"""Read the settings of a `JWTConfig` from text, such as environment variables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from asgi_jwt_claims.errors import KeyConfigurationError, SettingError
from asgi_jwt_claims.keys import Key, KeySet

__all__ = ["read"]

_BOOLEANS = {"true": True, "false": False}


def read(mapping: Mapping[str, Any], prefix: str, fields: Mapping[str, dataclasses.Field[Any]]) -> dict[str, Any]:
    """Read the settings among a mapping's members, and convert text as the types and defaults of `fields` say.

    Raises:
        SettingError: A member with the prefix names no setting, or its text cannot be converted.
        KeyConfigurationError: The text of a key cannot be used.
    """
    settings: dict[str, Any] = {}
    for key, value in mapping.items():
        if not isinstance(key, str) or not key.startswith(prefix):
            continue
        name = key[len(prefix) :].lower()
        if name not in fields or key != prefix + name.upper():
            import difflib  # noqa: PLC0415 -- needed only when something is wrong

            close = difflib.get_close_matches(name, fields, n=1)
            raise SettingError(
                f"{key} is not a setting" + (f"; did you mean {prefix}{close[0].upper()}?" if close else "")
            )
        settings[name] = _from_text(fields[name], value, key) if isinstance(value, str) else value
    _load_keys(settings)
    return settings


def _from_text(field: dataclasses.Field[Any], text: str, key: str) -> Any:
    kind = str(field.type)  # as it is written in the class
    if field.default is not None and "None" in kind and text.lower() == "none":
        return None
    if field.name == "required_claims" and text.strip().lower() in ("", "none"):
        return ()
    if field.name in ("issuer", "audience", "required_claims"):
        return tuple(part.strip() for part in text.split(","))
    if kind == "bool":
        if text.lower() not in _BOOLEANS:
            raise SettingError(f"{key} must be true or false, not {text!r}")
        return _BOOLEANS[text.lower()]
    if kind == "int" or kind.startswith("timedelta"):
        try:
            return int(text) if kind == "int" else float(text)
        except ValueError:
            raise SettingError(f"{key} must be a number, not {text!r}") from None
    return text


def _load_keys(settings: dict[str, Any]) -> None:
    """Turn PEM, JWK and JWK Set members into keys. `algorithm` is theirs unless there is a secret."""
    algorithm = settings.get("algorithm")
    if settings.get("secret_key") is None:
        settings.pop("algorithm", None)
    if settings.get("signing_key") is not None:
        settings["signing_key"] = _key(settings["signing_key"], algorithm)
    others = settings.get("verification_keys")
    if isinstance(others, str | bytes | Mapping):
        others = _jwks_or_one(others)
    if isinstance(others, Iterable):
        settings["verification_keys"] = others if isinstance(others, KeySet) else [_key(key, None) for key in others]


def _jwks_or_one(value: str | bytes | Mapping[str, Any]) -> KeySet | list[Any]:
    try:
        document = value if isinstance(value, Mapping) else json.loads(value)
    except (ValueError, RecursionError):
        return [value]
    return KeySet.from_jwks(document) if isinstance(document, Mapping) and "keys" in document else [document]


def _key(value: Any, algorithm: str | None) -> Key:
    if isinstance(value, Key):
        return value
    if isinstance(value, Mapping) or (isinstance(value, str | bytes) and value.strip()[:1] in ("{", b"{")):
        return Key.from_jwk(value, algorithm)
    if isinstance(value, str | bytes):
        return Key.from_pem(value, algorithm)
    raise KeyConfigurationError(f"a key must be a Key, PEM text or a JWK, not {type(value).__name__}")
