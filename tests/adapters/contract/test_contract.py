"""What holds under every framework: the same handlers, the same tokens, the same answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import starlette

from asgi_jwt_claims import (
    AuthEvent,
    ErrorResponse,
    JWTConfig,
    Token,
    TokenError,
    create_access_token,
    create_refresh_token,
    verify_token,
)
from asgi_jwt_claims.access import Roles, Scopes
from asgi_jwt_claims.auth import authenticator as auth_module
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    AmbiguousPathError,
    EncryptedTokenError,
    ExpiredTokenError,
    FreshTokenRequiredError,
    InvalidSignatureError,
    MalformedCredentialsError,
    MalformedTokenError,
    MissingScopeError,
    MissingTokenError,
    RepeatedCredentialsError,
    RoleRefusedError,
    TokenTooLargeError,
    WrongTypeError,
)
from asgi_jwt_claims.responses import ErrorResponder
from tests.apps.adapter import ROUTES, Adapter
from tests.conftest import HeldClock
from tests.forging import forge
from tests.raw_asgi import bearer

pytestmark = pytest.mark.anyio

CLAIMS = {"VERI TAS": "LUX MEA", "nested": {"list": [1, None, "\u00fc"]}}
REQUEST_SCOPES = ("protected", "synchronous", "tokenless", "method")
LAX = {"optional", "optional_admin", "perhaps", "current"}  # what answers without a token when nothing demands one


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config, user_claims=CLAIMS)


def tampered(raw: str) -> str:
    head, payload, signature = raw.split(".")
    return f"{head}.{payload}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBA'}"


def is_answer(response: Any, error: TokenError) -> None:
    """The response is the answer to `error`, byte for byte, under every framework."""  # S111
    expected = ErrorResponder().response_for(error)
    headers = {name: response.headers.get_list(name) for name, _ in expected.headers}
    assert expected.status == response.status_code
    assert expected.body == response.content
    assert {name: [value] for name, value in expected.headers} == headers


@pytest.mark.parametrize("required", [True, False])
async def test_the_claims_reach_the_handler(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """`async def protected(request: Request, token: Token)` is the same text everywhere, and a sync one works too."""
    async with adapter.open(config, required=required) as site:
        for path in ("/protected", "/synchronous"):
            response = await site.get(path, alice)
            assert 200 == response.status_code
            assert {"identity": "alice", "user_claims": CLAIMS, "current": True} == response.json()


@pytest.mark.parametrize("required", [True, False])
async def test_a_handler_without_a_token_parameter(
    adapter: Adapter, config: JWTConfig, alice: str, required: bool
) -> None:
    """The guard guards, whether or not the handler wants the token."""
    async with adapter.open(config, required=required) as site:
        assert {"identity": "alice"} == (await site.get("/tokenless", alice)).json()
        is_answer(await site.get("/tokenless"), MissingTokenError())


@pytest.mark.parametrize("required", [True, False])
async def test_methods_of_a_class(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """Methods are guarded like functions, each by its own rules, async and sync."""
    user, admin = (create_access_token("alice", config, roles=role) for role in ("USER", "ADMIN"))
    async with adapter.open(config, required=required) as site:
        assert {"identity": "alice"} == (await site.get("/method", user)).json()
        is_answer(await site.client.post("/method", headers={"authorization": f"Bearer {user}"}), RoleRefusedError())
        admitted = await site.client.post("/method", headers={"authorization": f"Bearer {admin}"})
        assert {"identity": "alice"} == admitted.json()
        is_answer(await site.client.post("/method"), MissingTokenError())


@pytest.mark.parametrize("required", [True, False])
async def test_absence(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """Without credentials nobody gets in; the challenge carries no error code."""
    async with adapter.open(config, required=required) as site:
        for name in REQUEST_SCOPES:
            is_answer(await site.get(f"/{name}"), MissingTokenError())
            is_answer(await site.lines(f"/{name}", b"Basic dXNlcjpwYXNz"), MissingTokenError())  # S4


async def test_every_route_is_protected(adapter: Adapter, config: JWTConfig) -> None:
    """Wrapped means protected: routes without a guard, and routes that do not exist."""
    async with adapter.open(config) as site:
        for name in (*ROUTES, "unknown", "method/below"):
            is_answer(await site.get(f"/{name}"), MissingTokenError())


async def test_without_demand_the_handlers_decide(adapter: Adapter, config: JWTConfig) -> None:
    """With `required=False` exactly the guarded handlers, and those that read the token, refuse."""
    async with adapter.open(config, required=False) as site:
        statuses = {name: (await site.get(f"/{name}")).status_code for name in (*ROUTES, "unknown")}
    assert {
        **dict.fromkeys(ROUTES, 401),
        **dict.fromkeys(LAX, 200),
        "unknown": 404,
    } == statuses


@pytest.mark.parametrize("required", [True, False])
async def test_expiry(adapter: Adapter, config: JWTConfig, clock: HeldClock, alice: str, required: bool) -> None:
    """An expired token is refused, the one before it was not."""
    async with adapter.open(config, required=required) as site:
        assert 200 == (await site.get("/protected", alice)).status_code
        clock.now += 3600
        is_answer(await site.get("/protected", alice), ExpiredTokenError())


@pytest.mark.parametrize("required", [True, False])
async def test_tampering(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """A forged signature is refused everywhere, where the token is optional too (trap: answered 500)."""
    async with adapter.open(config, required=required) as site:
        for name in sorted({*ROUTES} - {"current"}):
            is_answer(await site.get(f"/{name}", tampered(alice)), InvalidSignatureError())


JUNK: dict[str, TokenError] = {
    "a.b.c": MalformedTokenError(),
    "x": MalformedTokenError(),
    "." * 100: MalformedTokenError(),
    "e30.e30.AAAA": AlgorithmRefusedError(),
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.": MalformedTokenError(),
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.AAAA": AlgorithmRefusedError(),
    "eyJhbGciOiJYWDI1NiJ9.eyJzdWIiOiJhbGljZSJ9.AAAA": AlgorithmRefusedError(),
    "a.b.c.d.e": EncryptedTokenError(),
    "a" * 1025: TokenTooLargeError(),  # S7
}


@pytest.mark.parametrize("required", [True, False])
async def test_junk(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """Junk is an invalid token, never a server error (trap: `alg: none` and an unknown `alg` answered 500)."""
    async with adapter.open(config.replace(max_token_size=1024), required=required) as site:
        for raw, error in JUNK.items():
            is_answer(await site.get("/protected", raw), error)


BAD_REQUESTS: tuple[tuple[tuple[bytes, ...], TokenError], ...] = (
    ((b"Bearer a.b.c", b"Bearer a.b.c"), RepeatedCredentialsError()),  # S1
    ((b"Bearer a.b.c", b"Basic dXNlcg=="), RepeatedCredentialsError()),
    ((b"Bearer a.b.c, Bearer d.e.f",), MalformedCredentialsError()),  # S2
    ((b"Bearer",), MalformedCredentialsError()),  # S6
    ((b"",), MalformedCredentialsError()),
    ((b"Bearer a b",), MalformedCredentialsError()),
    ((b"Bearer\ta.b.c",), MalformedCredentialsError()),  # S5
    ((b"Bearer \xff\xfe",), MalformedCredentialsError()),
    (("Bearer \u00fc".encode("latin-1"),), MalformedCredentialsError()),
    (("Bearer \u00fc".encode(),), MalformedCredentialsError()),
    ((b"Bearer \xed\xa0\x80",), MalformedCredentialsError()),  # half of a surrogate pair
)


@pytest.mark.parametrize("required", [True, False])
async def test_bad_requests(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """Credentials sent badly are a bad request (400), whoever asks (trap: non-ASCII header answered 500)."""
    async with adapter.open(config, required=required) as site:
        for values, error in BAD_REQUESTS:
            is_answer(await site.lines("/protected", *values), error)
            is_answer(await site.lines("/optional", *values), error)


@pytest.mark.parametrize("required", [True, False])
async def test_two_valid_headers(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """Even two equal valid tokens are one too many."""  # S1
    async with adapter.open(config, required=required) as site:
        is_answer(await site.get("/protected", alice, alice), RepeatedCredentialsError())


@pytest.mark.parametrize("required", [True, False])
async def test_types(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """A refresh token opens the refresh route and no other; an access token the reverse (trap: any type counted)."""
    raw = create_refresh_token("alice", config, user_claims=CLAIMS)
    async with adapter.open(config, required=required) as site:
        refreshed = await site.get("/refresh", raw)
        assert {"identity": "alice", "type": "refresh", "user_claims": CLAIMS} == refreshed.json()
        is_answer(await site.get("/refresh", alice), WrongTypeError())
        is_answer(await site.get("/refresh"), MissingTokenError())
        is_answer(await site.get("/refresh", tampered(raw)), InvalidSignatureError())
        for name in (*REQUEST_SCOPES, "optional", "unguarded", "perhaps"):
            is_answer(await site.get(f"/{name}", raw), WrongTypeError())


@pytest.mark.parametrize("required", [True, False])
async def test_freshness(adapter: Adapter, config: JWTConfig, clock: HeldClock, alice: str, required: bool) -> None:
    """A fresh handler wants a fresh token, and says so in the words of RFC 9470."""
    fresh = create_access_token("alice", config, fresh=True)
    async with adapter.open(config, required=required) as site:
        assert {"identity": "alice"} == (await site.get("/fresh", fresh)).json()
        is_answer(await site.get("/fresh", alice), FreshTokenRequiredError())


NO_ROLE: Any = None


# Path: roles that are admitted, roles that are refused.
ROLES: dict[str, tuple[list[Any], list[Any]]] = {
    "/admin": (["ADMIN", ["ADMIN"], ["USER", "ADMIN"]], [NO_ROLE, "MIN", "ADMINS", "admin", "A", ["USER"], []]),
    "/either": (["EDITOR", "ADMIN", ["X", "EDITOR"]], [NO_ROLE, "EDITOR, ADMIN", "E", ["X"]]),
    "/nobody": ([], [NO_ROLE, "ADMIN", ["ADMIN", "ROOT"]]),
    "/unbanned": (["USER", "BAN", ["A", "B"]], [NO_ROLE, "BANNED", ["USER", "BANNED"]]),
    "/optional_admin": (["ADMIN"], [NO_ROLE, "USER"]),
}


@pytest.mark.parametrize("required", [True, False])
async def test_roles(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """Roles are compared whole (traps: `allow=[]` admitted all, "MIN" passed `allow="ADMIN"`, no role was a 500)."""
    async with adapter.open(config, required=required) as site:
        for path, (admitted, refused) in ROLES.items():
            for roles in admitted:
                response = await site.get(path, create_access_token("alice", config, roles=roles))
                assert (200, {"identity": "alice"}) == (response.status_code, response.json())
            for roles in refused:
                raw = create_access_token("alice", config, roles=roles)
                is_answer(await site.get(path, raw), RoleRefusedError())


@pytest.mark.parametrize("required", [True, False])
async def test_scopes(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """All scopes are needed, and the challenge lists all of them, for whoever is known."""  # S116
    async with adapter.open(config, required=required) as site:
        response = await site.get("/scoped", create_access_token("alice", config, scope="write admin read"))
        assert {"identity": "alice", "scopes": ["admin", "read", "write"]} == response.json()
        for scope in (None, "read", "write", "reads write", "READ WRITE"):
            raw = create_access_token("alice", config, scope=scope)
            is_answer(await site.get("/scoped", raw), MissingScopeError(scope="read write"))
        is_answer(await site.get("/scoped"), MissingTokenError())


@pytest.mark.parametrize("required", [True, False])
async def test_a_rule(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """A rule lets pass what it says, and one answer names all that is missing: a login and scopes, or scopes alone."""
    # S116
    step_up: dict[str, Any] = {"acr_values": "gold silver", "max_age": 300}
    refused: list[tuple[dict[str, Any], TokenError]] = [
        ({}, FreshTokenRequiredError(scope="read", **step_up)),
        ({"scope": "read", "acr": "tin", "fresh": True}, FreshTokenRequiredError(**step_up)),
        ({"scope": "read", "acr": "gold"}, FreshTokenRequiredError(**step_up)),
        ({"roles": "ADMIN"}, MissingScopeError(scope="read")),
        ({"scope": "read", "roles": "ADMIN", "acr": ["gold"]}, FreshTokenRequiredError(acr_values="gold silver")),
    ]
    async with adapter.open(config, required=required) as site:
        for claims in ({"scope": "read", "roles": ["ADMIN"]}, {"scope": "read x", "acr": "silver", "fresh": True}):
            assert {"identity": "alice"} == (await site.get("/ruled", forge(claims))).json()
        for claims, error in refused:
            is_answer(await site.get("/ruled", forge(claims)), error)
        is_answer(await site.get("/ruled"), MissingTokenError())


@pytest.mark.parametrize("required", [True, False])
async def test_asking_in_a_handler(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """`require` demands the same as a guard, with the same answers, in async and sync handlers."""
    both, role, scopes = (
        create_access_token("alice", config, **more)
        for more in ({"roles": "ADMIN", "scope": "write"}, {"roles": "ADMIN"}, {"scope": "read write"})
    )
    async with adapter.open(config, required=required) as site:
        for path, raws in (("/asking", (both, scopes)), ("/asking_sync", (both, role))):
            for raw in raws:
                assert {"identity": "alice"} == (await site.get(path, raw)).json()
            is_answer(await site.get(path, tampered(alice)), InvalidSignatureError())
            is_answer(await site.get(path), MissingTokenError())
        is_answer(await site.get("/asking", role), MissingScopeError(scope="write"))
        is_answer(await site.get("/asking", alice), MissingScopeError(scope="write read"))
        is_answer(await site.get("/asking_sync", scopes), RoleRefusedError())


RULES = {
    "GET /protected": Scopes("read"),
    "/PROTECTED": ~Roles("BANNED"),
    "/perhaps/*": Roles("ADMIN"),
    "/unknown/*": Roles("ADMIN"),
    "/ws/echo": Scopes("chat"),
}


@pytest.mark.parametrize("required", [True, False])
async def test_rules_for_paths(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """All rules for a path hold before the application is called, for unknown paths and websockets too."""  # S122
    admin, reader, banned, chatter = (
        create_access_token("alice", config, **more)
        for more in (
            {"roles": "ADMIN"},
            {"scope": "read", "roles": "USER"},
            {"scope": "read", "roles": "BANNED"},
            {"scope": "chat"},
        )
    )
    async with adapter.open(config, required=required, rules=RULES) as site:
        assert 200 == (await site.get("/protected", reader)).status_code
        is_answer(await site.get("/protected", banned), RoleRefusedError())
        is_answer(await site.get("/protected/", admin), MissingScopeError(scope="read"))
        for path in ("/perhaps", "/perhaps/", "/unknown/path"):
            is_answer(await site.get(path), MissingTokenError())
            is_answer(await site.get(path, reader), RoleRefusedError())
        assert (200, 404) == tuple(
            [(await site.get(path, admin)).status_code for path in ("/perhaps", "/unknown/path")]
        )
        for path in ("//perhaps", "/protected;x", "/%70erhaps"):
            url = str(site.client.base_url).rstrip("/") + path
            is_answer(await site.get(url, admin), AmbiguousPathError())
        assert None is (await site.talk("/ws/echo", chatter)).status
        assert 403 == (await site.talk("/ws/echo", alice)).status
        assert 401 == (await site.talk("/ws/echo")).status
        assert 400 == (await site.talk("/ws/./echo", chatter)).status
        assert 200 == (await site.get("/tokenless", alice)).status_code


async def test_optional(adapter: Adapter, config: JWTConfig, clock: HeldClock, alice: str) -> None:
    """Optional tolerates absence; a bad token never becomes nobody."""  # S129
    async with adapter.open(config, required=False) as site:
        for path in ("/optional", "/perhaps", "/optional_admin"):
            assert (200, {"identity": None}) == (
                (response := await site.get(path)).status_code,
                response.json(),
            )
            is_answer(await site.get(path, tampered(alice)), InvalidSignatureError())
            is_answer(await site.lines(path, b""), MalformedCredentialsError())
        assert {"identity": "alice"} == (await site.get("/optional", alice)).json()
        clock.now += 3600
        is_answer(await site.get("/optional", alice), ExpiredTokenError())
        is_answer(await site.get("/perhaps", alice), ExpiredTokenError())


async def test_reading_without_a_guard(adapter: Adapter, config: JWTConfig, clock: HeldClock, alice: str) -> None:
    """`get_token` in a handler answers for itself: the recorded error becomes the right response."""
    async with adapter.open(config, required=False) as site:
        assert {"identity": "alice"} == (await site.get("/unguarded", alice)).json()
        is_answer(await site.get("/unguarded"), MissingTokenError())
        is_answer(await site.get("/unguarded", tampered(alice)), InvalidSignatureError())
        is_answer(await site.get("/unguarded", alice, alice), RepeatedCredentialsError())
        clock.now += 3600
        is_answer(await site.get("/unguarded", alice), ExpiredTokenError())


@pytest.mark.parametrize("required", [True, False])
async def test_the_current_token(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """One client after another on one connection: each request has its own user, and nobody is left over."""  # S131
    alice, bob = (create_access_token(name, config) for name in ("alice", "bob"))
    async with adapter.open(config, required=required) as site:
        seen = [(await site.get("/current", *raws)).json() for raws in ((alice,), (bob,), (alice,))]
        assert [{"identity": "alice"}, {"identity": "bob"}, {"identity": "alice"}] == seen
        anonymous = await site.get("/current")
        nobody = {"identity": None}
        expected = (
            (401, json.loads(ErrorResponder().response_for(MissingTokenError()).body)) if required else (200, nobody)
        )
        assert expected == (anonymous.status_code, anonymous.json())


@pytest.mark.parametrize("required", [True, False])
async def test_one_verification(
    adapter: Adapter, config: JWTConfig, monkeypatch: pytest.MonkeyPatch, required: bool
) -> None:
    """Middleware, guard and handler together verify a token once (trap: four signature checks for one request)."""
    verified: list[str] = []
    verify = auth_module.verify

    def counted(raw: bytes, config: JWTConfig, source: str | None) -> Token:
        verified.append(raw.decode())
        return verify(raw, config, source)

    monkeypatch.setattr(auth_module, "verify", counted)
    raw = create_access_token("alice", config, roles="ADMIN")
    async with adapter.open(config, required=required) as site:
        for path in ("/protected", "/method", "/unguarded", "/admin"):
            assert 200 == (await site.get(path, raw)).status_code
            assert [raw] == verified
            verified.clear()


async def test_head(adapter: Adapter, config: JWTConfig) -> None:
    """A refused HEAD has the headers of the answer, the length of the body that GET would have had included."""  # S114
    expected = ErrorResponder().response_for(MissingTokenError())
    async with adapter.open(config) as site:
        response = await site.client.head("/protected")
    assert expected.status == response.status_code
    assert dict(expected.headers) == {name: response.headers[name] for name, _ in expected.headers}


@pytest.mark.parametrize("required", [True, False])
async def test_the_settings_of_the_answers(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """Realm, problem details and the callback, which sees the scope, rule the guards' answers and the middleware's."""  # S117
    seen: list[tuple[str, str]] = []

    async def on_error(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse:
        seen.append((error.code, scope["path"]))
        return answer._replace(headers=(*answer.headers, ("x-code", error.code)))

    raw = create_access_token("alice", config)
    async with adapter.open(config, required=required, realm="orders", problem_json=True, on_error=on_error) as site:
        for path, raws in (("/protected", ()), ("/admin", (raw,)), ("/unguarded", ())):
            response = await site.get(path, *raws)
            assert "application/problem+json" == response.headers["content-type"]
            assert response.headers["www-authenticate"].startswith('Bearer realm="orders"')
            assert response.status_code == response.json()["status"]
            assert seen[-1][0] == response.headers["x-code"]
    expected = [("token_missing", "/protected"), ("role_refused", "/admin"), ("token_missing", "/unguarded")]
    assert expected == seen


@pytest.mark.parametrize("required", [True, False])
async def test_events(adapter: Adapter, config: JWTConfig, events: list[AuthEvent], required: bool) -> None:
    """Who was refused, where, from where, and who was let in, is told in the same way under every framework."""
    config = config.replace(on_event=events.append, accepted_events=True)
    version = tuple(map(int, starlette.__version__.split(".")[:2]))
    writes_route = type(adapter).__name__ != "StarletteAdapter" or version >= (1, 7)
    raw = create_access_token("alice", config)
    async with adapter.open(config, required=required) as site:
        for path in ("/admin", "/ws/admin"):
            events.clear()
            if path == "/admin":
                await site.client.get(path, headers=[bearer(raw), (b"x-request-id", b"7f3a")])
            else:
                await site.talk(path, raw)
            accepted, refused = events
            assert ("accepted", None, "alice") == (accepted.name, accepted.code, accepted.identity)
            assert ("refused", "role_refused", "alice") == (refused.name, refused.code, refused.identity)
            assert refused.jti == accepted.jti == verify_token(raw, config).jti
            assert "127.0.0.1" == refused.client == accepted.client
            assert (path if writes_route else None) == refused.path
            if path == "/admin":
                assert ("GET", "7f3a") == (refused.method, refused.request_id) == (accepted.method, accepted.request_id)


@pytest.mark.parametrize("required", [True, False])
async def test_a_failing_callback(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """A callback that raises lets nobody in and says nothing (trap: a callback that raised let the request in)."""  # S120

    def on_error(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse:
        raise ZeroDivisionError("secret")

    async with adapter.open(config, required=required, on_error=on_error) as site:
        response = await site.get("/protected")
    assert (500, b"") == (response.status_code, response.content)


@pytest.mark.parametrize("required", [True, False])
async def test_a_websocket(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """With a token the socket opens, and the handler knows who is there."""  # S124
    async with adapter.open(config, required=required) as site:
        talk = await site.talk("/ws/echo", alice, says="salve")
    assert None is talk.status
    greeting, echo = talk.texts
    assert {"identity": "alice", "user_claims": CLAIMS, "source": "header", "current": True} == json.loads(greeting)
    assert "alice: salve" == echo


@pytest.mark.parametrize("required", [True, False])
async def test_a_websocket_without_a_token(adapter: Adapter, config: JWTConfig, alice: str, required: bool) -> None:
    """Without one the handshake is refused as http would be (trap: HTTP-only middleware)."""  # S125
    async with adapter.open(config, required=required) as site:
        for raws, error in (
            ((), MissingTokenError()),
            ((tampered(alice),), InvalidSignatureError()),
            ((alice, alice), RepeatedCredentialsError()),
        ):
            talk = await site.talk("/ws/echo", *raws)
            expected = dict(ErrorResponder().response_for(error).headers)
            assert (error.status, expected["www-authenticate"]) == (talk.status, talk.headers["www-authenticate"])


@pytest.mark.parametrize("required", [True, False])
async def test_the_rules_of_a_websocket(adapter: Adapter, config: JWTConfig, required: bool) -> None:
    """The guard of a websocket route asks before the handshake: 403 for a role, 401 for a type."""  # S125
    user, admin = (create_access_token("alice", config, roles=role) for role in ("USER", "ADMIN"))
    refresh = create_refresh_token("alice", config)
    async with adapter.open(config, required=required) as site:
        assert None is (await site.talk("/ws/admin", admin)).status
        assert 403 == (await site.talk("/ws/admin", user)).status
        assert None is (await site.talk("/ws/refresh", refresh)).status
        assert 401 == (await site.talk("/ws/refresh", admin)).status
        assert 401 == (await site.talk("/ws/echo", refresh)).status
