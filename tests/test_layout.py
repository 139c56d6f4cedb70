"""The law of imports, and what keeps the rooms readable; read from the sources with ast, nothing is imported.

Arrows point one way: doors (cli, supervisor and its processes) → shell (front, live, store, observe, alerts) → core
(image, engine, policy, conditions, patterns) → model. Three libraries have one room each.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "milter" / "tidegate"

_CORE = frozenset({"model", "patterns", "conditions", "policy", "limits", "revisions", "engine", "image"})
_SHELL = frozenset({"trial", "observe", "alerts", "live", "front", "settings"}) | frozenset(
    {
        "channel",
        "control",
        "notify",
        "records",
        "ledger",
        "postfix",
        "store",
        "replay",
        "replicas",
        "starting",
        "importing",
        "signing",
    }
)
_PROCESSES = frozenset({"loader", "worker", "clerk"})
_HOUSE = _CORE | _SHELL | _PROCESSES | {"supervisor"}

# A room may import itself and these.
LAW: dict[str, frozenset[str]] = {
    "model": frozenset(),
    "patterns": frozenset({"model"}),
    "conditions": frozenset({"model"}),
    "policy": frozenset({"model", "conditions", "patterns"}),
    "limits": frozenset({"model"}),
    "engine": frozenset({"model", "conditions", "limits"}),
    "image": frozenset({"model", "conditions", "patterns", "engine"}),
    "trial": frozenset({"model", "conditions", "policy", "limits", "engine", "image"}),
    "observe": frozenset({"model", "conditions"}),
    "alerts": frozenset({"model", "records"}),
    "live": frozenset({"model", "image", "observe", "alerts", "records", "revisions"}),
    "ledger": frozenset({"records"}),
    "replay": frozenset({"model", "limits", "policy", "engine", "conditions", "trial", "observe", "ledger", "records"}),
    "front": frozenset({"model", "limits", "engine", "image", "live", "observe", "ledger", "replay"}),
    **dict.fromkeys(("channel", "control", "notify", "records"), frozenset()),
    "revisions": frozenset({"model"}),
    "signing": frozenset({"revisions"}),
    "store": frozenset({"model", "revisions", "limits"}),
    "replicas": frozenset({"model", "conditions", "policy", "image", "store", "records", "channel"}),
    "settings": frozenset({"model", "policy", "alerts", "records", "store", "signing"}),
    "postfix": frozenset({"model", "records", "settings"}),
    "starting": frozenset({"model", "conditions"}),
    "importing": frozenset({"model", "policy"}),
    "loader": frozenset({"model", "policy", "image", "trial", "alerts", "live", "records", "revisions", "signing"}),
    "worker": frozenset(
        {
            "model",
            "alerts",
            "image",
            "front",
            "live",
            "observe",
            "settings",
            "channel",
            "ledger",
            "replay",
            "replicas",
            "store",
        }
    ),
    "clerk": frozenset(
        {
            "loader",
            "alerts",
            "live",
            "observe",
            "settings",
            "channel",
            "ledger",
            "replay",
            "replicas",
            "revisions",
            "signing",
            "store",
        }
    ),
    "supervisor": _HOUSE - {"supervisor"},
    "cli": _HOUSE,
    "__main__": frozenset({"cli"}),
    "__init__": frozenset(),
}
# Rooms whose answers depend on their arguments alone.
PURE = ("model", "conditions", "policy", "limits", "revisions", "engine")
IMPURE = frozenset({"os", "socket", "time", "random", "secrets", "logging", "structlog", "threading", "subprocess"})
CLOCKS = frozenset({"now", "utcnow", "today"})
LIBRARIES = {"yaml": "policy", "milter": "front", "Milter": "front", "redis": "store"}
# What makes C call back into Python: inside a milter callback that is a segfault (DESIGN section 6).
CALLBACKS = re.compile(r"CFUNCTYPE|set_progress_handler|create_function|set_trace_callback|ffi\.callback|PYFUNCTYPE")
FILE_LINES = 400
FUNCTION_LINES = 59


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the dotted module, and where it stands."""

    module: str
    line: int


