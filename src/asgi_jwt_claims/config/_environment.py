"""Settings as people write them: durations as `timedelta` or seconds, and all of them as text in the environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asgi_jwt_claims.errors import KeyConfigurationError, SettingError
from asgi_jwt_claims.keys.key import Key
from asgi_jwt_claims.keys.key_set import KeySet

__all__ = ["read"]

_NULLABLE = (
    "access_lifetime",
    "refresh_lifetime",
    "session_lifetime",
    "user_claims_claim",
    "type_claim",
    "session_claim",
)
_LISTS = ("audience", "required_claims")
_DURATIONS = (
    "access_lifetime",
    "refresh_lifetime",
    "session_lifetime",
    "refresh_grace",
    "leeway",
    "max_age",
    "max_lifetime",
)
_INTEGERS = ("max_token_size", "signature_cache_size")
_FLAGS = ("send_kid", "accept_id_tokens", "accepted_events")
_BOOLEANS = {"true": True, "false": False}


def read(mapping: Mapping[str, Any], prefix: str, names: Sequence[str]) -> dict[str, Any]:
    """The settings among a mapping's members, converted from text where they are text.

    Args:
        mapping: For example `os.environ`.
        prefix: What the members that are settings begin with.
        names: The settings there are, in lower case.

    Raises:
        SettingError: A member with the prefix that names no setting, or text that cannot be converted.
        KeyConfigurationError: Key text that cannot be used.
    """
    settings: dict[str, Any] = {}
    for key, value in mapping.items():
        if not isinstance(key, str) or not key.startswith(prefix):
            continue
        name = key[len(prefix) :].lower()
        if name not in names or key != prefix + name.upper():
            import difflib  # noqa: PLC0415 -- needed only when something is wrong

            close = difflib.get_close_matches(name, names, n=1)
            raise SettingError(
                f"{key} is not a setting" + (f"; did you mean {prefix}{close[0].upper()}?" if close else "")
            )
        settings[name] = _from_text(name, value, key) if isinstance(value, str) else value
    _load_keys(settings)
    return settings


def _from_text(name: str, text: str, key: str) -> Any:
    if name in _NULLABLE and text.lower() == "none":
        return None
    if name == "required_claims" and text.strip().lower() in ("", "none"):
        return ()
    if name in _LISTS:
        return tuple(part.strip() for part in text.split(","))
    if name in _FLAGS:
        if text.lower() not in _BOOLEANS:
            raise SettingError(f"{key} must be true or false")
        return _BOOLEANS[text.lower()]
    if name in _DURATIONS or name in _INTEGERS:
        try:
            return int(text) if name in _INTEGERS else float(text)
        except ValueError:
            raise SettingError(f"{key} must be a number, not {text!r}") from None
    return text


def _load_keys(settings: dict[str, Any]) -> None:
    """Turn PEM, JWK and JWK Set members into keys; `algorithm` is theirs unless a secret claims it."""
    algorithm = settings.get("algorithm")
    if settings.get("secret_key") is None:
        settings.pop("algorithm", None)
    if settings.get("signing_key") is not None:
        settings["signing_key"] = _key(settings["signing_key"], algorithm)
    others = settings.get("verification_keys")
    if others is None or isinstance(others, KeySet):
        return
    if isinstance(others, str | bytes | Mapping):
        others = _jwks_or_one(others)
    settings["verification_keys"] = (
        others
        if isinstance(others, KeySet) or not isinstance(others, Iterable)
        else [_key(key, None) for key in others]
    )


def _jwks_or_one(value: str | bytes | Mapping[str, Any]) -> KeySet | list[Any]:
    document: Any = value
    if not isinstance(value, Mapping):
        try:
            document = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
    return KeySet.from_jwks(document) if isinstance(document, Mapping) and "keys" in document else [document]


def _key(value: Any, algorithm: str | None) -> Key:
    if isinstance(value, Key):
        return value
    if isinstance(value, Mapping):
        return Key.from_jwk(value, algorithm)
    if isinstance(value, str | bytes):
        text = value.strip()
        return Key.from_jwk(value, algorithm) if text[:1] in ("{", b"{") else Key.from_pem(value, algorithm)
    raise KeyConfigurationError(f"a key is a Key, PEM text or a JWK, not {type(value).__name__}")
