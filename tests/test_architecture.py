"""The shape of the package: who may know whom, and how large a part may grow.

Arrows point one way and never back. The tables of methods, models and data sets are the only
places where names become classes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tacit
from tacit.methods import METHODS
from tacit.models import MODELS

ROOT = Path(tacit.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

LONGEST_FILE, LONGEST_FUNCTION = 400, 50

# What everybody may use; it knows nothing but itself.
GROUND = {
    "errors",
    "files",
    "labels",
    "names",
    "types",
    "losses",
    "config",
    "schema",
    "distributed",
    "modes",
    "ranges",
    "registry",
    "locks",
    "processes",
    "priors",
}

# What the files of a run folder are called is known to one room.
RUN_FILES = {"run.json", "metrics.jsonl", "suspects.parquet", "checkpoints", "last.pt"}

# part of the package -> the parts that it may import beside itself; every arrow goes down
EDGES: dict[str, set[str]] = {
    "errors": set(),
    "labels": set(),
    "losses": set(),
    "priors": set(),
    "modes": set(),
    "distributed": set(),
    "files": {"errors"},
    "names": {"errors", "files"},
    "version": set(),
    "locks": {"errors"},
    "processes": {"errors"},
    "registry": {"errors"},
    "presets": {"errors"},
    "schema": set(),
    "config": {"errors", "schema"},
    "types": {"labels"},
    "devices": {"errors"},
    "ranges": {"errors"},
    "data": {"config", "errors", "files", "labels", "names", "ranges", "registry"},
    "benchmarks": {"registry", "data", "errors", "files", "labels", "names"},
    "check": {"config", "registry", "data", "errors", "files", "labels", "names"},
    "images": {"data", "errors", "files", "types"},
    "teachers": {"errors", "files", "types", "labels"},
    "methods": {
        "config",
        "distributed",
        "errors",
        "files",
        "losses",
        "modes",
        "priors",
        "ranges",
        "registry",
        "teachers",
        "types",
    },
    "models": {"errors", "files", "losses", "modes", "ranges", "registry"},
    "learner": {"errors", "methods", "models", "types"},
    "features": {"config", "data", "devices", "errors", "files", "images"},
    "evaluation": {"devices", "distributed", "errors", "priors", "types"},
    "export": {"errors", "files", "images", "models"},
    "prediction": {
        "data",
        "devices",
        "errors",
        "evaluation",
        "files",
        "images",
        "locks",
        "models",
        "names",
    }
    | {"processes", "ranges"},
    "runs": GROUND
    | {
        "data",
        "devices",
        "evaluation",
        "features",
        "images",
        "learner",
        "locks",
        "methods",
        "models",
    }
    | {"version"},
    "training": GROUND
    | {"data", "devices", "evaluation", "features", "images", "learner", "methods", "models"}
    | {"runs", "version"},
    "report": {"files"},
    "repair": GROUND
    | {"data", "devices", "evaluation", "features", "images", "learner", "methods"}
    | {"models", "runs", "training"},
    "experiments": GROUND
    | {"data", "devices", "evaluation", "images", "learner", "methods"}
    | {"models", "repair", "report", "runs", "training"},
    "cli": GROUND
    | {
        "benchmarks",
        "check",
        "data",
        "devices",
        "evaluation",
        "experiments",
        "export",
        "features",
        "images",
        "methods",
        "presets",
    }
    | {"models", "prediction", "repair", "report", "runs", "tacit", "teachers", "training"},
    "__main__": {"cli"},
    "trained_model": GROUND
    | {"data", "experiments", "export", "models", "prediction", "presets", "report", "runs"}
    | {"training"},
    "observed_labels": {"labels"},
    "estimator": GROUND
    | {"data", "evaluation", "models", "observed_labels", "prediction", "presets"}
    | {"training"},
    # The names of the package itself, each looked up when it is used.
    "tacit": {"data", "estimator", "methods", "prediction", "repair", "trained_model", "types"}
    | {"version"},
}

# What is seen of a part from outside: its table, its protocol, its files.
DOORS = {
    "methods": {"tacit.methods", "tacit.methods.base", "tacit.methods.parts.cam"},
    "models": {"tacit.models", "tacit.models.base", "tacit.models.artefact"}
    | {"tacit.models.folding", "tacit.models.wrappers"},
    "cli": {"tacit.cli"},
}

# Parts that stay light, or nearly so: file -> what takes long to import and is allowed there.
HEAVY = {"torch", "torchvision", "timm", "sklearn", "safetensors", "numpy", "PIL"}
LIGHT = {
    "__init__.py": set(),
    "__main__.py": set(),
    "errors.py": set(),
    "ranges.py": set(),
    "files.py": set(),
    "registry.py": set(),
    "config.py": set(),
    "methods/__init__.py": set(),
    "models/__init__.py": set(),
    "data/__init__.py": set(),
    "data/formats/__init__.py": set(),
    "data/observe.py": {"numpy"},
    "data/splits.py": {"numpy"},
    "labels.py": {"numpy"},
    "priors.py": {"numpy"},
    "locks.py": set(),
    "runs/folder.py": set(),
    "data/source.py": {"numpy"},
    "data/scenes/__init__.py": {"numpy", "PIL"},
    "evaluation/metrics.py": {"numpy"},
}
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "core", "base_utils"}


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def part_of(module: str) -> str:
    """Return the part that a module such as tacit.images.loader belongs to."""
    words = module.split(".")
    return words[1] if len(words) > 1 else "tacit"


def module_of(path: Path) -> str:
    words = ["tacit", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Name every module that is imported, down to the file if it is ours."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are written in full"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                ours = name.startswith("tacit.") and is_module(name)
                yield name if ours else node.module


def our_imports(path: Path) -> set[str]:
    found = imports(ast.walk(parse(path)))
    return {name for name in found if name == "tacit" or name.startswith("tacit.")}


def at_import(path: Path) -> Iterator[ast.AST]:
    """Walk what runs when a file is imported: no functions, nothing for the type checker alone."""
    waiting: list[ast.AST] = [parse(path)]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", FILES, ids=short)
def test_arrows_point_one_way(path: Path) -> None:
    part = part_of(module_of(path))
    assert part in EDGES, f"say in EDGES what '{part}' may know"
    allowed = EDGES[part] | {part}
    known = {part_of(name) for name in our_imports(path)}
    assert known <= allowed, f"{short(path)} must not know {known - allowed}"


def test_nobody_knows_himself_by_way_of_others() -> None:
    """Neither parts nor files; what is imported inside a function counts, too."""
    parts: dict[str, set[str]] = {}
    for path in FILES:
        part = part_of(module_of(path))
        known = {part_of(name) for name in our_imports(path)}
        parts[part] = parts.get(part, set()) | known - {part}
    list(TopologicalSorter(parts).static_order())
    tables = {"tacit.methods", "tacit.data", "tacit.cli"}  # they import their rows when asked
    files = {module_of(path): our_imports(path) for path in FILES if module_of(path) not in tables}
    list(TopologicalSorter(files).static_order())


@pytest.mark.parametrize("path", FILES, ids=short)
def test_names_become_classes_in_the_tables_only(path: Path) -> None:
    part = part_of(module_of(path))
    for name in our_imports(path):
        other = part_of(name)
        if other != part and other in DOORS:
            assert name in DOORS[other], f"{short(path)} reaches past the door of {other}"


@pytest.mark.parametrize("name", LIGHT)
def test_light_parts_stay_light(name: str) -> None:
    found = {module.split(".")[0] for module in imports(at_import(ROOT / name))}
    assert found & HEAVY <= LIGHT[name]


@pytest.mark.parametrize("path", sorted((ROOT / "cli").glob("*.py")), ids=short)
def test_a_verb_imports_what_is_heavy_when_it_runs(path: Path) -> None:
    found = set(imports(at_import(path)))
    assert not {name.split(".")[0] for name in found} & HEAVY
    ours = {part_of(name) for name in found if name.split(".")[0] == "tacit"}
    assert ours <= {"tacit", "cli", "config", "errors", "files", "processes", "registry"}


@pytest.mark.parametrize("name", ["runs/folder.py", "data/splits.py"])
def test_light_parts_import_nothing_heavy_by_way_of_others(name: str) -> None:
    waiting, seen = [module_of(ROOT / name)], set()
    while waiting:
        path = ROOT.joinpath(*waiting.pop().split(".")[1:])
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path not in seen:
            seen.add(path)
            found = set(imports(at_import(path)))
            assert "torch" not in {module.split(".")[0] for module in found}, short(path)
            waiting += [module for module in found if module.split(".")[0] == "tacit"]


STUDIES = sorted((ROOT.parent.parent / "studies").glob("*.py"))


@pytest.mark.parametrize("path", FILES + STUDIES, ids=lambda path: path.name)
def test_only_a_run_knows_the_files_of_its_folder(path: Path) -> None:
    words = {
        word
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in node.value.split("/")
    }
    if path.parent.name != "runs":
        assert not words & RUN_FILES


def test_the_loop_knows_no_method_and_no_model_by_name() -> None:
    names = set(METHODS) | set(MODELS)
    for path in (ROOT / "training").glob("*.py"):
        tree = parse(path)
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        if "filterwarnings" in ast.unparse(tree):
            words -= {"ignore"}  # what Python calls hiding a warning
        assert not words & names, short(path)
        called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not called & {"METHODS", "MODELS"}, short(path)


def test_the_loop_does_not_ask_what_kind_of_method_it_has() -> None:
    for path in (ROOT / "training").glob("*.py"):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "type"):
                assert "method" not in ast.unparse(node), short(path)


@pytest.mark.parametrize("path", FILES, ids=short)
def test_files_and_functions_fit_into_a_head(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE
    assert not {name for name, length in functions(path) if length > LONGEST_FUNCTION}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Return every function with its number of lines, without its documentation."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno
            length = node.end_lineno - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None and first.end_lineno:
                length -= first.end_lineno - first.lineno + 1
            yield node.name, length


def test_files_are_named_for_ideas() -> None:
    names = {path.stem for path in FILES} | {path.name for path in ROOT.rglob("*") if path.is_dir()}
    assert not names & VAGUE


def test_no_part_holds_more_than_a_quarter_of_the_lines() -> None:
    lines: dict[str, int] = {}
    for path in FILES:
        part = part_of(module_of(path))
        lines[part] = lines.get(part, 0) + len(path.read_text(encoding="utf-8").splitlines())
    largest = max(lines, key=lambda part: lines[part])
    assert lines[largest] * 4 <= sum(lines.values()), f"'{largest}' holds {lines[largest]} lines"


def test_the_table_of_edges_has_no_rows_for_what_is_gone() -> None:
    parts = {part_of(module_of(path)) for path in FILES}
    assert set(EDGES) == parts
    assert all((ROOT / name).is_file() for name in LIGHT)


@pytest.mark.parametrize(
    ("call", "door"),
    [
        # Formats beside the named ones are decoded by none but this; some of them start programs.
        ("Image.open", "data/open_image.py"),
        # What these return may lead outside of the memory until it is checked.
        ("parquet.read_table", "data/arrow_files.py"),
        ("feather.read_table", "data/arrow_files.py"),
        ("file.iter_batches", "data/arrow_files.py"),
    ],
)
def test_untrusted_files_are_opened_by_one_door(call: str, door: str) -> None:
    users = {
        short(path)
        for path in FILES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith(call)
    }
    assert users == {door}


def test_no_other_function_reads_files_of_arrow() -> None:
    unchecked = {"open_file", "open_stream", "RecordBatchFileReader", "RecordBatchStreamReader"}
    unchecked |= {"read_feather", "read_pandas", "read_row_group", "read_row_groups", "read_ipc"}
    for path in FILES:
        used = {node.attr for node in ast.walk(parse(path)) if isinstance(node, ast.Attribute)}
        assert not used & unchecked, short(path)
