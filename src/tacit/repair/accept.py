"""Taking a model's word for suspects, as far as an audit bears it out, and tracing labels back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tacit.data.listing import Listing
from tacit.errors import DataError, UsageError
from tacit.repair.apply import Cell, Change, Difference, LabelsByName
from tacit.repair.suspects_file import SuspectsFile
from tacit.repair.verdicts import STATES, Verdict, settle

CHANCE = 0.9  # how surely an interval of the audit holds the truth

Bound = Callable[[float], float | None]
"""The audit's lower bound of the share of suspects above a posterior that are really there."""


def bound_by_audit(verdicts: Iterable[Verdict]) -> Bound:
    """Return the lower bound of precision that a review's random questions give.

    A cell that people disagree about counts as one where nothing is. The bound is the lower end of
    an interval of 90 %.
    """
    from tacit.repair.audit_intervals import bound_share

    drawn: list[tuple[float, float, bool]] = []
    for people in settle(verdicts).values():
        sure = [verdict for verdict in people.values() if verdict.answer in STATES]
        asked = [
            v for v in sure if v.stream == "audit" and v.probability and v.posterior is not None
        ]
        if asked:
            weight, posterior = 1 / (asked[-1].probability or 1), asked[-1].posterior or 0.0
            drawn.append((posterior, weight, all(v.answer == "present" for v in sure)))
    table = np.array(drawn, dtype=np.float64).reshape(-1, 3)

    def bound(above: float) -> float | None:
        within = table[table[:, 0] >= above]
        share, least, _ = bound_share(within[:, 2] == 1, within[:, 1], CHANCE)
        return None if share is None else least

    return bound


def accept_suspects(
    difference: Difference,
    listing: Listing,
    suspects: SuspectsFile,
    verdicts: Iterable[Verdict],
    above: float,
    bound: Bound | None,
) -> int:
    """Add what a model is sure of, as far as an audit allows it, and return how much that is.

    Cells that the labels know already, or of which a person said anything, are left alone.

    Args:
        difference: What verdicts change; a model's changes are added.
        listing: The labels as they are.
        suspects: What the model suspects.
        verdicts: All of them.
        above: The lowest posterior that is accepted.
        bound: The audit's lower bound of precision; None if there was no audit.
    """
    least = _check_bound(above, bound)
    settled = settle(verdicts)
    labels = LabelsByName(listing)
    model = str(suspects.about.get("model", ""))
    found: list[Change] = []
    taken: set[Cell] = set()
    known = False
    for block in suspects.blocks(("image", "class", "posterior")):
        posteriors = block["posterior"].to_numpy(zero_copy_only=False)
        for number in np.flatnonzero(posteriors >= above):
            cell = (block["image"][int(number)].as_py(), block["class"][int(number)].as_py())
            known |= cell[0] in labels.rows
            if not labels.has(cell):
                difference.note_gone(labels, cell, 1)
            elif cell not in settled and cell not in taken and labels.state(cell) == 0:
                taken.add(cell)
                posterior = float(posteriors[number])
                found.append(Change(*cell, 0, 1, "model", posterior=posterior, model=model))
        if len(posteriors) and posteriors[-1] < above:  # the most probable come first
            break
    if difference.gone_images and not known:
        raise DataError(
            f"{suspects.path} is about images of which '{listing.name}' has none; it was found for "
            f"other labels. Find the suspects of these, or name theirs."
        )
    difference.expected_wrong += sum(1 - (change.posterior or 0) for change in found)
    difference.most_wrong += (1 - least) * len(found)
    difference.changes.extend(found)
    difference.changes.sort(key=labels.order)
    return len(found)


def _check_bound(above: float, bound: Bound | None) -> float:
    """Return the audit's bound, or refuse to take a model's word that it does not bear out."""
    if not 0 < above <= 1:
        raise UsageError(f"--accept-above is a posterior between 0 and 1, not {above}.")
    least = bound(above) if bound is not None else None
    if least is None:
        raise UsageError(
            "--accept-above takes a model's word only where an audit bears it out, and there is "
            "none here; answer questions of the audit first."
        )
    if least < above:
        raise UsageError(
            f"The audit bears out {least:.2f} of what is above {above:g}, as its lower bound: less "
            f"than {above:g}. Choose a higher --accept-above, or look at more of the audit."
        )
    return least


def trace(
    listing: Listing, changes: Sequence[Change], earlier: Iterable[Mapping[str, Any]] = ()
) -> Iterator[dict[str, Any]]:
    """Go through all known cells of changed labels and say where each comes from.

    Args:
        listing: The labels with the changes made.
        changes: The changes.
        earlier: Changes that were made before, as `Change.to_dict` says them.
    """
    source: dict[Cell, dict[str, Any]] = {}
    for said in [*earlier, *(change.to_dict() for change in changes)]:
        source[said["image"], said["class"]] = dict(said)
    labels = listing.labels
    for row, image in enumerate(listing.images):
        states = labels[row]
        for column in np.flatnonzero(states):
            name, state = listing.classes[column], int(states[column])
            said = source.get((image, name), {})
            known = said if said.get("new") == state else {}
            yield {
                "image": image,
                "class": name,
                "state": state,
                "source": known.get("rule") or "file",
                **{key: known.get(key) for key in ("who", "at", "model", "posterior")},
            }
