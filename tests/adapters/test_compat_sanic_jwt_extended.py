"""sanic-jwt-extended's API: every name, every answer, and what differs on purpose."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import itertools
import json
import re
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("sanic")

import sanic
import sanic.views
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from asgi_jwt_claims import ConfigurationError, JWTError, Key
from asgi_jwt_claims.compat import sanic_jwt_extended as compat
from asgi_jwt_claims.compat.sanic_jwt_extended import exceptions, tokens
from asgi_jwt_claims.compat.sanic_jwt_extended.manager import settings_of
from asgi_jwt_claims.sanic import install
from tests.apps.adapter import asgi_site
from tests.apps.many_sanics import allow_many
from tests.apps.sanic_adapter import failure_of
from tests.raw_asgi import bearer, lifespan, talk
from tests.support import SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

allow_many()
NUMBERS = itertools.count()  # Sanic keeps its applications by name
LONG_SECRET = "super-secret-and-long-enough-for-HS256-1"


@pytest.fixture
def anyio_backend() -> str:
    """Sanic runs on asyncio only."""
    return "asyncio"


def make_app(manager: dict[str, Any] | None = None, **settings: Any) -> Any:
    """An application with every kind of guard."""
    app = sanic.Sanic(f"compat_{next(NUMBERS)}")
    app.config.update({"AUTO_EXTEND": False, "JWT_SECRET_KEY": SECRET, "RBAC_ENABLED": True, **settings})
    compat.JWTManager(app, **(manager or {}))

    def answer(token: tokens.Token) -> Any:
        return sanic.json(
            {"identity": token.jwt_identity, "claims": token.jwt_user_claims, "jti": token.jti, "raw": token.raw_jwt}
        )

    @app.get("/protected")
    @compat.jwt_required
    async def protected(request: Any, token: tokens.Token) -> Any:
        return answer(token)

    @app.get("/sync")
    @compat.jwt_required()
    def sync(request: Any, token: tokens.Token) -> Any:
        return answer(token)

    for name, guard in {
        "allow": compat.jwt_required(allow=["ADMIN", "USER"]),
        "allow-text": compat.jwt_required(allow="ADMIN"),
        "allow-nobody": compat.jwt_required(allow=[]),
        "deny": compat.jwt_required(deny=["GUEST"]),
        "fresh": compat.fresh_jwt_required,
        "fresh-admin": compat.fresh_jwt_required(allow=["ADMIN"]),
        "optional": compat.jwt_optional,
        "refresh": compat.jwt_refresh_token_required,
    }.items():

        async def handler(request: Any, token: tokens.Token) -> Any:
            return answer(token)

        app.add_route(guard(handler), f"/{name}", name=name.replace("-", "_"))

    class View(sanic.views.HTTPMethodView):
        @compat.jwt_required
        async def get(self, request: Any, token: tokens.Token) -> Any:
            return answer(token)

    app.add_route(View.as_view(), "/view")
    return app


@pytest.fixture
def client_of() -> Any:
    """A client of an application in ASGI mode; `tests/system/sanic_server` has the other way."""

    @asynccontextmanager
    async def client_of(app: Any) -> AsyncIterator[Any]:
        async with asgi_site(app) as site:
            yield site.client

    return client_of


@pytest.fixture
def site_of() -> Any:
    """How an application with websockets is run; `tests/system/sanic_server` has the other way."""
    return asgi_site


async def get(client: Any, path: str, token: str | None = None, **headers: str) -> Any:
    """GET with a bearer token."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return await client.get(path, headers=headers)


async def test_claims_reach_functions_methods_and_sync_handlers(client_of: Any) -> None:
    """Each kind of handler receives the token by keyword, with all four of the old attributes."""
    app = make_app()
    token = await compat.create_access_token(app=app, identity={"id": 7}, user_claims={"a": 1}, role="USER")
    async with client_of(app) as client:
        for path in ("/protected", "/sync", "/view", "/allow", "/optional"):
            content = (await get(client, path, token)).json()
            assert ({"id": 7}, {"a": 1}) == (content["identity"], content["claims"])
            assert content["jti"] == content["raw"]["jti"]


