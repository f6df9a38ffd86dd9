"""Every table and figure of the IGNORE paper on generated scenes, as one page.

    python studies/paper.py [--seeds 1] [--jobs 2] [--out runs/paper] [--results docs/results]
        [--grids paper_fig3,paper_fig4]

The same as `tacit compare NAME --out runs/paper` for each of the grids, whose tables and some of
whose figures it puts together: paper.md, and a folder of drawings. Finished runs in --out are not
repeated.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from tacit.cli import run
from tacit.experiments.comparison_page import Compared
from tacit.experiments.plots import write_plots

# Heading and figures of each grid.
SHOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "paper_table1": ("Table 1: Query2Label", ()),
    "paper_table2": ("Table 2: class-activation head", ("Gains by class",)),
    "paper_table3": ("Table 3: what each part is worth", ("Accuracy while training",)),
    "paper_fig3": (
        "Figure 3: the gap, and the average threshold",
        ("Information gap: IGNORE", "Missing labels suspected for each absent one"),
    ),
    "paper_fig4": (
        "Figure 4: what is identified",
        (
            *("Suspects: precision", "Suspects: recall", "Suspects: F1"),
            "Missing labels that the model believes in",
        ),
    ),
    "paper_fig5": (
        "Figure 5: the threshold of the map",
        ("Accuracy by cam_threshold", "tau by cam_threshold"),
    ),
}


def main() -> int:
    """Train what is not done, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/paper"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--grids", default=",".join(SHOWN), help="those that the page has")
    options = parser.parse_args()
    status, parts = 0, []
    for name in options.grids.split(","):
        heading, titles = SHOWN[name]
        flags = ["--out", str(options.out), "--jobs", str(options.jobs)]
        status |= run(["compare", name, "--seeds", str(options.seeds), *flags])
        compared = Compared(options.out)
        charts = {chart.title: chart for chart in compared.draw()}
        drawings = options.results / "paper" / name
        drawn = []
        for title in titles:
            (file,) = write_plots([charts[title]], drawings, ("svg",))
            place = file.relative_to(options.results).as_posix()
            drawn.append(f"![{title}. {charts[title].caption}]({place})")
        table = (options.out / "results.md").read_text(encoding="utf-8").strip()
        parts.append("\n\n".join([f"## {heading}", f"`tacit compare {name}`", table, *drawn]))
    made_with = compared.series[0].runs[0].record["versions"]
    used = ", ".join(f"{key} {value}" for key, value in made_with.items())
    body = "\n\n".join(parts)
    page = f"""# The paper's tables and figures on scenes

Every table and figure of the IGNORE paper, on generated scenes and with a budget of minutes:
1,000 training images with one known label each, 24 epochs, the tiny trunk from nothing,
{options.seeds} seed{"s" if options.seeds > 1 else ""}. **No method shows its best here, and nothing
is tuned**; what the paper finds on photographs with pretrained networks is not tested by it.
[The grids](../figures.md) make the same for any data.

{body}

Measured on {datetime.date.today().isoformat()}
with `python {" ".join(sys.argv)}`; {used}.
"""
    (options.results / "paper.md").write_text(page, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
