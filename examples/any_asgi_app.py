"""Any ASGI application, wrapped. It uses no framework, and one line of it reads the claims.

Run it:

    export JWT_SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(64))")
    uvicorn examples.any_asgi_app:app --port 8000

Make a token and use it:

    TOKEN=$(python -m examples.any_asgi_app)
    curl http://127.0.0.1:8000/ -H "Authorization: Bearer $TOKEN"
"""

import json
from typing import Any

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token

config = JWTConfig.from_env()


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        body = json.dumps({"data": scope["token"].user_claims}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})


app = JWTMiddleware(hello, config)

if __name__ == "__main__":
    print(create_access_token("test", config, user_claims={"VERI TAS": "LUX MEA"}))