@cache
def sources() -> tuple[Path, ...]:
    """Every module of the package."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """Its syntax tree."""
    return ast.parse(path.read_text("utf-8"), str(path))


def room(path: Path) -> str:
    """`conditions` for milter/tidegate/conditions/facts.py, `worker` for milter/tidegate/worker.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[Import]:
    """All imports of a module, those inside functions too; `from tidegate import live` is tidegate.live."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            yield Import(module, node.lineno)
            if module.split(".")[0] == "tidegate":
                yield from (Import(f"{module}.{alias.name}", node.lineno) for alias in node.names)


def imported_rooms(path: Path) -> Iterator[tuple[str, int]]:
    """The rooms of the house that a module imports."""
    for found in imports(path):
        parts = found.module.split(".")
        if parts[0] != "tidegate" or len(parts) == 1:
            continue
        place = PACKAGE / parts[1]
        if place.is_dir() or place.with_suffix(".py").exists():
            yield parts[1], found.line


def each_source() -> pytest.MarkDecorator:
    """Parametrise over all modules."""
    return pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))


@each_source()
def test_arrows_point_one_way(path: Path) -> None:
    """A module imports its own room and the rooms that the law allows, no other."""
    assert room(path) in LAW, f"the law does not know the room {room(path)}"
    allowed = LAW[room(path)] | {room(path)}
    assert [] == [f"line {line}: {name}" for name, line in imported_rooms(path) if name not in allowed]


@each_source()
def test_model_is_imported_as_a_whole(path: Path) -> None:
    """Outside the model nobody knows how it is divided into files."""
    names = {one.stem for one in (PACKAGE / "model").glob("*.py")}
    inner = [
        f"line {found.line}: {found.module}"
        for found in imports(path)
        if found.module.startswith("tidegate.model.") and found.module.split(".")[2] in names
    ]
    assert [] == ([] if room(path) == "model" else inner)


@each_source()
def test_a_library_has_one_room(path: Path) -> None:
    """yaml is imported in policy/, milter in front/, redis in store/."""
    wrong = [
        f"line {found.line}: {found.module}"
        for found in imports(path)
        if LIBRARIES.get(found.module.split(".")[0], room(path)) != room(path)
    ]
    assert [] == wrong


@each_source()
def test_the_core_is_pure(path: Path) -> None:
    """No clock, no randomness, no input or output, no logging where verdicts are made."""
    found = [f"line {one.line}: {one.module}" for one in imports(path) if one.module.split(".")[0] in IMPURE]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            found.append(f"line {node.lineno}: .{node.func.attr}()")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "print"):
            found.append(f"line {node.lineno}: {node.func.id}()")
    assert [] == (found if room(path) in PURE else [])


@each_source()
def test_c_never_calls_python(path: Path) -> None:
    """pymilter makes one thread state per session: a Python callback from C inside a milter callback segfaults."""
    names = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(tree(path)) if isinstance(node, ast.Name)}
    names |= {alias.name for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert [] == sorted(name for name in names if CALLBACKS.search(name))


@each_source()
def test_size(path: Path) -> None:
    """A file has at most 400 lines, a function fewer than 60."""
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= FILE_LINES
    long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert [] == long


@each_source()
def test_a_file_opens_with_what_it_is_for(path: Path) -> None:
    """Every module, and every public class, has a docstring."""
    assert ast.get_docstring(tree(path))
    bare = [
        node.name
        for node in tree(path).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert [] == bare


PAGE = re.compile(r"(?<![\w./-])([a-z_]+/[a-z_]+\.py)\b")
"""How a page is named in a docstring or a comment: engine/reply.py."""


@pytest.mark.parametrize(
    "path",
    [*sorted(PACKAGE.rglob("*.py")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_pages_that_are_named_exist(path: Path) -> None:
    """Who follows the name of a page finds one."""
    homes = (PACKAGE, ROOT, ROOT / "tests")
    named = set(PAGE.findall(path.read_text("utf-8")))
    assert [] == sorted(name for name in named if not any((home / name).exists() for home in homes))


def test_milter_is_never_a_package() -> None:
    """pymilter's C extension is called `milter`; an __init__.py in our folder of that name would hide it."""
    assert not (ROOT / "milter" / "__init__.py").exists()


def test_the_law_has_no_circle() -> None:
    """Among the rooms above the processes, following the arrows never leads back."""
    order: list[str] = []
    rooms = [name for name in LAW if name not in _PROCESSES]

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' → '.join((*path, name))}"
        for other in sorted(LAW.get(name, frozenset()) - set(_PROCESSES)):
            visit(other, (*path, name))
        order.append(name)

    for name in rooms:
        visit(name, ())
    assert set(rooms) <= set(order)


def test_test_files_have_names_of_their_own() -> None:
    """Test folders are no packages, so two files of one name would be one module."""
    assert [] == list((ROOT / "tests").rglob("__init__.py"))
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert [] == sorted({name for name in names if names.count(name) > 1})
