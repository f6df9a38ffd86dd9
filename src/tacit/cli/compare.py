"""`tacit compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tacit.cli.output import print_json, print_table, say, stderr, stdout, tell
from tacit.errors import UsageError

if TYPE_CHECKING:
    from tacit.experiments.cells import Engine, Grid
    from tacit.experiments.grid import Cell, Comparison
    from tacit.experiments.tuning import Search


def compare(
    grid: Path | None = None,
    /,
    *,
    methods: str | None = None,
    models: str | None = None,
    seeds: str | None = None,
    data: str | None = None,
    preset: str | None = None,
    recipe: Path | None = None,
    ablate: str | None = None,
    baseline: str | None = None,
    out: Path = Path("runs/compare"),
    jobs: int | None = None,
    engine: Literal["local", "ray"] = "local",
    plots: str | None = None,
    settings: Annotated[tuple[str, ...], Parameter(name=("--set", "-s"))] = (),
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    status: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train methods side by side and write one table.

    Each cell of the grid is a run. What is done is skipped, what was stopped goes on, and what
    failed is tried again: the same command starts, resumes and extends a comparison. Beside the
    runs it writes results.md, .csv, .tex and .json, and report.html with all figures.

    Parameters
    ----------
    grid
        A recipe in which a key may have a list of values where a run has one; or the name of one
        that comes with tacit, such as paper_table1.
    methods
        Methods, with commas between them, or all.
    models
        Models, with commas between them.
    seeds
        How many seeds, or which, as in 0,1,2.
    data
        Data set, see `tacit datasets`, or the path of labels of your own.
    preset
        A recipe that comes with tacit, in place of a grid, or under it.
    recipe
        A recipe that lies under the grid, such as that of a benchmark.
    ablate
        A method whose parts are switched off one by one, in place of a grid.
    baseline
        Rows or methods that others are held against, with commas between them.
    out
        Where runs and results go.
    jobs
        Trainings at a time; one per core, at most four, if left out.
    engine
        Processes of this machine, or tasks of Ray, which finds room for them by itself.
    plots
        Write each figure as a file, too: png, pdf or svg, with commas between them.
    settings
        Any key of a recipe, with a list of values as well: --set data.positives=[1,2,3].
    dry_run
        List what would be trained, and stop.
    status
        Show how far it is, with the table of what is done, and stop.
    json
        Print the table as JSON.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be 1 or more, not {jobs}.")
    from tacit.cli.report import read_formats

    formats = read_formats(plots)
    with stderr().status("reading the grid"):
        from tacit.experiments.cells import Grid
        from tacit.experiments.grid import read_grid
        from tacit.experiments.tuning import Search

        said = _read_flags(methods, models, seeds, baseline)
        given = (f"data.name={data}",) if data is not None else ()
        file, below = _choose_files(grid, ablate, recipe, preset, given)
        comparison, cells = read_grid(file, (*given, *settings), said, below)
        search = Search(comparison.tune, cells) if comparison.tune else None
    folder = Grid(out)
    if dry_run:
        _list(folder, [*(search.list_cells() if search else ()), *cells], json)
        return 0
    if not status:
        stopped = _train_all(folder, cells, search, jobs, engine)
        if stopped is not None:
            tell("Stopped; the same command goes on.")
            return stopped
    return _show(folder, cells, comparison, search, formats, json)


def _choose_files(
    grid: Path | None,
    ablate: str | None,
    recipe: Path | None,
    preset: str | None,
    given: tuple[str, ...],
) -> tuple[Path | None, Path | None]:
    """Return the grid, and the recipe that lies under it."""
    from tacit.cli.train import choose_recipe
    from tacit.experiments.studies import find_ablation, find_study

    if grid is not None and ablate is not None:
        raise UsageError(f"--ablate is a grid, and so is {grid}; leave one of them out.")
    if grid is None and ablate is None:
        return choose_recipe(recipe, preset, given), None
    file = find_ablation(ablate) if ablate is not None else find_study(grid or Path())
    if file == grid and recipe is None and preset is None:
        return file, None
    if recipe is None and preset is None and not given:
        return file, None
    return file, choose_recipe(recipe, preset, given)


def _read_flags(
    methods: str | None, models: str | None, seeds: str | None, baseline: str | None
) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if methods is not None:
        said["methods"] = _list_methods() if methods == "all" else _split("methods", methods)
    if models is not None:
        said["models"] = _split("models", models)
    if baseline is not None:
        said["baseline"] = _split("baseline", baseline)
    if seeds is not None:
        words = _split("seeds", seeds)
        if not all(word.isdecimal() for word in words):
            raise UsageError(f"--seeds takes a number of seeds, or seeds as in 0,1,2; not {seeds}.")
        numbers = [int(word) for word in words]
        said["seeds"] = numbers[0] if len(numbers) == 1 and "," not in seeds else numbers
    return said


def _split(flag: str, text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError(f"--{flag} names nothing.")
    return words


def _list_methods() -> list[str]:
    from tacit.methods import METHODS

    return list(METHODS)


def _list(folder: Grid, cells: list[Cell], json: bool) -> None:
    columns = ("row", "seed", "state", "identity")
    rows = [(cell.row, cell.seed, folder.state(cell), cell.identity) for cell in cells]
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    print_table(columns, [[str(each) for each in row] for row in rows])
    for cell in cells:
        if cell.refusal:
            tell(f"{cell.title}: {cell.refusal}")


def _train_all(
    folder: Grid, cells: list[Cell], search: Search | None, jobs: int | None, engine: Engine
) -> int | None:
    """Train the trials of a search, and then what it chose."""
    if search is not None:
        tell(f"Tuning: {search.tune.trials:,} trials of each row.")
        stopped = _train(folder, search.list_cells(), jobs, engine)
        if stopped is not None:
            return stopped
        cells = search.tuned(folder)
    return _train(folder, cells, jobs, engine)


def _train(folder: Grid, cells: list[Cell], jobs: int | None, engine: Engine) -> int | None:
    from tacit.cli.progress import ProgressReporter
    from tacit.experiments.jobs import choose_job_count
    from tacit.training.interrupts import Interrupted

    waiting = [cell.config for cell in cells if cell.config and folder.state(cell) != "done"]
    if not waiting:
        return None
    tell(f"{len(cells) - len(waiting):,} of {len(cells):,} trainings are done.")
    epochs = sum(phase.epochs for config in waiting for phase in config.phases)
    try:
        with ProgressReporter(stderr(), epochs) as reporter:
            folder.train(cells, jobs or choose_job_count(waiting[0]), reporter, engine)
    except Interrupted as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        return 130
    return None


def _show(
    folder: Grid,
    cells: list[Cell],
    comparison: Comparison,
    search: Search | None,
    formats: tuple[str, ...],
    json: bool,
) -> int:
    from tacit.experiments.statistics import summarise
    from tacit.experiments.table import WRITERS, list_notes, to_cells
    from tacit.files import write_text

    further: list[str] = []
    if search is not None:
        if search.is_done(folder):
            cells, further = search.tuned(folder), search.list_notes(folder)
        else:
            further = ["The search has not ended; what is shown is not tuned."]
    measured = folder.measure(cells)
    rows = summarise(measured, comparison.baseline)
    seeds = len({cell.seed for cell in cells})
    folder.folder.mkdir(parents=True, exist_ok=True)
    for suffix, write in WRITERS.items():
        write_text(folder.folder / f"results.{suffix}", write(rows, seeds, further))
    if json:
        stdout().print(WRITERS["json"](rows, seeds, further), markup=False, soft_wrap=True)
    else:
        header, body = to_cells(rows)
        print_table(header, body)
        for note in list_notes(rows, seeds, further):
            say(note)
        tell(f"The table is in {folder.folder / 'results.md'}, and beside it as CSV, LaTeX, JSON.")
    _draw(folder.folder, formats)
    return 1 if any(each.state == "failed" for each in measured) else 0


def _draw(folder: Path, formats: tuple[str, ...]) -> None:
    """Write the page of the comparison, and its figures as files."""
    from tacit.experiments.comparison_page import Compared
    from tacit.experiments.plots import write_plots
    from tacit.report.page import write_page

    compared = Compared(folder)
    page = compared.build()
    write_page(folder / "report.html", page)
    tell(f"Its page, with {len(page.charts):,} figures, is {folder / 'report.html'}.")
    if formats:
        written = write_plots(page.charts, folder / "figures", formats)
        tell(f"{len(written):,} files of figures are in {folder / 'figures'}.")
