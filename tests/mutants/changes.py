"""Small changes of a source file, each of which a test should notice.

A change is named by the file, the function and the statement before and after it, so that an edit
elsewhere in the file neither renames nor loses it. What is left alone: strings, annotations, the
messages of errors, where a tensor lies, since tests run without a GPU, and what only a type checker
reads or only guards against slips in the code: `Literal`, `TYPE_CHECKING`, `dataclass_transform`,
`frozen=`, `strict=` and `encoding=`.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
MOVED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
OTHER_NAMES = {
    "min": "max",
    "max": "min",
    "mean": "sum",
    "sum": "mean",
    "any": "all",
    "all": "any",
    "amin": "amax",
    "amax": "amin",
}
REMOVED = ast.AugAssign | ast.Raise | ast.Continue | ast.Break | ast.Delete | ast.Assert
KEPT_DECORATORS = {"overload", "abstractmethod", "dataclass_transform"}
GUARDS = {"strict", "encoding", "frozen", "device"}


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, how the statement reads before and after, and how to make it."""

    file: str
    function: str
    before: str
    after: str
    lines: range = field(compare=False)
    at_import: bool = field(compare=False)
    number: int = 0

    @property
    def key(self) -> str:
        """Name the change; `number` tells equal ones within a function apart."""
        again = f" #{self.number}" if self.number else ""
        return f"{self.file}::{self.function}::{self.before} => {self.after}{again}"


@dataclass(frozen=True)
class Place:
    """What surrounds a node: the function, the statement, and whether it runs at import."""

    function: str = ""
    statement: ast.AST | None = None
    at_import: bool = True
    body: range = range(0)


@dataclass(frozen=True)
class Change:
    """A field of a node, what it holds and what it would hold."""

    place: Place
    node: ast.AST
    name: str
    old: object
    new: object
    lines: range
    statement: ast.AST | None  # the statement that is replaced as a whole
    instead: ast.AST | None

    def make(self) -> None:
        setattr(self.node, self.name, self.new)

    def undo(self) -> None:
        setattr(self.node, self.name, self.old)


def list_mutants(file: str, source: str) -> list[Mutant]:
    return [mutant for mutant, _ in _enumerate(file, ast.parse(source))]


def build_mutant(key: str, file: str, source: str) -> ast.Module:
    """Return the changed file, to be compiled."""
    tree = ast.parse(source)
    for mutant, change in _enumerate(file, tree):
        if mutant.key == key:
            change.make()
            return ast.fix_missing_locations(tree)
    raise LookupError(f"{file} has no mutant '{key}'.")


def _enumerate(file: str, tree: ast.Module) -> Iterator[tuple[Mutant, Change]]:
    seen: dict[tuple[str, str, str], int] = {}
    for change in list(_changes(tree, Place())):
        place, whole = change.place, change.statement
        before = _head(whole if whole is not None else place.statement)
        change.make()
        after = _head(change.instead if whole is not None else place.statement)
        change.undo()
        same = (place.function, before, after)
        number = seen[same] = seen.get(same, -1) + 1
        lines = place.body if place.at_import and place.body else change.lines
        yield Mutant(file, *same, lines, place.at_import and not place.body, number), change


def _head(node: ast.AST | None) -> str:
    """Write a statement in one line; of one that holds others, its head."""
    assert node is not None
    node = ast.fix_missing_locations(copy.deepcopy(node))
    if hasattr(node, "body") and isinstance(node.body, list):
        node.body = [ast.Pass()]
        for rest in ("orelse", "finalbody", "handlers"):
            if getattr(node, rest, None) and not isinstance(node, ast.Try):
                setattr(node, rest, [])
    return " ".join(line.strip() for line in ast.unparse(node).splitlines())[:300]


def _changes(node: ast.AST, place: Place) -> Iterator[Change]:
    """Walk what runs, and yield the changes of each node in its parent."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params") or isinstance(node, ast.JoinedStr):
            continue
        if (isinstance(node, ast.Raise) and name == "exc") or _is_for_types(node):
            continue
        inner = _enter(node, name, place)
        for position, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST):
                continue
            spot = _at(child, inner)
            for new in _variants(child, name):
                changed: object = new
                if position is not None:
                    changed = [*value[:position], *([new] if new else []), *value[position + 1 :]]
                at = child if hasattr(child, "lineno") else node
                whole = child if isinstance(child, ast.stmt) else None
                last = at.lineno if isinstance(at, ast.stmt) else at.end_lineno or at.lineno
                first = getattr(spot.statement, "lineno", at.lineno)
                lines = range(min(first, at.lineno), last + 1)
                yield Change(spot, node, name, value, changed, lines, whole, new)
            yield from _changes(child, spot)


def _at(child: ast.AST, place: Place) -> Place:
    if isinstance(child, ast.stmt):
        return Place(place.function, child, place.at_import, place.body)
    return place


def _enter(node: ast.AST, name: str, place: Place) -> Place:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = f"{place.function}.{node.name}".lstrip(".")
        body = range(node.body[0].lineno, (node.end_lineno or 0) + 1)
        if name == "body":
            inside = isinstance(node, ast.FunctionDef) or not place.at_import
            return Place(function, node, not inside)
        is_function = isinstance(node, ast.FunctionDef)
        return Place(function, node, place.at_import, body if is_function else range(0))
    return place


def _variants(node: ast.AST, name: str) -> Iterator[ast.AST | None]:
    """Yield what a node could be replaced by; None takes it out of its list."""
    match node:
        case ast.Compare():
            for position, op in enumerate(node.ops):
                for table in (NEGATED, MOVED):
                    if type(op) in table:
                        ops = [*node.ops]
                        ops[position] = table[type(op)]()
                        yield _with(node, ops=ops)
        case ast.BinOp() | ast.AugAssign() if type(node.op) in OPERATORS:
            yield _with(node, op=OPERATORS[type(node.op)]())
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not()):
            yield node.operand
        case ast.BoolOp():
            yield _with(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
        case ast.Constant(value=bool()):
            yield _with(node, value=not node.value)
        case ast.Constant(value=int()):
            yield _with(node, value=node.value + 1)
        case ast.Constant(value=float()):
            yield _with(node, value=node.value * 2 if node.value else 1.0)
        case ast.Attribute() if node.attr in OTHER_NAMES:
            yield _with(node, attr=OTHER_NAMES[node.attr])
        case ast.Name() if node.id in OTHER_NAMES and name == "func":
            yield _with(node, id=OTHER_NAMES[node.id])
        case ast.keyword() if node.arg and node.arg not in GUARDS:
            yield None
        case ast.Return() if node.value and not _is_constant(node.value):
            yield _with(node, value=None)
    if name == "decorator_list" and not KEPT_DECORATORS & {*_name(node).split(".")}:
        yield None
    if name == "test" and isinstance(node, ast.Name | ast.Attribute | ast.Call):
        yield ast.UnaryOp(ast.Not(), node)
    is_call = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    if is_call or isinstance(node, REMOVED):
        yield ast.copy_location(ast.Pass(), node)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _is_constant(node: ast.AST) -> bool:
    """Whether a node is None or a truth value, of which the change to None says little."""
    return isinstance(node, ast.Constant) and node.value in (None, True, False)


def _name(node: ast.AST) -> str:
    return ast.unparse(node.func if isinstance(node, ast.Call) else node)


def _is_for_types(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg in GUARDS
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Call):
        return _name(node) == "dataclass_transform"
    return isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal"
