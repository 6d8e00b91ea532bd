"""Measure requests per second through uvicorn, guarded and bare, in short runs by turns."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from . import peers
from .load import CONNECTIONS
from .material import Material, new_material, pool
from .measure import POOL, Effort, median_ratio
from .sections import Chart, Section, Table, ratio
from .served import APPS, KEY, KID

ROOT: Final = Path(__file__).parent.parent
FRESH: Final = "fresh"
REPEATED: Final = "repeated"
CASES: Final = (FRESH, REPEATED)

TEXT: Final = f"""\
One process of uvicorn for each application, one client process with {CONNECTIONS} connections that stay open; HS256.
Every round lets each application work for a moment, one after the other; the ratio is that of the requests per second
within the same round, and 1.00 would be a guard that costs nothing."""


def run(effort: Effort) -> Section:
    """Start the servers, and let the client at them."""
    section = Section("server", "Requests per second", TEXT)
    material = new_material("HS256")
    tokens = pool(material, POOL, under=peers.SUBJECT)
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(_serving(name, material)) for name in APPS}
        # Case by case, so that what is compared with each other runs in turn.
        runs = {f"{name}, {case}": (port, case) for case in CASES for name, port in ports.items()}
        plan = {
            "rounds": effort.repeats,
            "seconds": effort.seconds,
            "tokens": {FRESH: tokens, REPEATED: tokens[:1]},
            "runs": runs,
        }
        command = [sys.executable, "-m", f"{__package__}.load"]
        done = subprocess.run(  # noqa: S603 -- our own words
            command, check=True, input=json.dumps(plan), stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
    _report(section, json.loads(done.stdout))
    return section


@contextlib.contextmanager
def _serving(name: str, material: Material) -> Iterator[int]:
    """A server of its own for one application; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS * 2) as listener:
        environment = {**os.environ, KEY: material.private.decode(), KID: material.kid}
        command = [sys.executable, "-m", f"{__package__}.served", name, str(listener.fileno())]
        server = subprocess.Popen(  # noqa: S603 -- our own words
            command, env=environment, cwd=ROOT, pass_fds=[listener.fileno()]
        )
        try:
            yield listener.getsockname()[1]
        finally:
            server.terminate()
            server.wait(timeout=10)


def _report(section: Section, speeds: Mapping[str, list[float]]) -> None:
    rows = []
    bars: dict[str, dict[str, float]] = {}
    for name, values in speeds.items():
        application, _, case = name.rpartition(", ")
        framework = application.partition(", ")[0]
        share = median_ratio(values, speeds[f"{framework}, bare, {case}"])
        speed = statistics.median(values)
        section.data[name] = {"requests per second": speed, "ratio to bare": share}
        bars.setdefault(application, {})[case] = share
        rows.append([application, case, f"{speed:,.0f}", ratio(share)])
    columns = ["application", "tokens", "requests per second", "ratio to bare"]
    section.tables.append(Table("Through uvicorn", columns, rows))
    section.charts.append(Chart("requests per second", "ratio to the bare application", bars, mark=1.0))