async def test_an_optional_guard_tolerates_absence_only(client_of: Any) -> None:
    """Without a token the handler gets an empty one; a bad token or header is refused."""
    app = make_app()
    async with client_of(app) as client:
        absent = await get(client, "/optional")
        assert (200, {"identity": None, "claims": {}, "jti": None, "raw": {}}) == (absent.status_code, absent.json())
        assert 401 == (await get(client, "/optional", "a.b.c")).status_code
        assert 400 == (await get(client, "/optional", Authorization="Bearer")).status_code


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/allow", "USER", 200),
        ("/allow", "GUEST", 403),
        ("/allow", None, 403),
        ("/allow", ["GUEST", "USER"], 200),
        ("/allow-text", "ADMIN", 200),
        ("/allow-text", "MIN", 403),
        ("/allow-nobody", "ADMIN", 403),
        ("/deny", "ADMIN", 200),
        ("/deny", "GUEST", 403),
        ("/deny", None, 403),
        ("/protected", None, 200),
    ],
)
async def test_roles(path: str, role: Any, status: int, client_of: Any) -> None:
    """Roles are compared whole, an empty list allows no token, and a token without a role is 403, never 500."""
    app = make_app()
    token = await compat.create_access_token(app=app, identity="a", role=role)
    async with client_of(app) as client:
        assert status == (await get(client, path, token)).status_code


async def test_two_guards_verify_once(monkeypatch: pytest.MonkeyPatch, client_of: Any) -> None:
    """A handler below two guards costs one signature check."""
    app = make_app()
    verified = []
    monkeypatch.setattr(Key, "verify", lambda *arguments: verified.append(arguments) or True)

    @app.get("/twice")
    @compat.jwt_required
    @compat.jwt_required(allow="USER")
    async def handler(request: Any, token: tokens.Token) -> Any:
        return sanic.empty()

    token = await compat.create_access_token(app=app, identity="a", role="USER")
    async with client_of(app) as client:
        assert 204 == (await get(client, "/twice", token)).status_code
    assert 1 == len(verified)


async def test_freshness_is_a_flag_or_lasts_a_while(client_of: Any) -> None:
    """A fresh token passes, a stale one does not, a duration counts as fresh until it is over."""
    app = make_app()
    async with client_of(app) as client:
        for fresh, status in ((True, 200), (timedelta(minutes=5), 200), (False, 401)):
            token = await compat.create_access_token(app=app, identity="a", fresh=fresh, role="ADMIN")
            assert status == (await get(client, "/fresh", token)).status_code
            assert status == (await get(client, "/fresh-admin", token)).status_code


async def test_types_are_not_exchangeable(client_of: Any) -> None:
    """A refresh token opens only refresh routes, an access token none of them."""
    app = make_app()
    access = await compat.create_access_token(app=app, identity="a")
    refresh = await compat.create_refresh_token(app=app, identity="a", user_claims={"kept": True})
    async with client_of(app) as client:
        assert 401 == (await get(client, "/protected", refresh)).status_code
        assert 401 == (await get(client, "/refresh", access)).status_code
        assert {"kept": True} == (await get(client, "/refresh", refresh)).json()["claims"]


EXPIRED = {"exp": 1_500_000_000}


