"""Cookies authenticate what their user has meant: the CSRF value, and what browsers say of where a request comes from."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from asgi_jwt_claims import Cookie, TokenCookies
from asgi_jwt_claims.errors import CSRFTokenError, ForeignOriginError, InvalidRequestError
from asgi_jwt_claims.sources import Credentials
from asgi_jwt_claims.sources.csrf import csrf_digest
from tests.raw_asgi import Header, http_scope, websocket_scope
from tests.support import for_each

MAX = 256
ACCESS, REFRESH = b"aaa.bbb.ccc", b"ddd.eee.fff"
CSRF, OTHER = csrf_digest(ACCESS), csrf_digest(REFRESH)
VALUE = CSRF + b"." + OTHER
COOKIES: Header = (b"cookie", b"__Host-access_token=%s; __Secure-refresh_token=%s" % (ACCESS, REFRESH))
FOUND = Credentials(ACCESS, "cookie")


def csrf(value: bytes) -> Header:
    return (b"x-csrf-token", value)


def offered(*headers: Header, method: str = "POST", source: Cookie | None = None, **more: Any) -> Credentials | None:
    return (source or Cookie())(http_scope("/", COOKIES, *headers, method=method, **more), MAX)


def shaken(*headers: Header, source: Cookie | None = None, **more: Any) -> Credentials | None:
    """What a handshake offers."""
    return (source or Cookie())(websocket_scope("/", COOKIES, *headers, **more), MAX)


# The CSRF value -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_methods_need_nothing_but_the_cookie(method: str) -> None:
    """What changes nothing may come from anywhere: a link on another site opens a page."""
    # S10
    assert FOUND == offered(method=method)
    assert FOUND == offered((b"origin", b"https://evil.example"), (b"sec-fetch-site", b"cross-site"), method=method)
    assert FOUND == offered(csrf(b"\xff"), csrf(b"\xff"), method=method)


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "QUERY", "", "get", "Get", "head", "GET ", None]
)
def test_every_other_method_needs_the_value(method: Any) -> None:
    """Known or not, a method that is not known to be safe needs the CSRF value; safe ones are written in capitals."""
    # S10
    with pytest.raises(CSRFTokenError) as caught:
        offered(method=method)
    assert (403, "invalid_request") == (caught.value.status, caught.value.error)
    assert FOUND == offered(csrf(VALUE), method=method)


@pytest.mark.parametrize(
    "value", [VALUE, CSRF, OTHER + b"." + CSRF, b" \t" + VALUE + b"\t ", b"x." + CSRF, b"." + CSRF + b"."]
)
def test_the_value_has_a_part_for_each_token(value: bytes) -> None:
    """One of the parts is that of the cookie's token; the page need not know which."""
    assert FOUND == offered(csrf(value))


def test_each_token_has_its_own_value() -> None:
    """The refresh cookie is protected by its own part, and not by the one of the access token."""
    source = Cookie(type="refresh")
    assert Credentials(REFRESH, "cookie") == offered(csrf(VALUE), source=source)
    assert Credentials(REFRESH, "cookie") == offered(csrf(OTHER), source=source)
    with pytest.raises(CSRFTokenError):
        offered(csrf(CSRF), source=source)


@for_each(
    "value",
    [
        b"",
        b" ",
        b".",
        b"x",
        OTHER,
        csrf_digest(b"aaa.bbb.ccd"),
        CSRF[:-1],
        CSRF + b"A",
        CSRF + b"=",
        CSRF.swapcase(),
        CSRF[::-1],
        b'"' + CSRF + b'"',
        ACCESS,
        CSRF + b"," + CSRF,
        VALUE + b", " + VALUE,  # a repeated header, as some proxies and servers join it
        CSRF + b" " + CSRF,
        CSRF + b"\x00",
        b"\xff",  # trap: a CSRF header that is not ASCII answered 500
        CSRF[:-1] + b"\xe9",
        "\u017f".encode(),
        "ünï".encode("utf-16"),
        b"\x80" * 10_000,
        b"." * 1_000_000,
        b"x" * 256 + b"." + CSRF,
    ],
)
def test_any_other_value_is_refused(value: bytes) -> None:
    """Whatever bytes they are, another value than that of the token is a 403, and never an accident."""
    with pytest.raises(CSRFTokenError) as caught:
        offered(csrf(value))
    assert CSRF.decode() not in repr(caught.value)  # S149


