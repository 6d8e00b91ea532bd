"""Measure what a guard adds to a request, each in its own framework, over the bare application."""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import apps, peers
from .asgi import ASGIApp, Headers, Lifespans, RequestTask, handled, request_headers
from .core import verifying
from .material import Material, configuration, forged, new_claims, new_material, pool
from .measure import POOL, Effort, Task, less, median_ratio, quartiles, times_in_turn
from .sections import Chart, Section, Table, Target, micros

if TYPE_CHECKING:
    from asgi_jwt_claims import JWTConfig

FRESH: Final = "fresh"
REPEATED: Final = "repeated"
FORGED: Final = "forged"
CASES: Final = (FRESH, REPEATED, FORGED)

BARE: Final[dict[str, Callable[[], ASGIApp]]] = {
    "raw ASGI": lambda: apps.raw_bare,
    "Starlette": apps.starlette_bare,
    "FastAPI": apps.fastapi_bare,
    "Sanic": apps.sanic_bare,
    "Litestar": apps.litestar_bare,
    "Quart": apps.quart_bare,
}

OURS: Final[dict[str, tuple[str, Callable[[JWTConfig], ASGIApp]]]] = {
    "ours, middleware": ("raw ASGI", apps.raw_guarded),
    "ours, middleware (Starlette)": ("Starlette", apps.starlette_wrapped),
    "ours, install and jwt_required": ("Starlette", apps.starlette_guarded),
    "ours, install and CurrentToken": ("FastAPI", apps.fastapi_guarded),
    "ours, JWTBearer alone": ("FastAPI", apps.fastapi_dependency),
    "ours, install and jwt_required (Sanic)": ("Sanic", apps.sanic_guarded),
}
IN_ASGI, IN_STARLETTE = tuple(OURS)[:2]

PEERS: Final[dict[str, tuple[str, Callable[[Material], ASGIApp]]]] = {
    "AuthenticationMiddleware + PyJWT": ("Starlette", peers.starlette_pyjwt),
    "MCP SDK bearer backend + PyJWT": ("Starlette", peers.mcp_bearer),
    "authx": ("FastAPI", peers.authx),
    "fastapi-jwt": ("FastAPI", peers.fastapi_jwt),
    "litestar JWTAuth": ("Litestar", peers.litestar_jwt),
    "quart-jwt-extended": ("Quart", peers.quart_jwt_extended),
}

TEXT: Final = f"""\
HS256, the same tokens for all. Requests are handed to the application inside a running event loop, without a server;
what is added is the guarded application minus the bare one of the same framework, round by round. Fresh: always another
of {POOL:,} tokens. Repeated: the same token again. Forged: always another token with a wrong signature, so that the
handler of the bare application runs and that of the guarded one must not. All check signature, expiry, issuer and
audience, but for fastapi-jwt, which has no setting for the last two."""


@dataclass
class Contender:
    """A guard that is ready to be measured.

    Attributes:
        framework: Whose bare application it is compared with.
        app: The guarded application.
        statuses: Its answer in each case.
    """

    framework: str
    app: ASGIApp
    statuses: dict[str, int]


@dataclass(frozen=True)
class Added:
    """Microseconds that a guard adds: the median of all rounds, and the quartiles."""

    microseconds: float
    low: float
    high: float


Times = Mapping[str, list[float]]


def run(effort: Effort) -> Section:
    """Measure all of them in the same rounds."""
    section = Section("requests", "Added to a request", TEXT)
    material = new_material("HS256")
    tokens = pool(material, POOL, under=peers.SUBJECT)
    requests = {
        FRESH: [request_headers(raw) for raw in tokens],
        REPEATED: [request_headers(tokens[0])],
        FORGED: [request_headers(forged(raw)) for raw in tokens],
    }
    loop = asyncio.new_event_loop()
    lifespans = Lifespans(loop)
    contenders = _contenders(loop, lifespans, material, requests, section.notes)
    tasks: dict[str, Task] = dict(_reference_tasks(material, tokens))
    for framework, build in BARE.items():
        app = build()
        if framework != "raw ASGI":
            lifespans.start(app)
        tasks[framework] = RequestTask(loop, app, requests[FRESH])
    for name, contender in contenders.items():
        for case in CASES:
            tasks[f"{name}, {case}"] = RequestTask(loop, contender.app, requests[case])
    _forget_logging()
    times = times_in_turn(tasks, effort.rounds, effort.batch)
    lifespans.stop()
    loop.close()
    _report(section, contenders, times)
    return section


def _forget_logging() -> None:
    """Reset logging to the state of an application that has not set it up, since packages may have changed it."""
    logging.basicConfig(level=logging.WARNING, handlers=[logging.NullHandler()], force=True)


def our_configuration(material: Material) -> JWTConfig:
    """A new one for everything that is timed: with a common cache, each would bring tokens that the next then knows."""
    return configuration(material, user_claims_claim=peers.SUBJECT)


def _reference_tasks(material: Material, tokens: list[str]) -> dict[str, Task]:
    """Return the figures by which those for raw ASGI are divided."""
    payload = json.dumps(new_claims(under=peers.SUBJECT), separators=(",", ":")).encode()
    return {
        "verify_token": Task(verifying(our_configuration(material)), [raw.encode() for raw in tokens]),
        "json.loads": Task(json.loads, [payload]),
    }


