"""Finding what a review needs: suspects, the data they are about, and the store beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tacit.data.source import Source
from tacit.errors import DataError, UsageError
from tacit.registry import require_trust
from tacit.repair.session import AUDIT_SHARE, Review
from tacit.repair.store import Store
from tacit.repair.suspects_file import SuspectsFile
from tacit.runs.folder import Run

STORE = "verdicts.sqlite"


def open_review(
    target: str | Path,
    data: str | Path | None = None,
    *,
    audit_share: float = AUDIT_SHARE,
    **options: Any,
) -> Review:
    """Open the review of a run, or of a file of suspects, where one stopped.

    Args:
        target: A run folder with suspects, or a file of suspects.
        data: The labels that a file of suspects is about.
        audit_share: Share of the questions that are drawn at random, to count what is missing.
        options: What `tacit.load` takes to read the labels.
    """
    target = Path(target)
    if target.is_dir():
        if data is not None or options:
            raise UsageError(f"The run in {target} knows its data; leave --data out.")
        run = Run(target)
        file = SuspectsFile(run.repair / run.suspects_file.name)
        source = _read_source_of(run)
    else:
        file = SuspectsFile(target)
        if data is None:
            raise UsageError(f"{target} is about data that it does not hold; add --data LABELS.")
        source = _read_matching(Path(data), options, file.about.get("data"))
    return open_source(file, source, audit_share=audit_share)


def open_source(file: SuspectsFile, source: Source, **options: Any) -> Review:
    """Open the review of suspects whose data are in memory; the store lies beside their file.

    Args:
        file: The suspects.
        source: The images and labels that they are about.
        options: Of `Review`.
    """
    store = Store.open(file.path.with_name(STORE), source.fingerprint(), source.classes)
    return Review(store, file, source, **options)


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
