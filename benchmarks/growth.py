"""Measure how the cost grows with keys, with the length of the token, with headers and with guards."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING, Final

from asgi_jwt_claims import Key

from . import apps, floors
from .asgi import Lifespans, RequestTask, request_headers
from .core import verifying
from .material import Material, configuration, encoded, new_material, pool
from .measure import Effort, Task, less, median_ratio, times_in_turn
from .sections import Chart, Section, Table, micros, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS: Final = (1, 10, 100, 1000)
SIZES: Final = (512, 1024, 2048, 4096, 8192)
FRESH: Final = "fresh"
REPEATED: Final = "repeated"
HEADERS: Final = (1, 5, 10, 25, 50, 100)
GUARDS: Final = (1, 2, 4, 8)

# Fewer tokens than elsewhere, since some are large; still twice what the cache of verified signatures holds.
_POOL: Final = 2048

TEXT: Final = """\
HS256. The cost at each point divided by the cost at the first, with microseconds beside it; fresh: always another token,
repeated: the same one again. Keys: `verify_token` with so many keys, the token naming the last of them. Characters:
`verify_token` of a token padded to about so many, beside the floor at the same size, since a longer token is more to
read for any library; the cache of verified signatures takes none above 4,096. Headers: what the middleware adds to a raw ASGI
application, the token in the last of so many headers. Guards: what the middleware and so many `jwt_required` around one
handler add in Starlette."""

Series = dict[str, dict[int, Task]]


def run(effort: Effort) -> Section:
    """Measure all four."""
    section = Section("growth", "Growth", TEXT)
    material = new_material("HS256")
    loop = asyncio.new_event_loop()
    lifespans = Lifespans(loop)
    tokens = pool(material, _POOL)
    _report(section, "keys", _keys(material, tokens), effort)
    _report(section, "characters of the token", _sizes(material), effort)
    bare: Task = RequestTask(loop, apps.raw_bare, [request_headers(tokens[0])])
    _report(section, "headers of the request", _headers(loop, material, tokens), effort, bare)
    bare = RequestTask(loop, apps.starlette_bare(), [request_headers(tokens[0])])
    _report(section, "guards on the route", _guards(loop, lifespans, material, tokens), effort, bare)
    _note_further_guards(section)
    lifespans.stop()
    loop.close()
    return section


# Each task has a configuration of its own, and so a cache of its own: with a common one, the tokens that one task has
# brought would be known to the next.


def _keys(material: Material, tokens: list[str]) -> Series:
    raws = [raw.encode() for raw in tokens]
    others = [Key.generate("HS256") for _ in range(max(KEYS) - 1)]
    wanted = Key.from_secret(material.private, "HS256", kid=material.kid)

    def verify(number: int) -> Callable[[bytes], object]:
        keys = [*others[: number - 1], wanted]
        return verifying(configuration(material).replace(signing_key=None, verification_keys=keys))

    return {
        FRESH: {number: Task(verify(number), raws) for number in KEYS},
        REPEATED: {number: Task(verify(number), raws[:1]) for number in KEYS},
    }


def _sizes(material: Material) -> Series:
    series: Series = {FRESH: {}, REPEATED: {}, "floor": {}}
    for size in SIZES:
        raws = [raw.encode() for raw in pool(material, _POOL, user_claims=_padding(material, size))]
        series[FRESH][size] = Task(verifying(configuration(material)), raws)
        series[REPEATED][size] = Task(verifying(configuration(material)), raws[:1])
        series["floor"][size] = Task(floors.verify_floor(material), raws)
    return series


def _padding(material: Material, size: int) -> dict[str, str]:
    """User claims, as many as bring a token near to `size` characters, and not above."""
    claims: dict[str, str] = {}
    while True:
        more = {**claims, f"claim {len(claims):03}": "a value of some length"}
        if len(encoded(material, user_claims=more)) > size:
            return claims
        claims = more


def _headers(loop: asyncio.AbstractEventLoop, material: Material, tokens: list[str]) -> Series:
    series: Series = {FRESH: {}, REPEATED: {}}
    for number in HEADERS:
        # More than enough, of which the last ones are taken: the token stands in the very last.
        requests = [request_headers(raw, number)[-number:] for raw in tokens]
        for case, some in ((FRESH, requests), (REPEATED, requests[:1])):
            series[case][number] = RequestTask(loop, apps.raw_guarded(configuration(material)), some)
    return series


def _guards(loop: asyncio.AbstractEventLoop, lifespans: Lifespans, material: Material, tokens: list[str]) -> Series:
    requests = [request_headers(raw) for raw in tokens]
    series: Series = {FRESH: {}, REPEATED: {}}
    for number in GUARDS:
        for case, some in ((FRESH, requests), (REPEATED, requests[:1])):
            app = apps.starlette_guarded(configuration(material), number)
            lifespans.start(app)
            series[case][number] = RequestTask(loop, app, some)
    return series


def _note_further_guards(section: Section) -> None:
    """Measure nested guards. Each adds a call, so it cannot be free, but none of them may verify again."""
    micro = section.data[f"guards on the route, {REPEATED}"]["microseconds"]
    each = (micro[GUARDS[-1]] - micro[GUARDS[0]]) / (GUARDS[-1] - GUARDS[0])
    section.data["each further guard"] = each
    section.notes.append(f"Each further guard adds {micros(each)} µs.")


def _report(section: Section, what: str, series: Series, effort: Effort, bare: Task | None = None) -> None:
    """Time all points in the same rounds; what a bare application takes is subtracted in each."""
    tasks = {f"{name} {point}": task for name, points in series.items() for point, task in points.items()}
    times = times_in_turn(tasks | ({"bare": bare} if bare else {}), effort.fewer, effort.batch)
    cost = {
        name: {point: less(times[f"{name} {point}"], times.get("bare")) for point in points}
        for name, points in series.items()
    }
    rows = []
    lines = {}
    for name, points in cost.items():
        first = next(iter(points.values()))
        ratios = {point: median_ratio(values, first) for point, values in points.items()}
        micro = {point: statistics.median(values) * 1e6 for point, values in points.items()}
        lines[name] = micro
        section.data[f"{what}, {name}"] = {"ratio": ratios, "microseconds": micro}
        rows.append([name, *(f"{ratio(ratios[point])} ({micros(micro[point])} µs)" for point in points)])
    columns = [what, *(f"{point:,}" for point in next(iter(series.values())))]
    section.tables.append(Table(f"By {what}", columns, rows))
    section.charts.append(Chart(f"growth by {what}", "µs", lines))