@pytest.mark.parametrize("values", [(VALUE, VALUE), (VALUE, b""), (b"x", VALUE)])
def test_a_repeated_header_is_refused(values: tuple[bytes, ...]) -> None:
    """Two CSRF headers are never a choice."""
    with pytest.raises(CSRFTokenError):
        offered(*map(csrf, values))


@pytest.mark.parametrize("name", [b"X-CSRF-Token", b"x_csrf_token", b"x-csrftoken", b"csrf_token", b"x-xsrf-token"])
def test_no_other_header_has_the_value(name: bytes) -> None:
    """Only the one name counts, as servers give it."""  # S12
    with pytest.raises(CSRFTokenError):
        offered((name, VALUE))


def test_the_value_does_not_count_where_a_browser_sends_it_unasked() -> None:
    """The value in its own cookie, which comes along with every forged request as well, proves nothing."""
    with pytest.raises(CSRFTokenError):
        offered((b"cookie", b"__Host-csrf_token=" + VALUE))


def test_the_name_of_the_header_is_a_setting() -> None:
    """Another header can be named, and the usual one is nothing then."""
    source = Cookie(TokenCookies(csrf_header="X-XSRF-Token"))
    assert FOUND == offered((b"x-xsrf-token", VALUE), source=source)
    with pytest.raises(CSRFTokenError):
        offered(csrf(VALUE), source=source)


