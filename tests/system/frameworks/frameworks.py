"""The frameworks that the checks are run against, in the order of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

NO_WEBSOCKETS = "It has no WebSockets of its own. A handshake without a token is refused all the same."
WHOLE_PATH = "Its router compares the whole path, with the prefix of the mount."
NOT_TOLD = (
    "The stream ends for the client. a2wsgi does not tell a WSGI application that its client has left, so that the "
    "thread of an endless stream is never free again, be it for this reason or another."
)
SOCKETS = {"websocket accepted": NO_WEBSOCKETS, "websocket ends": NO_WEBSOCKETS}


class Framework(NamedTuple):
    """One framework.

    Attributes:
        name: What the page calls it.
        module: The name of its application in `apps`.
        distributions: What is installed for it, whose versions the page gives.
        how: How the application is guarded.
        lacks: The checks that cannot pass, for a reason that lies with the framework.
        page: Its page below `docs/how-to`, if there is one.
    """

    name: str
    module: str
    distributions: tuple[str, ...]
    how: str = "wrapped"
    lacks: Mapping[str, str] = {}
    page: str = ""


FRAMEWORKS = (
    Framework("Starlette", "starlette", ("starlette",), "`install`", page="starlette"),
    Framework("FastAPI", "fastapi", ("fastapi",), "`install`", page="fastapi"),
    Framework("Sanic, in ASGI mode", "sanic", ("sanic",), "`install`", {"mounted": WHOLE_PATH}, "sanic"),
    Framework("Litestar", "litestar", ("litestar",), page="litestar"),
    Framework("Django, with Channels", "django", ("django", "channels"), page="django"),
    Framework("Quart", "quart", ("quart",), page="quart"),
    Framework("Falcon", "falcon", ("falcon",), lacks={"mounted": WHOLE_PATH}, page="falcon"),
    Framework("BlackSheep", "blacksheep", ("blacksheep",), page="blacksheep"),
    Framework("Lilya", "lilya", ("lilya",), page="lilya-and-ravyn"),
    Framework("Ravyn", "ravyn", ("ravyn",), page="lilya-and-ravyn"),
    Framework("Connexion", "connexion", ("connexion",), lacks=SOCKETS, page="connexion"),
    Framework("FastStream", "faststream", ("faststream",), lacks={**SOCKETS, "mounted": WHOLE_PATH}, page="faststream"),
    Framework("MCP SDK", "mcp", ("mcp",), lacks=SOCKETS, page="mcp"),
    Framework(
        "Flask, below a2wsgi", "flask", ("flask", "a2wsgi"), lacks={**SOCKETS, "stream ends": NOT_TOLD}, page="wsgi"
    ),
)
