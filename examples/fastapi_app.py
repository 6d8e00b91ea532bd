"""A login and a protected handler in FastAPI, with an Authorize button on the documentation page.

Run it:

    export JWT_SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(64))")
    uvicorn examples.fastapi_app:app --port 8000

Use it at http://127.0.0.1:8000/docs, or:

    curl http://127.0.0.1:8000/login --json '{"username": "test", "password": "test"}'
    curl http://127.0.0.1:8000/protected -H "Authorization: Bearer <the access token>"
    curl http://127.0.0.1:8000/auth/logout -d "token=<the access token>"
"""

from typing import Any

from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel

from asgi_jwt_claims import JWTConfig
from asgi_jwt_claims.fastapi import CurrentToken, install
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.stores import MemoryStore

PAGES = ["/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"]

config = JWTConfig.from_env()
store = MemoryStore()  # for one process; SQLiteStore or RedisStore serve several
app = FastAPI()
install(app, config, store=store, exempt=["/login", *PAGES], endpoints={"/auth": TokenEndpoints(config, store)})


class Credentials(BaseModel):
    """What a login sends."""

    username: str
    password: str


@app.post("/login")
async def login(credentials: Credentials, response: Response) -> dict[str, Any]:
    if (credentials.username, credentials.password) != ("test", "test"):  # ask your own users here
        raise HTTPException(403, "Bad username or password")
    response.headers["Cache-Control"] = "no-store"
    return dict(await start_session("test", config, store, user_claims={"VERI TAS": "LUX MEA"}))


@app.get("/protected")
async def protected(token: CurrentToken) -> dict[str, Any]:
    return {"data": token.user_claims}
