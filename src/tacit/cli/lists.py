"""`tacit methods`, `tacit models` and `tacit datasets`: what there is to choose from."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import tacit
from tacit.cli.output import print_json, print_table, stdout
from tacit.registry import title_of

Json = Annotated[bool, Parameter(negative=(), help="Print the list as JSON.")]


def methods(name: str | None = None, /, *, json: Json = False) -> None:
    """List the methods, or explain one.

    Parameters
    ----------
    name
        A method to explain with all its hyperparameters; of your own, file.py:Class.
    """
    from tacit.methods import METHODS

    if json:
        names = [name] if name else list(METHODS)
        print_json([_describe(each) for each in names])
    elif name:
        _explain(name)
    else:
        rows = []
        for each, entry in METHODS.items():
            paper = getattr(entry, "paper", None)
            said = (f"{paper.venue} {paper.year}", paper.title) if paper else ("", "")
            rows.append((each, title_of(entry), *said))
        print_table(("name", "method", "venue", "paper"), rows)


def _describe(name: str) -> dict[str, Any]:
    from tacit.methods import METHODS, build_method, hyperparameters, method_class
    from tacit.methods.base import annotations_of
    from tacit.ranges import schema

    cls = method_class(name)
    entry = METHODS.get(name, cls)
    paper = getattr(entry, "paper", None)
    return {
        "name": name,
        "title": title_of(entry),
        "paper": paper.title if paper else None,
        "year": paper.year if paper else None,
        "venue": paper.venue if paper else None,
        "views": list(build_method(name).views),
        "labels": cls.labels,
        "keeps_table": cls.keeps_table,
        "hyperparameters": hyperparameters(name),
        "ranges": {key: schema(each) for key, each in annotations_of(cls).items()},
        "presets": {preset: dict(values) for preset, values in cls.presets.items()},
    }


def _explain(name: str) -> None:
    described = _describe(name)
    console = stdout()
    console.print(f"{name}: {described['title']}", style="bold", markup=False)
    if described["paper"]:
        venue = f"{described['venue']} {described['year']}"
        console.print(f"{described['paper']}, {venue}", markup=False)
    console.print()
    _print_section(name)
    console.print()
    _print_hyperparameters(described)


def _print_hyperparameters(described: dict[str, Any]) -> None:
    """Print defaults and ranges, and what presets say where it is not the default."""
    from tacit.ranges import say

    presets = described["presets"]
    rows = [
        (
            key,
            str(default),
            say(described["ranges"][key]),
            *(
                str(each[key]) if each.get(key, default) != default else ""
                for each in presets.values()
            ),
        )
        for key, default in described["hyperparameters"].items()
    ]
    if rows:
        print_table(("hyperparameter", "default", "range", *presets), rows)


def _print_section(name: str) -> None:
    """Print what the documentation says, or, for a method from outside, what its class does."""
    from rich.markdown import Markdown

    from tacit.methods import method_class

    text = section(name)
    if text is None:
        stdout().print(inspect.getdoc(method_class(name)), markup=False)
    elif stdout().is_terminal:
        stdout().print(Markdown(text))
    else:  # a pipe gets the source, which programs can search
        print(text)


def models(name: str | None = None, /, *, json: Json = False) -> None:
    """List the models and the trunks they stand on, or explain one model.

    Parameters
    ----------
    name
        A model to explain with all its options; of your own, file.py:Class.
    """
    from tacit.models import FAMILIES, MODELS

    titles = {each: title_of(entry) for each, entry in MODELS.items()}
    if name:
        _explain_model(name, json)
    elif json:
        trunks = {trunk: family._asdict() for trunk, family in FAMILIES.items()}
        print_json([{"name": e, "title": title, "trunks": trunks} for e, title in titles.items()])
    else:
        print_table(("model", "what it is"), list(titles.items()))
        stdout().print()
        rows = [
            (trunk, family.title, family.maps, family.sizes) for trunk, family in FAMILIES.items()
        ]
        print_table(("trunk, for example", "family", "its map", "sizes in pixels"), rows)
        stdout().print("Any other timm network with spatial maps works as a trunk, too.")


def _explain_model(name: str, json: bool) -> None:
    from tacit.models import FAMILIES, MODELS, model_class, model_options

    cls, options = model_class(name), model_options(name)
    text, title = inspect.getdoc(cls), title_of(MODELS.get(name, cls))
    if json:
        trunks = {trunk: family._asdict() for trunk, family in FAMILIES.items()}
        print_json([{"name": name, "title": title, "trunks": trunks, "options": options}])
        return
    stdout().print(f"{name}: {title}\n", style="bold", markup=False)
    stdout().print(f"{text}\n", markup=False)
    print_table(("option", "default"), [(key, str(value)) for key, value in options.items()])


def datasets(*, json: Json = False) -> None:
    """List the data sets, the benchmarks that can be prepared, and the formats of labels."""
    from tacit.benchmarks import BENCHMARKS
    from tacit.data import SOURCES
    from tacit.data.formats import FORMATS

    tables: dict[str, Mapping[str, Any]]
    tables = {"data set": SOURCES, "benchmark": BENCHMARKS, "format": FORMATS}
    if json:
        print_json(
            [
                {"name": name, "kind": kind, "title": title_of(entry)}
                for kind, table in tables.items()
                for name, entry in table.items()
            ]
        )
        return
    headings = {
        "data set": "ready to train on",
        "benchmark": "after tacit prepare NAME --root FOLDER",
        "format": "labels of your own, as --data PATH",
    }
    for kind, table in tables.items():
        rows = [(name, title_of(entry)) for name, entry in table.items()]
        print_table((kind, headings[kind]), rows)
        stdout().print()


PACKAGE = Path(tacit.__file__).parent


# In an installed package the pages lie inside it, in a checkout where they are written.
FOLDERS = (PACKAGE / "handbook", PACKAGE.parents[1] / "docs" / "methods")


def section(name: str) -> str | None:
    """Return the section about a method as Markdown, or None where there is none."""
    heading = f"## `{name}`"
    for page in (page for folder in FOLDERS for page in sorted(folder.glob("*.md"))):
        lines = page.read_text(encoding="utf-8").split("\n")
        if heading not in lines:
            continue
        start = lines.index(heading)
        later = (n for n, line in enumerate(lines) if n > start and line.startswith("## "))
        return "\n".join(lines[start : next(later, len(lines))]).rstrip()
    return None
