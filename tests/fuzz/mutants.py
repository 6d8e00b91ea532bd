"""`python -m tests.fuzz.mutants [MODULE...]`: the library broken in one place at a time, to see which test notices.

In two steps, on a copy of the sources and the tests: mutmut breaks what stands in functions, and what stands outside
of them (tables, patterns, limits), which it leaves alone, is broken here. Prints what survived, as differences.

With `--sample 100` only so many of the first kind are tried, always the same as long as the sources are. Some mutants
change nothing that can be seen, so that a few may survive; if more than `MAX_SURVIVORS` do, the status is 1.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__: list[str] = []

MODULES = (
    *("jose/compact", "jose/strict_json", "jose/algorithms"),
    *("keys/key", "keys/key_set", "keys/_loading", "keys/_material", "keys/_secrets"),
    *("config/_cache", "runtime/values", "tokens/claims", "tokens/verification"),
)
TESTS = (
    *(
        f"tests/unit/test_{name}.py"
        for name in (
            "compact",
            "claims",
            "verification",
            "token",
            "signatures",
            "keys",
            "key_kinds",
            "advisories",
            "config",
            "values",
            "other_kinds",
            "no_shared_state",
            "shape_of_json",
            "known_secrets",
            "key_errors",
            "foreign_claims",
            "demands",
            "identities",
            "certified_keys",
        )
    ),
    "tests/unit/test_memory.py",
    *("tests/unit/test_corpus.py::test_the_core", "tests/unit/test_corpus.py::test_the_signature_step"),
    *(f"tests/unit/test_fuzz_findings.py::test_every_seed_holds[{name}]" for name in ("framing", "json", "token")),
    "tests/unit/test_fuzz_findings.py::test_nothing_stands_around_json",
    "tests/unit/test_vectors.py",
    "tests/unit/test_published_vectors.py",
)
"""Those that are fast and that these modules are tested by, the fastest first."""

ONCE_ONLY = (
    "tests/unit/test_claims.py::test_scopes_become_one_string[scope4-read a:b/c.d]",
    "tests/unit/test_config.py::test_an_audience_is_kept_whatever_holds_it[given4]",
    "tests/unit/test_config.py::test_verification_keys_are_text_too[11]",
)
"""Tests that cannot run twice in one process, as mutmut lets them: their parameter is an iterator."""

PROJECT = Path(__file__).parents[2]
PATIENCE = 120
"""Seconds until tests that do not end count as having noticed."""
MAX_SURVIVORS = 0.2
"""Of a sample. Of all mutants about 10 % survive, by words in messages, defaults written out, or quick ways not taken; a
sample of a hundred then has more than twenty survivors about once in a thousand times."""


def main() -> None:
    """Both steps, for every module or for those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.mutants", description=(__doc__ or "").split(":")[1])
    parser.add_argument("modules", nargs="*", default=[*MODULES], metavar="MODULE", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=["functions", "tables"], help="only one of the two steps")
    parser.add_argument("--sample", type=int, help="so many of the mutants in functions, and none in tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("MUTANTS_DIR")) as directory:
        started = time.monotonic()
        if options.sample:
            break_sample(_copy(Path(directory) / "sample", options.modules), options.processes, options.sample)
            return
        if options.only != "tables":
            break_functions(_copy(Path(directory) / "functions", options.modules), options.processes)
            _say(f"{time.monotonic() - started:.0f} seconds so far\n")
        if options.only != "functions":
            break_tables(_copy(Path(directory) / "tables", options.modules), options.modules, options.processes)
            _say(f"{time.monotonic() - started:.0f} seconds together\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _copy(workdir: Path, modules: list[str]) -> Path:
    workdir.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("src", "tests", "docs"):
        shutil.copytree(PROJECT / name, workdir / name, ignore=unwanted)
    shutil.copy(PROJECT / "pyproject.toml", workdir)
    vectors = PROJECT.parent / "shared"
    if vectors.is_dir():  # where the tests look for them, from here and from mutmut's own copy
        for neighbour in (workdir, workdir.parent):
            if not (neighbour / "shared").exists():
                (neighbour / "shared").symlink_to(vectors)
    lists = {
        "source_paths": ["src"],
        "only_mutate": [f"src/asgi_jwt_claims/{name}.py" for name in modules],
        "also_copy": ["docs"],
        "pytest_add_cli_args": ["-n0", "-p", "no:cacheprovider", *(f"--deselect={test}" for test in ONCE_ONLY)],
        "pytest_add_cli_args_test_selection": TESTS,
    }
    settings = [f"{name} =\n" + "".join(f"    {value}\n" for value in values) for name, values in lists.items()]
    (workdir / "setup.cfg").write_text("[mutmut]\nuse_git_change_detection = false\n" + "".join(settings))
    return workdir


# What stands in functions ---------------------------------------------------------------------------------------------


def break_functions(workdir: Path, processes: int) -> None:
    """Mutmut's run, its counts, and the difference that each survivor makes."""
    _mutmut(workdir, "run", "--max-children", str(processes))
    _show_survivors(workdir, _verdicts(workdir))


def break_sample(workdir: Path, processes: int, size: int) -> None:
    """Some of mutmut's mutants, and the end of the program if too many of them survive."""
    workers = ("--max-children", str(processes))
    # One mutant: the names of all are known after that, and which tests see them. Mutmut first runs the tests of what is
    # named, and all of them for a pattern; this function has few.
    _mutmut(workdir, "run", *workers, "asgi_jwt_claims.tokens.verification.x_verify_token_async__mutmut_1")
    names = sorted(_verdicts(workdir))
    sample = sorted(random.Random(size).sample(names, size))
    _mutmut(workdir, "run", *workers, *sample)
    verdicts = {name: verdict for name, verdict in _verdicts(workdir).items() if name in sample}
    _show_survivors(workdir, verdicts)
    survivors = [name for name, verdict in verdicts.items() if verdict == "survived"]
    _say(f"\n{len(sample)} of {len(names)} tried, {len(survivors)} survived\n")
    if len(survivors) > MAX_SURVIVORS * size:
        sys.exit("the tests have overlooked too much")


def _mutmut(workdir: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    run = subprocess.run(command, cwd=workdir, check=False, capture_output=True, text=True)
    if run.returncode:
        _say(run.stdout[-3000:] + run.stderr[-3000:])
        sys.exit(run.returncode)
    return run.stdout


def _verdicts(workdir: Path) -> dict[str, str]:
    return dict(re.findall(r"^\s*(\S+): (.+)$", _mutmut(workdir, "results", "--all", "true"), re.MULTILINE))


def _show_survivors(workdir: Path, verdicts: dict[str, str]) -> None:
    _say(", ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts.values()).most_common()) + "\n")
    for name, verdict in verdicts.items():
        if verdict != "killed":
            changed = [line for line in _mutmut(workdir, "show", name).splitlines() if re.match(r"[-+](?![-+])", line)]
            _say(f"\n{name}: {verdict}\n" + "\n".join(changed) + "\n")


# What stands outside of functions -------------------------------------------------------------------------------------


def break_tables(workdir: Path, modules: list[str], processes: int) -> None:
    """Each constant that stands outside of functions changed, and the tests run on it."""
    mutants = [mutant for name in modules for mutant in _mutants(workdir / "src" / "asgi_jwt_claims" / f"{name}.py")]
    workdirs = [workdir]
    for place in range(1, processes):
        workdirs.append(workdir.with_name(f"{workdir.name}-{place}"))
        shutil.copytree(workdir, workdirs[-1], symlinks=True)
    if not _all_well(workdir):
        sys.exit("the tests do not pass on the unchanged sources")

    def survivors(place: int) -> list[str]:
        own = workdirs[place]
        return [
            difference
            for path, text, difference in mutants[place::processes]
            if _survives(own, own / path.relative_to(workdir), text)
        ]

    with ThreadPoolExecutor(processes) as pool:
        survived = [difference for found in pool.map(survivors, range(processes)) for difference in found]
    _say(f"\noutside of functions: {len(mutants)} broken, {len(survived)} survived\n")
    _say("".join(f"\n{difference}\n" for difference in survived))


def _survives(workdir: Path, path: Path, text: bytes) -> bool:
    original = path.read_bytes()
    path.write_bytes(text)
    try:
        return _all_well(workdir)
    finally:
        path.write_bytes(original)


def _all_well(workdir: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-x", "-p", "no:cacheprovider", *TESTS]
    environment = {**os.environ, "PYTHONPATH": str(workdir / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=workdir, env=environment, check=False, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _mutants(path: Path) -> Iterator[tuple[Path, bytes, str]]:
    source = path.read_bytes()
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    starts = [sum(map(len, lines[:place])) for place in range(len(lines))]
    for constant, is_pattern in _constants(tree, is_pattern=False):
        begin = starts[constant.lineno - 1] + constant.col_offset
        end = starts[(constant.end_lineno or 0) - 1] + (constant.end_col_offset or 0)
        for value in _others(constant.value, is_pattern):
            text = source[:begin] + repr(value).encode() + source[end:]
            place = f"{path.name}:{constant.lineno}:{constant.col_offset}"
            difference = f"{place}: {constant.value!r} became {value!r}"
            yield path, text, difference


def _constants(node: ast.AST, *, is_pattern: bool) -> Iterator[tuple[ast.Constant, bool]]:
    """Constants that count: outside of functions, and neither documentation nor annotation nor list of names."""
    if isinstance(node, ast.Constant):
        yield node, is_pattern
    if isinstance(node, ast.FunctionDef | ast.Expr | ast.If | ast.Import | ast.ImportFrom | ast.JoinedStr):
        return
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"__all__", "__slots__"}:
        return
    if isinstance(node, ast.Call):
        if ast.unparse(node.func) == "cast":
            node = node.args[1]
        is_pattern = is_pattern or ast.unparse(node).startswith("re.compile(")
    for name, field in ast.iter_fields(node):
        for inner in field if isinstance(field, list) else [field]:
            if isinstance(inner, ast.AST) and name != "annotation":
                yield from _constants(inner, is_pattern=is_pattern)


def _others(value: object, is_pattern: bool) -> list[object]:
    """What a constant is changed to: a pattern loses each of its characters in turn."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if not isinstance(value, str | bytes):
        return []
    if is_pattern:
        return [value[:place] + value[place + 1 :] for place in range(len(value))]
    return [value + "B"] if isinstance(value, str) else [value + b"B"]


main()
