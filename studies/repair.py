"""What finding missing labels is worth, step by step, on photographs whose truth is known.

    python studies/repair.py FEATURES [--out docs/results] [--draws 3] [--only rank,loop]

FEATURES is an .npz of pooled features and truth: `train` (N, D), `train_truth` (N, C) of 1 and -1,
`test`, `test_truth`, and the names `classes`. Of the truth one positive an image is drawn,
uniformly, and once as people name what they know, by how common a class is. Everything else the
truth is for is scoring, and answering for a person. Writes repair.json and repair.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tacit.data.listing import Listing
from tacit.data.observe import draw_observed, label_all, observe
from tacit.evaluation.metrics import mean_average_precision
from tacit.repair.audit import draw_audit, estimate
from tacit.repair.heads import apply_heads, find_basis, fit_heads
from tacit.repair.loop import Loop
from tacit.repair.out_of_fold import CrossFitter, cross_fit, find_targets
from tacit.repair.ruler import weigh_evidence
from tacit.runs.folder import versions

LOOKS = (500, 1000, 2000)
PAGE = 100
AUDITS = 400
OURS = "and nearest images"
BOOTSTRAPS = 40


def draw(truth: np.ndarray, draw: int) -> np.ndarray:
    """Draw one label for each image; draw -1 is by how common classes are."""
    full = label_all(truth)
    if draw >= 0:
        return draw_observed(full, 1, 0, 1200 + draw).dense()
    names = [str(row) for row in range(len(truth))]
    classes = tuple(map(str, range(truth.shape[1])))
    listing = Listing("drawn", Path(), names, classes, full)
    return observe(listing, "frequent", 1, 0, 1200).dense()


def weigh_precision(hits: np.ndarray, order: np.ndarray, weights: np.ndarray) -> float:
    """Average precision of a ranking in which each cell counts as often as its image was drawn."""
    w, h = weights[order], hits[order]
    taken, found = np.cumsum(w), np.cumsum(w * h)
    return float((w * h * found / np.maximum(taken, 1)).sum() / max(found[-1], 1))


def rank(fitter: CrossFitter, labels: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Score every way of ranking unknown cells."""
    known = torch.from_numpy(labels)
    targets = (known == 1).float()
    inside = apply_heads(fitter.features, fit_heads(fitter.features, targets, fitter.spectrum))
    early = fit_heads(fitter.features, targets, fitter.spectrum, steps=5)
    first = cross_fit(fitter, labels, rounds=1)
    second = cross_fit(fitter, labels)
    weighed = weigh_evidence(fitter, labels, second)
    share = (labels == 1).mean(0)
    mean = np.array([first.scores[labels[:, c] == 1, c].mean() for c in range(len(share))])
    ways = {
        "tag frequency": np.broadcast_to(share, labels.shape),
        "large loss, early": apply_heads(fitter.features, early).numpy(),
        "large loss, in sample": inside.numpy(),
        "probability, out of fold": first.scores,
        "confident learning, class-adjusted": first.scores - mean,
        "labelling rates and pooled ratio": first.judge.judge(first.scores),
        "and posteriors as targets": second.judge.judge(second.scores),
        OURS: weighed.judge.judge(weighed.scores),
    }
    unknown = labels == 0
    hits = (truth & unknown)[unknown].astype(float)
    images = np.nonzero(unknown)[0]
    orders = {name: np.argsort(-values[unknown], kind="stable") for name, values in ways.items()}
    rows: dict[str, Any] = {}
    for name, order in orders.items():
        ranked = hits[order]
        rows[name] = {"ap": 100 * weigh_precision(hits, order, np.ones_like(hits))}
        rows[name] |= {f"p{looks}": float(ranked[:looks].mean()) for looks in LOOKS}
    generator = np.random.default_rng(0)
    apart: dict[str, list[float]] = {name: [] for name in ways if name != OURS}
    for _ in range(BOOTSTRAPS):
        weights = np.bincount(
            generator.integers(0, len(labels), len(labels)), minlength=len(labels)
        )
        ours = weigh_precision(hits, orders[OURS], weights[images])
        for name, values in apart.items():
            values.append(100 * (ours - weigh_precision(hits, orders[name], weights[images])))
    for name, values in apart.items():
        rows[name]["ours_above"] = [float(np.quantile(values, q)) for q in (0.025, 0.975)]
    posterior = np.where(unknown, weighed.judge.judge(weighed.scores), 0)
    expected = float(posterior.sum())
    return {
        "ways": rows,
        "missing": int(hits.sum()),
        "expected": expected,
        "rate": second.judge.prior.rate,
        "interval": [second.judge.prior.total_low, second.judge.prior.total_high],
        "evidence": [asdict(gain) for gain in weighed.gains],
        "targets": find_targets(known, weighed.judge, weighed.scores).numpy(),
        "posterior": posterior,
    }


