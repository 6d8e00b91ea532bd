"""What type checkers know of the public API."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Any, TypedDict, assert_type

from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from asgi_jwt_claims import (
    AuthEvent,
    BearerHeader,
    Cookie,
    ErrorResponse,
    JWTConfig,
    JWTMiddleware,
    Key,
    KeySet,
    Token,
    TokenCookies,
    TokenError,
    TokenPair,
    WebSocketProtocol,
    adopt_token,
    create_access_token,
    create_refresh_token,
    create_token_pair,
    current_token,
    error_response_for,
    get_token,
    renew_token,
    require,
    set_token_cookies,
    unset_token_cookies,
    verify_token,
    verify_token_async,
)
from asgi_jwt_claims.access import ACR, AccessPolicy, AnyScope, Check, Claim, Fresh, Roles, Rule, ScopeHierarchy, Scopes
from asgi_jwt_claims.jwks import (
    FetchPolicy,
    FetchResponse,
    HTTPXFetch,
    JWKSEndpoint,
    KeySetEvent,
    KeySetStatus,
    RemoteKeySet,
)
from asgi_jwt_claims.keys import KeyRing
from asgi_jwt_claims.sessions import (
    RefreshedClaims,
    Session,
    TokenEndpoints,
    csrf_token,
    list_sessions,
    revoke_identity,
    revoke_session,
    rotate_refresh_token,
    start_session,
)
from asgi_jwt_claims.sources import Credentials, InsecureWebSocketQuery, Source
from asgi_jwt_claims.stores import MemoryStore, SQLiteStore, TokenStore


class Profile(TypedDict):
    """An application's own claims."""

    name: str
    age: int


config = JWTConfig(secret_key="s" * 32, audience=["a", "b"], access_lifetime=timedelta(minutes=5), leeway=3)
assert_type(JWTConfig.from_mapping({"JWT_SECRET_KEY": "s" * 32}), JWTConfig)
assert_type(JWTConfig.from_env(), JWTConfig)
assert_type(config.replace(issuer="me"), JWTConfig)
assert_type(config.signing_key, Key | None)
assert_type(config.keys, KeySet)

key = Key.generate("ES256")
assert_type(key.public_jwk(), dict[str, str])
assert_type(key.public(), Key)
assert_type(KeySet.from_jwks({"keys": []}), KeySet)

assert_type(create_access_token("alice", config, fresh=timedelta(minutes=1), roles={"admin"}), str)
assert_type(create_refresh_token("alice", config, scope="a b"), str)
pair = create_token_pair("alice", config, user_claims={"a": 1})
assert_type(pair, TokenPair)
assert_type(pair.expires_in, int | None)
assert_type(dict(pair), dict[str, Any])


async def fetch(url: str, *, max_size: int) -> FetchResponse:
    """A fetch of the application's own."""
    return FetchResponse(200, {"cache-control": "max-age=60"}, url.encode()[:max_size])


async def on_event(event: KeySetEvent) -> None:
    """A callback, which may as well be sync."""
    assert_type(event.removed, tuple[str, ...])


remote = RemoteKeySet("https://a.example/jwks", fetch=fetch, on_event=on_event, policy=FetchPolicy(ttl=300))
RemoteKeySet(issuer="https://a.example", fetch=HTTPXFetch(proxy="http://b.example"), on_event=print)
assert_type(remote.keys, KeySet)
assert_type(remote.status(), KeySetStatus)
provider = JWTConfig.for_issuer("https://a.example", audience="api", jwks=remote, leeway=timedelta(0))
assert_type(provider, JWTConfig)
ring = KeyRing([(key, 0), (Key.generate("ES256"), 4e9)], retain=timedelta(days=20))
assert_type(ring.current, Key)
assert_type(ring.add(key), float)
assert_type(JWTConfig(key_ring=ring).key_ring, KeyRing | None)
published: ASGIApp = JWKSEndpoint(ring)


async def waiting() -> None:
    """Verification that may wait."""
    assert_type(await verify_token_async("...", provider), Token)
    await remote.fetch_now()


token = verify_token(b"...", config, type="refresh")
assert_type(token, Token)
assert_type(token.user_claims, dict[str, Any])
assert_type(token.scopes, frozenset[str])
assert_type(token.audience, tuple[str, ...])
assert_type(token.expires_at, float | None)


def typed_claims(token: Token[Profile]) -> None:
    """An application that says what its claims are gets them typed."""
    assert_type(token.user_claims, Profile)
    assert_type(token.jwt_user_claims, Profile)
    assert_type(token.user_claims["age"], int)


assert_type(get_token({}), Token)
assert_type(get_token({}, optional=False), Token)
assert_type(get_token({}, optional=True), Token | None)
assert_type(require({}, Scopes("read") | ~Roles("guest"), fresh=timedelta(minutes=5), allow={"a"}), Token)
require({}, "read")  # type: ignore[arg-type]
assert_type(current_token(), Token | None)