def test_all_parts_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part goes through `hmac.compare_digest`, as bytes, also when an earlier one was right."""  # S148
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert FOUND == offered(csrf(CSRF + b".x." + OTHER))
    assert [(CSRF, CSRF), (b"x", CSRF), (OTHER, CSRF)] == compared


def test_the_value_tells_nothing_of_the_token() -> None:
    """It is a digest: no part of the token stands in it, and two tokens have nothing in common."""
    assert (32, False) == (len(CSRF), ACCESS in CSRF)
    assert CSRF != OTHER


# Where a request comes from -------------------------------------------------------------------------------------------

# Origin, Host, the scheme that the server sees.
OWN: list[tuple[bytes, bytes, str]] = [
    (b"http://localhost", b"localhost", "http"),
    (b"https://testserver", b"testserver", "https"),
    (b"https://testserver", b"testserver", "http"),  # behind a proxy that ends TLS
    (b"http://localhost", b"localhost:80", "http"),
    (b"https://testserver", b"testserver:443", "https"),
    (b"http://localhost:8000", b"localhost:8000", "http"),
    (b"https://testserver:8443", b"testserver:8443", "https"),
    (b"http://localhost", b"LocalHost", "http"),
    (b"http://127.0.0.1:8000", b"127.0.0.1:8000", "http"),
    (b"http://[::1]:8000", b"[::1]:8000", "http"),
    (b"http://[::1]", b"[::1]", "http"),
    (b"http://[::1]", b"[::1]:80", "http"),
    (b" \thttp://localhost\t", b" localhost ", "http"),
]

FOREIGN: list[tuple[bytes, bytes, str]] = [
    (b"null", b"testserver", "http"),  # a sandboxed frame, a file, a redirect between origins
    (b"null", b"null", "http"),
    (b"", b"testserver", "http"),
    (b"", b"", "http"),
    (b"http://", b"", "http"),
    (b"https://evil.example", b"testserver", "https"),
    (b"http://testserver.evil.example", b"testserver", "http"),
    (b"http://eviltestserver", b"testserver", "http"),
    (b"http://sub.testserver", b"testserver", "http"),
    (b"http://testserver", b"sub.testserver", "http"),
    (b"http://testserver:81", b"testserver", "http"),
    (b"http://testserver", b"testserver:8080", "http"),
    (b"http://testserver:8080", b"testserver:8081", "http"),
    (b"http://testserver", b"testserver:443", "http"),
    (b"https://testserver", b"testserver:80", "https"),
    (b"http://testserver", b"testserver", "https"),  # a page that anybody on the way could have written
    (b"http://testserver", b"testserver:443", "https"),
    (b"HTTP://testserver", b"testserver", "http"),  # browsers write it in one way (RFC 6454 section 6.2)
    (b"http://TESTSERVER", b"testserver", "http"),
    (b"http://testserver/", b"testserver", "http"),
    (b"http://testserver?", b"testserver", "http"),
    (b"http://testserver#", b"testserver", "http"),
    (b"http://user@testserver", b"testserver", "http"),
    (b"http://testserver@evil.example", b"testserver", "http"),
    (b"http://testserver.", b"testserver", "http"),
    (b"ftp://testserver", b"testserver", "http"),
    (b"file://testserver", b"testserver", "http"),
    (b"ws://testserver", b"testserver", "http"),
    (b"http:testserver", b"testserver", "http"),
    (b"//testserver", b"testserver", "http"),
    (b"testserver", b"testserver", "http"),
    (b"http://testserver http://testserver", b"testserver", "http"),
    (b"http://testserver, http://testserver", b"testserver", "http"),
    (b"http://testserver\x00", b"testserver", "http"),
    (b"\xff", b"\xff", "http"),
    (b"http://[::1]:8000", b"[::2]:8000", "http"),
    (b"http://[::1]", b"[::1]:8000", "http"),
    (b"http://::1", b"[::1]", "http"),
]


def from_origin(origin: bytes, host: bytes, scheme: str) -> dict[str, Any]:
    """The parts of a scope that say so."""
    return {"headers": [(b"host", host), COOKIES, (b"origin", origin), csrf(VALUE)], "scheme": scheme}


@pytest.mark.parametrize(("origin", "host", "scheme"), OWN)
def test_a_request_of_the_own_origin(origin: bytes, host: bytes, scheme: str) -> None:
    """A page of this very host and port may send what it likes, and open sockets."""
    assert FOUND == Cookie()(http_scope(method="POST") | from_origin(origin, host, scheme), MAX)
    scheme = {"http": "ws", "https": "wss"}[scheme]
    assert FOUND == Cookie()(websocket_scope() | from_origin(origin, host, scheme), MAX)


@for_each(("origin", "host", "scheme"), FOREIGN)
def test_a_request_of_another_origin(origin: bytes, host: bytes, scheme: str) -> None:
    """A page of any other host, port or scheme may not, although it has the CSRF value; and opens no socket."""
    # S10, S126
    with pytest.raises(ForeignOriginError) as caught:
        Cookie()(http_scope(method="POST") | from_origin(origin, host, scheme), MAX)
    assert (403, "invalid_request") == (caught.value.status, caught.value.error)
    scheme = {"http": "ws", "https": "wss"}[scheme]
    with pytest.raises(ForeignOriginError):
        Cookie()(websocket_scope() | from_origin(origin, host, scheme), MAX)


PLAIN = TokenCookies(secure=False, access_name="access_token", refresh_name="refresh_token", csrf_name="csrf_token")


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        (b"localhost", True),
        (b"app.localhost:8000", True),
        (b"127.8.9.1:80", True),
        (b"[::1]:1", True),
        (b"testserver", False),
        (b"notlocalhost", False),
        (b"localhost.evil.example", False),
        (b"127.0.0.1.evil.example", False),
        (b"1127.0.0.1", False),
        (b"192.168.0.1", False),
        (b"[::2]", False),
    ],
)
def test_a_page_that_came_by_http(host: bytes, is_local: bool) -> None:
    """Secure cookies come over https, whatever a proxy says, or from this machine; others come as they can."""  # S126
    origin = b"http://" + host.removesuffix(b":80")
    plain = (b"cookie", b"access_token=" + ACCESS)
    for scope in (http_scope(method="POST"), websocket_scope()):
        said = scope | from_origin(origin, host, scope["scheme"])
        if is_local:
            assert FOUND == Cookie()(said, MAX)
        else:
            with pytest.raises(ForeignOriginError):
                Cookie()(said, MAX)
        assert FOUND == Cookie(PLAIN)(said | {"headers": [*said["headers"], plain]}, MAX)


def test_what_is_not_said_once_is_not_said() -> None:
    """Without a Host, with two of them, or with two Origins, nobody can say that it is the own one."""
    own, value = (b"origin", b"https://testserver"), csrf(VALUE)
    for headers in (
        [COOKIES, own, value],
        [COOKIES, own, value, (b"host", b"testserver"), (b"host", b"testserver")],
        [COOKIES, own, own, value, (b"host", b"testserver")],
    ):
        for scope in (http_scope(method="POST"), websocket_scope()):
            with pytest.raises(ForeignOriginError):
                Cookie()(scope | {"headers": headers}, MAX)


def test_a_scope_without_a_scheme() -> None:
    """The scheme is optional in ASGI; without it either may be the own one."""
    for origin, host in ((b"http://localhost", b"localhost"), (b"https://testserver", b"testserver")):
        scope = http_scope(method="POST") | from_origin(origin, host, "")
        del scope["scheme"]
        assert FOUND == Cookie()(scope, MAX)


SITES = [b"same-origin", b"none", b" same-origin\t"]
OTHER_SITES = [b"cross-site", b"same-site", b"", b"Same-Origin", b"same-origin, same-origin", b"x", b"\xff"]


@pytest.mark.parametrize("site", SITES)
def test_fetch_metadata_of_the_own_origin(site: bytes) -> None:
    """What the browser says of an own request, or of one that its user has made by hand, is fine."""
    assert FOUND == offered(csrf(VALUE), (b"sec-fetch-site", site))
    assert FOUND == offered(csrf(VALUE), (b"sec-fetch-site", site), (b"origin", b"https://testserver"))
    assert FOUND == shaken((b"sec-fetch-site", site), (b"origin", b"https://testserver"))


@pytest.mark.parametrize("site", OTHER_SITES)
def test_fetch_metadata_of_another_site(site: bytes) -> None:
    """Another site, another host of the same site, or anything unknown: refused, whatever the Origin claims."""
    # S10
    for own in ((), ((b"origin", b"https://testserver"),)):
        with pytest.raises(ForeignOriginError):
            offered(csrf(VALUE), (b"sec-fetch-site", site), *own)
    with pytest.raises(ForeignOriginError):
        shaken((b"sec-fetch-site", site), (b"origin", b"https://testserver"))


def test_an_own_page_that_hides_its_origin() -> None:
    """A page with `Referrer-Policy: no-referrer` sends `Origin: null`; the browser then says whose request it is."""
    hidden = (b"origin", b"null")
    assert FOUND == offered(csrf(VALUE), hidden, (b"sec-fetch-site", b"same-origin"))
    for site in (b"none", b"same-site", b"cross-site"):
        with pytest.raises(ForeignOriginError):
            offered(csrf(VALUE), hidden, (b"sec-fetch-site", site))
    for headers in ([hidden, hidden], [(b"origin", b"NULL")], [(b"origin", b"https://evil.example")]):
        with pytest.raises(ForeignOriginError):
            offered(csrf(VALUE), *headers, (b"sec-fetch-site", b"same-origin"))
    with pytest.raises(ForeignOriginError):
        shaken(hidden, (b"sec-fetch-site", b"same-origin"))


def test_repeated_fetch_metadata() -> None:
    """Said twice, it is not said."""
    same = (b"sec-fetch-site", b"same-origin")
    with pytest.raises(ForeignOriginError):
        offered(csrf(VALUE), same, same)


TRUSTING = Cookie(TokenCookies(trusted_origins=["https://app.example", "http://localhost:5173"]))


@pytest.mark.parametrize("origin", [b"https://app.example", b"http://localhost:5173"])
def test_a_trusted_origin(origin: bytes) -> None:
    """A trusted origin is as good as the own one, on another site too; it still needs the CSRF value."""
    headers = [(b"origin", origin), (b"sec-fetch-site", b"cross-site")]
    assert FOUND == offered(csrf(VALUE), *headers, source=TRUSTING)
    assert FOUND == shaken(*headers, source=TRUSTING)
    with pytest.raises(CSRFTokenError):
        offered(*headers, source=TRUSTING)


@pytest.mark.parametrize(
    "origin",
    [
        b"http://app.example",
        b"https://app.example:8443",
        b"https://app.example.",
        b"https://sub.app.example",
        b"https://APP.example",
        b"https://app.example/",
        b"http://localhost",
        b"http://localhost:51730",
        b"null",
    ],
)
def test_what_only_looks_like_a_trusted_origin(origin: bytes) -> None:
    """Trusted is what was written, byte for byte."""
    with pytest.raises(ForeignOriginError):
        offered(csrf(VALUE), (b"origin", origin), source=TRUSTING)
    with pytest.raises(ForeignOriginError):
        shaken((b"origin", origin), source=TRUSTING)


def test_a_handshake_needs_an_origin() -> None:
    """Browsers send it with every handshake; without it a cookie opens no socket, CSRF value or not."""  # S126
    for headers in ((), (csrf(VALUE),), ((b"sec-fetch-site", b"same-origin"),)):
        with pytest.raises(ForeignOriginError) as caught:
            shaken(*headers)
        assert 403 == caught.value.status


def test_a_handshake_needs_no_csrf_value() -> None:
    """No script can add one, so the Origin has to do; a wrong value does not matter then."""
    assert FOUND == shaken((b"origin", b"https://testserver"))
    assert FOUND == shaken((b"origin", b"https://testserver"), csrf(b"\xff"))


def test_the_origin_is_kept_for_the_log() -> None:
    """What was seen stays on the error, escaped and cut, and never in the answer."""  # S112, S149
    with pytest.raises(ForeignOriginError) as caught:
        offered((b"origin", b"https://evil\r\n\xff" + b"x" * 1000), csrf(VALUE))
    reason = "the origin is neither that of the Host nor among the trusted_origins of TokenCookies"
    expected = {"origin": ("https://evil\r\n\xff" + "x" * 1000)[:256], "host": "testserver", "reason": reason}
    assert expected == caught.value.evidence
    with pytest.raises(ForeignOriginError) as caught:
        offered((b"origin", b"x"), (b"origin", b"y"), csrf(VALUE))
    assert {**expected, "origin": "repeated"} == caught.value.evidence
    assert "The request comes from another origin." == str(caught.value)


def test_a_long_origin_is_foreign() -> None:
    """An origin longer than origins are is another one, also if the host is as long."""  # S7
    for length, is_own in ((512, True), (513, False)):
        origin = b"https://" + b"a" * (length - 8)
        scope = http_scope(method="POST") | from_origin(origin, origin[8:], "https")
        if is_own:
            assert FOUND == Cookie()(scope, MAX)
        else:
            with pytest.raises(ForeignOriginError):
                Cookie()(scope, MAX)


def test_the_origin_is_checked_by_itself() -> None:
    """Where a request is answered without any cookie, where it comes from can still be asked."""
    source = Cookie()
    assert None is source.check_origin(http_scope(method="POST"))
    assert None is source.check_origin(http_scope("/", (b"origin", b"https://testserver"), method="POST"))
    with pytest.raises(InvalidRequestError):
        source.check_origin(http_scope("/", (b"origin", b"null"), method="POST"))
    with pytest.raises(InvalidRequestError):
        source.check_origin(http_scope("/", (b"sec-fetch-site", b"cross-site"), method="POST"))
