"""Guards with sources of their own: what their handler does not name is nothing to it, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    Token,
    create_access_token,
    verify_token,
)
from asgi_jwt_claims.auth.authenticator import Authenticator
from asgi_jwt_claims.auth.guard import decorator, guard_handler
from asgi_jwt_claims.auth.options import Guard
from asgi_jwt_claims.auth.request import authenticate_request, authenticator_for
from asgi_jwt_claims.auth.state import request_auth
from asgi_jwt_claims.errors import RevokedTokenError
from asgi_jwt_claims.responses import ErrorResponder, ErrorResponse, send_response
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import Header, Receive, Scope, Send, ask, bearer, http_scope

pytestmark = pytest.mark.anyio


def cookie(raw: str) -> Header:
    return (b"cookie", b"__Host-access_token=" + raw.encode())


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config)


@pytest.fixture
def bob(config: JWTConfig) -> str:
    return create_access_token("bob", config)


async def refuse(connection: Any, answer: ErrorResponse, _: tuple[Any, ...]) -> ErrorResponse:
    return answer


async def call_sync(handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return handler(*args, **kwargs)


jwt_required = decorator(
    lambda handler, guard: guard_handler(
        handler,
        guard,
        is_connection=lambda argument: isinstance(argument, dict),
        refuse=refuse,
        call_sync=call_sync,
    )
)


def served(handler: Callable[..., Any]) -> Any:
    """An application of one handler, which says who is there, or where the answer of its guard is sent."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        said = await handler(scope)
        answer = said if isinstance(said, ErrorResponse) else ErrorResponse(200, (), str(said).encode())
        await send_response(answer, scope, send)

    return app


@jwt_required(sources=[Cookie()])
async def by_cookie(scope: Scope, token: Token) -> str:
    return f"{token.identity} {token.source}"


@jwt_required(sources=[Cookie(), BearerHeader()])
def by_either(scope: Scope, token: Token) -> str:
    return f"{token.identity} {token.source}"


@jwt_required(sources=[Cookie()], optional=True)
async def perhaps(scope: Scope, token: Token | None) -> str:
    return f"{token and token.identity}"


@jwt_required
async def anywhere(scope: Scope, token: Token) -> str:
    return f"{token.identity} {token.source}"


async def test_a_handler_that_names_its_sources(config: JWTConfig, alice: str, bob: str) -> None:
    """Only the token in the source it names counts: not another one, not a bad one, not two of them."""
    for handler, headers, expected in (
        (by_cookie, (cookie(alice),), (200, b"alice cookie")),
        (by_cookie, (cookie(alice), bearer(bob)), (200, b"alice cookie")),
        (by_cookie, (cookie(alice), bearer("x")), (200, b"alice cookie")),
        (by_cookie, (cookie(alice), bearer(b"\xff")), (200, b"alice cookie")),
        (by_cookie, (bearer(bob),), (401, None)),
        (by_cookie, (cookie(alice[:-2]), bearer(bob)), (401, None)),
        (by_cookie, (cookie(""),), (401, None)),  # a cookie without a value counts as absent
        (by_cookie, (cookie('""'),), (400, None)),
        (perhaps, (cookie(""),), (200, b"None")),
        (by_either, (cookie(alice),), (200, b"alice cookie")),
        (by_either, (bearer(bob),), (200, b"bob header")),
        (by_either, (cookie(alice), bearer(bob)), (400, None)),
        (perhaps, (), (200, b"None")),
        (perhaps, (bearer(bob),), (200, b"None")),
        (perhaps, (cookie("x"), bearer(bob)), (401, None)),
        (anywhere, (cookie(alice),), (401, None)),
        (anywhere, (cookie(alice), bearer(bob)), (200, b"bob header")),
    ):
        answer = await ask(JWTMiddleware(served(handler), config, required=False), "/", *headers)
        assert expected == (answer.status, answer.body if answer.status == 200 else None)


async def test_a_middleware_that_demands_a_token_comes_first(config: JWTConfig, alice: str) -> None:
    """It has to find one in its own sources, and then the guard in its own; on an exempt path only the guard does."""
    guarded = JWTMiddleware(served(by_cookie), config)
    assert 401 == (await ask(guarded, "/", cookie(alice))).status
    assert 200 == (await ask(guarded, "/", cookie(alice), bearer(alice))).status
    assert 401 == (await ask(guarded, "/", bearer(alice))).status
    exempt = JWTMiddleware(served(by_cookie), config, exempt=["/"])
    assert b"alice cookie" == (await ask(exempt, "/", cookie(alice))).body
    assert 401 == (await ask(exempt, "/", bearer(alice))).status


