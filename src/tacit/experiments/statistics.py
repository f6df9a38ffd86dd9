"""What several seeds say: means with intervals, and paired differences from a baseline."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scipy import stats

from tacit.errors import UsageError
from tacit.experiments.cells import Measured
from tacit.experiments.published import Published, find_published

CONFIDENCE = 0.95
CHOSEN_BY = "validation mAP"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: The mean.
        spread: Standard deviation; None of a single seed.
        half: Half the width of the interval of 95 %, by Student's t; None of a single seed.
        seeds: How many there are.
    """

    mean: float
    spread: float | None
    half: float | None
    seeds: int


@dataclass(frozen=True)
class Difference:
    """How far a row is from a baseline, seed by seed.

    Attributes:
        baseline: The baseline's row.
        estimate: The mean of the differences of equal seeds.
        p: How often so large a difference comes by chance, by a paired t-test; None where there are
            fewer than two pairs, or all differ by the same.
        corrected: The same after Holm's correction for all differences of the table.
    """

    baseline: str
    estimate: Estimate
    p: float | None
    corrected: float | None = None


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: What it is called.
        figures: Its estimates by the name of the figure; empty if a seed has no result.
        differences: From each baseline, of the first figure.
        missing: Seeds without a result, each with the reason.
        rising: In how many seeds validation still rose when training ended.
        near_chance: In how many seeds validation was hardly above chance.
        runs: The run of each seed that has a result, below the folder of the comparison.
        published: What a paper prints for the same.
    """

    name: str
    figures: Mapping[str, Estimate]
    differences: tuple[Difference, ...] = ()
    missing: Mapping[int, str] | None = None
    rising: int = 0
    near_chance: int = 0
    runs: Mapping[int, str] = field(default_factory=dict)
    published: Published | None = None

    @property
    def converged(self) -> bool:
        """Whether most seeds had stopped to rise, and had learned something."""
        return 2 * max(self.rising, self.near_chance) <= len(self.runs)


def summarise(
    measured: Sequence[Measured], baselines: Sequence[str] = (), figure: str = "test mAP"
) -> list[Row]:
    """Return a row for each row of a grid; a failed seed is in no mean.

    The best by validation comes first. Rows that had not converged are not ranked: they follow in
    the order of the grid.

    Args:
        measured: The cells of the grid.
        baselines: Rows, or values of one axis such as a method: then each row is held against the
            one that differs from it in that value alone.
        figure: What is compared.
    """
    measured = join_selections(measured, figure)
    published = find_published(measured)
    rows: dict[tuple[str, ...], list[Measured]] = {}
    for each in measured:
        rows.setdefault(each.cell.values, []).append(each)
    paired = {values: _compare(values, rows, baselines, figure) for values in rows}
    corrected = _correct([each for differences in paired.values() for each in differences])
    summary = []
    for values, cells in rows.items():
        missing = {each.cell.seed: _explain(each) for each in cells if each.state != "done"}
        done = [each for each in cells if each.state == "done"]
        names = dict.fromkeys(name for each in done for name in each.figures)
        figures = {
            name: estimate([each.figures[name] for each in done if name in each.figures])
            for name in names
        }
        differences = tuple(next(corrected) for _ in paired[values])
        summary.append(
            Row(
                " · ".join(values),
                figures,
                differences,
                missing,
                sum(each.rising for each in done),
                sum(each.near_chance for each in done),
                {each.cell.seed: each.folder for each in done},
                published.get(values),
            )
        )
    return sorted(summary, key=_by_validation)


def _by_validation(row: Row) -> tuple[int, float]:
    found = row.figures.get(CHOSEN_BY)
    if not found:
        return 2, 0.0
    return (0, -found.mean) if row.converged else (1, 0.0)


SELECTION = "validation_labels"
CHEAPER, COST = "chosen by observed", "cost of no clean labels"


def join_selections(measured: Sequence[Measured], figure: str) -> list[Measured]:
    """Put what clean and what observed validation labels choose side by side, in one row.

    The two are the same training but for the epoch that is kept; their difference, seed by seed, is
    what it costs to have no clean validation labels.
    """
    clean, observed = f"{SELECTION} clean", f"{SELECTION} observed"
    twins = {
        (_without(each, observed), each.cell.seed): each
        for each in measured
        if observed in each.cell.values
    }
    joined = []
    for each in measured:
        values = each.cell.values
        twin = twins.get((_without(each, clean), each.cell.seed)) if clean in values else None
        if clean in values and twin is not None:
            figures = dict(each.figures)
            if figure in figures and figure in twin.figures:
                figures[CHEAPER] = twin.figures[figure]
                figures[COST] = figures[figure] - twin.figures[figure]
            cell = replace(each.cell, values=_without(each, clean) or ("all",))
            joined.append(replace(each, cell=cell, figures=figures))
        elif observed not in values or _is_alone(each, measured, clean, observed):
            joined.append(each)
    return joined


def _without(measured: Measured, value: str) -> tuple[str, ...]:
    return tuple(each for each in measured.cell.values if each != value)


def _is_alone(each: Measured, measured: Sequence[Measured], clean: str, observed: str) -> bool:
    own = (_without(each, observed), each.cell.seed)
    return not any(
        clean in other.cell.values and (_without(other, clean), other.cell.seed) == own
        for other in measured
    )


def _explain(measured: Measured) -> str:
    return measured.reason or measured.state


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean, spread and interval of one figure over seeds."""
    count, mean = len(values), statistics.fmean(values)
    if count < 2:
        return Estimate(mean, None, None, count)
    spread = statistics.stdev(values)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * spread / count**0.5
    return Estimate(mean, spread, half, count)


