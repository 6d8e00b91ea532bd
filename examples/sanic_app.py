"""A login and a protected handler in Sanic.

Run it on Sanic's own server, or on any ASGI server:

    export JWT_SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(64))")
    sanic examples.sanic_app:app --port 8000 --single-process
    uvicorn examples.sanic_app:app --port 8000

Use it:

    curl http://127.0.0.1:8000/login --json '{"username": "test", "password": "test"}'
    curl http://127.0.0.1:8000/protected -H "Authorization: Bearer <the access token>"
    curl http://127.0.0.1:8000/auth/logout -d "token=<the access token>"
"""

from sanic import HTTPResponse, Request, Sanic
from sanic.response import json

from asgi_jwt_claims import JWTConfig, Token
from asgi_jwt_claims.sanic import install, jwt_required
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.stores import MemoryStore

config = JWTConfig.from_env()
store = MemoryStore()  # for one process; SQLiteStore or RedisStore serve several
app = Sanic("example")
install(app, config, store=store, exempt=["/login"], endpoints={"/auth": TokenEndpoints(config, store)})


@app.post("/login")
async def login(request: Request) -> HTTPResponse:
    if request.json != {"username": "test", "password": "test"}:  # ask your own users here
        return json({"error": "Bad username or password"}, 403)
    pair = await start_session("test", config, store, user_claims={"VERI TAS": "LUX MEA"})
    return json(dict(pair), headers={"Cache-Control": "no-store"})


@app.get("/protected")
@jwt_required
async def protected(request: Request, token: Token) -> HTTPResponse:
    return json({"data": token.user_claims})