def wire_token(secret: str = SECRET, **changes: Any) -> str:
    """A token as 0.4.4 wrote it, by hand: header order, integer times, `identity`, no `kid`."""
    claims = {
        "iat": 1_600_000_000,
        "nbf": 1_600_000_000,
        "jti": "7ab4c0a4-3c4e-4c2e-9b5e-6a2b8f9d0c11",
        "exp": 4_000_000_000,
        "identity": "test",
        "fresh": False,
        "type": "access",
        "user_claims": {"VERI TAS": "LUX MEA"},
        **changes,
    }

    def encode(value: dict[str, Any]) -> bytes:
        text = json.dumps(value, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=")

    signing_input = encode({"typ": "JWT", "alg": "HS256"}) + b"." + encode(claims)
    signature = hmac.digest(secret.encode(), signing_input, hashlib.sha256)
    return (signing_input + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def test_a_token_on_0_4_4s_wire_verifies(client_of: Any) -> None:
    """Live tokens keep working, with or without an expiry, and with an epoch for freshness."""
    app = make_app()
    no_expiry = wire_token()
    async with client_of(app) as client:
        for token in (wire_token(), no_expiry, wire_token(fresh=4_000_000_000, role="USER")):
            content = (await get(client, "/protected", token)).json()
            assert ("test", {"VERI TAS": "LUX MEA"}) == (content["identity"], content["claims"])


async def test_what_is_minted_is_0_4_4s_wire() -> None:
    """The header is typ and alg; the claims are the old ones under the old names."""
    app = make_app()
    access = await compat.create_access_token(app=app, identity=[1, "two"], user_claims={"a": 1}, role="USER")
    forever = await compat.create_refresh_token(app=app, identity="a", expires_delta=False)
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in access.split(".")[:2])
    assert {"typ": "JWT", "alg": "HS256"} == header
    assert {"iat", "nbf", "jti", "exp", "identity", "fresh", "type", "user_claims", "role"} == set(claims)
    assert ([1, "two"], "USER", False, 15 * 60) == (
        claims["identity"],
        claims["role"],
        claims["fresh"],
        claims["exp"] - claims["iat"],
    )
    claims = json.loads(base64.urlsafe_b64decode(forever.split(".")[1] + "=="))
    assert {"iat", "nbf", "jti", "identity", "type"} == set(claims)


ANSWERS = [
    # path, Authorization, status, legacy status, phrase
    ("/protected", None, 401, 401, "Authentication is required."),
    ("/protected", "Bearer", 400, 422, "The Authorization header is malformed."),
    ("/protected", "Bearer a.b.c", 401, 422, "The token is malformed."),
    ("/protected", f"Bearer {wire_token(**EXPIRED)}", 401, 401, "The token has expired."),
    ("/protected", f"Bearer {wire_token('x' * 31 + 'y')}", 401, 422, "The token signature could not be verified."),
    ("/protected", f"Bearer {wire_token(type='refresh')}", 401, 422, "The token is of the wrong type."),
    ("/fresh", f"Bearer {wire_token()}", 401, 422, "A fresh login is required."),
    ("/allow", f"Bearer {wire_token(role='GUEST')}", 403, 401, "The role of the token is not allowed."),
]


@pytest.mark.parametrize(("path", "authorization", "status", "legacy", "phrase"), ANSWERS)
async def test_answers(
    path: str, authorization: str | None, status: int, legacy: int, phrase: str, client_of: Any
) -> None:
    """Bodies keep their old shape; statuses are RFC 6750's with a challenge, or the old ones without."""
    headers = {} if authorization is None else {"Authorization": authorization}
    async with client_of(make_app()) as client:
        answer = await client.get(path, headers=headers)
        assert (status, {"msg": phrase}) == (answer.status_code, answer.json())
        assert answer.headers["www-authenticate"].startswith('Bearer realm="')
    async with client_of(make_app({"legacy_status": True}, JWT_ERROR_MESSAGE_KEY="message")) as client:
        answer = await client.get(path, headers=headers)
        assert (legacy, {"message": phrase}) == (answer.status_code, answer.json())
        assert "www-authenticate" not in answer.headers


async def test_an_applications_own_exception_handler_goes_first(client_of: Any) -> None:
    """Each old exception can be answered by the application."""
    app = make_app()

    @app.exception(exceptions.NoAuthorizationError)
    async def own(request: Any, exception: exceptions.NoAuthorizationError) -> Any:
        return sanic.text(exception.error.code, status=418)

    async with client_of(app) as client:
        answer = await get(client, "/protected")
        assert (418, "token_missing") == (answer.status_code, answer.text)


async def test_header_name_and_type_are_settings(client_of: Any) -> None:
    """Another header, with another word or none before the token, is read instead of Authorization."""
    for settings, value in (
        ({"JWT_HEADER_NAME": "X-Token", "JWT_HEADER_TYPE": ""}, "{}"),
        ({"JWT_HEADER_NAME": "X-Token", "JWT_HEADER_TYPE": "JWT"}, "JWT {}"),
    ):
        app = make_app(**settings)
        token = await compat.create_access_token(app=app, identity="a")
        async with client_of(app) as client:
            assert 200 == (await get(client, "/protected", **{"X-Token": value.format(token)})).status_code
            assert 401 == (await get(client, "/protected", token)).status_code


async def test_claims_in_refresh_tokens_can_be_dropped_as_before() -> None:
    """Setting JWT_CLAIMS_IN_REFRESH_TOKEN to False drops them, and warns."""
    with pytest.warns(UserWarning, match="JWT_CLAIMS_IN_REFRESH_TOKEN"):
        app = make_app(JWT_CLAIMS_IN_REFRESH_TOKEN=False)
    token = await compat.create_refresh_token(app=app, identity="a", user_claims={"a": 1})
    assert b"user_claims" not in base64.urlsafe_b64decode(token.split(".")[1] + "==")


@pytest.mark.parametrize("name", ["RBAC_ENABLED", "RBAC_ENABLE"])
async def test_either_name_enables_roles(name: str) -> None:
    """A role needs one of the two settings; without it, minting is refused."""
    app = make_app(RBAC_ENABLED=False)
    with pytest.raises(exceptions.ConfigurationConflictError, match="RBAC_ENABLED"):
        await compat.create_access_token(app=app, identity="a", role="USER")
    app = make_app(**{"RBAC_ENABLED": False, name: True})
    assert await compat.create_access_token(app=app, identity="a", role="USER")


async def test_lifetimes_are_settings_and_arguments() -> None:
    """Each lifetime can be set, given, or be for ever; zero is refused, never taken for ever."""
    app = make_app(JWT_ACCESS_TOKEN_EXPIRES=60, JWT_REFRESH_TOKEN_EXPIRES=False)

    def lifetime(token: str) -> int | None:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return claims["exp"] - claims["iat"] if "exp" in claims else None

    assert 60 == lifetime(await compat.create_access_token(app=app, identity="a"))
    assert 90 == lifetime(await compat.create_access_token(app=app, identity="a", expires_delta=timedelta(seconds=90)))
    assert lifetime(await compat.create_access_token(app=app, identity="a", expires_delta=False)) is None
    assert lifetime(await compat.create_refresh_token(app=app, identity="a")) is None
    assert 30 == lifetime(await compat.create_refresh_token(app=app, identity="a", expires_delta=30))
    with pytest.raises(ConfigurationError, match="more than zero"):
        await compat.create_access_token(app=app, identity="a", expires_delta=timedelta(0))


async def test_asymmetric_keys(client_of: Any) -> None:
    """A private key mints and verifies; its public half alone only verifies."""
    pem, public_pem = key_pair()
    app = make_app(JWT_SECRET_KEY=None, JWT_ALGORITHM="ES256", JWT_PRIVATE_KEY=pem, JWT_PUBLIC_KEY=public_pem)
    token = await compat.create_access_token(app=app, identity="a")
    verifier = make_app(JWT_SECRET_KEY=None, JWT_ALGORITHM="ES256", JWT_PUBLIC_KEY=public_pem)
    with pytest.raises(ConfigurationError, match="only verifies"):
        await compat.create_access_token(app=verifier, identity="a")
    for application in (app, verifier, make_app(JWT_SECRET_KEY=None, JWT_ALGORITHM="ES256", JWT_PRIVATE_KEY=pem)):
        async with client_of(application) as client:
            assert 200 == (await get(client, "/protected", token)).status_code


def key_pair() -> tuple[str, str]:
    """A fresh EC key pair in PEM."""
    private = ec.generate_private_key(ec.SECP256R1())
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"JWT_SECRET_KEY": "short"}, "at least 32"),
        ({"JWT_TOKEN_LOCATION": ["cookies"]}, "JWT_TOKEN_LOCATION"),
        ({"JWT_ALGORITHM": None}, "JWT_ALGORITHM"),
        ({"JWT_ALGORITHM": "HS999"}, "HS999"),
        ({"JWT_ALGORITHM": "ES256"}, "JWT_PRIVATE_KEY"),
        ({"JWT_SECRET_KEY": None, "JWT_ALGORITHM": "ES256", "JWT_PRIVATE_KEY": "", "JWT_PUBLIC_KEY": ""}, "PEM"),
        ({"RBAC_ENABLED": "yes"}, "RBAC_ENABLED"),
        ({"JWT_CLAIMS_IN_REFRESH_TOKEN": None}, "JWT_CLAIMS_IN_REFRESH_TOKEN"),
        ({"JWT_HEADER_NAME": "not a name"}, "BearerHeader"),
    ],
)
async def test_unusable_settings_are_refused_at_once(settings: dict[str, Any], message: str) -> None:
    """JWTManager says which setting cannot be used, before any request."""
    with pytest.raises(ConfigurationError, match=message):
        make_app(**settings)


