"""A login and a protected handler in FastAPI, with an Authorize button on the documentation page.

Run it:

    export JWT_SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(64))")
    uvicorn examples.fastapi_app:app --port 8000

Use it at http://127.0.0.1:8000/docs, or:

    curl http://127.0.0.1:8000/login --json '{"username": "test", "password": "test"}'
    curl http://127.0.0.1:8000/protected -H "Authorization: Bearer <the access token>"
"""

from typing import Any

from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel

from asgi_jwt_claims import JWTConfig, create_token_pair
from asgi_jwt_claims.fastapi import CurrentToken, install

config = JWTConfig.from_env()
app = FastAPI()
install(app, config, exempt=["/login", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"])


class Credentials(BaseModel):
    """What a login sends."""

    username: str
    password: str


@app.post("/login")
async def login(credentials: Credentials, response: Response) -> dict[str, Any]:
    if (credentials.username, credentials.password) != ("test", "test"):  # ask your own users here
        raise HTTPException(403, "Bad username or password")
    response.headers["Cache-Control"] = "no-store"
    return dict(create_token_pair("test", config, user_claims={"VERI TAS": "LUX MEA"}, fresh=True))


@app.get("/protected")
async def protected(token: CurrentToken) -> dict[str, Any]:
    return {"data": token.user_claims}
