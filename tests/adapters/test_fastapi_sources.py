"""`JWTBearer(sources=[...])`: a dependency that looks in places of its own, with and without a middleware."""

from typing import Annotated, Any

import pytest

pytest.importorskip("fastapi")

from fastapi import Depends, FastAPI, Response, Security, WebSocket

from asgi_jwt_claims import (
    AuthEvent,
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    Token,
    WebSocketProtocol,
    create_access_token,
    create_token_pair,
    set_token_cookies,
    verify_token,
)
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.fastapi import CurrentToken, JWTBearer, install, jwt_required
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.sources.csrf import csrf_digest
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import Header, ask, bearer, talk
from tests.support import SECRET

pytestmark = pytest.mark.anyio


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config)


def cookie(raw: str) -> Header:
    return (b"cookie", b"__Host-access_token=" + raw.encode())


def built(dependency: Any) -> FastAPI:
    """An application whose handlers want that."""
    app = FastAPI()

    @app.api_route("/", methods=["GET", "POST"])
    async def handler(token: Annotated[Any, dependency]) -> Any:
        return {"identity": token and token.identity, "source": token and token.source}

    @app.websocket("/ws")
    async def converse(websocket: WebSocket, token: Annotated[Any, dependency]) -> None:
        await websocket.accept()
        await websocket.send_text(token.source)

    return app


async def test_without_a_middleware(config: JWTConfig, alice: str) -> None:
    """Beside a configuration the dependency looks where it is told to, and nowhere else."""
    app = built(Security(JWTBearer(config, sources=[Cookie()])))
    value = (b"x-csrf-token", csrf_digest(alice.encode()))
    assert {"identity": "alice", "source": "cookie"} == (await ask(app, "/", cookie(alice))).json
    assert 401 == (await ask(app, "/", bearer(alice))).status
    assert 401 == (await ask(app, "/")).status
    assert 401 == (await ask(app, "/", cookie(alice[:-2]))).status
    assert 401 == (await ask(app, "/", cookie(""))).status
    assert 403 == (await ask(app, "/", cookie(alice), method="POST")).status
    assert 200 == (await ask(app, "/", cookie(alice), value, method="POST")).status
    assert 403 == (await talk(app, "/ws", cookie(alice))).status
    assert ["cookie"] == (await talk(app, "/ws", cookie(alice), (b"origin", b"https://testserver"))).texts


async def test_by_default_it_looks_at_the_header(config: JWTConfig, alice: str) -> None:
    """Without sources a dependency with a configuration knows the Authorization header only."""
    app = built(Security(JWTBearer(config)))
    assert "header" == (await ask(app, "/", bearer(alice))).json["source"]
    assert 401 == (await ask(app, "/", cookie(alice))).status


@pytest.mark.parametrize("own", [True, False])
async def test_below_a_middleware(config: JWTConfig, alice: str, own: bool) -> None:
    """What the middleware has not looked at is looked at, by the dependency's own configuration or the middleware's."""
    app = built(Security(JWTBearer(config if own else None, sources=[Cookie()])))
    install(app, config, required=False)
    bob = create_access_token("bob", config)
    assert {"identity": "alice", "source": "cookie"} == (await ask(app, "/", cookie(alice))).json
    assert {"identity": "alice", "source": "cookie"} == (await ask(app, "/", cookie(alice), bearer(bob))).json
    assert 401 == (await ask(app, "/", bearer(bob))).status
    either = built(Security(JWTBearer(config if own else None, sources=[Cookie(), BearerHeader()])))
    install(either, config, required=False)
    assert 400 == (await ask(either, "/", cookie(alice), bearer(bob))).status
    assert "header" == (await ask(either, "/", bearer(bob))).json["source"]