async def test_keys_that_do_not_belong_together_are_refused() -> None:
    """A public key of another pair would refuse every token, so it is refused itself."""
    settings = {"JWT_PRIVATE_KEY": key_pair()[0], "JWT_PUBLIC_KEY": key_pair()[1], "JWT_ALGORITHM": "ES256"}
    with pytest.raises(ConfigurationError, match="public half"):
        make_app(**settings)


async def test_settings_may_come_after_the_manager(client_of: Any) -> None:
    """With no key yet, they are read before the server starts."""
    app = make_app(JWT_SECRET_KEY=None)
    app.config["JWT_SECRET_KEY"] = SECRET
    async with client_of(app) as client:
        token = await compat.create_access_token(app=app, identity="a")
        assert 200 == (await get(client, "/protected", token)).status_code


async def test_one_manager_serves_several_applications() -> None:
    """Applications share nothing: a token of one is refused by the other."""
    manager = compat.JWTManager()
    first, second = sanic.Sanic("compat_first"), sanic.Sanic("compat_second")
    for app, secret in ((first, SECRET), (second, LONG_SECRET)):
        app.config["JWT_SECRET_KEY"] = secret
        manager.init_app(app)
    keys = [settings_of(app).config.signing_key for app in (first, second)]
    assert all(isinstance(key, Key) for key in keys)
    assert keys[0].kid != keys[1].kid


