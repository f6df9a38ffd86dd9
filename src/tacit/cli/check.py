"""`tacit check`."""

from __future__ import annotations

import json as writing
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tacit.cli.label_options import AS_FOUND, LabelOptions
from tacit.cli.output import print_json, say, stderr, tell


def check(
    data: Path,
    /,
    *,
    out: Path | None = None,
    clean: Path | None = None,
    mend: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    without: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    decode: bool = True,
    jobs: int | None = None,
    read: LabelOptions = AS_FOUND,
    strict: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Look for whatever is wrong with a data set.

    Decodes every image, compares all of them with each other, and reads the labels for what
    cannot be meant. Exits with 1 if there are errors. Nothing is changed; what mends a finding is
    told with it.

    Parameters
    ----------
    data
        Labels in any format of `tacit datasets`.
    out
        A file for all findings, as JSON lines.
    clean
        A file for labels without errors: a table that is not there yet.
    mend
        A kind of warning or note that --clean takes out as well; may be given again.
    without
        A kind of finding that is not wanted; may be given again.
    decode
        Decode the images. Without, only names and labels are looked at.
    jobs
        How many processes decode; as many as there are cores if left out.
    strict
        Exit with 1 if there are warnings, too.
    json
        Print the summary as JSON.
    """
    from tacit.check.clean import check_mendable
    from tacit.check.run import check as look
    from tacit.errors import UsageError

    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs is 1 or more, not {jobs}.")
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent} to write {out.name} in.")
    if clean is not None and clean.exists():
        raise UsageError(f"There is something at {clean} already; choose another path.")
    if mend and clean is None:
        raise UsageError("--mend says what --clean FILE takes out; it needs that.")
    check_mendable(mend)
    with stderr().status("reading") as status:
        report = look(
            data,
            **_as_paths(read.as_arguments()),
            decode=decode,
            jobs=jobs,
            without=without,
            progress=lambda done, of: status.update(f"decoding {done:,} of {of:,} images"),
        )
    if out is not None:
        _write_findings(out, report)
    if json:
        print_json(report.summary())
    else:
        _print(data, report.summary())
    if clean is not None:
        _write_clean(clean, report, mend)
    return report.status(strict)


def _as_paths(options: dict[str, Any]) -> dict[str, Any]:
    return {name: Path(value) if name == "images" else value for name, value in options.items()}


def _print(data: Path, summary: dict[str, Any]) -> None:
    """Print what was looked at, and the first findings of every kind."""
    splits = ", ".join(f"{count:,} {split}" for split, count in summary["splits"].items())
    images = f"{summary['images']:,} images" + (f" ({splits})" if splits else "")
    say(f"{data}: {summary['format']}, {images}, {summary['classes']:,} classes")
    say(f"{summary['decoded']:,} images decoded to the last row")
    for kind, found in summary["kinds"].items():
        say(f"\n{found['severity']}: {kind}, {found['count']:,}")
        for finding in found["first"]:
            say(f"  {finding['sentence']}")
        left = found["count"] - len(found["first"])
        if left:
            say(f"  … and {left:,} more")
        say(f"  mend: {found['first'][0]['fix']}")
    counts = [_write_count(summary[f"{what}s"], what) for what in ("error", "warning", "note")]
    say(f"\n{counts[0]}, {counts[1]}, {counts[2]}")


def _write_count(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _write_findings(path: Path, report: Any) -> None:
    from tacit.files import write_atomically

    # In the order of the table, as the summary shows them.
    found = [finding for kind in report.findings.kinds().values() for finding in kind]

    def write(partial: Path) -> None:
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(f"{writing.dumps(finding.describe_all())}\n" for finding in found)

    write_atomically(path, write)
    tell(f"{len(found):,} findings are written to {path}.")


def _write_clean(path: Path, report: Any, mend: tuple[str, ...]) -> None:
    import shlex

    from tacit.check.clean import clean_listing
    from tacit.data.formats import write_listing
    from tacit.errors import DataError

    if not report.listing.classes:
        raise DataError("Nothing of the labels could be read, so there is nothing to write.")
    listing = clean_listing(report.listing, report.findings, mend)
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = write_listing(listing, path)
    for note in notes:
        tell(f"note: {note}")
    gone = len(report.listing) - len(listing)
    tell(f"{path} is written: {_write_count(gone, 'image')} less, {len(listing.classes)} classes.")
    root, data = shlex.quote(str(listing.root)), shlex.quote(str(path))
    tell(f"Train on it with: tacit train --data {data} --set data.options.images={root}")