async def observe(error: TokenError, response: ErrorResponse, scope: Mapping[str, Any]) -> ErrorResponse | None:
    """A callback may be async."""
    assert_type(await error_response_for(error, scope), ErrorResponse)
    return response if error.status == 403 and scope["path"] != "/" else None


def protect(app: ASGIApp) -> ASGIApp:
    """The middleware takes an ASGI application and is one."""
    middleware = JWTMiddleware(app, config, required=False, exempt=["/login"], on_error=observe)
    assert_type(middleware, JWTMiddleware)
    JWTMiddleware(app, config, require=Roles("a"), rules={"/a/*": Roles("a"), "GET /b": Scopes("b")})
    JWTMiddleware(app, config, rules={"/a/*": "admin"})  # type: ignore[dict-item]
    return middleware


_: Awaitable[ErrorResponse | None] = observe(TokenError(), ErrorResponse(401, (), b""), {})


# Sessions and revocation.

events: list[AuthEvent] = []
listening = JWTConfig(secret_key="x" * 32, on_event=events.append)
store: TokenStore = SQLiteStore("sessions.db")
app_of_tokens: ASGIApp = TokenEndpoints(listening, store, claims_loader=lambda token: token.user_claims)


async def load(token: Token) -> RefreshedClaims | None:
    """A loader may be async, and may say no."""
    return RefreshedClaims(token.user_claims, ["member"]) if token.session_id else None


async def live() -> None:
    """A session from its begin to its end."""
    pair = await start_session("alice", listening, store, user_claims={"a": 1}, fresh=timedelta(minutes=5), label="web")
    assert_type(pair, TokenPair)
    assert_type(await rotate_refresh_token(pair.refresh_token, listening, store, claims_loader=load), TokenPair)
    assert_type(await list_sessions("alice", listening, store), list[Session])
    await revoke_session((await list_sessions("alice", listening, store))[0].id, listening, store)
    await revoke_identity("alice", listening, store)
    assert_type(await store.check(verify_token(pair.access_token, listening), listening), bool)
    assert_type(verify_token(pair.access_token, listening).session_id, str | None)
    JWTMiddleware(app_of_tokens, listening, store=MemoryStore())


# Browsers and sockets.

cookies = TokenCookies(same_site="Strict", refresh_path="/session", trusted_origins=["https://app.example"])
assert_type(TokenCookies().access_name, str)
browsers = JWTConfig(secret_key="x" * 32, cookies=cookies)
assert_type(browsers.cookies, TokenCookies)
headers: list[tuple[bytes, bytes]] = []
set_token_cookies(headers, pair, browsers)
unset_token_cookies(headers, browsers)
assert_type(csrf_token({}, browsers), str)


def by_name(scope: Mapping[str, Any], max_size: int) -> Credentials | None:
    """A source of the application's own."""
    raw = scope.get("state", {}).get("token")
    return None if raw is None else Credentials(raw.encode(), "state")


sources: list[Source] = [BearerHeader(), Cookie(cookies), WebSocketProtocol(), InsecureWebSocketQuery(), by_name]
assert_type(Cookie(cookies, type="refresh"), Cookie)
assert_type(Cookie()({}, 8192), Credentials | None)
browser_tokens: ASGIApp = TokenEndpoints(browsers, store, cookies=True)
JWTMiddleware(browser_tokens, browsers, sources=sources, end_with_token=True, close_code=4001)
assert_type(token.source, str | None)


async def renewing(websocket: WebSocket) -> None:
    """A connection that goes on."""
    assert_type(await renew_token(websocket, await websocket.receive_text()), Token)
    assert_type(await renew_token(websocket.scope, b"..."), Token)
    assert_type(await adopt_token(websocket, await websocket.receive_text()), Token)
    assert_type(await adopt_token(websocket.scope, b"..."), Token)


# Rules ----------------------------------------------------------------------------------------------------------------


def is_access(token: Token) -> bool:
    """Stands for a function of the application."""
    return token.type == "access"


rule = Scopes("a b", "c") & (AnyScope("d", "e") | ~Roles("f")) & Fresh(max_age=timedelta(minutes=5))
assert_type(rule, Rule)
assert_type(~(Fresh(300) | ACR("gold") | Claim(("a", "b"), {"c", 3}) | Claim("d", True) | Check(is_access)), Rule)
assert_type(rule.scopes, tuple[str, ...])
AccessPolicy(scopes="a", require=rule)
JWTConfig(secret_key="s" * 32, scope_hierarchy=ScopeHierarchy({"a": ["b"], "c": "d"}, wildcards=True))

Scopes(["a"])  # type: ignore[arg-type]
rule & "a"  # type: ignore[operator]
