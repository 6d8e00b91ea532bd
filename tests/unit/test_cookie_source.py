"""`Cookie`: the token in the one cookie of that very name, and mistakes that never become absence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    Cookie,
    JWTConfig,
    JWTMiddleware,
    TokenCookies,
    create_access_token,
    create_refresh_token,
)
from asgi_jwt_claims.errors import (
    InvalidRequestError,
    RepeatedCredentialsError,
    SettingError,
    TokenTooLargeError,
)
from asgi_jwt_claims.sources import DEFAULT_SOURCES, Credentials, extract_credentials
from asgi_jwt_claims.sources.cookie import cookie_values
from tests.raw_asgi import Header, Recorder, ask, http_scope

MAX = 256
NAME = b"__Host-access_token"
FOUND = Credentials(b"a.b.c", "cookie")


def offered(*values: bytes, source: Cookie | None = None) -> Credentials | None:
    """What a GET with these Cookie headers offers."""
    headers: list[Header] = [(b"cookie", value) for value in values]
    return (source or Cookie())(http_scope("/", *headers), MAX)


@pytest.mark.parametrize(
    "values",
    [
        (NAME + b"=a.b.c",),
        (b"theme=dark; " + NAME + b"=a.b.c; lang=en",),
        (NAME + b"=a.b.c;",),
        (b" \t" + NAME + b" = a.b.c\t",),  # RFC 6265 section 5.2 takes the white space away; one server leaves it
        (b"a=1;" + NAME + b"=a.b.c;b=2",),
        (b"theme=dark", NAME + b"=a.b.c"),  # HTTP/2 may bring them one by one (RFC 9113 section 8.2.3)
        (NAME + b"=a.b.c", b"theme=dark", b""),
        (b"\xff\xfe=\xff; " + NAME + b"=a.b.c; =; ;;",),
        (b'q="a; b"; ' + NAME + b"=a.b.c",),
        (b"x=" + NAME + b"; " + NAME + b"=a.b.c",),
    ],
)
def test_an_offer(values: tuple[bytes, ...]) -> None:
    """The cookie is found wherever it stands, among whatever others."""
    assert FOUND == offered(*values)


@pytest.mark.parametrize(
    "values",
    [
        (),
        (b"",),
        (b";",),
        (b"theme=dark",),
        (b"a.b.c",),
        (b"=a.b.c",),
        (b"access_token=a.b.c",),
        (b"__Secure-access_token=a.b.c",),
        (b"__host-access_token=a.b.c",),  # names are case-sensitive (RFC 6265 section 4.1.1)
        (b"__HOST-ACCESS_TOKEN=a.b.c",),
        (b"__Host-access_token2=a.b.c",),
        (b"__Host-access_tokens=a.b.c",),
        (b"x__Host-access_token=a.b.c",),
        (b"__Host-access-token=a.b.c",),
        (b"__Host-access_token\x00=a.b.c",),
        (b"__Host-access_token\xa0=a.b.c",),
        (b'"__Host-access_token"=a.b.c',),
        (b"__Host%2Daccess_token=a.b.c",),
        (b"theme=__Host-access_token=a.b.c",),
        (b"theme=dark, " + NAME + b"=a.b.c",),  # a comma divides no cookies
        (b"__Secure-refresh_token=a.b.c",),
        (b"__Host-csrf_token=a.b.c",),
    ],
)
def test_another_cookie_is_absence(values: tuple[bytes, ...]) -> None:
    """A name is that name, byte for byte, or it is another cookie's."""
    assert None is offered(*values)


@pytest.mark.parametrize("name", [b"Cookie", b"cookie2", b"set-cookie", b"x-cookie", b"cook_ie"])
def test_another_header_is_absence(name: bytes) -> None:
    """Cookies come in the one header, as servers spell it."""  # S12
    assert None is Cookie()(http_scope("/", (name, NAME + b"=a.b.c")), MAX)


