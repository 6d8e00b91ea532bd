"""`Cookie(csrf="origin")`: in the place of the CSRF value, a browser says that a page of the application sent the request."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from asgi_jwt_claims import Cookie, JWTConfig, JWTMiddleware, TokenCookies, create_access_token
from asgi_jwt_claims.errors import ForeignOriginError, SettingError
from asgi_jwt_claims.sources import Credentials
from tests.raw_asgi import Header, Recorder, ask, http_scope, websocket_scope

MAX = 256
COOKIE: Header = (b"cookie", b"__Host-access_token=aaa.bbb.ccc")
FOUND = Credentials(b"aaa.bbb.ccc", "cookie")
TRUSTED = "https://pages.example"
BY_ORIGIN = Cookie(TokenCookies(trusted_origins=[TRUSTED]), csrf="origin")

OWN = (b"https://testserver", TRUSTED.encode())
FOREIGN = (
    b"https://evil.example",
    b"http://testserver",
    b"https://testserver:8443",
    b"https://testserver.evil.example",
    b"",
)
SITES = (None, b"same-origin", b"none", b"same-site", b"cross-site", b"", b"SAME-ORIGIN", b"same-origin, same-origin")


def offered(*headers: Header, method: Any = "POST") -> Credentials | None:
    return BY_ORIGIN(http_scope("/", COOKIE, *headers, method=method), MAX)


def passes(origin: bytes | None, site: bytes | None) -> bool:
    """The rule, written once more: what is said names the own site, and something is said."""
    if origin == TRUSTED.encode():
        return True
    if origin == b"null":
        return site == b"same-origin"
    if origin is None:
        return site == b"same-origin"
    return origin in OWN and site in (None, b"same-origin", b"none")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY", "get", None])
def test_an_unsafe_request_has_to_come_from_a_page_of_the_application(method: Any) -> None:
    """One header says so, and no other one says anything else; a request that says nothing is refused."""  # S10
    for origin, site in itertools.product((None, b"null", *OWN, *FOREIGN), SITES):
        headers = [
            (name, value) for name, value in ((b"origin", origin), (b"sec-fetch-site", site)) if value is not None
        ]
        if passes(origin, site):
            assert (origin, site, FOUND) == (origin, site, offered(*headers, method=method))
        else:
            with pytest.raises(ForeignOriginError) as caught:
                offered(*headers, method=method)
            assert (403, "invalid_request") == (caught.value.status, caught.value.error)


def test_repeated_headers_say_nothing() -> None:
    """What comes twice does not count, even with the same value."""  # S10
    same: Header = (b"sec-fetch-site", b"same-origin")
    own: Header = (b"origin", OWN[0])
    for headers in ((same, same), (own, own), (own, same, same), (own, own, same)):
        with pytest.raises(ForeignOriginError):
            offered(*headers)


def test_the_csrf_value_is_not_asked_for_and_does_not_help() -> None:
    """The value has no part in it, in a header or in a form."""
    same: Header = (b"sec-fetch-site", b"same-origin")
    form: Header = (b"content-type", b"application/x-www-form-urlencoded")
    assert FOUND == offered(same, form)
    assert FOUND == offered(same, (b"x-csrf-token", b"wrong"))
    with pytest.raises(ForeignOriginError):
        Cookie(csrf="origin")(http_scope("/", COOKIE, (b"x-csrf-token", b"any"), method="POST"), MAX)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_methods_need_nothing_but_the_cookie(method: str) -> None:
    """A link on another site opens a page, as before."""
    assert FOUND == offered((b"origin", b"https://evil.example"), (b"sec-fetch-site", b"cross-site"), method=method)
    assert FOUND == offered(method=method)


def test_a_handshake_keeps_its_rule() -> None:
    """A WebSocket needs an own or trusted Origin; `Sec-Fetch-Site` alone is not enough."""  # S10
    for origin in OWN:
        assert FOUND == BY_ORIGIN(websocket_scope("/", COOKIE, (b"origin", origin)), MAX)
    for headers in ([], [(b"sec-fetch-site", b"same-origin")], [(b"origin", b"null")]):
        with pytest.raises(ForeignOriginError):
            BY_ORIGIN(websocket_scope("/", COOKIE, *headers), MAX)


@pytest.mark.anyio
async def test_an_application_whose_scripts_cannot_be_changed(config: JWTConfig) -> None:
    """Its own requests pass, those of another site and of programs are answered 403 before it sees them."""
    recorder = Recorder()
    app = JWTMiddleware(recorder, config, sources=[Cookie(csrf="origin")])
    cookie = (b"cookie", b"__Host-access_token=" + create_access_token("alice", config).encode())
    own = await ask(app, "/queue/join", cookie, (b"sec-fetch-site", b"same-origin"), method="POST")
    assert (200, "alice") == (own.status, recorder.scope["token"].identity)
    for headers in ([], [(b"origin", b"https://evil.example")], [(b"sec-fetch-site", b"cross-site")]):
        assert 403 == (await ask(app, "/queue/join", cookie, *headers, method="POST")).status
    assert 1 == len(recorder.calls)


def test_two_rules_make_two_sources() -> None:
    """Sources that decide by different rules are not equal, so no result of one counts for the other."""
    assert Cookie(csrf="origin") == Cookie(csrf="origin")
    assert Cookie(csrf="origin") != Cookie()
    assert 2 == len({Cookie(csrf="origin"), Cookie(), Cookie(csrf="token")})
    bound = Cookie(csrf="origin").bind([TokenCookies(csrf_field="other")])
    assert Cookie(TokenCookies(csrf_field="other"), csrf="origin") == bound


@pytest.mark.parametrize("csrf", ["Origin", "", "none", None, False, "header"])
def test_any_other_rule_is_refused(csrf: Any) -> None:
    """The message names both rules."""
    with pytest.raises(SettingError, match='csrf must be "token" or "origin"'):
        Cookie(csrf=csrf)
