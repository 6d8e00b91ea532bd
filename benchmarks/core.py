"""Measure verifying and minting against the floor and against other libraries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from asgi_jwt_claims import (
    ConfigurationError,
    JWTConfig,
    create_access_token,
    verify_token,
)

from . import floors, libraries
from .material import (
    ALGORITHMS,
    IDENTITY,
    LIFETIME,
    USER_CLAIMS,
    Material,
    configuration,
    new_claims,
    new_material,
    pool,
)
from .measure import POOL, Effort, Figure, Task, compare
from .sections import Chart, Section, Table, Target, micros, ratio

if TYPE_CHECKING:
    from .libraries import Codec

OURS: Final = "asgi-jwt-claims"
FLOOR: Final = "floor"
JOSE: Final = "python-jose floor"

FRESH: Final = "verify, always another token"
REPEATED: Final = "verify, the same token again"
MINT: Final = "mint"

LIMITS: Final = {
    FRESH: {"HS256": 1.0, "RS256": 1.05, "ES256": 1.05, "EdDSA": 1.05},
    REPEATED: {"HS256": 0.6, "RS256": 0.2, "ES256": 0.1, "EdDSA": 0.1},
    MINT: {"HS256": 1.1, "RS256": 1.1, "ES256": 1.1, "EdDSA": 1.1},
}
"""The cost that ours may have, as a multiple of the floor."""

TEXT: Final = f"""\
The floor is the bare work and no check: the primitive of `cryptography` (HS256: `hmac`) with its key built ahead, lax
base64 and `json.loads`; for minting a new identifier, the time, `json.dumps` and base64. The python-jose floor does the same
with the prepared key of python-jose. "Always another token" goes round {POOL:,} different ones, so that no cache of
verified signatures can help. Ours and the floors are given bytes, the others text, as each of them likes best."""


@dataclass
class Bench:
    """All that is needed to measure one algorithm."""

    material: Material
    config: JWTConfig | None
    codecs: dict[str, Codec]
    missing: dict[str, str]
    tokens: list[str]


def run(effort: Effort) -> Section:
    """Measure every algorithm."""
    section = Section("core", "Verifying and minting", TEXT)
    figures: dict[str, dict[str, dict[str, Figure]]] = {}
    for algorithm in ALGORITHMS:
        bench = prepare(algorithm)
        if bench.config is None:
            section.notes.append(f"{OURS} does not offer {algorithm}.")
        section.notes += [f"{algorithm}: {name} left out: {reason}" for name, reason in bench.missing.items()]
        figures[algorithm] = {kind: measured(bench, kind, effort) for kind in LIMITS}
        for kind, found in figures[algorithm].items():
            section.keep(f"{algorithm}, {kind}", found)
    section.tables.append(_floor_table(figures))
    section.tables += [_peer_table(kind, figures) for kind in LIMITS]
    section.targets = _targets(figures)
    section.charts = [_chart(kind, figures) for kind in LIMITS]
    return section


def prepare(algorithm: str) -> Bench:
    """A key, and all libraries ready to use it, each of which has accepted a good token and refused a forged one."""
    material = new_material(algorithm)
    codecs, missing = libraries.codecs(material)
    tokens = pool(material, POOL)
    try:
        config = configuration(material)
    except ConfigurationError:
        return Bench(material, None, codecs, missing, tokens)
    libraries.prove(verifying(config), tokens[0].encode())
    return Bench(material, config, codecs, missing, tokens)


def verifying(config: JWTConfig) -> Callable[[bytes], object]:
    """Our verification as a function of one argument."""
    return lambda raw: verify_token(raw, config)


def minting(config: JWTConfig) -> Callable[[object], object]:
    """Our minting as a function of one argument, which it ignores."""
    return lambda _: create_access_token(IDENTITY, config, user_claims=USER_CLAIMS, lifetime=LIFETIME)


def measured(bench: Bench, kind: str, effort: Effort) -> dict[str, Figure]:
    """One kind of work under one algorithm.

    Ours is compared with the floor many times, since targets depend on it, and with the others fewer times. What the
    others cost is then a multiple of ours within their own rounds.
    """
    tasks = mint_tasks(bench) if kind == MINT else verify_tasks(bench, repeated=kind == REPEATED)
    close = {name: task for name, task in tasks.items() if name in {OURS, FLOOR, JOSE}}
    figures = compare(close, effort.rounds, effort.batch, base=FLOOR)
    figures |= {
        name: figure
        for name, figure in compare(tasks, effort.fewer, effort.batch, base=FLOOR).items()
        if name not in close
    }
    return figures


def verify_tasks(bench: Bench, *, repeated: bool) -> dict[str, Task]:
    """The floors, ours, and the others, each with the same tokens."""
    texts = bench.tokens[:1] if repeated else bench.tokens
    raws = [text.encode() for text in texts]
    tasks = {FLOOR: Task(floors.verify_floor(bench.material), raws)}
    if jose := floors.jose_floor(bench.material):
        tasks[JOSE] = Task(jose, raws)
    if bench.config is not None:
        tasks[OURS] = Task(verifying(bench.config), raws)
    return tasks | {name: Task(codec.verify, texts) for name, codec in bench.codecs.items()}


def mint_tasks(bench: Bench) -> dict[str, Task]:
    """The floor, ours, and the others; the others are given claims that are made as those of the floor are."""
    tasks = {FLOOR: Task(floors.mint_floor(bench.material, new_claims(), LIFETIME))}
    if bench.config is not None:
        tasks[OURS] = Task(minting(bench.config))
    return tasks | {name: Task(codec.mint) for name, codec in bench.codecs.items()}


def _floor_table(figures: dict[str, dict[str, dict[str, Figure]]]) -> Table:
    columns = [
        "work",
        "algorithm",
        "ours / floor",
        "quartiles",
        "at most",
        "ours / python-jose floor",
        "ours µs",
        "floor µs",
    ]
    rows = []
    for kind, limits in LIMITS.items():
        for algorithm, limit in limits.items():
            found = figures[algorithm][kind]
            ours, floor, jose = found.get(OURS), found[FLOOR], found.get(JOSE)
            if ours is None:
                rows.append([kind, algorithm, "not offered", "", ratio(limit), "", "", micros(floor.microseconds)])
                continue
            rows.append(
                [
                    kind,
                    algorithm,
                    ratio(ours.ratio),
                    f"{ratio(ours.low)} to {ratio(ours.high)}",
                    ratio(limit),
                    ratio(ours.ratio / jose.ratio) if jose else "",
                    micros(ours.microseconds),
                    micros(floor.microseconds),
                ]
            )
    return Table("Ours against the floor", columns, rows)


def _peer_table(kind: str, figures: dict[str, dict[str, dict[str, Figure]]]) -> Table:
    rows = []
    for name in (OURS, *libraries.LIBRARIES):
        found = [figures[algorithm][kind].get(name) for algorithm in ALGORITHMS]
        cells = [
            f"{ratio(figure.ratio)} ({micros(figure.microseconds)} µs)" if figure else "not offered" for figure in found
        ]
        rows.append([name, *cells])
    return Table(f"All libraries against the floor: {kind}", ["library", *ALGORITHMS], rows)


def _targets(figures: dict[str, dict[str, dict[str, Figure]]]) -> list[Target]:
    targets = []
    for kind, limits in LIMITS.items():
        for algorithm, limit in limits.items():
            ours = figures[algorithm][kind].get(OURS)
            targets.append(Target(f"{kind}, {algorithm}: ours / floor", ours.ratio if ours else None, limit))
    return targets


def _chart(kind: str, figures: dict[str, dict[str, dict[str, Figure]]]) -> Chart:
    series: dict[str, dict[Any, float]] = {}
    for name in (OURS, *libraries.LIBRARIES):
        series[name] = {
            algorithm: figures[algorithm][kind][name].ratio
            for algorithm in ALGORITHMS
            if name in figures[algorithm][kind]
        }
    return Chart(kind, "multiple of the floor", series, mark=1.0)
