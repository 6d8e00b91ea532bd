"""`python -m tests.fuzz`: every target under the fuzzer, bounded by runs and by time, then what was reached.

Ends with status 1 if anything was found: an input is printed as the literal that `test_findings.py` replays.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.seeds import WORDS, seeds

__all__: list[str] = []

SHARES = {"sealed": 0.36, "token": 0.18, "key": 0.04, "authorization": 0.12, "json": 0.2, "framing": 0.1}
"""What part of the runs each target gets. The longest first, so that the processors are busy to the end."""

MAX_LENGTHS = {"sealed": 3000, "token": 3000, "key": 2500, "authorization": 3000, "json": 1500, "framing": 800}
"""Longest inputs, in bytes: long enough for every size that something refuses, but for those that cost only time."""

REACHED = [
    *("jose/*", "keys/key", "keys/key_set", "keys/_loading", "keys/_material", "keys/_secrets"),
    *("config/_cache", "sources/*", "tokens/claims", "tokens/token", "tokens/verification"),
]


class Result(NamedTuple):
    """What became of one target."""

    name: str
    runs: int
    seconds: int
    edges: int
    corpus: int
    findings: list[bytes]
    log: str
    ended_well: bool


def main() -> int:
    """The status that the process ends with."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=os.environ.get("FUZZ_DIR")) as directory:
        root = Path(directory)
        (root / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS))
        names = [name for name in SHARES if name in options.targets]
        whole = sum(SHARES[name] for name in names)
        with ThreadPoolExecutor(options.processes) as pool:
            results = [
                pool.submit(_fuzz, name, round(options.runs * SHARES[name] / whole), options.seconds, root)
                for name in names
            ]
        return _report([result.result() for result in results], root)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="*", default=[*SHARES], metavar="TARGET", help=f"of {', '.join(SHARES)}")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs, over all targets")
    parser.add_argument("--seconds", type=int, default=1200, help="longest time for a target")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="targets at the same time")
    options = parser.parse_args()
    if not SHARES.keys() >= set(options.targets):
        parser.error(f"the targets are {', '.join(SHARES)}")
    return options


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _fuzz(name: str, runs: int, seconds: int, root: Path) -> Result:
    corpus, found = root / f"corpus-{name}", root / f"found-{name}"
    corpus.mkdir()
    found.mkdir()
    for place, seed in enumerate(seeds()[name]):
        (corpus / f"seed-{place:03}").write_bytes(seed[: MAX_LENGTHS[name]])
    options = {
        "runs": runs,
        "max_total_time": seconds,
        "max_len": MAX_LENGTHS[name],
        "timeout": 20,
        "rss_limit_mb": 2048,
        "dict": root / "words",
        "artifact_prefix": f"{found}/",
        "print_final_stats": 1,
        "verbosity": 1,
    }
    arguments = [f"-{option}={value}" for option, value in options.items()]
    command = [sys.executable, "-m", "tests.fuzz.guided", name, *arguments, str(corpus)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    log = done.stdout.decode("utf-8", "replace")
    return Result(
        name,
        _last(r"stat::number_of_executed_units:\s+(\d+)", log),
        _last(r"Done \d+ runs in (\d+) second", log),
        _last(r"cov: (\d+)", log),
        _last(r"corp: (\d+)", log),
        [path.read_bytes() for path in sorted(found.iterdir())],
        log,
        ended_well=done.returncode == 0,
    )


def _last(pattern: str, log: str) -> int:
    numbers = re.findall(pattern, log)
    return int(numbers[-1]) if numbers else 0


def _report(results: list[Result], root: Path) -> int:
    sys.stdout.writelines(f"{line}\n" for line in _lines(results))
    sys.stdout.flush()
    _show_what_was_reached([result.name for result in results], root)
    return 0 if all(result.ended_well and not result.findings for result in results) else 1


def _lines(results: list[Result]) -> Iterator[str]:
    yield f"{'target':14} {'runs':>9} {'seconds':>8} {'edges':>6} {'corpus':>7}  found"
    for result in results:
        found = len(result.findings) or ("nothing" if result.ended_well else "it did not end well")
        yield f"{result.name:14} {result.runs:9,} {result.seconds:8} {result.edges:6} {result.corpus:7}  {found}"
    yield f"{'together':14} {sum(result.runs for result in results):9,}\n"
    for result in results:
        if not result.ended_well:
            yield f"{result.name}\n{result.log[result.log.find('=== ') :][-6000:]}"
        for finding in result.findings:
            yield f"({result.name!r}, {finding!r}),\n"


def _show_what_was_reached(names: list[str], root: Path) -> None:
    """Lines and branches of the library that the inputs in the corpora run."""
    measure = [sys.executable, "-m", "coverage"]
    data = [f"--rcfile={os.devnull}", f"--data-file={root / 'coverage'}"]
    replay = ["-m", "tests.fuzz.replay", *(str(root / f"corpus-{name}") for name in names)]
    subprocess.run([*measure, "run", *data, "--branch", "--source=asgi_jwt_claims", *replay], check=True)
    shown = ",".join(f"*/asgi_jwt_claims/{name}.py" for name in REACHED)
    subprocess.run([*measure, "report", *data, "--show-missing", f"--include={shown}"], check=True)


sys.exit(main())
