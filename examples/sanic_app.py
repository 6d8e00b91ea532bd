"""A login and a protected handler in Sanic.

Run it on Sanic's own server, or on any ASGI server:

    export JWT_SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(64))")
    sanic examples.sanic_app:app --port 8000
    uvicorn examples.sanic_app:app --port 8000

Use it:

    curl http://127.0.0.1:8000/login --json '{"username": "test", "password": "test"}'
    curl http://127.0.0.1:8000/protected -H "Authorization: Bearer <the access token>"
"""

from sanic import HTTPResponse, Request, Sanic
from sanic.response import json

from asgi_jwt_claims import JWTConfig, Token, create_token_pair
from asgi_jwt_claims.sanic import install, jwt_required

config = JWTConfig.from_env()
app = Sanic("example")
install(app, config, exempt=["/login"])


@app.post("/login")
async def login(request: Request) -> HTTPResponse:
    if request.json != {"username": "test", "password": "test"}:  # ask your own users here
        return json({"error": "Bad username or password"}, 403)
    pair = create_token_pair("test", config, user_claims={"VERI TAS": "LUX MEA"}, fresh=True)
    return json(dict(pair), headers={"Cache-Control": "no-store"})


@app.get("/protected")
@jwt_required
async def protected(request: Request, token: Token) -> HTTPResponse:
    return json({"data": token.user_claims})
