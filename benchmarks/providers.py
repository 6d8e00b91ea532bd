"""Measure the tokens of other parties: a preset's beside one's own of the same size, and one's own beside an earlier version."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import statistics
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from asgi_jwt_claims import JWTConfig, Key, create_access_token, verify_token_async
from asgi_jwt_claims.jwks import FetchResponse

from .core import verifying
from .material import AUDIENCE, IDENTITY, ISSUER, Material, configuration, new_material, pool, signed
from .measure import POOL, Effort, Task, median_ratio, times_in_turn
from .sections import Section, Table, Target, micros, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PACKAGE: Final = "asgi_jwt_claims"
BEFORE: Final = "BEFORE"
TOKENS: Final = POOL // 2  # twice what the cache holds
OF_PRESETS: Final = 1.1
OF_BEFORE: Final = 1.02
TEXT: Final = f"""\
A preset's token, RS256, with the claims that the provider documents, divided by one's own token of the same size, key and
number of roles and scopes. "Fresh" goes round {TOKENS:,} different tokens, so that no cache of verified signatures can help.
By hand: claims side by side in `JWTConfig`, with a path for the roles and two values demanded. Before: one's own tokens,
divided by the same with an earlier version of this library, whose folder `src` the environment variable {BEFORE} names."""


class Shape(NamedTuple):
    """The token of a provider: what its preset needs, its issuer, and its claims beside those that all tokens have."""

    arguments: dict[str, Any]
    issuer: str
    claims: dict[str, Any]


SHAPES: Final = {
    "auth0": Shape(
        {"domain": "acme.eu.auth0.com", "audience": AUDIENCE},
        "https://acme.eu.auth0.com/",
        {
            "aud": [AUDIENCE, "https://acme.eu.auth0.com/userinfo"],
            "azp": "a1B2c3D4e5F6g7H8",
            "scope": "openid profile read:books",
            "permissions": ["read:books"],
        },
    ),
    "cognito": Shape(
        {"region": "eu-central-1", "user_pool_id": "eu-central-1_example", "client_id": "4hf0rm5rvd2example"},
        "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example",
        {
            "token_use": "access",
            "client_id": "4hf0rm5rvd2example",
            "scope": "openid books/read",
            "cognito:groups": ["readers", "writers"],
            "auth_time": 1_700_000_000,
            "origin_jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "username": "alice",
            "version": 2,
        },
    ),
    "entra": Shape(
        {"tenant_id": "11111111-2222-3333-4444-555555555555", "audience": AUDIENCE},
        "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
        {
            "aud": AUDIENCE,
            "azp": "99999999-2222-3333-4444-555555555555",
            "azpacr": "1",
            "name": "Alice",
            "oid": "aaaaaaaa-2222-3333-4444-555555555555",
            "preferred_username": "alice@example.com",
            "roles": ["readers", "writers"],
            "scp": "Books.Read Books.Write",
            "tid": "11111111-2222-3333-4444-555555555555",
            "uti": "abcdefghijklmnop",
            "ver": "2.0",
        },
    ),
    "keycloak": Shape(
        {"url": "https://login.example.com", "realm": "acme", "audience": AUDIENCE},
        "https://login.example.com/realms/acme",
        {
            "aud": [AUDIENCE, "account"],
            "azp": "web",
            "typ": "Bearer",
            "sid": "aaaaaaaa-2222-3333-4444-555555555555",
            "acr": "1",
            "allowed-origins": ["https://app.example.com"],
            "scope": "openid profile email",
            "realm_access": {"roles": ["readers", "offline_access"]},
            "resource_access": {AUDIENCE: {"roles": ["writers"]}, "account": {"roles": ["view-profile"]}},
        },
    ),
}
"""Those that differ most in where roles and scopes stand."""


def run(effort: Effort) -> Section:
    """Measure presets, claims by hand, and the earlier version."""
    section = Section("providers", "Tokens of other parties", TEXT)
    material = new_material("RS256")
    rows: list[list[str]] = []
    for name, shape in SHAPES.items():
        preset = JWTConfig.for_provider(name, **shape.arguments, fetch=_published(material))
        rows += _beside_own(section, effort, material, f"preset {name}", preset, shape)
    shape = SHAPES["keycloak"]._replace(issuer=ISSUER)
    rows += _beside_own(section, effort, material, "by hand", _by_hand(material), shape)
    columns = ["token", "tokens of", "characters", "own, µs", "theirs, µs", "theirs / own"]
    section.tables.append(Table("Tokens of other parties beside one's own of the same size", columns, rows))
    for target in (f"preset {name}" for name in SHAPES):
        section.targets.append(Target(f"fresh, {target}: theirs / own", section.data[f"fresh, {target}"], OF_PRESETS))
    _beside_earlier(section, effort)
    return section


def _beside_own(
    section: Section, effort: Effort, material: Material, name: str, theirs: JWTConfig, shape: Shape
) -> list[list[str]]:
    own = configuration(material)
    raws: dict[str, list[bytes]] = {"own": [], "theirs": []}
    for _ in range(TOKENS):
        one, other = _pair(material, own, shape)
        raws["own"].append(one.encode())
        raws["theirs"].append(other.encode())
    for config, raw in ((own, raws["own"][0]), (theirs, raws["theirs"][0])):
        if not asyncio.run(_verified(raw.decode(), config)).scopes:
            raise ValueError(f"{name}: the tokens that are compared must grant something")
    tasks = {
        f"{case}, {who}": Task(verifying(config), raws[who][:count])
        for case, count in (("fresh", TOKENS), ("repeated", 1))
        for who, config in (("own", own), ("theirs", theirs))
    }
    times = times_in_turn(tasks, effort.rounds, effort.batch)
    rows = []
    for case in ("fresh", "repeated"):
        base, mine = times[f"{case}, own"], times[f"{case}, theirs"]
        figure = section.data[f"{case}, {name}"] = median_ratio(mine, base)
        micro = [micros(statistics.median(values) * 1e6) for values in (base, mine)]
        rows.append([case, name, str(len(raws["theirs"][0])), *micro, ratio(figure)])
    return rows


async def _verified(raw: str, config: JWTConfig) -> Any:
    return await verify_token_async(raw, config)


def _pair(material: Material, own: JWTConfig, shape: Shape) -> tuple[str, str]:
    """One's own token and theirs, of the same size but for two characters at most."""
    granted = {"roles": ["readers", "writers"], "scope": "openid books/read"}
    beside = {name: value for name, value in shape.claims.items() if name not in {"aud", "scope", "sid", "client_id"}}
    mine = create_access_token(IDENTITY, own, user_claims=beside, lifetime=3600, **granted)
    now = int(own.clock())
    claims = {"iss": shape.issuer, "sub": IDENTITY, **shape.claims, "iat": now, "exp": now + 3600}
    claims["jti"] = str(uuid.uuid4())
    theirs = signed(material, claims)
    missing = (len(mine) - len(theirs)) * 3 // 4
    if missing > 0:
        return mine, signed(material, {**claims, "x": "x" * max(0, missing - len(',"x":""'))})
    filler = "x" * max(0, -missing - len(',"x":""'))
    return create_access_token(IDENTITY, own, user_claims={**beside, "x": filler}, lifetime=3600, **granted), theirs


