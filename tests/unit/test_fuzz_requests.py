"""Whatever a client writes into its headers, the answer is a refusal of ours, and never an accident."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    create_access_token,
    create_refresh_token,
)
from tests.conftest import HeldClock
from tests.raw_asgi import Exchange, Header, Recorder, Scope, ask, finish, http_scope, websocket_scope
from tests.support import SECRET

CONFIG = JWTConfig(secret_key=SECRET, clock=HeldClock())
ACCESS = create_access_token("alice", CONFIG, user_claims={"VERI TAS": "LUX MEA"}, scope="read", roles=["ADMIN"])
REFRESH = create_refresh_token("alice", CONFIG)
HEAD, PAYLOAD, SIGNATURE = ACCESS.encode().split(b".")

schemes = st.sampled_from(
    [b"Bearer ", b"bearer ", b"BEARER  ", b"Bearer", b"Bearer\t", b"JWT ", b"Basic ", b"DPoP ", b""]
)
segments = st.one_of(
    st.sampled_from([HEAD, PAYLOAD, SIGNATURE, b"", b"e30", b"bnVsbA", b"W10", b"IiI", b"MQ", b"eyJhbGciOiJub25lIn0"]),
    st.from_regex(rb"[A-Za-z0-9_=+/-]{0,40}", fullmatch=True),
    st.binary(max_size=40),
)
tokens = st.one_of(st.binary(max_size=200), st.lists(segments, max_size=6).map(b".".join))
values = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda scheme, token: scheme + token, schemes, tokens),
    st.builds(lambda scheme, token, tail: scheme + token + tail, schemes, tokens, st.binary(max_size=20)),
    st.integers(8000, 20000).map(lambda length: b"Bearer " + b"a" * length),
)
TOKENS = {ACCESS.encode(), REFRESH.encode()}


def refused(app: Recorder, answer: Exchange, prefix: str = "") -> None:
    assert [] == app.calls
    assert [f"{prefix}http.response.start", f"{prefix}http.response.body"] == answer.types
    assert answer.status in {400, 401}
    assert answer.headers["www-authenticate"].startswith('Bearer realm="api"')
    assert {"error", "error_description"} == set(answer.json)
    assert str(len(answer.body)) == answer.headers["content-length"]


def run(app: Recorder, scope: Scope, **options: Any) -> Exchange:
    """One request without an event loop, which would cost more than everything else."""
    messages: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        messages.append(message)

    # Connections that end with their token need one.
    finish(JWTMiddleware(app, CONFIG, end_with_token=False, **options)(scope, receive, send))
    return Exchange(messages)


@given(value=values)
@example(b"Bearer " + REFRESH.encode())
@example(b"Bearer " + ACCESS.encode() + b".")
@example(b"Bearer " + ACCESS.encode()[:-1])
@example(b"Bearer " + ACCESS.encode() + b"\x00")
@example(b"Bearer " + ACCESS.upper().encode())
@example(b"Bearer \xed\xa0\x80")
@example(b"Bearer " + b"." * 8000)
@example(b"Bearer eyJhbGciOiJub25lIn0.e30.")
def test_any_authorization_value_is_refused(value: bytes) -> None:
    """No value but a whole token is let in, for http and websocket (trap: never a 500 for a bad token)."""
    app = Recorder()
    refused(app, run(app, http_scope("/", (b"authorization", value))))
    refused(app, run(app, websocket_scope("/", (b"authorization", value))), "websocket.")


@given(lines=st.lists(st.one_of(values, st.sampled_from(sorted(b"Bearer " + raw for raw in TOKENS))), min_size=2))
def test_several_authorization_headers_are_refused(lines: list[bytes]) -> None:
    """More than one header is a bad request, even if each of them held a valid token."""  # S1
    app = Recorder()
    answer = run(app, http_scope("/", *((b"authorization", line) for line in lines)))
    refused(app, answer)
    assert 400 == answer.status


@given(
    scheme=st.tuples(*(st.sampled_from([letter, letter.upper()]) for letter in "bearer")).map("".join),
    spaces=st.integers(1, 60),
    around=st.tuples(st.text(" \t", max_size=5), st.text(" \t", max_size=5)),
    kind=st.sampled_from(["http", "websocket"]),
)
def test_what_is_minted_is_let_in(scheme: str, spaces: int, around: tuple[str, str], kind: str) -> None:
    """A minted token is let in however its header spells the scheme and spaces it, for http and websocket."""  # S4, S5
    app = Recorder()
    value = f"{around[0]}{scheme}{' ' * spaces}{ACCESS}{around[1]}".encode()
    run(app, (http_scope if kind == "http" else websocket_scope)("/", (b"authorization", value)))
    assert ("alice", {"VERI TAS": "LUX MEA"}) == (app.scope["token"].identity, app.scope["token"].user_claims)


@given(name=st.from_regex(rb"[A-Za-z0-9_-]{1,20}", fullmatch=True))
@example(name=b"Authorization")
@example(name=b"x-authorization")
@example(name=b"proxy-authorization")
@example(name=b"authorization_")
def test_a_token_elsewhere_is_no_token(name: bytes) -> None:
    """A good token under any other header, as servers spell them, is not even looked at."""  # S12, S14
    if name == b"authorization":
        return
    app = Recorder()
    answer = run(app, http_scope("/", (name, b"Bearer " + ACCESS.encode())))
    refused(app, answer)
    assert 'Bearer realm="api"' == answer.headers["www-authenticate"]


@given(query=st.sampled_from(["access_token", "token", "jwt", "bearer", "authorization"]), where=st.booleans())
def test_a_token_in_the_query_is_no_token(query: str, where: bool) -> None:
    """A good token in the query string, or in the path, is not even looked at."""  # S8
    app = Recorder()
    more = {"path": f"/{ACCESS}"} if where else {"query_string": f"{query}={ACCESS}".encode()}
    answer = run(app, http_scope("/") | more)
    refused(app, answer)
    assert 'Bearer realm="api"' == answer.headers["www-authenticate"]


@given(where=st.integers(0, len(ACCESS) - 1), byte=st.integers(0, 255))
def test_a_token_with_one_other_byte_is_refused(where: int, byte: int) -> None:
    """A token has one spelling: any byte changed, anywhere, and it is no token."""
    raw = bytearray(ACCESS.encode())
    app = Recorder()
    if raw[where] == byte:
        byte ^= 1
    raw[where] = byte
    refused(app, run(app, http_scope("/", (b"authorization", b"Bearer " + raw))))


@given(
    where=st.integers(0, len(ACCESS)), added=st.binary(min_size=1, max_size=4).filter(lambda added: added.strip(b" \t"))
)
def test_a_token_with_bytes_added_is_refused(where: int, added: bytes) -> None:
    """Anything added, anywhere in the token, and it is no token."""
    raw = ACCESS.encode()
    app = Recorder()
    refused(app, run(app, http_scope("/", (b"authorization", b"Bearer " + raw[:where] + added + raw[where:]))))


@given(value=st.binary(min_size=12, max_size=300))
def test_nothing_is_echoed(value: bytes) -> None:
    """No run of twelve bytes of the header comes back in the answer, but those of every answer."""  # S112

    def wire(credentials: bytes) -> bytes:
        answer = run(Recorder(), http_scope("/", (b"authorization", b"Bearer " + credentials)))
        return b"\n".join([answer.body, *(name + value for name, value in answer.start["headers"])])

    usual, sent = wire(b"") + wire(b"a.b.c"), wire(value)
    runs = [value[at : at + 12] for at in range(len(value) - 11)]
    assert [] == [run for run in runs if run in sent and run not in usual]


@given(
    headers=st.lists(
        st.tuples(st.binary(max_size=20).filter(lambda name: name != b"authorization"), st.binary(max_size=50))
    )
)
def test_other_headers_are_absence(headers: list[Header]) -> None:
    """No other header, whatever its name, is taken for credentials or opens anything."""  # S14
    app = Recorder()
    answer = run(app, http_scope("/", *headers))
    refused(app, answer)
    assert 'Bearer realm="api"' == answer.headers["www-authenticate"]


@given(path=st.text(max_size=40))
@example("/login/")
@example("/docs/../x")
def test_any_path_is_guarded(path: str) -> None:
    """No path but the exempt ones goes on, and none breaks the middleware."""  # S122
    app = Recorder()
    scope = http_scope("/") | {"path": path, "raw_path": path.encode("utf-8", "surrogatepass")}
    answer = run(app, scope, exempt=["/login", "/docs/*"])
    below = path.startswith("/docs/") and not any(part in {"", ".", ".."} for part in path[6:].rstrip("/").split("/"))
    if path == "/login" or below or path == "/docs/":
        return
    refused(app, answer)


@given(value=values)
def test_a_bad_token_is_recorded_when_not_required(value: bytes) -> None:
    """With `required=False` the request goes on as nobody, whatever the header was."""  # S129
    app = Recorder()
    run(app, http_scope("/", (b"authorization", value)), required=False)
    assert None is app.scope["token"]


@pytest.mark.anyio
async def test_the_token_of_this_module_is_good() -> None:
    """The refusals above are worth something: the unchanged token is let in."""
    app = Recorder()
    answer = await ask(JWTMiddleware(app, CONFIG), "/", (b"authorization", b"Bearer " + ACCESS.encode()))
    assert (200, "alice") == (answer.status, app.scope["token"].identity)
