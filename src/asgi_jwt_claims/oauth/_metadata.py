"""Publish a document of metadata at its well-known path (RFC 8414 section 3, RFC 9728 section 3), checked when built."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jose.strict_json import dump_json
from asgi_jwt_claims.jwks._urls import check_address
from asgi_jwt_claims.runtime.durations import as_duration, whole_seconds
from asgi_jwt_claims.runtime.endpoint import Document, entity_tag, send_http
from asgi_jwt_claims.runtime.values import Frozen, plain
from asgi_jwt_claims.tokens.reading import SCOPE_TOKEN

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Receive, Scope, Send

__all__ = ["MetadataDocument", "check_further", "check_url", "check_urls", "read_scopes", "well_known"]

# RFC 3986 section 2, without `?` and `#`. None of these needs an escape in a challenge (RFC 6750 section 3).
_URL = re.compile(r"https?://[A-Za-z0-9\-._~:/\[\]@!$&'()*+,;=%]+")

# How the names of registered parameters begin or end, so that a misspelled argument is no parameter; perhaps with a
# language (RFC 9728 section 2.1).
_ENDS = "aliases|documentation|endpoint|name|required|resources|supported|tokens|uri"
_NAME = re.compile(rf"(?:require_\w+|\w+_(?:{_ENDS}))(?:#[\w-]+)?")
_NAME_OF_URL = re.compile(r"\w+_(?:endpoint|uri)")

_PREFLIGHT_SECONDS: Final = b"86400"


class MetadataDocument(Frozen, Document):
    """Answers GET and HEAD with metadata, for pages of any origin too, at one path. Immutable.

    Attributes:
        path: The path of the document, decoded.
        url: The URL of the document.
    """

    _methods = b"GET, HEAD, OPTIONS"
    _common = ((b"access-control-allow-origin", b"*"),)
    path: str
    url: str
    _body: bytes
    _etag: bytes

    def _publish(self, url: str, members: Mapping[str, object], max_age: timedelta | float) -> None:
        try:
            # RFC 8414 section 3.2, RFC 9728 section 3.2: parameters without values are left out.
            body = dump_json({name: value for name, value in members.items() if value not in ((), [], None)})
        except (TypeError, ValueError):
            raise SettingError("a parameter of the metadata holds what JSON cannot") from None
        seconds = whole_seconds(as_duration(max_age, "max_age"))
        vars(self).update(
            path=unquote(urlsplit(url).path),
            url=url,
            _body=body,
            _etag=entity_tag(body),
            _cache_control=f"public, max-age={seconds}".encode(),
        )

    def _content(self) -> tuple[bytes, bytes]:
        return self._body, self._etag

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "OPTIONS":
            await super()._answer(scope, receive, send)
            return
        # Clients in browsers send headers of their own, such as MCP-Protocol-Version, so browsers ask before they do.
        allowed = [(b"access-control-allow-methods", b"GET, HEAD"), (b"access-control-allow-headers", b"*")]
        kept = (b"access-control-max-age", _PREFLIGHT_SECONDS)
        await send_http(send, 204, [(b"allow", self._methods), *self._common, *allowed, kept])


def well_known(identifier: str, name: str) -> str:
    """Return the URL of metadata: the well-known path stands between host and path of the identifier."""
    parts = urlsplit(identifier)
    path = "" if parts.path == "/" else parts.path
    return f"{parts.scheme}://{parts.netloc}/.well-known/{name}{path}"


def check_url(value: object, name: str) -> str:
    """Return a URL that clients may be sent to: https, or http on loopback, without query and fragment.

    Raises:
        SettingError: It is something else.
    """
    url = plain(value)
    if not isinstance(url, str) or _URL.fullmatch(url) is None or check_address(url, loopback_http=True) is not None:
        raise SettingError(
            f'{name} must be a URL such as "https://api.example.com/mcp": with https unless the host is loopback, and '
            "without user name, query and fragment"
        )
    return url


def check_urls(values: object, name: str) -> tuple[str, ...]:
    """Return several URLs, each once.

    Raises:
        SettingError: They are something else.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise SettingError(f'{name} must be a list of URLs: {name}=["https://login.example.com"]')
    return tuple(dict.fromkeys(check_url(value, name) for value in values))


def read_scopes(scopes: str | Iterable[str]) -> tuple[str, ...]:
    """Return scopes (RFC 6749 section 3.3), each once and in their order. A str is split at spaces.

    Raises:
        SettingError: They are something else.
    """
    found = plain(scopes).split() if isinstance(scopes, str) else scopes
    names: tuple[Any, ...] = tuple(map(plain, found)) if isinstance(found, Iterable) else (None,)
    if not all(isinstance(name, str) and SCOPE_TOKEN.fullmatch(name) for name in names):
        raise SettingError(f'scopes must be scopes such as "files:read", none with a space in it, not {scopes!r}')
    return tuple(dict.fromkeys(names))


def check_further(metadata: Mapping[str, Any], taken: Iterable[str]) -> dict[str, Any]:
    """Return further parameters of metadata, by their registered names.

    Raises:
        SettingError: One has no such name, or not the value that its name stands for, or is `taken` by an argument.
    """
    for name, value in metadata.items():
        if name in taken:
            raise SettingError(f"{name} follows from the other arguments; leave it out")
        if _NAME.fullmatch(name) is None:
            raise SettingError(f"{name!r} is no registered parameter of such metadata, nor an argument")
        if _NAME_OF_URL.fullmatch(name):
            if check_address(plain(value), loopback_http=True) is not None:
                raise SettingError(f"{name} must be an https URL without user name and fragment")
        elif name.endswith("_supported") and not isinstance(value, bool) and not _is_list_of_names(value):
            raise SettingError(f"{name} must be a list of one or more str, not {value!r}")
        elif not isinstance(value, str | bool | list | tuple | dict) or value in ("", [], (), {}):
            raise SettingError(f"{name} must be a value that JSON can hold, and not be empty, not {value!r}")
    return dict(metadata)


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, str) and one for one in value)