@pytest.mark.parametrize(
    "content",
    [
        b'"a.b.c"',  # RFC 6265 lets a value stand in quotes; ours never does
        b'"',
        b"a.b.c d",
        b"a.b.c,d.e.f",
        b"Bearer a.b.c",
        b"a.b.c\x00",
        b"a.b\r\n.c",
        b"a.b.c\x7f",
        b"\xff\xfe",
        "ünï.cö.dé".encode(),
        b"a%2Eb%2Ec",
        b"=a.b.c",
        b"a=b.c",
        b"a.b.c\xa0",
        b"{}",
    ],
)
def test_a_malformed_cookie_is_an_error(content: bytes) -> None:
    """A cookie of the name that holds no token is wrong (400), never absence."""
    with pytest.raises(InvalidRequestError) as caught:
        offered(NAME + b"=" + content)
    assert 400 == caught.value.status
    assert "cookie" == caught.value.evidence["source"]


@pytest.mark.parametrize(
    "values", [(NAME + b"=",), (NAME + b" = \t; theme=dark",), (b"theme=dark; " + NAME,), (b"a=1", NAME + b"=")]
)
def test_an_empty_cookie_is_absence(values: tuple[bytes, ...]) -> None:
    """A cookie without a value, as scripts leave it behind that delete one, offers nothing."""  # S6
    assert None is offered(*values)


@pytest.mark.parametrize(
    "values",
    [
        (NAME + b"=a.b.c; " + NAME + b"=d.e.f",),  # planted by another host of the site, where the name has no prefix
        (NAME + b"=a.b.c; " + NAME + b"=a.b.c",),
        (NAME + b"=a.b.c", NAME + b"=d.e.f"),
        (NAME + b"=a.b.c; " + NAME + b"=",),
        (NAME + b"; " + NAME + b"=a.b.c",),
        (NAME + b"=a.b.c; x=y", b"y=z; " + NAME + b"= \xff"),
        (NAME + b"=;" + NAME + b"=;" + NAME + b"=",),
    ],
)
def test_a_planted_cookie_is_an_error(values: tuple[bytes, ...]) -> None:
    """Two cookies of the name are never a choice, whatever they hold (trap: the first or the last wins)."""
    with pytest.raises(RepeatedCredentialsError) as caught:
        offered(*values)
    assert {"cookie": "__Host-access_token"} == caught.value.evidence


def test_a_long_token_is_refused_by_its_length() -> None:
    """One of exactly the limit passes; a longer one is refused whatever its characters."""  # S7
    assert Credentials(b"a" * MAX, "cookie") == offered(NAME + b"=" + b"a" * MAX)
    for content in (b"a" * (MAX + 1), b"\xff" * (MAX + 1)):
        with pytest.raises(TokenTooLargeError):
            offered(NAME + b"=" + content)


@pytest.mark.parametrize("name", [NAME, b"other"])
def test_long_headers_are_refused_by_their_length(name: bytes) -> None:
    """Cookie headers that are longer together than browsers send them are refused, whatever they hold."""  # S7
    longest = b"x" * (64 * 1024 - len(NAME) - 8) + b"; " + NAME + b"=a.b.c"
    assert FOUND == offered(longest)
    assert FOUND == offered(longest[:1000], longest[1000:])
    for values in ((b"x" + longest,), (longest[:1000], longest[1000:], b"x"), (name + b"=" + b"x" * (64 * 1024),)):
        with pytest.raises(InvalidRequestError) as caught:
            offered(*values)
        assert ("cookie", "Cookie headers of such a length") == (
            caught.value.evidence["source"],
            caught.value.evidence["reason"],
        )


def test_many_cookies_with_the_name_in_them_are_refused() -> None:
    """The name may stand in as many other cookies as browsers keep, and in no more."""
    others = [b"x%d-" % number + NAME + b"=y" for number in range(192)]
    assert FOUND == offered(b"; ".join([*others[1:], NAME + b"=a.b.c"]))
    assert FOUND == offered(*others[1:], NAME + b"=a.b.c")
    for values in ([*others, NAME + b"=a.b.c"], [b"; ".join(others[:100]), *others[100:], NAME + b"=a.b.c"]):
        with pytest.raises(InvalidRequestError):
            offered(*values)


