"""A login and a protected handler in Starlette.

Run it:

    export JWT_SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(64))")
    uvicorn examples.starlette_app:app --port 8000

Use it:

    curl http://127.0.0.1:8000/login --json '{"username": "test", "password": "test"}'
    curl http://127.0.0.1:8000/protected -H "Authorization: Bearer <the access token>"
    curl http://127.0.0.1:8000/auth/logout -d "token=<the access token>"
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_jwt_claims import JWTConfig, Token
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.starlette import install, jwt_required
from asgi_jwt_claims.stores import MemoryStore

config = JWTConfig.from_env()
store = MemoryStore()  # for one process; SQLiteStore or RedisStore serve several


async def login(request: Request) -> JSONResponse:
    try:
        credentials = await request.json()
    except ValueError:
        return JSONResponse({"error": "Send JSON"}, 400)
    if credentials != {"username": "test", "password": "test"}:  # ask your own users here
        return JSONResponse({"error": "Bad username or password"}, 403)
    pair = await start_session("test", config, store, user_claims={"VERI TAS": "LUX MEA"})
    return JSONResponse(dict(pair), headers={"Cache-Control": "no-store"})


@jwt_required
async def protected(request: Request, token: Token) -> JSONResponse:
    return JSONResponse({"data": token.user_claims})


app = Starlette(routes=[Route("/login", login, methods=["POST"]), Route("/protected", protected)])
install(app, config, store=store, exempt=["/login"], endpoints={"/auth": TokenEndpoints(config, store)})
