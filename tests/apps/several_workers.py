"""A Sanic application on its own server, with several workers: `python -m tests.apps.several_workers <port>`."""

from __future__ import annotations

import os
import sys

from sanic import HTTPResponse, Request, Sanic, json

from asgi_jwt_claims import JWTConfig, Token, current_token
from asgi_jwt_claims.sanic import install, jwt_required
from tests.support import SECRET

app: Sanic = Sanic("several_workers")
app.config.MOTD = False
install(app, JWTConfig(secret_key=SECRET))


@app.get("/")
@jwt_required
async def whoami(request: Request, token: Token) -> HTTPResponse:
    return json({"identity": token.identity, "current": current_token() is token, "process": os.getpid()})


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), workers=2, access_log=False)