def _contenders(
    loop: asyncio.AbstractEventLoop,
    lifespans: Lifespans,
    material: Material,
    requests: Mapping[str, list[Headers]],
    notes: list[str],
) -> dict[str, Contender]:
    """Every guard built, started, and seen to admit the valid and to refuse the forged."""
    builders: dict[str, tuple[str, Callable[[], ASGIApp]]] = {
        name: (framework, lambda build=build: build(our_configuration(material)))
        for name, (framework, build) in OURS.items()
    }
    builders |= {name: (framework, lambda build=build: build(material)) for name, (framework, build) in PEERS.items()}
    found: dict[str, Contender] = {}
    for name, (framework, build) in builders.items():
        try:
            app = build()
            if framework != "raw ASGI":
                lifespans.start(app)
            statuses = {case: loop.run_until_complete(handled(app, requests[case][0])) for case in CASES}
            statuses["none"] = loop.run_until_complete(handled(app, request_headers(None)))
            _prove(statuses)
        except Exception as error:  # noqa: BLE001 -- what cannot be built is left out, and the report says why
            notes.append(f"{name} left out: {type(error).__name__}: {error}")
        else:
            found[name] = Contender(framework, app, statuses)
    return found


def _prove(statuses: Mapping[str, int]) -> None:
    """A figure means something only if the guard guards."""
    admitted = [case for case in (FORGED, "none") if statuses[case] < 400]  # noqa: PLR2004 -- where refusals begin
    if admitted or statuses[FRESH] != 200 or statuses[REPEATED] != 200:  # noqa: PLR2004 -- OK
        raise AssertionError(f"unexpected answers: {dict(statuses)}")


def _report(section: Section, contenders: Mapping[str, Contender], times: Times) -> None:
    added = {
        name: {case: _added(_differences(times, contender.framework, f"{name}, {case}")) for case in CASES}
        for name, contender in contenders.items()
    }
    bare = {framework: statistics.median(times[framework]) * 1e6 for framework in BARE}
    section.data = {
        "bare": bare,
        "references": {name: statistics.median(times[name]) * 1e6 for name in ("verify_token", "json.loads")},
        "added": {
            name: {case: vars(figure) for case, figure in cases.items()} | {"statuses": contenders[name].statuses}
            for name, cases in added.items()
        },
    }
    rows = []
    for name, cases in added.items():
        contender = contenders[name]
        cells = [f"{cases[case].microseconds:+.1f}" for case in CASES]
        rows.append(
            [name, contender.framework, *cells, str(contender.statuses[FORGED]), micros(bare[contender.framework])]
        )
    columns = ["guard", "framework", "fresh µs", "repeated µs", "forged µs", "answer to forged", "bare µs"]
    section.tables.append(Table("Microseconds added to one request", columns, rows))
    section.tables.append(_peer_table(added, contenders, times))
    section.targets = _targets(added, contenders, times)
    section.charts.append(
        Chart(
            "added to a request",
            "µs",
            {name: {case: cases[case].microseconds for case in (FRESH, REPEATED)} for name, cases in added.items()},
        )
    )


def _peer_table(added: Mapping[str, Mapping[str, Added]], contenders: Mapping[str, Contender], times: Times) -> Table:
    rows = []
    for name in PEERS:
        if name in added:
            shares = [_share(times, contenders, name, case) for case in (FRESH, REPEATED)]
            rows.append([name, *(f"{share:.3f}" for share in shares)])
    return Table("Ours in Starlette divided by the peer", ["peer", "fresh", "repeated"], rows)


def _targets(
    added: Mapping[str, Mapping[str, Added]], contenders: Mapping[str, Contender], times: Times
) -> list[Target]:
    targets = []
    for case, limit in ((FRESH, 1 / 5), (REPEATED, 1 / 15)):
        best = min((name for name in PEERS if name in added), key=lambda name: added[name][case].microseconds)
        share = _share(times, contenders, best, case)
        targets.append(Target(f"added in Starlette, {case}: ours / best peer ({best})", share, round(limit, 3)))
    fresh, repeated = (_differences(times, "raw ASGI", f"{IN_ASGI}, {case}") for case in (FRESH, REPEATED))
    targets.append(
        Target("added over raw ASGI, fresh: ours / verify_token", median_ratio(fresh, times["verify_token"]), 1.5)
    )
    targets.append(
        Target(
            "added over raw ASGI, repeated: ours / json.loads of the claims",
            median_ratio(repeated, times["json.loads"]),
            round(5 / 3, 2),
        )
    )
    return targets


def _share(times: Times, contenders: Mapping[str, Contender], peer: str, case: str) -> float:
    """Compare the time that ours adds in Starlette with the time that a peer adds in its framework."""
    ours = _differences(times, "Starlette", f"{IN_STARLETTE}, {case}")
    return median_ratio(ours, _differences(times, contenders[peer].framework, f"{peer}, {case}"))


def _differences(times: Times, bare: str, guarded: str) -> list[float]:
    return less(times[guarded], times[bare])


def _added(differences: list[float]) -> Added:
    low, middle, high = quartiles(differences)
    return Added(middle * 1e6, low * 1e6, high * 1e6)
