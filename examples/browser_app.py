"""A page that logs in with cookies, in FastAPI. docs/how-to/cookies.md explains its script.

Run it:

    export JWT_SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(64))")
    uvicorn examples.browser_app:app --port 8000

Open http://localhost:8000, by this name: 127.0.0.1 is another site.
"""

from typing import Any

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from asgi_jwt_claims import BearerHeader, Cookie, JWTConfig, set_token_cookies
from asgi_jwt_claims.fastapi import CurrentToken, install
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.stores import MemoryStore

config = JWTConfig.from_env()
store = MemoryStore()
visits: list[str] = []
app = FastAPI()
install(
    app,
    config,
    store=store,
    sources=[BearerHeader(), Cookie()],
    exempt=["/", "/login"],
    endpoints={"/auth": TokenEndpoints(config, store, cookies=True)},
)


class Credentials(BaseModel):
    """What a login sends."""

    username: str
    password: str


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.post("/login")
async def login(credentials: Credentials, response: Response) -> dict[str, Any]:
    if (credentials.username, credentials.password) != ("test", "test"):  # ask your own users here
        raise HTTPException(403, "Bad username or password")
    pair = await start_session("test", config, store, user_claims={"VERI TAS": "LUX MEA"})
    set_token_cookies(response, pair, config)
    return {"user": "test"}


@app.get("/protected")
async def protected(token: CurrentToken) -> dict[str, Any]:
    return {"data": token.user_claims}


@app.post("/visits")
async def visit(token: CurrentToken) -> dict[str, Any]:
    visits.append(token.identity)
    return {"visits": len(visits)}


PAGE = """<!doctype html>
<title>Cookies</title>
<button onclick="logIn('test', 'test').then(show)">Log in</button>
<button onclick="send('/protected').then(show)">Read</button>
<button onclick="send('/visits', { method: 'POST' }).then(show)">Write</button>
<button onclick="fetch('/visits', { method: 'POST' }).then(show)">Write without the CSRF value</button>
<button onclick="logOut().then(show)">Log out</button>
<pre></pre>
<script>
function csrfToken() {
  const name = "__Host-csrf_token=";
  const cookie = document.cookie.split("; ").find((one) => one.startsWith(name));
  return cookie === undefined ? "" : cookie.slice(name.length);
}

// Like fetch, for paths of this application. After a 401 it refreshes, and tries once more.
async function send(path, options = {}) {
  const seen = csrfToken();
  const answer = await sendOnce(path, options);
  return answer.status === 401 && (await refresh(seen)) ? sendOnce(path, options) : answer;
}

function sendOnce(path, options) {
  const request = new Request(path, options);
  request.headers.set("X-CSRF-Token", csrfToken());
  return fetch(request);
}

// One refresh at a time, in all tabs; those who waited find that it has been done.
function refresh(seen) {
  return navigator.locks.request("refresh", async () => {
    if (csrfToken() !== seen) return true;
    return (await sendOnce("/auth/refresh", { method: "POST" })).ok;
  });
}

function logIn(username, password) {
  const body = JSON.stringify({ username, password });
  return fetch("/login", { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

function logOut() {
  return send("/auth/logout", { method: "POST" });
}

async function show(answer) {
  document.querySelector("pre").textContent = answer.status + " " + (await answer.text());
}
</script>
"""
