"""Finding what a review needs: suspects, the data they are about, and the store beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tacit.data.source import Source
from tacit.errors import DataError, UsageError
from tacit.registry import require_trust
from tacit.repair.answers import Cell
from tacit.repair.learning import Between, Learner
from tacit.repair.queue import find_names
from tacit.repair.session import AUDIT_SHARE, Review
from tacit.repair.store import Store
from tacit.repair.suspects_file import SuspectsFile
from tacit.runs.folder import Run

STORE = "verdicts.sqlite"
FEW = 5000  # images, the features of which may be computed while people answer
RULES = {"model": "a model", "implied": "a keyword below it"}  # where nobody said it
MOST_CELLS = 20_000_000  # that what learns keeps in memory


def open_review(
    target: str | Path,
    data: str | Path | None = None,
    *,
    audit_share: float = AUDIT_SHARE,
    learn: bool = True,
    **options: Any,
) -> Review:
    """Open the review of a run, or of a file of suspects, where one stopped.

    Args:
        target: A run folder with suspects, or a file of suspects.
        data: The labels that a file of suspects is about.
        audit_share: Share of the questions that are drawn at random, to count what is missing.
        learn: Make the queue of a run anew from the answers, where the features of its images are
            kept, or soon computed.
        options: What `tacit.load` takes to read the labels.
    """
    target, learner = Path(target), None
    if target.is_dir():
        if data is not None or options:
            raise UsageError(f"The run in {target} knows its data; leave --data out.")
        run = Run(target)
        file = SuspectsFile(run.repair / run.suspects_file.name)
        source = _read_source_of(run)
        data = run.config.data.name if run.config.data.labels is not None else None
        if learn and _is_quick(run, source):
            learner = partial(_make_learner, run, source, file.about.get("labelling_rate"))
    else:
        file = SuspectsFile(target)
        if data is None:
            raise UsageError(f"{target} is about data that it does not hold; add --data LABELS.")
        source = _read_matching(Path(data), options, file.about.get("data"))
    origins = read_origins(Path(data), source) if data is not None else {}
    return open_source(file, source, audit_share=audit_share, learner=learner, origins=origins)


def open_source(file: SuspectsFile, source: Source, **options: Any) -> Review:
    """Open the review of suspects whose data are in memory; the store lies beside their file.

    Args:
        file: The suspects.
        source: The images and labels that they are about.
        options: Of `Review`.
    """
    store = Store.open(file.path.with_name(STORE), source.fingerprint(), source.classes)
    return Review(store, file, source, **options)


def read_origins(path: Path, source: Source) -> dict[Cell, str]:
    """Return who said labels that were repaired before, where that was told beside them.

    Args:
        path: The labels.
        source: What was read from them.
    """
    from tacit.repair.write_back.write import read_changes

    changes = list(read_changes(path))
    if not changes:
        return {}
    import pyarrow as pa

    rows = find_names(source.images)(pa.array([each["image"] for each in changes], pa.string()))
    columns = {name: column for column, name in enumerate(source.classes)}
    origins: dict[Cell, str] = {}
    for row, change in zip(rows.tolist(), changes, strict=True):
        column = columns.get(change["class"])
        if row >= 0 and column is not None:
            stands = source.labels[row][column] == change.get("new")
            said = str(change.get("who") or RULES.get(str(change.get("rule")), change.get("rule")))
            origins[row, column] = said if stands else "file"
    return origins


def _is_quick(run: Run, source: Source) -> bool:
    """Whether learning from answers takes seconds, and memory for it is there."""
    images, classes = source.labels.shape
    kept = run.config.data.store is not None or images <= FEW
    return kept and images * classes <= MOST_CELLS


def _make_learner(
    run: Run, source: Source, labelling_rate: float | None, between: Between
) -> Learner:
    """Return what learns from answers, on the features of a run's trunk."""
    import numpy as np

    from tacit.devices import choose_device
    from tacit.features.keys import key_images
    from tacit.repair.finding import read_features
    from tacit.repair.loop import Loop

    groups = None if source.side is None else source.side.groups
    if groups is None:  # equal images are in one fold
        groups = np.unique(key_images(source, range(len(source))), return_inverse=True)[1]
    features = read_features(run, source, choose_device("auto"), between)
    return Loop(features, source.labels, groups=groups, labelling_rate=labelling_rate)


def _read_source_of(run: Run) -> Source:
    """Read the training images of a run; without torch, so that the page opens soon."""
    from tacit.data.splits import load_splits

    config = run.config
    if config.data.labels is None:  # a run of an early tacit: only its method can say which
        return run.splits().train
    require_trust("format", str(config.data.options.get("format", "")), run.record_file)
    splits = load_splits(config.data, config.data.labels)
    run.check_same_data(splits)
    return splits.train


def _read_matching(path: Path, options: Mapping[str, Any], wanted: str | None) -> Source:
    """Read labels, the whole of them or the split that suspects are about."""
    found: list[str] = []
    for source in _read_candidates(path, options):
        if source.fingerprint() == wanted:
            return source
        found.append(source.fingerprint())
    raise DataError(
        f"The suspects are about other images or labels than {path}: their data are {wanted}, and "
        f"these are {' or '.join(found)}. Find the suspects of these labels again."
    )


def _read_candidates(path: Path, options: Mapping[str, Any]) -> Iterator[Source]:
    from tacit.config import DataConfig
    from tacit.data.load import load
    from tacit.data.splits import load_splits

    yield load(path, **options)
    plain = {
        name: str(value) if isinstance(value, Path) else value for name, value in options.items()
    }
    try:
        splits = load_splits(DataConfig(name=str(path), options=plain))
    except DataError:  # too few images to set some aside, or splits of other names
        return
    yield splits.train
