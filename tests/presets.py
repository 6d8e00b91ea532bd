"""Tokens of the providers in `tests.corpus.providers`, their keys, and configurations that read them."""

from __future__ import annotations

import base64
import functools
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from asgi_jwt_claims import JWTConfig, Token, verify_token_async
from asgi_jwt_claims.config.presets.settings import Claim, Provider
from asgi_jwt_claims.config.presets.table import PROVIDERS
from asgi_jwt_claims.jwks import FetchResponse
from tests.corpus.providers import SHAPES, Claims, Shape, changed
from tests.corpus.signers import Signer, ecdsa, rsa_pkcs1
from tests.forging import b64
from tests.keys import rsa_key
from tests.support import ROOT

__all__ = [
    "Case",
    "Published",
    "cases_of",
    "configured",
    "go_jwt_middleware",
    "jwk_for",
    "mint",
    "peers_on_the_page",
    "read",
    "table_of",
    "tally",
    "without",
]

NOW = int(time.time())
"""When all tokens of a run are issued: for libraries that take no clock."""

_NUMBER = 3  # of an RSA key that no other test uses


@functools.cache
def _ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _signer(algorithm: str) -> Signer:
    return ecdsa(_ec_key()) if algorithm == "ES256" else rsa_pkcs1(rsa_key(_NUMBER))


