"""Forms: the CSRF value in a hidden field is found before the application reads the form, which then reads all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    Token,
    TokenCookies,
    create_access_token,
    create_refresh_token,
    verify_token,
)
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.sources import cookie as cookie_module
from asgi_jwt_claims.sources.csrf import csrf_digest
from asgi_jwt_claims.sources.forms import MAX_FORM, field_values
from asgi_jwt_claims.stores import MemoryStore, SQLiteStore
from tests.conftest import HeldClock
from tests.forging import forge
from tests.raw_asgi import Exchange, Header, Message, Receive, Scope, Send, bearer, drive, http_scope
from tests.support import SECRET

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop. What waits, and so could tell loops apart, is tested on both elsewhere."""
    return "asyncio"


RAW = forge()
VALUE = csrf_digest(RAW.encode())
COOKIE: Header = (b"cookie", b"__Host-access_token=" + RAW.encode())
FORM: Header = (b"content-type", b"application/x-www-form-urlencoded")
FIELD = b"csrf_token=" + VALUE

Pieces = Sequence[bytes | Message]


class Reader:
    """An application that receives until the client has gone, and keeps the very messages."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.identities: list[str | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.identities.append(scope["token"] and scope["token"].identity)
        while not self.received or self.received[-1]["type"] != "http.disconnect":
            self.received.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def messages_of(pieces: Pieces) -> list[Message]:
    """A body in pieces; what is a message already is left alone."""
    last = len(pieces) - 1
    return [
        {"type": "http.request", "body": piece, "more_body": at < last} if isinstance(piece, bytes) else piece
        for at, piece in enumerate(pieces)
    ]


async def post(
    app: Any, config: JWTConfig, pieces: Pieces, *headers: Header, method: str = "POST", **options: Any
) -> tuple[Exchange, list[Message]]:
    """What became of a form, and the messages that the server had."""
    sent = messages_of(pieces)
    guarded = JWTMiddleware(app, config, **{"sources": [BearerHeader(), Cookie()], **options})
    scope = http_scope("/", *(headers or (COOKIE, FORM)), method=method)
    return await drive(guarded, scope, *sent), sent


def same(received: list[Message], sent: list[Message]) -> bool:
    """Whether the application has had the very messages of the server, in their order, and then that all is over."""
    return [*map(id, sent)] == [*map(id, received[: len(sent)])] and len(received) <= len(sent) + 1


BODIES: dict[str, list[bytes]] = {
    "alone": [FIELD],
    "among others": [b"a=1&" + FIELD + b"&b=2"],
    "in pieces": [b"a=1&csrf_to", b"ken=", VALUE[:5], b"", VALUE[5:], b"&b=2"],
    "byte by byte": [bytes([byte]) for byte in b"a=1&" + FIELD],
    "an empty piece at the end": [FIELD, b""],
    "percent-encoded": [b"csrf%5Ftoken=" + quote(VALUE.decode()).replace("A", "%41").encode()],
    "with the value of both tokens": [b"csrf_token=" + csrf_digest(b"x") + b"." + VALUE],
    # Browsers encode as UTF-8, or as the page was encoded.
    "with a name from Cologne": [b"name=M%C3%BCller&" + FIELD],
    "with a name that is not encoded": ["name=Müller&".encode() + FIELD],
    "with latin-1": [b"name=M%FCller&" + FIELD + b"&x=\xff"],
    "with blanks": [b"a=&b&&=&" + FIELD],
    "with many fields": [b"a=1&" * 999 + FIELD],
    "as long as may be": [b"a=" + b"x" * (MAX_FORM - len(FIELD) - 3) + b"&" + FIELD],
    "as long as may be, in pieces": [FIELD + b"&a=", b"x" * (MAX_FORM - len(FIELD) - 3)],
}


@pytest.mark.parametrize("name", BODIES)
async def test_the_value_in_a_form(config: JWTConfig, name: str) -> None:
    """However the form arrives, the value in it counts, and the application receives the very same messages."""  # S10
    app = Reader()
    answer, sent = await post(app, config, BODIES[name])
    assert (200, ["alice"]) == (answer.status, app.identities)
    assert same(app.received, sent)


@pytest.mark.parametrize("field", ["csrf", "a b", "a+b", "a%b", "a&b=c", "\u00fc.[x]", "A%41"])
@pytest.mark.parametrize("spelled", [quote_plus, lambda name: "".join(f"%{byte:02x}" for byte in name.encode())])
def test_any_name_of_a_field(field: str, spelled: Callable[[str], str]) -> None:
    """A field of any name is found as browsers spell it, and with each character escaped; no other field is."""
    form = f"{spelled(field)}=x%41&{spelled(field + 'x')}=y&x{spelled(field)}=y&{spelled(field.swapcase() + '.')}=z"
    assert [b"xA"] == field_values(form.encode(), field.encode(), 10, 10)


REFUSED: dict[str, list[bytes]] = {
    "no body": [b""],
    "no field": [b"a=1&b=2"],
    "a blank field": [b"csrf_token="],
    "a name alone": [b"csrf_token"],
    "a wrong value": [b"csrf_token=" + csrf_digest(b"x")],
    "a value with a space": [FIELD + b"+"],
    "bytes": [b"csrf_token=\xff%FF"],
    "a repeated field": [FIELD + b"&" + FIELD],
    "a repeated field, one of them blank": [FIELD + b"&csrf_token="],
    "a repeated field, one of them encoded": [FIELD + b"&csrf%5Ftoken=x"],
    "another name": [b"CSRF_token=" + VALUE + b"&csrf-token=" + VALUE + b"&x-csrf-token=" + VALUE],
    "another separator": [b"a=1;" + FIELD],
    "too many fields": [b"a=1&" * 1000 + FIELD],
    "too many escapes": [FIELD + b"%41" * 257],
    "a byte too long": [FIELD + b"&a=" + b"x" * (MAX_FORM - len(FIELD) - 2)],
    "a piece too long": [FIELD + b"&a=", b"x" * MAX_FORM, b"x"],
    "megabytes": [FIELD, b"&a=" + b"x" * 5_000_000],
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_form_without_the_value(config: JWTConfig, name: str) -> None:
    """Absent, wrong, repeated or beyond the cap: 403; whoever demands no token reads all of the form all the same."""
    app, lax = Reader(), Reader()
    answer, _ = await post(app, config, REFUSED[name])
    assert (403, [], []) == (answer.status, app.identities, app.received)
    assert "The request lacks the CSRF value of its token." == answer.json["error_description"]
    answer, sent = await post(lax, config, REFUSED[name], required=False)
    assert (200, [None]) == (answer.status, lax.identities)
    assert same(lax.received, sent)


async def test_no_more_is_read_than_has_to_be(config: JWTConfig) -> None:
    """Reading ends with the piece that goes beyond the cap, and the rest is left to the application."""
    left = [{"type": "http.request", "body": b"x" * 50_000, "more_body": True} for _ in range(20)]
    waiting = iter(left)

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        pass

    guarded = JWTMiddleware(Reader(), config, sources=[Cookie()])
    await guarded(http_scope("/", COOKIE, FORM, method="POST"), receive, send)
    assert left[2:] == list(waiting)


async def test_a_client_that_leaves_in_the_middle(config: JWTConfig) -> None:
    """Half a form is none, even with the value in it; the application is told of both, the half and the leaving."""
    half: Message = {"type": "http.request", "body": FIELD + b"&amount=1", "more_body": True}
    gone: Message = {"type": "http.disconnect"}
    app, lax = Reader(), Reader()
    answer, _ = await post(app, config, [half, gone])
    assert (403, []) == (answer.status, app.received)
    _, sent = await post(lax, config, [half, gone], required=False)
    assert [None] == lax.identities
    assert [*map(id, sent)] == [*map(id, lax.received)]
    assert 403 == (await post(app, config, [gone]))[0].status


CONTENT_TYPES = [
    b"application/x-www-form-urlencoded; charset=utf-8",
    b"Application/X-WWW-Form-Urlencoded",
    b" \tapplication/x-www-form-urlencoded\t;",
]


@pytest.mark.parametrize("kind", CONTENT_TYPES)
async def test_how_a_form_is_announced(config: JWTConfig, kind: bytes) -> None:
    """Letter case, parameters and white space of the content type do not matter."""
    answer, _ = await post(Reader(), config, [FIELD], COOKIE, (b"content-type", kind))
    assert 200 == answer.status


async def unread(config: JWTConfig, *headers: Header, method: str = "POST", **options: Any) -> int:
    """The status of a request whose body must not be touched."""
    statuses: list[int] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guarded = JWTMiddleware(app, config, **{"sources": [BearerHeader(), Cookie()], **options})
    await guarded(http_scope("/", *headers, method=method), receive, send)
    return statuses[0]


@pytest.mark.parametrize(
    "kinds",
    [
        (),
        (b"",),
        (b"application/json",),
        (b"multipart/form-data; boundary=x",),
        (b"text/plain",),  # what else a form on another site can send
        (b"application/x-www-form-urlencoded-not",),
        (b"text/plain; application/x-www-form-urlencoded",),
        (FORM[1], FORM[1]),
        (b"\xff",),
    ],
)
async def test_what_is_no_form_is_not_read(config: JWTConfig, kinds: tuple[bytes, ...]) -> None:
    """A body that is not announced as a form, or as two things, has no field: 403, unread."""  # S9
    assert 403 == await unread(config, COOKIE, *((b"content-type", kind) for kind in kinds))


async def test_nothing_is_read_that_is_not_needed(config: JWTConfig) -> None:
    """Without the cookie, with the CSRF header, for safe methods and on exempt paths the body is left alone."""  # S9
    value = (b"x-csrf-token", VALUE)
    assert 401 == await unread(config, FORM)
    assert 401 == await unread(config, FORM, (b"cookie", b"x__Host-access_token=x"))
    assert 200 == await unread(config, FORM, bearer(RAW))
    assert 200 == await unread(config, FORM, COOKIE, value)
    assert 200 == await unread(config, FORM, COOKIE, method="GET")
    assert 200 == await unread(config, FORM, COOKIE, exempt=["/"])
    assert 403 == await unread(config, FORM, COOKIE, (b"x-csrf-token", b"wrong"))
    assert 403 == await unread(config, FORM, COOKIE, (b"x-csrf-token", b""))
    assert 403 == await unread(config, FORM, COOKIE, value, value)
    assert 400 == await unread(config, FORM, (b"cookie", COOKIE[1] + b"; " + b"x" * 70_000))


async def test_a_header_that_is_wrong_is_not_mended_by_the_form(config: JWTConfig) -> None:
    """The header decides where there is one."""
    answer, _ = await post(Reader(), config, [FIELD], COOKIE, FORM, (b"x-csrf-token", b"wrong"))
    assert 403 == answer.status


async def test_the_name_of_the_field_is_a_setting(config: JWTConfig) -> None:
    """Another field can be named, in any letters, and the usual one is nothing then."""
    source = Cookie(TokenCookies(csrf_field="jeton é"))
    for name in (b"jeton+%C3%A9", "jeton+é".encode()):
        answer, _ = await post(Reader(), config, [name + b"=" + VALUE], sources=[source])
        assert 200 == answer.status
    assert 403 == (await post(Reader(), config, [FIELD], sources=[source]))[0].status


async def test_nested_middlewares(config: JWTConfig) -> None:
    """Each reads what the one around it has read, and the application receives the same in the end."""
    for options in ({}, {"sources": [Cookie()]}, {"required": False}):
        app = Reader()
        inner = JWTMiddleware(app, config, sources=[BearerHeader(), Cookie()])
        answer, sent = await post(inner, config, [b"a=1&", FIELD], **options)
        assert (200, ["alice"]) == (answer.status, app.identities)
        assert same(app.received, sent)


async def test_two_kinds_of_cookies(config: JWTConfig) -> None:
    """Of two cookie sources the one whose cookie came is asked what it wants."""
    other = Cookie(TokenCookies(access_name="other", csrf_field="other_field"))
    theirs: Header = (b"cookie", b"other=" + RAW.encode())
    for cookie, body in ((COOKIE, FIELD), (theirs, b"other_field=" + VALUE)):
        answer, _ = await post(Reader(), config, [body], cookie, FORM, sources=[Cookie(), other])
        assert 200 == answer.status
    assert 403 == (await post(Reader(), config, [FIELD], theirs, FORM, sources=[Cookie(), other]))[0].status


async def test_a_form_from_another_origin(config: JWTConfig) -> None:
    """A page of another origin is refused even if it had the value."""  # S10
    for foreign in ((b"origin", b"https://evil.example"), (b"origin", b"null"), (b"sec-fetch-site", b"cross-site")):
        answer, _ = await post(Reader(), config, [FIELD], COOKIE, FORM, foreign)
        assert (403, "The request comes from another origin.") == (answer.status, answer.json["error_description"])


async def test_the_token_itself_is_still_checked(clock: HeldClock) -> None:
    """A form with the right value for a token that is no good is a 401."""
    config = JWTConfig(secret_key=SECRET, clock=clock)
    raw = create_access_token("alice", config)
    form = b"csrf_token=" + csrf_digest(raw.encode())
    cookie = (b"cookie", b"__Host-access_token=" + raw.encode())
    assert 200 == (await post(Reader(), config, [form], cookie, FORM))[0].status
    clock.now += 3600
    assert 401 == (await post(Reader(), config, [form], cookie, FORM))[0].status


async def test_a_form_in_too_many_pieces(config: JWTConfig) -> None:
    """Pieces are kept until the application takes them, so there is an end to them too, however little is in each."""
    counts: list[int] = []
    endless = 0

    async def receive() -> Message:
        nonlocal endless
        endless += 1
        return {"type": "http.request", "body": b"", "more_body": True}

    async def send(message: Message) -> None:
        counts.append(message.get("status", 0))

    guarded = JWTMiddleware(Reader(), config, sources=[BearerHeader(), Cookie()])
    await guarded(http_scope("/", COOKIE, FORM, method="POST"), receive, send)
    assert (403, 1024) == (counts[0], endless)
    answer, _ = await post(Reader(), config, [*[b""] * 1000, FIELD])
    assert 200 == answer.status


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("reached")


def typed(raw: str) -> Header:
    return (b"cookie", b"__Host-access_token=" + raw.encode())


@pytest.mark.parametrize("options", [{}, {"required": False}])
async def test_nothing_is_read_unless_the_token_is_good(config: JWTConfig, options: dict[str, Any]) -> None:
    """A form is read only where nothing but its CSRF value is wanting: not for a bad token, nor one of another type."""

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    statuses: list[int] = []
    tokens = {
        "junk": 401,
        create_access_token("alice", config.replace(secret_key=SECRET[::-1])): 401,
        create_access_token("alice", config, lifetime=1): 401,
        create_refresh_token("alice", config): 401,
        create_access_token("alice", config): 403,
    }
    foreign: Header = (b"origin", b"https://evil.example")
    later = config.replace(clock=lambda: config.clock() + 60)
    for raw, expected in tokens.items():
        app = never if options == {} else unguarded_reader
        headers = (typed(raw), FORM) if expected == 401 else (typed(raw), FORM, foreign)
        guarded = JWTMiddleware(app, later, sources=[BearerHeader(), Cookie()], **options)
        await guarded(http_scope("/", *headers, method="POST"), receive, send)
        assert [expected if options == {} else 200, 0] == statuses
        statuses.clear()


async def unguarded_reader(scope: Scope, receive: Receive, send: Send) -> None:
    assert None is scope["token"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_a_store_is_asked_after_the_form(config: JWTConfig, tmp_path: Any) -> None:
    """A form with a wrong value costs no question to the store, and one with the right value one."""
    asked: list[str] = []

    class Counting(SQLiteStore):
        async def check(self, token: Token, config: JWTConfig) -> bool:
            asked.append(token.identity)
            return await super().check(token, config)

    store = Counting(tmp_path / "store")
    raw = create_access_token("alice", config)
    for value, status in ((b"wrong", 403), (csrf_digest(raw.encode()), 200)):
        answer, _ = await post(Reader(), config, [b"csrf_token=" + value], typed(raw), FORM, store=store)
        assert status == answer.status
    assert ["alice"] == asked
    await revoke_token(verify_token(raw, config), config, store)
    answer, _ = await post(Reader(), config, [b"csrf_token=" + value], typed(raw), FORM, store=store)
    assert 401 == answer.status


async def test_what_is_known_to_be_revoked_is_not_read_for(config: JWTConfig, clock: HeldClock) -> None:
    """A store that knows at once that a token is revoked spares its form."""
    store = MemoryStore(clock=clock)
    raw = create_access_token("alice", config)
    await revoke_token(verify_token(raw, config), config, store)
    app = Reader()
    answer, _ = await post(app, config, [never], typed(raw), FORM, store=store)  # type: ignore[list-item]
    assert (401, []) == (answer.status, app.received)


async def test_a_cookie_is_looked_for_once(config: JWTConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cookie that was found is the one whose value is checked when the form has been read."""
    looked: list[bytes] = []
    search = cookie_module.cookie_values

    def counted(scope: Scope, name: bytes) -> list[bytes]:
        looked.append(name)
        return search(scope, name)

    monkeypatch.setattr(cookie_module, "cookie_values", counted)
    for body, status in ((FIELD, 200), (b"csrf_token=x", 403)):
        assert status == (await post(Reader(), config, [body]))[0].status
        assert [b"__Host-access_token"] == looked
        looked.clear()


async def test_a_source_around_a_cookie(config: JWTConfig) -> None:
    """A source of the application that hands on what `Cookie` finds is held to the form as well, str or bytes."""

    def mine(scope: Any, max_size: int) -> Any:
        offered = Cookie()(scope, max_size)
        return offered and offered._replace(token=offered.token.decode())

    for body, status in ((FIELD, 200), (b"a=b", 403)):
        assert status == (await post(Reader(), config, [body], sources=[mine]))[0].status
