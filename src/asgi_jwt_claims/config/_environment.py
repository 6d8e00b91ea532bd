"""Read the settings of a `JWTConfig` from text, such as environment variables."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims import jwks as remote
from asgi_jwt_claims.errors import KeyConfigurationError, SettingError
from asgi_jwt_claims.keys import Key, KeySet
from asgi_jwt_claims.runtime.values import revealed

from .cookies import TokenCookies

if TYPE_CHECKING:
    from asgi_jwt_claims.introspection import Introspection

__all__ = ["read"]

_BOOLEANS = {"true": True, "false": False}
# What may be secret; the first three may be bytes.
_FROM_FILES = (
    *("secret_key", "signing_key", "verification_keys"),
    *("jwks_headers", "jwks_proxy", "introspection_client_secret", "introspection_proxy"),
)
_IN_BYTES = _FROM_FILES[:3]
_MAX_FILE_SIZE = 1024 * 1024  # bytes
_NEVER_TEXT = {
    "cookies": "set its parts: {0}_SECURE, {0}_TRUSTED_ORIGINS and so on",
    "scope_hierarchy": "give scope_hierarchy=ScopeHierarchy(...) to JWTConfig in Python",
}
_PLACES = ("identity_claim", "roles_claim", "scope_claim")

# What belongs to the keys of a provider besides `FetchPolicy`, each with its type.
_OF_KEY_SET = {"algorithms": "Iterable[str]", "loopback_http": "bool", "insecure_http_hosts": "Iterable[str]"}
_OF_FETCH = {"headers": "Mapping[str, str]", "verify": "str", "proxy": "str"}
_OF_INTROSPECTION = {
    "client_id": "str",
    "client_secret": "str",
    "loopback_http": "bool",
    "verify": "str",
    "proxy": "str",
    **dict.fromkeys(("ttl", "negative_ttl", "timeout"), "timedelta"),
}

_HEADER = "sources=[BearerHeader(name, scheme)] of JWTMiddleware or install"
_SOURCE = "sources=[...] of JWTMiddleware or install, with a function of yours"
_STORE = "store=... of JWTMiddleware or install"
_ALWAYS = "nothing: requests with an unsafe method always need the CSRF value"
# Names of flask-jwt-extended and sanic-jwt-extended: the setting in its place, or where else it is said.
_OTHER_NAMES = {
    "access_token_expires": "access_lifetime",
    "refresh_token_expires": "refresh_lifetime",
    "expires": "access_lifetime",
    "private_key": "signing_key",
    "public_key": "verification_keys",
    "decode_algorithms": "algorithm",
    "decode_audience": "audience",
    "encode_audience": "audience",
    "decode_issuer": "issuer",
    "encode_issuer": "issuer",
    "decode_leeway": "leeway",
    "user_claims": "user_claims_claim",
    "claims_in_refresh_token": "nothing: refresh tokens keep the user claims of the login",
    "encode_nbf": "nothing: tokens are valid from the time in iat",
    "error_message_key": "on_error=... of JWTMiddleware or install, a function that writes the response",
    "token_location": "sources=[...] of JWTMiddleware or install",
    "header_name": _HEADER,
    "header_type": _HEADER,
    "query_string_name": _SOURCE,
    "query_string_value_prefix": _SOURCE,
    "json_key": _SOURCE,
    "refresh_json_key": _SOURCE,
    "blocklist_enabled": _STORE,
    "blacklist_enabled": _STORE,
    "blacklist_token_checks": _STORE,
    "access_cookie_name": "cookies_access_name",
    "access_cookie_path": "nothing: the cookie of the access token has the path /",
    "refresh_cookie_name": "cookies_refresh_name",
    "refresh_cookie_path": "cookies_refresh_path",
    "cookie_secure": "cookies_secure",
    "cookie_samesite": "cookies_same_site",
    "cookie_domain": "nothing: the cookies are for one host",
    "session_cookie": "nothing: the cookies live as long as their tokens",
    "cookie_csrf_protect": _ALWAYS,
    "csrf_in_cookies": _ALWAYS,
    "csrf_methods": _ALWAYS,
    "csrf_check_form": _ALWAYS,
    "access_csrf_header_name": "cookies_csrf_header",
    "refresh_csrf_header_name": "cookies_csrf_header",
    "access_csrf_field_name": "cookies_csrf_field",
    "refresh_csrf_field_name": "cookies_csrf_field",
    "access_csrf_cookie_name": "cookies_csrf_name",
    "refresh_csrf_cookie_name": "cookies_csrf_name",
    "access_csrf_cookie_path": "nothing: the cookie with the CSRF value has the path /",
    "refresh_csrf_cookie_path": "nothing: the cookie with the CSRF value has the path /",
}


def read(
    mapping: Mapping[str, Any], prefix: str, fields: Mapping[str, dataclasses.Field[Any]], arguments: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the settings among a mapping's members, and convert text as the types and defaults of `fields` say.

    `arguments` are further names with their types: those of a preset. Returns the settings with these arguments, and the
    further arguments of the `RemoteKeySet`.

    Raises:
        SettingError: A member with the prefix names no setting, or its text cannot be converted.
        KeyConfigurationError: The text of a key cannot be used.
    """
    kinds = {**{name: str(field.type) for name, field in fields.items()}, **arguments}
    policy = {field.name: str(field.type) for field in dataclasses.fields(remote.FetchPolicy)}
    cookies = {field.name: str(field.type) for field in dataclasses.fields(TokenCookies)}
    grouped = {"jwks": {**policy, **_OF_KEY_SET, **_OF_FETCH}, "cookies": cookies, "introspection": _OF_INTROSPECTION}
    for group, options in grouped.items():
        kinds.update({f"{group}_{name}": kind for name, kind in options.items()})
    given: dict[str, Any] = {}
    written: dict[str, str] = {}  # the members that the settings came from
    for key, value in mapping.items():
        if not isinstance(key, str) or not key.startswith(prefix):
            continue
        named = _named(key, prefix, kinds)
        name = named.removesuffix("_file")
        if name in given:
            raise SettingError(f"{written[name]} and {key} are both set; keep one of them")
        may_be_none = name in fields and fields[name].default is not None and "None" in kinds[name]
        shown = revealed(value) if named == name else _contents(value, key, is_text=name not in _IN_BYTES)
        given[name] = _from_text(name, kinds[name], shown, key, may_be_none) if isinstance(shown, str) else shown
        written[name] = key
    settings = {name: value for name, value in given.items() if name in fields or name in arguments}
    groups = {group: _group(given, group, fields) for group in grouped}
    if groups["cookies"]:
        if "cookies" in settings:
            raise SettingError(f"{written['cookies']} and {prefix}COOKIES_... are both set; keep one of them")
        settings["cookies"] = TokenCookies(**groups["cookies"])
    is_found = settings.get("provider") is not None and settings.get("jwks") is None
    if groups["jwks"] and not is_found and not isinstance(settings.get("jwks"), str):
        raise SettingError(f"{prefix}JWKS_... needs {prefix}JWKS to be the URL of a JWK Set, or discover")
    if groups["introspection"] or isinstance(settings.get("introspection"), str):
        settings["introspection"] = _introspection(settings.get("introspection"), groups["introspection"], prefix)
    _load_keys(settings, written)
    return settings, _remote_options(groups["jwks"], policy)