@functools.cache
def jwk_for(algorithm: str) -> dict[str, Any]:
    """The public key that verifies `algorithm`, as a provider publishes it."""
    common = {"kid": "k1", "use": "sig", "alg": algorithm}
    if algorithm == "ES256":
        point = _ec_key().public_key().public_numbers()
        return {**common, "kty": "EC", "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32)}
    numbers = rsa_key(_NUMBER).public_key().public_numbers()
    return {**common, "kty": "RSA", "n": _number(numbers.n, 256), "e": "AQAB"}


def _number(value: int, size: int) -> str:
    return b64(value.to_bytes(size)).decode()


def mint(shape: Shape, changes: Claims | None = None) -> str:
    """A token of a provider, after some changes of its claims."""
    claims = changed({"iat": NOW, "exp": NOW + 300, **shape.claims}, changes or {})
    header = {"alg": shape.algorithm, "kid": "k1", **shape.header}
    signed = b".".join(b64(json.dumps(part).encode()) for part in (header, claims))
    return b".".join((signed, b64(_signer(shape.algorithm)(signed)))).decode()


def without(claims: Claims, path: str | tuple[str, ...]) -> Claims:
    """The changes that leave out a claim, or a member of one."""
    if isinstance(path, str):
        return {path: ...}
    first, *rest = path
    inner = claims[first]
    return {first: changed(inner, without(inner, tuple(rest) if len(rest) > 1 else rest[0]))}


class Published:
    """A `fetch` that publishes the metadata and the keys of a provider.

    Attributes:
        asked: The URLs that were asked.
        members: Further members of each key.
    """

    def __init__(self, shape: Shape, **members: Any) -> None:
        self.shape = shape
        self.members = members
        self.asked: list[str] = []

    async def __call__(self, url: str, *, max_size: int) -> FetchResponse:
        self.asked.append(url)
        issuer = self.shape.claims["iss"]
        document: dict[str, Any] = {"keys": [{**jwk_for(self.shape.algorithm), **self.members}]}
        if url.endswith("/.well-known/openid-configuration"):
            document = {"issuer": issuer, "jwks_uri": f"{issuer.removesuffix('/')}/keys"}
        return FetchResponse(200, {}, json.dumps(document).encode())


def configured(name: str, **changes: Any) -> JWTConfig:
    """The configuration of a preset with the arguments of its shape, after some changes; `...` leaves one out."""
    arguments = changed({"fetch": Published(SHAPES[name]), **SHAPES[name].arguments}, changes)
    return JWTConfig.for_provider(name, **arguments)


async def read(raw: str, config: JWTConfig) -> Token:
    """Verify a token, with a fetch if necessary."""
    return await verify_token_async(raw, config)


# The table on the page ------------------------------------------------------------------------------------------------


def table_of(rows: Mapping[str, Provider]) -> str:
    """The table of all presets, in Markdown."""
    head = ("preset", "arguments", "demanded of each token", "scopes", "roles", "identity")
    body = [_cells(name, row) for name, row in rows.items()]
    lines = [head, ("---",) * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(name: str, row: Provider) -> tuple[str, ...]:
    alone = [need for need in row.needs if isinstance(need, str)]
    groups = [need for need in row.needs if isinstance(need, tuple)]
    in_groups = {one for group in groups for one in group}
    needs = [_code(one) for one in alone] + ["at least one of " + ", ".join(map(_code, group)) for group in groups]
    values = {claim: value.strip("{}") for claim, value in row.claims.items() if value.startswith("{")}
    optional = [_code(one) for one in values.values() if one not in alone and one not in in_groups]
    demands = [] if row.audience is None else ["`aud` = " + row.audience.replace("{", "*").replace("}", "*")]
    for claim in dict.fromkeys((*row.present, *row.claims)):
        shown, argument = _code(_shown(claim)), values.get(claim)
        if argument == claim and argument in in_groups and claim not in row.present:
            shown = "those given"
        elif argument is not None:
            shown += f" = *{argument}*"
            if argument not in alone:
                shown = f"{_code(claim)} (= *{argument}* if given)" if claim in row.present else f"{shown} if given"
        elif claim in row.claims:
            shown += f" = `{row.claims[claim]}`"
        demands.append(shown)
    if row.one_of:
        demands.append(" or ".join(map(_code, row.one_of)) + " unless *client_id* is given")
    return (
        _code(name),
        ", ".join([*needs, *(["`accept_id_tokens=True`"] if row.only_id_tokens else [])])
        + (f"; optional: {', '.join(optional)}" if optional else ""),
        "; ".join(dict.fromkeys(demands)) or "-",
        _places(row.scopes),
        _places(row.roles),
        ", else ".join(map(_code, row.identity)),
    )


def _code(text: str) -> str:
    return f"`{text}`"


def _places(claims: tuple[Claim, ...]) -> str:
    return ", ".join(f"`{_shown(claim)}`" for claim in claims) or "-"


def _shown(claim: Claim) -> str:
    return claim if isinstance(claim, str) else " > ".join(claim)


# Other libraries ------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A token, and what a library is told that verifies it."""

    token: str
    is_good: bool
    issuers: list[str]
    audience: list[str] | None
    algorithm: str


@functools.cache
def cases_of(name: str) -> list[Case]:
    """The tokens of a provider that ought to pass, then those that ought not, with the names that each library knows."""
    shape, row = SHAPES[name], PROVIDERS[name]
    issuers = [shape.claims["iss"], *row.aliases]
    audience = shape.arguments.get("audience", None if row.audience is None else shape.claims["aud"])
    good = [{}, *(changes for changes, _ in shape.others)]
    bad = [*shape.tenants, *shape.clients, *shape.id_tokens]
    audiences = None if audience is None else [audience] if isinstance(audience, str) else audience
    return [
        Case(mint(shape, changes), is_good, issuers, audiences, shape.algorithm)
        for changes, is_good in [*((one, True) for one in good), *((one, False) for one in bad)]
    ]


def tally(name: str, passed: Iterable[bool]) -> str:
    """How many of the good tokens have passed, and how many of the bad ones."""
    found = list(zip(cases_of(name), passed, strict=True))
    good = [ok for case, ok in found if case.is_good]
    bad = [ok for case, ok in found if not case.is_good]
    return f"{sum(good)} of {len(good)}; {sum(bad)} of {len(bad)}"


def peers_on_the_page() -> dict[str, dict[str, str]]:
    """The table of other libraries in the documentation: by preset and library, what `tally` says."""
    text = (ROOT / "docs" / "explanation.md").read_text()
    head, _, *body = re.search(r"^\| preset \|.*?\n\n", text, re.MULTILINE | re.DOTALL)[0].splitlines()  # type: ignore[index]
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in body if line]
    return {row[0].strip("`"): dict(zip(columns[1:], row[1:], strict=True)) for row in rows}


def go_jwt_middleware(case: Case) -> bool:
    """What go-jwt-middleware 3 does by its source: issuer and audience are required, and nothing else is compared."""
    claims = json.loads(base64.urlsafe_b64decode(case.token.split(".")[1] + "=="))
    aud = claims.get("aud", [])
    audiences = [aud] if isinstance(aud, str) else aud
    return claims.get("iss") in case.issuers and not set(audiences).isdisjoint(case.audience or ())