@pytest.mark.parametrize("own", [True, False])
async def test_one_verification(config: JWTConfig, alice: str, verifications: list[str], own: bool) -> None:
    """Several dependencies with the same sources, or with those of the middleware, verify a token once."""
    bearers = [JWTBearer(config if own else None, sources=[Cookie()], scopes=scopes) for scopes in ((), [])]
    for options in ({"sources": [Cookie()]}, {"required": False}):
        app = FastAPI(dependencies=[Security(one) for one in bearers])
        install(app, config, **options)  # type: ignore[arg-type]

        @app.get("/")
        @jwt_required(sources=[Cookie()])
        async def handler(token: Token, again: Annotated[Token, Security(bearers[0])]) -> Any:
            return {"same": token is again}

        assert {"same": True} == (await ask(app, "/", cookie(alice))).json
        assert [alice] == verifications
        verifications.clear()


@pytest.mark.parametrize("own", [True, False])
async def test_what_is_revoked(config: JWTConfig, clock: HeldClock, alice: str, own: bool) -> None:
    """The middleware's store is asked, whichever source the token was in."""
    store = MemoryStore(clock=clock)
    app = built(Security(JWTBearer(config if own else None, sources=[Cookie()])))
    install(app, config, required=False, store=store)
    assert 200 == (await ask(app, "/", cookie(alice))).status
    await revoke_token(verify_token(alice, config), config, store)
    assert 401 == (await ask(app, "/", cookie(alice))).status


class Proof:
    """A source of the application for another authentication scheme."""

    auth_scheme = "DPoP"

    def __call__(self, scope: Any, max_size: int) -> None:
        return None


async def test_it_challenges_for_its_own_sources(config: JWTConfig) -> None:
    """Without a middleware each dependency names the schemes of its own sources, also after another one."""
    access = Security(JWTBearer(config, sources=[Proof(), BearerHeader()], realm="own"))
    assert 'DPoP realm="own", Bearer realm="own"' == (await ask(built(access), "/")).headers["www-authenticate"]
    app = FastAPI(dependencies=[Security(JWTBearer(config, optional=True, realm="first"))])

    @app.get("/")
    async def handler(token: Annotated[Any, access]) -> Any:
        raise AssertionError("reached")

    assert 'DPoP realm="own", Bearer realm="own"' == (await ask(app, "/")).headers["www-authenticate"]


async def test_it_answers_by_its_own_configuration(config: JWTConfig, alice: str) -> None:
    """Below a middleware of another configuration it refuses with its own realm, and its own listener is told."""
    told: list[tuple[str, str | None]] = []

    def listener(name: str) -> Any:
        def listen(event: AuthEvent) -> None:
            told.append((name, event.code))

        return listen

    def on_error(*_: Any) -> None:
        told.append(("on_error", None))

    own = JWTConfig(secret_key=SECRET[::-1], clock=config.clock, on_event=listener("own"))
    outer = config.replace(on_event=listener("outer"))
    by_outer = [("outer", "missing_scope"), ("on_error", None)]
    by_own: list[tuple[str, str | None]] = [("own", "unknown_key")]
    for first, second, realm, expected in (
        (own, None, "first", by_own),
        (outer, own, "second", by_own),
        (outer, None, "outer", by_outer),
        (None, outer, "outer", by_outer),
    ):
        demanding = JWTBearer(second, realm="second", scopes="write")
        app = FastAPI(dependencies=[Security(JWTBearer(first, realm="first", optional=True)), Security(demanding)])
        install(app, outer, realm="outer", on_error=on_error)
        app.get("/")(lambda: None)
        answer = await ask(app, "/", bearer(alice))
        assert answer.headers["www-authenticate"].startswith(f'Bearer realm="{realm}", error=')
        assert expected == told
        told.clear()


async def test_subprotocols_without_a_middleware(config: JWTConfig, alice: str) -> None:
    """They are found; what is answered is the handler's own business then."""
    app = built(Security(JWTBearer(config, sources=[WebSocketProtocol()])))
    protocols = ["bearer", alice]
    assert ["websocket_protocol"] == (await talk(app, "/ws", subprotocols=protocols)).texts
    assert 401 == (await talk(app, "/ws", bearer(alice))).status
    guarded = JWTMiddleware(app, config, sources=[WebSocketProtocol()])
    answer = await talk(guarded, "/ws", subprotocols=protocols)
    assert (["websocket_protocol"], "bearer") == (answer.texts, answer.messages[0]["subprotocol"])


