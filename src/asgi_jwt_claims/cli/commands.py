"""The commands and their output."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from asgi_jwt_claims import __version__

if TYPE_CHECKING:
    from .servers import DemoServer

__all__ = ["commands"]

_DEFAULT_PORT = 8000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="asgi-jwt-claims")
def commands() -> None:
    """User claims from JWTs, the same in every ASGI framework."""


@commands.command()
@click.option("--check", is_flag=True, help="Send a round of requests over HTTP, print the answers, and exit 0 or 1.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_532),  # four servers use four ports
    help=f"Port of the first server, the others follow; 0 takes free ones. Default: {_DEFAULT_PORT}, with --check 0.",
)
def demo(*, check: bool, port: int | None) -> None:
    """Serve a login and the same protected handler in Sanic, Starlette and FastAPI, on loopback only."""
    # Imported here, so that --help works without the packages of the extra.
    from .servers import DemoServersError, running_demo  # noqa: PLC0415 -- see above

    if port is None:
        port = 0 if check else _DEFAULT_PORT
    try:
        with running_demo(port) as (config, servers):
            if not check:
                _serve(servers)
                return
            from .check import check_all, print_table  # noqa: PLC0415 -- see above

            all_right = print_table(check_all(config, servers))
    except DemoServersError as error:
        raise click.ClickException(str(error)) from None
    if not all_right:
        raise SystemExit(1)


def _serve(servers: Sequence[DemoServer]) -> None:
    for server in servers:
        click.echo(_lines_to_paste(server))
    click.echo("Log in with the first line of a server, use its token with the second. Ctrl-C ends it.")
    try:
        while all(server.is_running for server in servers):
            time.sleep(0.2)  # seconds, after which a server that has stopped by itself is noticed
    except KeyboardInterrupt:
        click.echo("\nStopped.")
    else:
        raise click.ClickException("a server has stopped by itself")


def _lines_to_paste(server: DemoServer) -> str:
    login = (
        f"curl -s {server.url}/login -H 'Content-Type: application/json'"
        """ -d '{"username": "test", "password": "test"}'"""
    )
    token = "import json, sys; print(json.load(sys.stdin)['access_token'])"  # noqa: S105 -- a program
    return (
        f"# {server.name}\n"
        f'TOKEN=$({login} | python3 -c "{token}")\n'
        f'curl -i {server.url}/protected -H "Authorization: Bearer $TOKEN"\n'
    )