async def test_an_application_without_a_manager_is_told_so() -> None:
    """Minting for it raises an error that names the call."""
    with pytest.raises(exceptions.ConfigurationConflictError, match="JWTManager"):
        await compat.create_access_token(app=sanic.Sanic("compat_without"), identity="a")


async def test_allow_and_deny_exclude_each_other() -> None:
    """Both guards with roles refuse to be given both."""
    for guard in (compat.jwt_required, compat.fresh_jwt_required):
        with pytest.raises(exceptions.ConfigurationConflictError, match="together"):
            guard(allow=["A"], deny=["B"])


async def test_old_names_and_new_roots() -> None:
    """Every exception of 0.4.4 exists, and is a JWTError as well."""
    names = {
        *("JWTDecodeError", "InvalidHeaderError", "NoAuthorizationError", "WrongTokenError", "RevokedTokenError"),
        *("FreshTokenRequired", "AccessDenied", "ConfigurationConflictError"),
    }
    assert all(issubclass(getattr(exceptions, name), (exceptions.JWTExtendedException, JWTError)) for name in names)
    assert names < set(exceptions.__all__)


async def test_a_token_shows_no_secret(client_of: Any) -> None:
    """The repr of what handlers receive holds identity and jti, and no claims."""
    app = make_app()
    seen = []

    @app.get("/repr")
    @compat.jwt_required
    async def handler(request: Any, token: tokens.Token) -> Any:
        seen.append(repr(token))
        return sanic.empty()

    token = await compat.create_access_token(app=app, identity="alice", user_claims={"pin": "1234"})
    async with client_of(app) as client:
        await get(client, "/repr", token)
    assert re.fullmatch(r"<Token identity='alice' jti='[0-9a-f-]{36}'>", seen[0])


async def test_sanic_ext_does_not_interfere(client_of: Any) -> None:
    """With sanic-ext installed, the old guards still inject their own token."""
    if importlib.util.find_spec("sanic_ext") is None:
        pytest.skip("sanic-ext is not installed")
    app = make_app(AUTO_EXTEND=True)
    token = await compat.create_access_token(app=app, identity="a")
    async with client_of(app) as client:
        assert app.ext is not None
        assert 200 == (await get(client, "/protected", token)).status_code


