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
    settings: Annotated[tuple[str, ...], Parameter(name=("--set", "-s"))] = (),
    strict: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Look for whatever is wrong with a data set.

    Decodes every image, compares all of them with each other, and reads the labels as training
    does, for what cannot be meant. Exits with 1 if there are errors. Nothing is changed; what
    mends a finding is told with it, and at the end what mends all of them.

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
    settings
        Any other key of a recipe's [data], as `tacit train` is told it, e.g. --set
        data.validation=0.1.
    strict
        Exit with 1 if there are warnings, too.
    json
        Print the summary as JSON.
    """
    from tacit.check.run import check as look
    from tacit.config import resolve

    _refuse(jobs, out, clean, mend)
    training = resolve(settings=(*read.as_settings(), *settings)).data
    with stderr().status("reading") as status:
        report = look(
            data,
            **training.options,
            training=training,
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
        _print(data, report.summary(), clean is None)
    if clean is not None:
        from tacit.check.write import write_clean

        for line in write_clean(report, clean, mend, training.options):
            tell(line)
    return report.status(strict)


def _refuse(jobs: int | None, out: Path | None, clean: Path | None, mend: tuple[str, ...]) -> None:
    """Refuse what cannot be done, before minutes are spent on images."""
    from tacit.check.clean import check_mendable
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


def _print(data: Path, summary: dict[str, Any], mending: bool) -> None:
    """Print what was looked at, and the first findings of every kind."""
    from tacit.check.completeness import tell_completeness

    splits = ", ".join(f"{count:,} {split}" for split, count in summary["splits"].items())
    images = f"{summary['images']:,} images" + (f" ({splits})" if splits else "")
    say(f"{data}: {summary['format']}, {images}, {summary['classes']:,} classes")
    for line in tell_completeness(summary["labels"], summary["images"]):
        say(line)
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
    if mending and summary["mend"] and len(summary["kinds"]) > 1:
        say(f"mend all errors and warnings of the labels: {summary['mend']}")


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
