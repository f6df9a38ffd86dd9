"""The card of a model: what it tells apart, what it learned from, how well, and what it is not for.

It is written from the record of the run, so that no figure in it is anybody's memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LIMITS = """\
- Labels that were there are taken to be right; if some were wrong, so is what it learned of them.
- It was chosen and scored on images like those it learned from. On others, ask `tacit evaluate`.
- It knows the classes above and no others; an image without any may still be given one."""


def card(config: Mapping[str, Any], name: str, record: Mapping[str, Any] | None = None) -> str:
    """Describe a model for those who find it.

    Args:
        config: Of the saved model.
        name: What it is called, such as ``someone/birds``.
        record: Of the run that trained it, as run.json holds it; without it the card is short.
    """
    model, record = config["model"], record or {}
    weights = model["weights"]
    classes = ", ".join(f"`{label}`" for label in model["classes"])
    parts = [
        _head(name, len(model["classes"])),
        f"- **Model:** `{model['name']}` on `{model['trunk']}`, images of {model['size']} pixels\n"
        f"- **Trunk's first weights:** {weights['source']}; licence: "
        f"{weights.get('licence', 'none needed')}\n"
        f"- **Classes:** {classes}",
        *_describe_run(record),
        *_describe_decisions(config.get("decisions")),
        f"## Use\n\n```python\nimport tacit\n\nmodel = tacit.from_pretrained({name!r})\n"
        'print(model.predict("image.jpg").labels)\n```'.replace("'", '"'),
    ]
    if record:
        parts += [f"## Limits\n\n{LIMITS}", _say_versions(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(name: str, classes: int) -> str:
    return f"""---
library_name: tacit
pipeline_tag: image-classification
tags: [multi-label, image-classification]
---

# {name.split("/")[-1]}

Tells which of {classes} classes are in an image; any number of them may be."""


def _describe_run(record: Mapping[str, Any]) -> Iterator[str]:
    data = record.get("data")
    if data:
        method = record["config"]["method"]["name"]
        negatives = data["known negatives"]
        absent = (
            f"{negatives:,} known negatives"
            if negatives
            else "no label that says a class is absent"
        )
        yield (
            f"## What it learned from\n\n"
            f"`{data['name']}`: {data['images']:,} images with {data['known positives']:,} known "
            f"positives, {absent}, and {data['unknown']:,} unknown cells. A label that is missing "
            f"was not taken for an absent class in the data; what became of it is the method's "
            f"affair: `{method}` (`tacit methods {method}`). The licence of these images is "
            f"that of whoever made them, and is not recorded here."
        )
    result = record.get("result")
    if result:
        yield "## How well\n\n" + "\n".join(_describe_result(result))


def _describe_result(result: Mapping[str, Any]) -> Iterator[str]:
    known = result.get("known") or {}
    intervals = known.get("intervals") or {}
    yield f"On {result['n_images']:,} {result.get('split', 'test')} images:\n"
    yield "| score | value | 95 % interval |\n| --- | ---: | ---: |"
    names = {
        "map": "mAP",
        "of1": "OF1 at 0.5",
        "of1_decided": "OF1 as decided",
        "cf1_decided": "CF1 as decided",
    }
    for key, title in names.items():
        value = result.get(key, known.get(key))
        if value is not None:
            low, high = intervals.get(key, (None, None))
            interval = "–" if low is None else f"{low:.2f} to {high:.2f}"
            yield f"| {title} | {value:.2f} | {interval} |"
    chance, labels = result.get("test_chance"), result.get("test_labels", "unknown")
    yield (
        f"\nThe test's labels are {labels}"
        f"{'' if chance is None else f'; chance is {chance:.2f} mAP'}. The epoch was chosen on "
        f"{result.get('selection', 'validation')}. Intervals say how far a score would move had "
        f"other images been drawn."
    )
    scored = [each for each in result["per_class"].items() if each[1] == each[1]]
    weakest = sorted(scored, key=lambda each: each[1])[:5]
    yield "Weakest classes: " + ", ".join(f"{name} {value:.1f}" for name, value in weakest) + "."


def _describe_decisions(decisions: Mapping[str, Any] | None) -> Iterator[str]:
    if decisions:
        expected = decisions["expected"]
        yield (
            f"Labels are decided for `{decisions['goal']}`, which rests on "
            f"{decisions['rests_on']}: {expected['labels']:.2f} labels an image, expected "
            f"precision {expected['precision']:.2f}, recall {expected['recall']:.2f}."
        )


def _say_versions(record: Mapping[str, Any]) -> str:
    versions = record.get("versions", {})
    return "Made with " + ", ".join(f"{name} {value}" for name, value in versions.items()) + "."