def add_websockets(app: Any) -> None:
    def hide(handler: Any) -> Any:
        async def wrapper(request: Any, ws: Any) -> Any:
            return await handler(request, ws)

        return wrapper

    for name, guard in {
        "guarded": compat.jwt_required(allow=["ADMIN"]),
        "fresh": compat.fresh_jwt_required,
        "refresh": compat.jwt_refresh_token_required,
        "optional": compat.jwt_optional,
        "hidden": lambda handler: hide(compat.jwt_required(allow=["ADMIN"])(handler)),
    }.items():

        async def feed(request: Any, ws: Any, token: tokens.Token) -> None:
            await ws.send(str(token.jwt_identity))
            await ws.send("done")

        app.add_websocket_route(guard(feed), f"/ws/{name}", name=f"ws_{name}")


@pytest.mark.parametrize("installed", [False, True])
async def test_websockets_are_refused_before_the_handshake(
    site_of: Any, caplog: pytest.LogCaptureFixture, installed: bool
) -> None:
    """A websocket without a token that its guard lets pass is never accepted, and nothing is logged as an error."""  # S125
    app = make_app()
    app.config.TOUCHUP = False
    if installed:
        install(app, settings_of(app).config, required=False)
    add_websockets(app)
    admin = await compat.create_access_token(app=app, identity="alice", role="ADMIN", fresh=True)
    user = await compat.create_access_token(app=app, identity="bob", role="USER")
    refresh = await compat.create_refresh_token(app=app, identity="alice")
    async with site_of(app) as site:
        for name, raws, status in (
            ("guarded", [], 401),
            ("guarded", ["a.b.c"], 401),
            ("guarded", [admin, admin], 400),
            ("guarded", [user], 403),
            ("fresh", [user], 401),
            ("refresh", [admin], 401),
            ("optional", ["a.b.c"], 401),
        ):
            assert (name, status) == (name, (await site.talk(f"/ws/{name}", *raws)).status)
        for name, raws, identity in (
            ("guarded", [admin], "alice"),
            ("fresh", [admin], "alice"),
            ("refresh", [refresh], "alice"),
            ("optional", [], "None"),
            ("hidden", [admin], "alice"),
        ):
            assert [identity, "done"] == list((await site.talk(f"/ws/{name}", *raws)).texts)
    assert [] == [record for record in caplog.records if record.levelname == "ERROR"]


async def test_the_answer_to_a_refused_websocket(site_of: Any) -> None:
    """A refused websocket reads the manager's own answer."""
    app = make_app()
    add_websockets(app)
    async with site_of(app) as site:
        refused = await site.talk("/ws/guarded")
    assert 'Bearer realm="api"' == refused.headers["www-authenticate"]


async def test_a_guard_that_a_decorator_hides(caplog: pytest.LogCaptureFixture) -> None:
    """A guard that cannot be seen still refuses: the socket is closed at once, with the right code and quietly."""  # S125
    app = make_app()
    add_websockets(app)
    async with lifespan(app):
        for headers, code in (((), 3000), ((bearer("a.b.c"),), 3000)):
            answer = await talk(app, "/ws/hidden", *headers)
            assert (["websocket.accept", "websocket.close"], code) == (answer.types, answer.close_code)
    assert ["WARNING"] == [one.levelname for one in caplog.records if one.name == "asgi_jwt_claims"]
    assert [] == [record for record in caplog.records if record.levelname == "ERROR"]


def a_guard_above_the_route(app: Any) -> None:
    @compat.jwt_required
    @app.get("/wrong")
    async def handler(request: Any, token: Any) -> Any:
        raise AssertionError("reached")

    app.ctx.kept = handler


def a_parameter_named_token(app: Any) -> None:
    @app.get("/wrong/<token>")
    @compat.jwt_optional
    async def handler(request: Any, token: Any) -> Any:
        raise AssertionError("reached")


@pytest.mark.parametrize("mistake", [a_guard_above_the_route, a_parameter_named_token])
async def test_mistakes_are_found_at_the_start(mistake: Any) -> None:
    """A guard that guards nothing, and a parameter that the token would replace, stop the application from starting."""
    app = make_app()
    mistake(app)
    assert re.search("jwt_required", await failure_of(app))


async def test_a_parameter_named_token_is_not_replaced() -> None:
    """The guard does not replace one that was not found."""
    guarded = compat.jwt_required(a_parameter_named_token)
    with pytest.raises(ConfigurationError, match="rename the parameter of the route"):
        await guarded(sanic.Request(b"/", {}, "1.1", "GET", None, make_app()), token="mallory")  # type: ignore[arg-type]
