"""The programs of the README, for servers: those of ASGI side by side, by the header in which a request names one."""

from __future__ import annotations

from typing import Any

from tests.pages import blocks
from tests.raw_asgi import App, Receive, Scope, Send
from tests.support import ROOT, SECRET

__all__ = ["CONFIG", "PROGRAMS", "application", "sanic"]


def _programs() -> dict[str, Any]:
    """Every `app` that the README makes, by the module that its class is from, and the configuration."""
    names: dict[str, Any] = {"__name__": __name__}
    made: dict[str, Any] = {}
    for block in blocks(ROOT / "README.md"):
        if block.language == "python":
            exec(compile(block.text.replace('os.environ["JWT_SECRET_KEY"]', repr(SECRET)), "README", "exec"), names)
            app = names.get("app")
            made[type(app).__module__.partition(".")[0]] = app
    return made | {"config": names["config"]}


_MADE = _programs()
CONFIG = _MADE["config"]
sanic = _MADE["sanic"]
PROGRAMS: dict[bytes, App] = {
    b"any": _MADE["asgi_jwt_claims"],
    b"fastapi": _MADE["fastapi"],
    b"starlette": _MADE["starlette"],
}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """What the request names. None of them has a lifespan that matters."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await PROGRAMS[dict(scope["headers"])[b"x-program"]](scope, receive, send)
