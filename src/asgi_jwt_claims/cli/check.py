"""`demo --check`: send requests to the demo over HTTP, and compare each answer with the expected one."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import httpx2

from asgi_jwt_claims import JWTConfig, create_access_token

from .apps import USER_CLAIMS

if TYPE_CHECKING:
    from .servers import DemoServer

__all__ = ["Row", "check_all", "print_table"]

_HOUR = 3600
_ERROR_CODE = re.compile(r'error="([^"]*)"')

# No answer, an answer that is not JSON, or one that lacks a member or a header.
_NO_ANSWER = (httpx2.HTTPError, ValueError, LookupError, TypeError)


class Row(NamedTuple):
    """A row of the table."""

    server: str
    request: str
    expected: str
    actual: str

    @property
    def is_right(self) -> bool:
        """Whether the answer is the expected one, exactly."""
        return self.expected == self.actual


def check_all(config: JWTConfig, servers: Iterable[DemoServer]) -> Iterator[Row]:
    """Send the requests of a round to each server, all of which have this configuration."""
    for server in servers:
        # Proxies of the environment are not for requests to this machine.
        with httpx2.Client(base_url=server.url, timeout=5, trust_env=False) as client:
            for request, expected, actual in _round(client, config):
                yield Row(server.name, request, expected, actual)


def print_table(rows: Iterable[Row]) -> bool:
    """Print the rows as they come, and return whether all answers are right."""
    click.echo(_line("server", "request", "expected", "actual", ""))
    wrong = 0
    for row in rows:
        wrong += not row.is_right
        click.echo(_line(*row, "ok" if row.is_right else "FAIL"))
    click.echo(f"{wrong} of the answers are wrong." if wrong else "All answers are right.")
    return not wrong


def _line(server: str, request: str, expected: str, actual: str, verdict: str) -> str:
    return f"{server:<20}{request:<17}{expected:<48}{actual:<46}  {verdict}".rstrip()


def _round(client: httpx2.Client, config: JWTConfig) -> Iterator[tuple[str, str, str]]:
    tokens, actual = _log_in(client)
    yield "log in", "200 Bearer, no-store", actual
    access, refresh = str(tokens.get("access_token")), str(tokens.get("refresh_token"))
    yield "read the claims", "200 " + json.dumps({"data": USER_CLAIMS}), _ask(client, access)
    yield "no token", "401 Authentication is required.", _ask(client, None)
    forged, expired = _with_other_claims(access), _minted_long_ago(config)
    yield "claims changed", "401 The token signature could not be verified.", _ask(client, forged)
    yield "expired token", "401 The token has expired.", _ask(client, expired)
    yield "refresh token", "401 The token is of the wrong type.", _ask(client, refresh)


def _log_in(client: httpx2.Client) -> tuple[dict[str, Any], str]:
    try:
        response = client.post("/login", json={"username": "test", "password": "test"})
        tokens = response.json()
        return tokens, f"{response.status_code} {tokens['token_type']}, {response.headers.get('cache-control')}"
    except _NO_ANSWER as error:
        return {}, f"nothing of use ({type(error).__name__})"


def _ask(client: httpx2.Client, token: str | None) -> str:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        response = client.get("/protected", headers=headers)
        body = response.json()
        if response.is_success:
            return f"{response.status_code} {json.dumps(body)}"
        code = _ERROR_CODE.search(response.headers["www-authenticate"])
        # The challenge has the error code of the body, or none if no token was sent (RFC 6750 section 3.1).
        right = (code[1] if code else "unauthorized") == body["error"]
        return f"{response.status_code} {body['error_description']}{'' if right else ' (another challenge)'}"
    except _NO_ANSWER as error:
        return f"nothing of use ({type(error).__name__})"


def _with_other_claims(token: str) -> str:
    """The token with the claims of another user under its own signature."""
    header, _, signature = [*token.split("."), "", ""][:3]
    claims = {"sub": "mallory", "user_claims": {"role": "admin"}}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{payload}.{signature}"


def _minted_long_ago(config: JWTConfig) -> str:
    past = config.replace(clock=lambda: time.time() - _HOUR)
    return create_access_token("test", past, user_claims=USER_CLAIMS, lifetime=_HOUR / 2)