def _published(material: Material) -> Any:
    jwk = {**Key.from_pem(material.public_pem, material.algorithm, kid=material.kid).public_jwk(), "use": "sig"}

    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        issuer = url.removesuffix("/.well-known/openid-configuration")
        names = [shape.issuer for shape in SHAPES.values() if shape.issuer.rstrip("/") == issuer]
        document = {"issuer": names[0], "jwks_uri": f"{issuer}/keys"} if names else {"keys": [jwk]}
        return FetchResponse(200, {}, json.dumps(document).encode()[:max_size])

    return fetch


def _by_hand(material: Material) -> JWTConfig:
    return JWTConfig(
        verification_keys=[Key.from_pem(material.public_pem, material.algorithm, kid=material.kid)],
        issuer=ISSUER,
        audience=AUDIENCE,
        type_claim=None,
        user_claims_claim=None,
        roles_claim=[("realm_access", "roles"), ("resource_access", AUDIENCE, "roles")],
        required_claims={"typ": "Bearer", "azp": {"web", "mobile"}, "iat": None},
    )


# An earlier version ---------------------------------------------------------------------------------------------------


def _beside_earlier(section: Section, effort: Effort) -> None:
    path = os.environ.get(BEFORE)
    if path is None:
        section.notes.append(f"Not compared with an earlier version: {BEFORE} does not name the folder src of one.")
    rows = []
    for algorithm in ("HS256", "ES256"):
        figures = {} if path is None else _earlier_figures(new_material(algorithm), Path(path).resolve(), effort)
        for case in ("fresh", "repeated", "mint"):
            figure = figures.get(case)
            section.data[f"{case}, own {algorithm}, now / before"] = figure
            rows.append([case, algorithm, "not measured" if figure is None else ratio(figure)])
        section.targets.append(Target(f"fresh, own {algorithm}: now / before", figures.get("fresh"), OF_BEFORE))
    section.tables.append(Table("One's own tokens, now and before", ["work", "algorithm", "now / before"], rows))


def _earlier_figures(material: Material, path: Path, effort: Effort) -> dict[str, float]:
    raws = [text.encode() for text in pool(material, POOL)]
    now = _tasks(sys.modules[PACKAGE], material, raws)
    with _imported_from(path) as earlier:
        before = _tasks(earlier, material, raws)
        for task in before.values():
            task.timed(3)  # so that it has imported all it needs
    tasks = {f"{who} {case}": task for who, each in (("now", now), ("before", before)) for case, task in each.items()}
    times = times_in_turn(tasks, effort.rounds, effort.batch)
    return {case: median_ratio(times[f"now {case}"], times[f"before {case}"]) for case in now}


def _tasks(package: ModuleType, material: Material, raws: list[bytes]) -> dict[str, Task]:
    """What is compared, by the functions of one version alone."""
    if material.algorithm == "HS256":
        key = package.Key.from_secret(material.private, "HS256", kid=material.kid)
    else:
        key = package.Key.from_pem(material.private_pem, material.algorithm, kid=material.kid)
    config = package.JWTConfig(signing_key=key, issuer=ISSUER, audience=AUDIENCE)
    return {
        "fresh": Task(lambda raw: package.verify_token(raw, config), raws),
        "repeated": Task(lambda raw: package.verify_token(raw, config), raws[:1]),
        "mint": Task(lambda _: package.create_access_token(IDENTITY, config)),
    }


@contextlib.contextmanager
def _imported_from(path: Path) -> Iterator[ModuleType]:
    """Import the package anew from another folder, beside the one that is loaded."""
    loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == PACKAGE}
    sys.path.insert(0, str(path))
    try:
        package = importlib.import_module(PACKAGE)
        if not Path(str(package.__file__)).is_relative_to(path):
            raise ImportError(f"{path} has no {PACKAGE}")
        yield package
    finally:
        sys.path.remove(str(path))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
        sys.modules.update(loaded)
