"""`tacit evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from tacit.cli.output import print_json, print_table, stderr, stdout


def evaluate(
    folder: Path,
    /,
    *,
    split: Literal["test", "validation"] = "test",
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Score a trained model against the truth.

    Parameters
    ----------
    folder
        A run folder that `tacit train` wrote.
    split
        The part of the data to score on.
    json
        Print the result as JSON.
    """
    with stderr().status("scoring"):
        from tacit.runs.folder import Run
        from tacit.runs.score import evaluate as score

        run = Run(folder)
        result = score(folder, run.splits(), run.config, split)
    if json:
        print_json(result)
        return
    rows = [(name, f"{ap:.2f}") for name, ap in result["per_class"].items()]
    print_table(("class", "AP"), rows)
    stdout().print(
        f"mAP {result['map']:.2f} on {result['n_images']:,} {split} images · "
        f"{result['classes_scored']} of {len(rows)} classes have positives · "
        f"OF1 {result['of1']:.2f} · CF1 {result['cf1']:.2f} · "
        f"P@3 {result['precision_at_3']:.2f} · R@3 {result['recall_at_3']:.2f} · "
        f"epoch chosen on {result['selection']}"
    )
