"""What holds for every source under every framework: the same handlers, the same refusals, wherever the token comes from."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    TokenCookies,
    TokenError,
    WebSocketProtocol,
    create_access_token,
    create_refresh_token,
)
from asgi_jwt_claims.errors import (
    CSRFTokenError,
    ExpiredTokenError,
    ForeignOriginError,
    FreshTokenRequiredError,
    InvalidRequestError,
    InvalidSignatureError,
    MalformedCredentialsError,
    MissingScopeError,
    MissingTokenError,
    RepeatedCredentialsError,
    RoleRefusedError,
    TokenTooLargeError,
    WrongTypeError,
)
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.sources import InsecureWebSocketQuery
from asgi_jwt_claims.sources.csrf import csrf_digest
from tests.adapters.contract.test_contract import CLAIMS, is_answer, tampered
from tests.apps.adapter import Adapter, Site, Talk
from tests.conftest import HeldClock
from tests.raw_asgi import Header, bearer

pytestmark = pytest.mark.anyio

ALL = [BearerHeader(), Cookie(), WebSocketProtocol(), InsecureWebSocketQuery()]


def cookie(raw: str, name: str = "__Host-access_token") -> Header:
    return (b"cookie", f"theme=dark; {name}={raw}".encode())


class Sent(NamedTuple):
    """How a client offers something."""

    headers: tuple[Header, ...] = ()
    query: str = ""
    protocols: tuple[str, ...] = ()


class Way(NamedTuple):
    """One way for a token to come: alone, as a bad offer, twice."""

    source: str
    one: Callable[[str], Sent]
    bad: Callable[[], Sent]
    two: Callable[[str], Sent]
    malformed: type[TokenError] = InvalidRequestError


PARAMS = {
    "header": Way(
        "header",
        lambda raw: Sent((bearer(raw),)),
        lambda: Sent(((b"authorization", b"Bearer"),)),
        lambda raw: Sent((bearer(raw), bearer(raw))),
        MalformedCredentialsError,
    ),
    "cookie": Way(
        "cookie",
        lambda raw: Sent((cookie(raw),)),
        lambda: Sent((cookie('""'),)),  # without any value it would be absent
        lambda raw: Sent(((b"cookie", cookie(raw)[1] + b"; __Host-access_token=" + raw.encode()),)),
    ),
    "websocket_protocol": Way(
        "websocket_protocol",
        lambda raw: Sent(protocols=("chat", "bearer", raw)),
        lambda: Sent(protocols=("chat", "bearer")),
        lambda raw: Sent(protocols=("bearer", raw, "bearer", raw)),
    ),
    "websocket_query": Way(
        "websocket_query",
        lambda raw: Sent(query=f"?room=M%C3%BCnchen&access_token={raw}"),
        lambda: Sent(query="?access_token="),
        lambda raw: Sent(query=f"?access_token={raw}&access_token={raw}"),
    ),
}
HTTP = [PARAMS["header"], PARAMS["cookie"]]


@pytest.fixture(params=HTTP, ids=lambda way: way.source)
def way_in(request: pytest.FixtureRequest) -> Any:
    """How a token comes with a request."""
    return request.param


@pytest.fixture(params=PARAMS.values(), ids=lambda way: way.source)
def handshake(request: pytest.FixtureRequest) -> Any:
    """How a token comes with a handshake."""
    return request.param


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config, user_claims=CLAIMS)


async def get(site: Site, path: str, sent: Sent) -> Any:
    return await site.client.get(path + sent.query, headers=list(sent.headers))


async def shake(site: Site, path: str, sent: Sent, *headers: Header, says: str = "hello") -> Talk:
    """A handshake as a browser makes it, on a page of this site."""
    origin = (b"origin", site.origin.encode())
    return await site.shake(
        path + sent.query, *(headers or (origin,)), *sent.headers, protocols=sent.protocols, says=says
    )


def is_refusal(talk: Talk, error: TokenError) -> None:
    """The handshake was refused with the answer to `error`."""
    expected = dict(ErrorResponder().response_for(error).headers)
    assert (error.status, expected["www-authenticate"]) == (talk.status, talk.headers["www-authenticate"])


# Requests -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("required", [True, False])
async def test_the_claims_reach_the_handler(
    adapter: Adapter, config: JWTConfig, alice: str, way_in: Way, required: bool
) -> None:
    """Async, sync, tokenless or a method of a class: handlers are the same, wherever the token was."""
    async with adapter.open(config, required=required, sources=ALL) as site:
        for path in ("/protected", "/synchronous"):
            response = await get(site, path, way_in.one(alice))
            assert {"identity": "alice", "user_claims": CLAIMS, "current": True} == response.json()
        for path in ("/tokenless", "/method", "/unguarded", "/current", "/perhaps"):
            assert {"identity": "alice"} == (await get(site, path, way_in.one(alice))).json()
        assert {"identity": "alice", "source": way_in.source} == (await get(site, "/source", way_in.one(alice))).json()


@pytest.mark.parametrize("required", [True, False])
async def test_absence_and_mistakes(
    adapter: Adapter, config: JWTConfig, alice: str, way_in: Way, required: bool
) -> None:
    """Nothing offered is 401, something offered badly or twice 400, in each source and between two of them."""
    header, cookies = (way.one(alice) for way in HTTP)
    async with adapter.open(config, required=required, sources=ALL) as site:
        is_answer(await get(site, "/protected", Sent()), MissingTokenError())
        is_answer(await get(site, "/protected", Sent((cookie(alice, "access_token"),))), MissingTokenError())
        is_answer(await get(site, "/protected", way_in.bad()), way_in.malformed())
        is_answer(await get(site, "/protected", way_in.two(alice)), RepeatedCredentialsError())
        both = Sent((*header.headers, *cookies.headers))
        is_answer(await get(site, "/protected", both), RepeatedCredentialsError())
        for path in (f"/protected?access_token={alice}", f"/protected?bearer={alice}"):  # S8
            is_answer(await get(site, path, Sent(protocols=("bearer", alice))), MissingTokenError())


@pytest.mark.parametrize("required", [True, False])
async def test_tokens_that_are_no_good(
    adapter: Adapter, config: JWTConfig, clock: HeldClock, alice: str, way_in: Way, required: bool
) -> None:
    """Tampered, too long, of another type or expired: refused as ever."""
    config = config.replace(max_token_size=1024)
    async with adapter.open(config, required=required, sources=ALL) as site:
        is_answer(await get(site, "/protected", way_in.one(tampered(alice))), InvalidSignatureError())
        is_answer(await get(site, "/protected", way_in.one("a" * 1025)), TokenTooLargeError())
        refresh = create_refresh_token("alice", config)
        is_answer(await get(site, "/protected", way_in.one(refresh)), WrongTypeError())
        assert "refresh" == (await get(site, "/refresh", way_in.one(refresh))).json()["type"]
        is_answer(await get(site, "/refresh", way_in.one(alice)), WrongTypeError())
        clock.now += 3600
        is_answer(await get(site, "/protected", way_in.one(alice)), ExpiredTokenError())


@pytest.mark.parametrize("required", [True, False])
async def test_rules(adapter: Adapter, config: JWTConfig, way_in: Way, required: bool) -> None:
    """Roles, scopes and freshness are asked of the token, not of the place it was in."""
    admin = create_access_token("alice", config, roles="ADMIN", scope="read write", fresh=True)
    guest = create_access_token("alice", config, roles="GUEST", scope="read")
    async with adapter.open(config, required=required, sources=ALL) as site:
        for path in ("/admin", "/scoped", "/fresh", "/optional_admin"):
            assert "alice" == (await get(site, path, way_in.one(admin))).json()["identity"]
        is_answer(await get(site, "/admin", way_in.one(guest)), RoleRefusedError())
        is_answer(await get(site, "/scoped", way_in.one(guest)), MissingScopeError(scope="read write"))
        is_answer(await get(site, "/fresh", way_in.one(guest)), FreshTokenRequiredError())


async def test_optional(adapter: Adapter, config: JWTConfig, alice: str, way_in: Way) -> None:
    """Absence is tolerated where it is; a bad offer never becomes nobody."""  # S129
    async with adapter.open(config, required=False, sources=ALL) as site:
        for path in ("/optional", "/perhaps"):
            assert {"identity": None} == (await get(site, path, Sent())).json()
            assert {"identity": "alice"} == (await get(site, path, way_in.one(alice))).json()
            is_answer(await get(site, path, way_in.one(tampered(alice))), InvalidSignatureError())
            is_answer(await get(site, path, way_in.bad()), way_in.malformed())


@pytest.mark.parametrize("required", [True, False])
async def test_one_verification(
    adapter: Adapter, config: JWTConfig, way_in: Way, verifications: list[str], required: bool
) -> None:
    """Middleware, guard and handler together verify a token once, wherever it was."""
    raw = create_access_token("alice", config, roles="ADMIN")
    async with adapter.open(config, required=required, sources=ALL) as site:
        for path in ("/protected", "/method", "/unguarded", "/admin"):
            assert 200 == (await get(site, path, way_in.one(raw))).status_code
            assert [raw] == verifications
            verifications.clear()


async def test_a_route_that_names_its_sources(adapter: Adapter, config: JWTConfig, alice: str) -> None:
    """`jwt_required(sources=[...])` finds a token in these only, whatever else was sent, and whatever others look at."""
    bob = create_access_token("bob", config)
    header, cookies = (way.one(alice) for way in HTTP)
    async with adapter.open(config, required=False) as site:
        by_cookie = {"identity": "alice", "source": "cookie"}
        assert by_cookie == (await get(site, "/by_cookie", cookies)).json()
        assert by_cookie == (await get(site, "/by_cookie", Sent((*cookies.headers, bearer(bob))))).json()
        is_answer(await get(site, "/by_cookie", header), MissingTokenError())
        is_answer(await get(site, "/by_cookie", PARAMS["cookie"].one(tampered(alice))), InvalidSignatureError())
        is_answer(await get(site, "/by_cookie", PARAMS["cookie"].two(alice)), RepeatedCredentialsError())
        is_answer(await get(site, "/protected", cookies), MissingTokenError())
    async with adapter.open(config, required=False, sources=ALL) as site:
        by_header = {"identity": "alice", "source": "header"}
        assert by_header == (await get(site, "/by_header", header)).json()
        assert by_header == (await get(site, "/by_header", Sent((*header.headers, cookie(bob))))).json()
        is_answer(await get(site, "/by_header", cookies), MissingTokenError())
    async with adapter.open(config, sources=ALL) as site:
        is_answer(await get(site, "/by_header", cookies), MissingTokenError())
        assert by_header == (await get(site, "/by_header", header)).json()


# Unsafe requests with a cookie ----------------------------------------------------------------------------------------


async def post(site: Site, path: str, *headers: Header, content: bytes = b"") -> Any:
    return await site.client.post(path, headers=list(headers), content=content)


FORM: Header = (b"content-type", b"application/x-www-form-urlencoded")


@pytest.mark.parametrize("required", [True, False])
async def test_an_unsafe_request(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """With a cookie it needs the CSRF value in the header, and must not come from elsewhere."""  # S10
    raw = create_access_token("alice", config, roles="ADMIN")
    value = (b"x-csrf-token", csrf_digest(raw.encode()))
    async with adapter.open(config, required=required, sources=ALL) as site:
        own = (b"origin", site.origin.encode())
        for headers in ((value,), (value, own), (value, own, (b"sec-fetch-site", b"same-origin"))):
            assert {"identity": "alice"} == (await post(site, "/method", cookie(raw), *headers)).json()
        assert {"identity": "alice"} == (await post(site, "/method", bearer(raw))).json()
        for headers in (
            (),
            (own,),
            ((b"x-csrf-token", csrf_digest(b"x")),),
            ((b"x-csrf-token", "\u00fc\u20ac".encode()),),
            ((b"x-csrf-token", b"\xff\xfe"),),
            (value, value),
        ):
            is_answer(await post(site, "/method", cookie(raw), *headers), CSRFTokenError())
        for foreign in (
            (b"origin", b"https://evil.example"),
            (b"origin", b"null"),
            (b"origin", b"\xff"),
            (b"sec-fetch-site", b"cross-site"),
        ):
            is_answer(await post(site, "/method", cookie(raw), value, foreign), ForeignOriginError())


# The client leaves the end of a body behind that nobody wants, and trio notices.
@pytest.mark.filterwarnings("ignore:.*ByteStream.__aiter__:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("required", [True, False])
async def test_a_form(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """With the CSRF value in a field it is let in, and its handler reads all of it."""  # S10
    value = csrf_digest(alice.encode()).decode()
    async with adapter.open(config, required=required, sources=ALL) as site:
        for body in (
            f"csrf_token={value}",
            f"name=M%C3%BCller&csrf_token={value}",
            f"csrf_token={value}&a=" + "x" * 60_000,
        ):
            response = await post(site, "/form", cookie(alice), FORM, content=body.encode())
            assert {"identity": "alice", "source": "cookie", "body": body} == response.json()
        response = await post(site, "/form", bearer(alice), FORM, content=b"a=1")
        assert {"identity": "alice", "source": "header", "body": "a=1"} == response.json()
        for body in (
            "",
            "a=1",
            "csrf_token=",
            "csrf_token=x",
            f"csrf_token={value}&csrf_token={value}",
            "csrf_token=%FF",
        ):
            is_answer(await post(site, "/form", cookie(alice), FORM, content=body.encode()), CSRFTokenError())
        long = f"csrf_token={value}&a=".encode() + b"x" * 70_000
        is_answer(await post(site, "/form", cookie(alice), FORM, content=long), CSRFTokenError())
        text = (b"content-type", b"text/plain")
        is_answer(
            await post(site, "/form", cookie(alice), text, content=f"csrf_token={value}".encode()), CSRFTokenError()
        )


async def test_the_life_of_a_browser(adapter: Adapter, config: JWTConfig) -> None:
    """It logs in, is shown a form, sends it, and logs out: `set_token_cookies` and `csrf_token` know every framework."""
    cookies = TokenCookies(access_name="a", refresh_name="r", csrf_name="c", refresh_path="/", secure=False)
    config = config.replace(cookies=cookies)
    async with adapter.open(config, sources=[BearerHeader(), Cookie(cookies)]) as site:
        is_answer(await site.client.get("/page"), MissingTokenError())
        response = await site.client.get("/login")
        assert (200, ["no-store"]) == (response.status_code, response.headers.get_list("cache-control"))
        lines = response.headers.get_list("set-cookie")
        assert ["a", "r", "c"] == [line.partition("=")[0] for line in lines]
        assert {"a", "r", "c"} == set(site.client.cookies)
        value = (await site.client.get("/page")).json()["csrf_token"]
        assert value == site.client.cookies["c"]
        assert csrf_digest(site.client.cookies["a"].encode()).decode() in value.split(".")
        response = await site.client.post("/form", data={"csrf_token": value, "name": "M\u00fcller"})
        assert ("alice", "cookie") == (response.json()["identity"], response.json()["source"])
        is_answer(await site.client.post("/form", data={"name": "M\u00fcller"}), CSRFTokenError())
        assert 200 == (await site.client.get("/logout")).status_code
        assert {} == dict(site.client.cookies)
        is_answer(await site.client.get("/page"), MissingTokenError())


# Handshakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("required", [True, False])
async def test_a_websocket(adapter: Adapter, config: JWTConfig, alice: str, handshake: Way, required: bool) -> None:
    """The socket opens, its handler knows who is there and from where, and the token is not sent back."""  # S126
    async with adapter.open(config, required=required, sources=ALL) as site:
        talk = await shake(site, "/ws/echo", handshake.one(alice), says="salve")
    assert None is talk.status
    greeting, echo = talk.texts
    said = {"identity": "alice", "user_claims": CLAIMS, "source": handshake.source, "current": True}
    assert said == json.loads(greeting)
    assert "alice: salve" == echo
    assert ("bearer" if handshake.source == "websocket_protocol" else None) == talk.protocol


@pytest.mark.parametrize("required", [True, False])
async def test_a_websocket_that_stays_closed(
    adapter: Adapter, config: JWTConfig, clock: HeldClock, alice: str, handshake: Way, required: bool
) -> None:
    """Absent, bad, repeated, of another type, of another role or expired: refused before anything is accepted."""
    # S125
    admin, refresh = create_access_token("alice", config, roles="ADMIN"), create_refresh_token("alice", config)
    async with adapter.open(config, required=required, sources=ALL) as site:
        is_refusal(await shake(site, "/ws/echo", Sent()), MissingTokenError())
        is_refusal(await shake(site, "/ws/echo", handshake.one(tampered(alice))), InvalidSignatureError())
        is_refusal(await shake(site, "/ws/echo", handshake.one(refresh)), WrongTypeError())
        is_refusal(await shake(site, "/ws/echo", handshake.bad()), handshake.malformed())
        is_refusal(await shake(site, "/ws/echo", handshake.two(alice)), RepeatedCredentialsError())
        other = PARAMS["cookie" if handshake.source == "header" else "header"].one(alice)
        both = handshake.one(alice)._replace(headers=(*handshake.one(alice).headers, *other.headers))
        is_refusal(await shake(site, "/ws/echo", both), RepeatedCredentialsError())
        assert None is (await shake(site, "/ws/admin", handshake.one(admin))).status
        is_refusal(await shake(site, "/ws/admin", handshake.one(alice)), RoleRefusedError())
        assert None is (await shake(site, "/ws/refresh", handshake.one(refresh))).status
        is_refusal(await shake(site, "/ws/refresh", handshake.one(admin)), WrongTypeError())
        clock.now += 3600
        is_refusal(await shake(site, "/ws/echo", handshake.one(alice)), ExpiredTokenError())


@pytest.mark.parametrize("required", [True, False])
async def test_a_websocket_from_another_origin(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """A cookie opens no socket for another site, nor for one that does not say where it comes from."""  # S126
    sent = PARAMS["cookie"].one(alice)
    async with adapter.open(config, required=required, sources=ALL) as site:
        for origin in (b"https://evil.example", b"null", site.origin.encode() + b".evil.example"):
            is_refusal(await shake(site, "/ws/echo", sent, (b"origin", origin)), ForeignOriginError())
        is_refusal(await shake(site, "/ws/echo", sent, (b"x-other", b"x")), ForeignOriginError())


async def test_a_websocket_route_that_names_its_sources(adapter: Adapter, config: JWTConfig, alice: str) -> None:
    """The guard of a websocket route looks in its own sources only, before anything is accepted."""
    async with adapter.open(config, required=False) as site:
        talk = await shake(site, "/ws/by_cookie", PARAMS["cookie"].one(alice))
        assert (None, "cookie") == (talk.status, json.loads(talk.texts[0])["source"])
        is_refusal(await shake(site, "/ws/by_cookie", PARAMS["header"].one(alice)), MissingTokenError())
        is_refusal(await shake(site, "/ws/by_cookie", PARAMS["cookie"].one(tampered(alice))), InvalidSignatureError())
        is_refusal(await shake(site, "/ws/echo", PARAMS["cookie"].one(alice)), MissingTokenError())