def test_dependencies_are_compared_by_their_sources() -> None:
    """Equal sources make equal dependencies, so that overrides find them."""
    assert JWTBearer(sources=[Cookie()]) == JWTBearer(sources=(Cookie(),)) != JWTBearer()
    assert hash(JWTBearer(sources=[Cookie()])) == hash(JWTBearer(sources=[Cookie()]))
    assert JWTBearer(sources=[Cookie(type="refresh")]) != JWTBearer(sources=[Cookie()])
    assert JWTBearer(end_with_token=False) != JWTBearer()


@pytest.mark.parametrize("sources", [[Cookie], ["cookie"], None, Cookie])
def test_unusable_sources(sources: Any) -> None:
    """What cannot be asked is refused when the dependency is built, as by `jwt_required`."""
    with pytest.raises(SettingError, match="sources must be a list of sources"):
        JWTBearer(sources=sources)
    with pytest.raises(SettingError, match="sources must be a list of sources"):
        jwt_required(sources=sources)


async def test_cookies_on_the_response_of_a_handler(config: JWTConfig) -> None:
    """Set on the `Response` that FastAPI hands out, in the handler or in a dependency, they reach the browser."""
    app = FastAPI()
    install(app, config, sources=[Cookie()], exempt=["/login", "/dependency"])

    def log_in(response: Response) -> None:
        set_token_cookies(response, create_token_pair("alice", config), config)

    @app.post("/login")
    async def login(response: Response) -> Any:
        log_in(response)
        return {"a": 1}

    @app.post("/dependency", dependencies=[Depends(log_in)])
    async def dependent() -> Any:
        return {"a": 1}

    @app.get("/")
    async def handler(token: CurrentToken) -> Any:
        return token.identity

    for path in ("/login", "/dependency"):
        answer = await ask(app, path, method="POST")
        lines = [value for name, value in answer.start["headers"] if name == b"set-cookie"]
        assert ({"a": 1}, 3) == (answer.json, len(lines))
        assert (b"cache-control", b"no-store") in answer.start["headers"]
        jar = b"; ".join(line.partition(b";")[0] for line in lines)
        assert "alice" == (await ask(app, "/", (b"cookie", jar))).json


async def test_one_of_the_configurations_of_the_middleware(config: JWTConfig) -> None:
    """For a token that has chosen its configuration among several, it looks where the middleware looks; others are refused."""
    one, other = (config.replace(issuer=f"https://{name}.example") for name in ("one", "other"))
    app = FastAPI(dependencies=[Security(JWTBearer(one))])
    install(app, [one, other], sources=[BearerHeader("X-Token", "")])
    app.get("/")(lambda: None)
    for chosen, status in ((one, 200), (other, 401)):
        token = create_access_token("alice", chosen).encode()
        assert status == (await ask(app, "/", (b"x-token", token))).status


@pytest.mark.parametrize("has_outer_store", [False, True])
async def test_a_store_of_its_own(config: JWTConfig, alice: str, has_outer_store: bool) -> None:
    """Below a middleware of its configuration that has no store, or another one, it asks its own store."""
    own, outer = MemoryStore(clock=config.clock), MemoryStore(clock=config.clock)
    await revoke_token(verify_token(alice, config), config, own)
    app = FastAPI()
    install(app, config, store=outer if has_outer_store else None, realm="outer")
    app.get("/guarded", dependencies=[Security(JWTBearer(config, store=own))])(lambda: None)
    app.get("/")(lambda: None)
    refused, admitted = [await ask(app, path, bearer(alice)) for path in ("/guarded", "/")]
    assert (401, 200) == (refused.status, admitted.status)
    assert refused.headers["www-authenticate"].startswith(
        'Bearer realm="outer", '
    )  # which answers for its configuration
