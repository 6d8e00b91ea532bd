"""The layout of the package: what stands at its top, how large modules and folders are, how they import, and which words are gone."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import asgi_jwt_claims

PACKAGE = Path(asgi_jwt_claims.__file__).parent
ROOT = Path(__file__).parents[2]

TOP = frozenset(
    re.findall(
        r"\w+",
        "__init__ __main__ _asgi middleware responses starlette fastapi sanic litestar django mcp errors runtime jose keys jwks introspection config tokens "
        "access oauth sources stores auth connections sessions testing cli compat",
    )
)
"""The modules and folders at the top. Each addition is a decision, and gets its name here."""

MAX_LINES: Final = 350
MAX_MODULES: Final = 12
MAX_LEVELS: Final = 11

GONE = re.compile(
    r"(?i)\b(whoever|whomever|somebody|nobody|anybody|whatever|whichever|river|door|goodbye|flights|ledger|outcome_for"
    r"|trust_in|attended|marks_of|take_out|take_protocol|values_of|wanted_field|read_field|find_token|check_characters"
    r"|single_values|RevocationStore|family_claim|passed_over|RefreshPolicy|send_answer|tell_refused"
    r"|(configuration|setting|key|request|token|header|signature|claim)_invalid|(signing_key|claim|scope)_missing"
    r"|scope_type_unsupported|credentials_(malformed|repeated)|(csrf_token|issuer|audience|type|client|identity)_wrong"
    r"|origin_foreign|algorithm_refused|key_unknown|freshness_insufficient|request_cross_site)\b|\brevocation="
)
"""Words that the names and sentences of the project do without: vague pronouns, metaphors, and names of earlier days."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path


def folders() -> list[Path]:
    return sorted({path.parent for _, path in modules()})


def test_the_top_level_is_the_plan() -> None:
    """Nothing stands at the top of the package but what is planned."""
    assert TOP == {path.stem for path in PACKAGE.glob("*.py")} | {
        folder.name for folder in folders() if folder.parent == PACKAGE
    }


def test_no_module_is_long() -> None:
    """Every module can be read at one sitting: its docstrings included, it has at most 350 lines."""
    lines = {name: len(path.read_text().splitlines()) for name, path in modules()}
    assert {} == {name: count for name, count in lines.items() if count > MAX_LINES}


def test_no_folder_is_crowded() -> None:
    """Every folder can be seen at a glance: it has at most 12 modules, `__init__` included."""
    counts = {str(folder.relative_to(PACKAGE)): len(list(folder.glob("*.py"))) for folder in folders()}
    del counts["."]  # the top, see above
    assert {} == {name: count for name, count in counts.items() if count > MAX_MODULES}


# Imports --------------------------------------------------------------------------------------------------------------


def imported(path: Path, package: str) -> Iterator[tuple[str, str]]:
    """What a module imports, everywhere in it and for type checkers only, too: the module and the name in it.

    Args:
        path: Of the module.
        package: The dotted name of its folder.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            yield from ((module, alias.name) for alias in node.names)


def imports_within(folder: Path, root: Path) -> dict[str, set[str]]:
    """The imports among the modules of a folder, in which each folder counts as one module."""
    package = ".".join(folder.relative_to(root).parts)
    members = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/*.py")}
    graph: dict[str, set[str]] = {name: set() for name in members}
    for path in folder.rglob("*.py"):
        importer = path.relative_to(folder).parts[0].removesuffix(".py")
        for module, name in imported(path, ".".join(path.parent.relative_to(root).parts)):
            if module == package:
                graph[importer].add(name if name in members else "__init__")
            elif module.startswith(f"{package}."):
                graph[importer].add(module.removeprefix(f"{package}.").split(".")[0])
        graph[importer].discard(importer)
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle in a graph of imports; empty if there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("folder", [*folders(), ROOT / "benchmarks"], ids=lambda folder: folder.name)
def test_no_circle_of_imports(folder: Path) -> None:
    """Within a folder no two modules need each other, not even for their types; and within the package, no two folders."""
    root = folder.parent if folder.name == "benchmarks" else PACKAGE.parent
    assert [] == circle(imports_within(folder, root))


def test_circles_are_found(tmp_path: Path) -> None:
    """The check above finds relative and absolute imports, in functions and for types, of modules and of names."""
    package = tmp_path / "package"
    (package / "sub").mkdir(parents=True)
    for name, text in {
        "__init__": "from .a import A",
        "a": "import os\nfrom . import b",
        "b": "def f():\n    import package.sub.c",
        "sub/__init__": "",
        "sub/c": "if TYPE_CHECKING:\n    from package import A",
        "sub/d": "from ..a import A\nfrom .c import C",
    }.items():
        (package / f"{name}.py").write_text(text)
    graph = imports_within(package, tmp_path)
    assert {"__init__": {"a"}, "a": {"b"}, "b": {"sub"}, "sub": {"__init__", "a"}} == graph
    assert {"__init__", "a", "b", "sub"} >= set(circle(graph)) >= {"a", "b", "sub"}
    assert {"__init__": set(), "c": set(), "d": {"c"}} == imports_within(package / "sub", tmp_path)
    assert [] == circle(imports_within(package / "sub", tmp_path))


def test_the_levels_are_few_and_hold_everything() -> None:
    """The contract in `pyproject.toml` has at most 11 levels, and everything at the top but its two entrances is on one of them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers"]
    assert len(layers) <= MAX_LEVELS
    assert sorted(TOP - {"__init__", "__main__"}) == sorted(re.findall(r"\w+", " ".join(layers)))


# Words ----------------------------------------------------------------------------------------------------------------


def written() -> Iterator[tuple[str, Path]]:
    """All files that people read, by the name that they have in the repository."""
    for name, path in modules():
        yield f"src/asgi_jwt_claims/{name}", path
    for path in [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        yield path.relative_to(ROOT).as_posix(), path


def test_words_that_are_gone_stay_gone() -> None:
    """Sources and documentation use plain words: no vague pronoun, no metaphor, no name that has been given up."""
    found = []
    for name, path in written():
        lines = enumerate(path.read_text().splitlines(), 1)
        found += [f"{name}:{number}: {match[0]}" for number, line in lines for match in GONE.finditer(line)]
    assert [] == found