def _compare(
    values: tuple[str, ...],
    rows: Mapping[tuple[str, ...], Sequence[Measured]],
    baselines: Sequence[str],
    figure: str,
) -> list[Difference]:
    """Hold one row against each baseline."""
    differences = []
    for name in baselines:
        baseline = _find_baseline(values, rows, name)
        if baseline is None or baseline == values:
            continue
        ours, theirs = (_by_seed(rows[each], figure) for each in (values, baseline))
        pairs = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
        if pairs:
            found = estimate(pairs)
            differences.append(Difference(" · ".join(baseline), found, _test(found)))
    return differences


def _find_baseline(
    values: tuple[str, ...], rows: Mapping[tuple[str, ...], object], name: str
) -> tuple[str, ...] | None:
    whole = [row for row in rows if " · ".join(row) == name]
    if whole:
        return whole[0]
    if not any(name in row for row in rows):
        known = ", ".join(" · ".join(row) for row in rows)
        raise UsageError(f"There is no row '{name}' to compare with; there are: {known}.")
    near = [row for row in rows if name in row and _differing(row, values) <= 1]
    return near[0] if near else None


def _differing(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def _by_seed(cells: Sequence[Measured], figure: str) -> dict[int, float]:
    return {each.cell.seed: each.figures[figure] for each in cells if figure in each.figures}


def _test(found: Estimate) -> float | None:
    if found.spread is None:
        return None
    if not found.spread:  # equal to the last digit: few test images, and no measure of chance
        return None if found.mean else 1.0
    statistic = abs(found.mean) / found.spread * found.seeds**0.5
    return 2 * float(stats.t.sf(statistic, found.seeds - 1))


def _correct(differences: Sequence[Difference]):  # type: ignore[no-untyped-def]
    """Yield the differences with p-values that allow for their number, by Holm's steps."""
    order = sorted(
        (n for n, each in enumerate(differences) if each.p is not None),
        key=lambda n: differences[n].p or 0.0,
    )
    corrected: dict[int, float] = {}
    largest = 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (differences[number].p or 0.0) * (len(order) - place)))
        corrected[number] = largest
    for number, each in enumerate(differences):
        yield Difference(each.baseline, each.estimate, each.p, corrected.get(number))