async def test_an_unsafe_request_needs_the_header(config: JWTConfig, alice: str) -> None:
    """A form is only read ahead where the middleware itself looks for the cookie."""
    form = (b"content-type", b"application/x-www-form-urlencoded")
    for required in (True, False):
        middleware = JWTMiddleware(served(by_cookie), config, required=required, exempt=["/"])
        assert 403 == (await ask(middleware, "/", cookie(alice), form, method="POST")).status


async def test_one_verification(config: JWTConfig, alice: str, verifications: list[str]) -> None:
    """Guards with the same sources as the middleware, or as one another, verify a token once."""

    async def both(scope: Scope) -> Any:
        return await by_cookie(scope), await by_cookie(scope), await perhaps(scope)

    for options in ({"sources": [Cookie()]}, {"exempt": ["/"]}, {"required": False}):
        answer = await ask(JWTMiddleware(served(both), config, **options), "/", cookie(alice))
        assert b"('alice cookie', 'alice cookie', 'alice')" == answer.body
        assert [alice] == verifications
        verifications.clear()


async def test_what_is_revoked_is_revoked_in_every_source(config: JWTConfig, clock: HeldClock, alice: str) -> None:
    """The store of the middleware is asked about what a guard finds elsewhere, unless the guard says otherwise."""
    store = MemoryStore(clock=clock)
    await revoke_token(verify_token(alice, config), config, store)

    @jwt_required(sources=[Cookie()], check_revocation=False)
    async def lenient(scope: Scope, token: Token) -> str:
        return token.identity

    for handler, status in ((by_cookie, 401), (perhaps, 401), (lenient, 200)):
        guarded = JWTMiddleware(served(handler), config, required=False, store=store)
        assert status == (await ask(guarded, "/", cookie(alice))).status


async def test_a_dependency_does_not_forget_the_store(config: JWTConfig, clock: HeldClock, alice: str) -> None:
    """One with a configuration and sources of its own asks the middleware's store, as it does without sources."""
    store = MemoryStore(clock=clock)
    await revoke_token(verify_token(alice, config), config, store)
    access = Guard(sources=[Cookie()])
    seen: list[Any] = []

    async def dependency(scope: Scope) -> None:
        authenticator = authenticator_for(scope, Authenticator(config, access.sources, None, ErrorResponder()))
        seen.append(authenticator.store)
        result = authenticate_request(scope, authenticator)
        assert RevokedTokenError is type(result.refusal(access))
        assert result is request_auth(scope).result_for(scope, request_auth(scope).authenticator_with(access.sources))

    guarded = JWTMiddleware(served(dependency), config, required=False, store=store)
    await ask(guarded, "/", cookie(alice))
    assert [store] == seen
    own = Authenticator(config, access.sources, None, ErrorResponder())
    assert own is authenticator_for(http_scope("/", cookie(alice)), own)


async def test_a_guard_asks_the_store_of_an_outer_middleware(config: JWTConfig, clock: HeldClock, alice: str) -> None:
    """Below a middleware without a store, a guard asks that of the outer one whose sources are the guard's."""
    store = MemoryStore(clock=clock)
    await revoke_token(verify_token(alice, config), config, store)
    access = Guard(sources=[Cookie()])
    seen: list[type[Any]] = []

    async def guarded(scope: Scope) -> None:
        auth = request_auth(scope)
        seen.append(type(auth.result_for(scope, auth.authenticator_with(access.sources)).refusal(access)))

    inner = JWTMiddleware(served(guarded), config, required=False)
    outer = JWTMiddleware(inner, config, required=False, store=store, sources=[Cookie()])
    await ask(outer, "/", cookie(alice))
    assert [RevokedTokenError] == seen


async def test_a_guard_takes_over_only_what_asks_its_store(config: JWTConfig, clock: HeldClock, alice: str) -> None:
    """What somebody has found without asking a store is not enough for a guard below a middleware with one."""
    store, other = MemoryStore(clock=clock), MemoryStore(clock=clock)
    await revoke_token(verify_token(alice, config), config, store)
    access = Guard(sources=[Cookie()])

    async def both(scope: Scope) -> str:
        own = Authenticator(config, access.sources, other, ErrorResponder())
        lax = authenticate_request(scope, authenticator_for(scope, own))
        assert None is lax.refusal(access)
        auth = request_auth(scope)
        strict = auth.result_for(scope, auth.authenticator_with(access.sources))
        assert isinstance(strict.refusal(access), RevokedTokenError)
        return "done"

    guarded = JWTMiddleware(served(both), config, required=False, store=store)
    assert b"done" == (await ask(guarded, "/", cookie(alice))).body