def audit(
    posterior: np.ndarray, labels: np.ndarray, truth: np.ndarray, looks: int
) -> dict[str, Any]:
    """Count in how many of many audits the interval of 90 % holds the truth, in percent."""
    cells = np.flatnonzero(labels.ravel() == 0)
    cells = cells[np.argsort(-posterior.ravel()[cells], kind="stable")]
    thought, flat = posterior.ravel()[cells], truth.ravel()
    missing = int(flat[cells].sum())
    held, widths = 0, []
    for seed in range(AUDITS):
        # Counted over all classes together: places in the queue stand for cells.
        drawn = draw_audit(np.arange(len(cells)), thought, 1, looks, seed)
        found = estimate(drawn, {int(place): bool(flat[cells[place]]) for place in drawn.cells})
        held += found.low <= missing <= found.high
        widths.append((found.low, found.high))
    low, high = np.mean(widths, 0)
    return {
        "looks": looks,
        "held": 100 * int(held) / AUDITS,
        "low": float(low),
        "high": float(high),
    }


def test_map(data: Any, basis: Any, features: torch.Tensor, targets: np.ndarray) -> float:
    """Train heads on targets for all images, and score the test images."""
    heads = fit_heads(features, torch.from_numpy(targets.astype(np.float32)), basis.spectrum)
    logits = apply_heads(basis.project(torch.from_numpy(data["test"])), heads)
    present = (data["test_truth"] == 1).astype(np.int8)
    return mean_average_precision(logits.sigmoid().numpy(), present).map


def look(
    data: Any, basis: Any, features: torch.Tensor, labels: np.ndarray, truth: np.ndarray
) -> dict[str, Any]:
    """Let the truth answer 2,000 looks, at a fixed list and in the loop."""
    loop = Loop(data["train"], labels)
    flat = truth.ravel()
    fixed = np.argsort(-loop.posterior.ravel(), kind="stable")[: LOOKS[-1]]
    rows: dict[str, Any] = {"start": test_map(data, basis, features, _targets(labels, {}))}
    answers: dict[int, bool] = {}
    while len(answers) < LOOKS[-1]:
        for question in loop.next_page(PAGE):
            answers[question.cell] = bool(flat[question.cell])
        loop.update(answers)
        if len(answers) in LOOKS:
            count = len(answers)
            at_list = {int(cell): bool(flat[cell]) for cell in fixed[:count]}
            rows[str(count)] = {
                "fixed": sum(at_list.values()),
                "loop": sum(answers.values()),
                "fixed_map": test_map(data, basis, features, _targets(labels, at_list)),
                "loop_map": test_map(data, basis, features, _targets(labels, answers)),
            }
    return rows


def _targets(labels: np.ndarray, answers: dict[int, bool]) -> np.ndarray:
    present = labels == 1
    cells = np.fromiter(answers, np.int64, len(answers))
    present.ravel()[cells] = list(answers.values())
    return present


