"""The page of the mutants: how many a test noticed, and which lived."""

from __future__ import annotations

import math
import platform
import tomllib
from collections import defaultdict
from pathlib import Path


def write_page(
    results: dict[str, str], reasons: dict[str, str], total: int, sample: int | None, seed: int
) -> str:
    """Return the page; the score leaves out what does the same as the code."""
    counts = {word: list(results.values()).count(word) for word in ("killed", "lived")}
    equivalent = [key for key, result in results.items() if result == "equivalent"]
    tried = counts["killed"] + counts["lived"]
    low, high = interval(counts["killed"], tried)
    what = "all of them" if sample is None else f"a sample of {len(results):,}, seed {seed}"
    drawn = f"--sample {sample}" + (f" --seed {seed}" if seed else "")
    command = "make mutants" if sample is None else f"make mutants MUTANTS='{drawn}'"
    lines = [
        "# Mutants",
        "",
        "A mutant is the core with one small change: a comparison, an operator, a number, a "
        "condition, a statement, a keyword or a decorator. A test should notice it.",
        "",
        f"Written by `{command}` with Python {platform.python_version()}: "
        f"{total:,} mutants, {what}.",
        "",
        "| tried | killed | equivalent | lived | score | 95 % interval |",
        "|---:|---:|---:|---:|---:|---|",
        f"| {len(results):,} | {counts['killed']:,} | {len(equivalent):,} | {counts['lived']:,} "
        f"| {counts['killed'] / max(tried, 1):.1%} | {low:.1%} to {high:.1%} |",
        "",
        "The score is the share of killed ones among those that are not equivalent, and the "
        "interval is Wilson's. Once tests were mended for what lived in a sample, its score says "
        "too much of all the others; another `--seed` tells how they fare.",
        "",
        "## By file",
        "",
        "| file | killed | equivalent | lived |",
        "|---|---:|---:|---:|",
    ]
    lines[-4:-4] = _list_samples()
    files: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, result in results.items():
        files[key.split("::")[0]][result] += 1
    for file, row in sorted(files.items()):
        lines.append(f"| `{file}` | {row['killed']} | {row['equivalent']} | {row['lived']} |")
    lived = sorted(key for key, result in results.items() if result == "lived")
    lines += ["", "## Lived", "", "```text", *(lived or ["none"]), "```", "", "## Equivalent", ""]
    lines += ["Each does the same as the code, for the reason given.", "", "```text"]
    for key in sorted(equivalent):
        lines += [key, f"    {reasons[key]}"]
    return "\n".join([*lines, *([] if equivalent else ["none"]), "```", ""])


def _list_samples() -> list[str]:
    """Return the samples that were tried before tests were mended for them."""
    text = (Path(__file__).parent / "samples.toml").read_text(encoding="utf-8")
    lines = ["## Fresh samples", "", "Each before any test was mended for what lived in it.", ""]
    lines += ["| day | seed | killed | equivalent | lived | score | 95 % interval |"]
    lines += ["|---|---:|---:|---:|---:|---:|---|"]
    for row in tomllib.loads(text)["sample"]:
        tried = row["killed"] + row["lived"]
        low, high = interval(row["killed"], tried)
        cells = [row[key] for key in ("day", "seed", "killed", "equivalent", "lived")]
        cells += [f"{row['killed'] / tried:.1%}", f"{low:.1%} to {high:.1%}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [*lines, ""]


def interval(killed: int, tried: int) -> tuple[float, float]:
    """Return Wilson's interval of a share, at 95 %."""
    if not tried:
        return 0.0, 1.0
    z, share = 1.959964, killed / tried
    middle = share + z * z / (2 * tried)
    spread = z * math.sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried))
    return (middle - spread) / (1 + z * z / tried), (middle + spread) / (1 + z * z / tried)