def _named(key: str, prefix: str, kinds: Mapping[str, str]) -> str:
    """Return the setting that a member names, with `_file` at its end if the member names a file."""
    name = key[len(prefix) :].lower()
    is_known = name in kinds or (name.endswith("_file") and name.removesuffix("_file") in _FROM_FILES)
    if is_known and key in (prefix + name.upper(), prefix.lower() + name):
        return name
    other = _OTHER_NAMES.get(name)
    if other is None:
        import difflib  # noqa: PLC0415 -- needed only when something is wrong

        other = next(iter(difflib.get_close_matches(name, kinds, n=1)), None)
    if other is None:
        raise SettingError(f"{key} is not a setting")
    if other not in kinds:
        raise SettingError(f"{key} is not a setting; instead of it, write {other}")
    raise SettingError(f"{key} is not a setting; did you mean {prefix}{other.upper()}?")


def _contents(path: object, key: str, *, is_text: bool) -> str | bytes:
    """Read a file with a secret or keys. The line end that editors leave after text is not a part of it."""
    if not isinstance(path, str | os.PathLike):
        raise SettingError(f"{key} must be the path of a file, not {type(path).__name__}")
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a path"
        raise SettingError(f"{key}: {os.fspath(path)!r} cannot be read: {reason}") from None
    if len(data) > _MAX_FILE_SIZE:
        raise SettingError(
            f"{key}: {os.fspath(path)!r} is longer than {_MAX_FILE_SIZE} bytes, so it holds something else"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError:  # random bytes, of which any may be the last
        if is_text:
            raise SettingError(f"{key} must be the path of a file with text") from None
        return data
    return text.removesuffix("\n").removesuffix("\r") if is_text else data.removesuffix(b"\n").removesuffix(b"\r")


def _from_text(name: str, kind: str, text: str, key: str, may_be_none: bool) -> Any:  # noqa: PLR0911 -- one for each kind
    if may_be_none and text.lower() == "none":
        return None
    is_list = "Iterable[str" in kind
    if (is_list or name in _PLACES or kind.startswith("Mapping")) and text.lstrip()[:1] in ("[", "{"):
        return _from_json(name, text, key)
    if name == "required_claims" and text.strip().lower() in ("", "none"):
        return ()
    if is_list:
        return tuple(part.strip() for part in text.split(","))
    if kind == "bool":
        if text.lower() not in _BOOLEANS:
            raise SettingError(f"{key} must be true or false, not {text!r}")
        return _BOOLEANS[text.lower()]
    if kind in ("int", "float") or kind.startswith("timedelta"):
        try:
            return int(text) if kind == "int" else float(text)
        except ValueError:
            raise SettingError(f"{key} must be a number, not {text!r}") from None
    if name in _NEVER_TEXT:
        raise SettingError(f"{key} cannot be text; {_NEVER_TEXT[name].format(key)}")
    return text


def _from_json(name: str, text: str, key: str) -> Any:
    """Read JSON. In a list of claims, an inner list is a path; in an object of claims, an inner object is one."""
    try:
        value = json.loads(text)
        if isinstance(value, list):
            return [tuple(item) if isinstance(item, list) else item for item in value]
        return dict(_demands((), value)) if name == "required_claims" else value
    except (ValueError, TypeError, RecursionError):
        raise SettingError(f"{key} begins like JSON, and cannot be read as JSON for this setting") from None


def _demands(path: tuple[str, ...], value: Any) -> Iterable[tuple[str | tuple[str, ...], Any]]:
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            yield from _demands((*path, name), inner)
    else:
        yield path[0] if len(path) == 1 else path, frozenset(value) if isinstance(value, list) else value


def _group(given: Mapping[str, Any], group: str, fields: Mapping[str, object]) -> dict[str, Any]:
    start = f"{group}_"
    return {
        name.removeprefix(start): value
        for name, value in given.items()
        if name.startswith(start) and name not in fields
    }


def _remote_options(options: dict[str, Any], policy: Mapping[str, str]) -> dict[str, Any]:
    of_fetch = {name: options.pop(name) for name in _OF_FETCH if name in options}
    of_policy = {name: options.pop(name) for name in policy if name in options}
    if of_fetch:
        options["fetch"] = remote.HTTPXFetch(**of_fetch)
    if of_policy:
        options["policy"] = remote.FetchPolicy(**of_policy)
    return options


def _introspection(url: Any, options: dict[str, Any], prefix: str) -> Introspection:
    from asgi_jwt_claims.introspection import Introspection  # noqa: PLC0415 -- it imports anyio

    start = f"{prefix}INTROSPECTION"
    if not isinstance(url, str):
        raise SettingError(f"{start}_... needs {start} to be the URL of an introspection endpoint")
    client_id, secret = options.pop("client_id", None), options.pop("client_secret", None)
    if client_id is None or secret is None:
        raise SettingError(f"{start} needs {start}_CLIENT_ID and {start}_CLIENT_SECRET, those of a client")
    of_fetch = {name: options.pop(name) for name in _OF_FETCH if name in options}
    if of_fetch:
        options["post"] = remote.HTTPXFetch(**of_fetch).post
    return Introspection(url, (client_id, secret), **options)


def _load_keys(settings: dict[str, Any], written: Mapping[str, str]) -> None:
    """Turn PEM, JWK and JWK Set members into keys. `algorithm` is theirs unless there is a secret."""
    algorithm = settings.get("algorithm")
    is_of_provider = any(settings.get(name) is not None for name in ("jwks", "introspection", "provider"))
    if settings.get("secret_key") is None and not is_of_provider:
        settings.pop("algorithm", None)
    for name in ("signing_key", "verification_keys"):
        value = settings.get(name)
        if value is None:
            continue
        try:
            settings[name] = _key(value, algorithm) if name == "signing_key" else _verification_keys(value)
        except KeyConfigurationError as error:
            key = written[name]
            file = "" if key.lower().endswith("_file") else f"; for a file, set {key}_FILE to its path"
            problem = KeyConfigurationError(f"{key}: {error}{file}")
        else:
            continue
        raise problem


def _verification_keys(value: Any) -> Any:
    if isinstance(value, str | bytes | Mapping):
        value = _jwks_or_one(value)
    if not isinstance(value, Iterable) or isinstance(value, KeySet):
        return value
    return [_key(revealed(key), None) for key in value]


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