def main() -> None:
    """Measure everything and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--no-looks", action="store_true", help="leave the loop out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = dict(np.load(options.features))
    truth = data["train_truth"] == 1
    features = torch.from_numpy(data["train"])
    basis = find_basis(features)
    turned = basis.project(features)
    fitter = CrossFitter.of(features)
    results: list[dict[str, Any]] = []
    for number in [0, -1, *range(1, options.draws)]:
        labels = draw(truth, number)
        found = rank(fitter, labels, truth)
        posterior, targets = found.pop("posterior"), found.pop("targets")
        found["audits"] = [audit(posterior, labels, truth, looks) for looks in (200, 500)]
        found["map"] = {
            "zeros": test_map(data, basis, turned, labels == 1),
            "posteriors": test_map(data, basis, turned, targets),
            "truth": test_map(data, basis, turned, truth),
        }
        if number >= 0 and not options.no_looks:
            found["looks"] = look(data, basis, turned, labels, truth)
        results.append({"draw": number, **found})
        print(json.dumps(results[-1]), flush=True)
        (options.out / "repair.json").write_text(json.dumps(results, indent=1) + "\n")
        if len(results) > 1:
            (options.out / "repair.md").write_text(_page(results, truth), encoding="utf-8")


def _page(results: list[dict[str, Any]], truth: np.ndarray) -> str:
    uniform = [row for row in results if row["draw"] >= 0]
    by_size = next(row for row in results if row["draw"] < 0)
    lines = []
    for name in uniform[0]["ways"]:
        each = [row["ways"][name] for row in uniform]
        sized = by_size["ways"][name]
        cells = [f"{np.mean([r['ap'] for r in each]):.1f}"]
        cells += [f"{np.mean([r[f'p{looks}'] for r in each]):.2f}" for looks in LOOKS]
        cells.append(f"{sized['ap']:.1f}")
        least = min((r["ours_above"][0] for r in [*each, sized] if "ours_above" in r), default=None)
        cells.append("" if least is None else f"{least:+.1f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    counts = [
        f"| {'by frequency' if r['draw'] < 0 else r['draw'] + 1} | {r['missing']:,} | "
        f"{r['expected']:,.0f} | "
        + " | ".join(f"{a['held']:.0f} %, {a['low']:,.0f} to {a['high']:,.0f}" for a in r["audits"])
        + f" | {r['map']['zeros']:.1f} | {r['map']['posteriors']:.1f} | {r['map']['truth']:.1f} |"
        for r in results
    ]
    looks = []
    looked = [row for row in uniform if "looks" in row]
    for count in LOOKS if looked else ():
        each = [row["looks"][str(count)] for row in looked]
        means = {key: np.mean([r[key] for r in each]) for key in each[0]}
        looks.append(
            f"| {count:,} | {means['fixed']:,.0f} | {means['loop']:,.0f} | "
            f"{means['fixed_map']:.1f} | {means['loop_map']:.1f} |"
        )
    start = np.mean([row["looks"]["start"] for row in looked]) if looked else float("nan")
    looking = LOOKING.format(start=start, looks="\n".join(looks)) if looks else ""
    return PAGE_TEXT.format(
        images=len(truth), classes=truth.shape[1], draws=len(uniform), looking=looking,
        ways="\n".join(lines), counts="\n".join(counts),
        versions=", ".join(f"{k} {v}" for k, v in versions().items()),
        date=datetime.date.today().isoformat(),
    )  # fmt: skip


LOOKING = """## Looking

A person who knows the truth answers, at a list that stays as it is, and in the loop, which makes
it anew after every 100 looks. Labels found, and test mAP of heads that learn them, with unknown
cells as zeros; before any look it is {start:.1f}.

| looks | found, fixed | found, loop | mAP, fixed | mAP, loop |
| --- | ---: | ---: | ---: | ---: |
{looks}

"""

PAGE_TEXT = """# Finding missing labels

{images:,} photographs of [COCO](https://arxiv.org/abs/1405.0312) with {classes} of its classes; of
each one label is known, drawn of the truth: in {draws} draws uniformly, in one by how common
classes are. Features are those of a frozen EfficientNet-Lite0 at 224 pixels. The split is our own.
The truth ranks nothing; it scores, and it answers for a person.

## Ranking unknown cells

Average precision of what is truly missing, in percent, and the share of hits among the first cells.
"Ours above" is the lower end of the interval (95 %, paired bootstrap over images) of what our last
step is above that row, in the worst of all draws.

| ranking | AP | 500 | 1,000 | 2,000 | AP, by frequency | ours above |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{ways}

Confident learning ranks the cells of unknown labels by the probability out of fold, which is a row
of its own; its class-adjusted ranking takes off the mean of each class's known positives. Both are
our own code after the published rule. All heads are the same logistic regressions.

How often the 50 most similar images show a class was joined to the score in all draws, since it
tells hidden known positives from unknown cells; how well classes go together was left out in all.
Their number was chosen with this truth in view: 20 and 150 rank within half a point. The areas of
objects are not known here, so that no draw is by size.

## How many are missing

What posteriors expect, with a labelling rate that was estimated; in how many of 400 simulated
audits the interval of 90 % held the truth, and where it lay on average; and test mAP of heads that
take unknown cells for absent, that learn posteriors, and that know everything. The constants of
the audit were chosen on made posteriors, with these photographs in view.

| draw | missing | expected | 200 looks | 500 looks | mAP, zeros | posteriors | truth |
| --- | ---: | ---: | --- | --- | ---: | ---: | ---: |
{counts}

{looking}Measured on {date} with `python studies/repair.py FEATURES`; {versions}.
"""

if __name__ == "__main__":
    sys.exit(main())