def test_white_space_around_the_name_is_bounded() -> None:
    """As much white space as may be around the name is taken away, and more makes another cookie of it."""
    assert FOUND == offered(b" " * 200 + NAME + b"\t" * 56 + b"=a.b.c")
    assert None is offered(b" " * 200 + NAME + b"\t" * 57 + b"=a.b.c")


PAIRS = st.lists(
    st.tuples(
        st.sampled_from([b"n", b" n", b"n\t", b"nn", b"xn", b"", b"other", b"n n"]),
        st.sampled_from([b"", b"=", b"=n", b"= v ", b"=v=n", b"=;n", b" =v"]),
    ).map(b"".join),
    max_size=6,
)


@given(st.lists(PAIRS.map(b";".join), max_size=3))
def test_what_is_found_is_what_stands_in_the_pairs(values: list[bytes]) -> None:
    """Values are those that a reader finds who divides the headers at each semicolon (RFC 6265 section 5.4)."""
    pairs = [pair.partition(b"=") for value in values for pair in value.split(b";")]
    expected = [content.strip(b" \t") for key, _, content in pairs if key.strip(b" \t") == b"n"][:2]
    scope = http_scope("/", *((b"cookie", value) for value in values))
    assert ([] if expected == [b""] else expected) == cookie_values(scope, b"n")


def test_the_refresh_cookie_is_another_one() -> None:
    """`type="refresh"` looks for the refresh cookie, and for nothing else."""
    both = b"__Host-access_token=a.b.c; __Secure-refresh_token=d.e.f"
    assert FOUND == offered(both)
    assert Credentials(b"d.e.f", "cookie") == offered(both, source=Cookie(type="refresh"))
    assert None is offered(NAME + b"=a.b.c", source=Cookie(type="refresh"))


def test_the_names_are_settings() -> None:
    """Other names can be chosen, and the usual ones are nothing then."""
    cookies = TokenCookies(access_name="one", refresh_name="two", csrf_name="three")
    header = b"one=a.b.c; two=d.e.f; three=g.h.i"
    assert FOUND == offered(header, source=Cookie(cookies))
    assert Credentials(b"d.e.f", "cookie") == offered(header, source=Cookie(cookies, type="refresh"))
    assert None is offered(NAME + b"=a.b.c", source=Cookie(cookies))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("access_token",), {}),
        (({"access_name": "x"},), {}),
        ((TokenCookies,), {}),
        ((0,), {}),
        ((), {"type": "id"}),
        ((), {"type": None}),
        ((), {"type": "AccessPolicy"}),
    ],
)
def test_what_says_nothing_of_cookies_is_refused(arguments: Any, options: Any) -> None:
    """Only `TokenCookies`, and one of the two types; the message says so."""
    with pytest.raises(SettingError, match=r"must be"):
        Cookie(*arguments, **options)


def test_cookies_are_no_source_unless_asked_for() -> None:
    """By default a token in a cookie is not looked at."""  # S10
    assert None is extract_credentials(http_scope("/", (b"cookie", NAME + b"=a.b.c")), DEFAULT_SOURCES, MAX)


@pytest.mark.anyio
async def test_the_token_of_a_cookie_is_a_token_like_any_other(config: JWTConfig) -> None:
    """The middleware verifies it, its type included, and says where it was found."""
    app = Recorder()
    guarded = JWTMiddleware(app, config, sources=[Cookie()])
    access, refresh = (make("alice", config).encode() for make in (create_access_token, create_refresh_token))
    assert 401 == (await ask(guarded, "/", (b"cookie", NAME + b"=" + refresh))).status
    assert 401 == (await ask(guarded, "/", (b"cookie", NAME + b"=" + access[:-2]))).status
    assert 401 == (await ask(guarded, "/", (b"authorization", b"Bearer " + access))).status
    assert 200 == (await ask(guarded, "/", (b"cookie", NAME + b"=" + access))).status
    assert ("alice", "cookie") == (app.scope["token"].identity, app.scope["token"].source)
