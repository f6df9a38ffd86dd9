"""Every loss of the literature on one small batch, value and gradient, in double precision.

The numbers of oracles.json were computed in float64 by an independent implementation of the
equations; where the authors released their function, it gave the same on the same inputs. ROLE's
gradient and LAC's are printed there to eight or nine digits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tacit.methods import build_method
from tacit.methods.base import Method
from tacit.methods.consistency import contrastive
from tacit.methods.large_loss import count_suspects
from tacit.methods.parts.statistics import Queue
from tacit.models.base import Purpose
from tacit.models.cam_head import CamModel
from tacit.types import Annotations, Batch, Clock, Step

ORACLES: dict[str, Any] = json.loads((Path(__file__).parent / "oracles.json").read_text())
CLASSES = ("boat", "car", "fish", "tree")
WEAK = [[0.5, -1.2, 2.0, -0.3], [-0.8, 1.5, 0.1, -2.2]]
STRONG = [[0.2, -0.9, 1.1, -0.4], [-1.0, 0.7, 0.9, -1.6]]
SINGLE = [[1, 0, 0, 0], [0, 0, 1, 0]]
FULL = [[1, -1, 1, -1], [-1, 1, 1, -1]]
SHARES = [[0.55, 0.05, 0.38, 0.02], [0.1, 0.5, 0.35, 0.05]]
ESTIMATES = [[5.2933048, 0.2, -0.1, 0.35], [-0.4, 0.05, 5.2933048, 0.3]]
RELEASED = {"preset": "released"}
LATE = Clock(5, 10)
# Two of eight cells: a quarter, in the second epoch.
QUARTER = {"rate": 0.25}

CASES: dict[str, tuple[str, dict[str, Any], list[list[int]], Clock]] = {
    "AN_eps": ("an", RELEASED, SINGLE, LATE),
    "WAN": ("wan", RELEASED, SINGLE, LATE),
    "AN_LS": ("an_ls", RELEASED, SINGLE, LATE),
    "BCE_LS_full": ("bce_ls", RELEASED, FULL, LATE),
    "EPR": ("epr", {"expected_positives": 1.5, **RELEASED}, SINGLE, LATE),
    "IU": ("iu", RELEASED, [[1, -1, 0, 0], [0, 0, 1, -1]], LATE),
    "IUN": ("iun", RELEASED, [[1, -1, 0, -1], [-1, 0, 1, -1]], LATE),
    "EM": ("em", RELEASED, SINGLE, LATE),
    "EM_APL": ("em_apl", RELEASED, SINGLE, LATE),
    "ASL_sum_4_1": (
        "asl",
        {"positive_focus": 1, "detach_focus": False, **RELEASED},
        SINGLE,
        LATE,
    ),
    "ASL_sum_4_0_dtgfl": ("asl", RELEASED, SINGLE, LATE),
    "ASL_q2l_2_0_dtgfl": (
        "asl",
        {"negative_focus": 2, "scale": 1000, "epsilon": 1e-5},
        SINGLE,
        LATE,
    ),
    "Hill_sum": ("hill", RELEASED, SINGLE, LATE),
    "SPLC_sum_active": ("splc", RELEASED, SINGLE, LATE),
    "SPLC_sum_inactive": ("splc", {"from_epoch": 9, **RELEASED}, SINGLE, LATE),
    "GR_epoch1": ("gr", {}, SINGLE, Clock(1, 8)),
    "GR_epoch8": ("gr", {}, SINGLE, Clock(8, 8)),
    "LL-R": ("ll_r", QUARTER, SINGLE, Clock(2, 10)),
    "LL-Ct": ("ll_ct", QUARTER, SINGLE, Clock(2, 10)),
    "LL-Cp": ("ll_cp", QUARTER, SINGLE, Clock(2, 10)),
    "PLC_AN_thr0.6": ("plc", {"threshold": 0.6}, SINGLE, LATE),
    "PLC_AN_thr0.9": ("plc", {"threshold": 0.9}, SINGLE, LATE),
    "VLPL_EM_PL": (
        "vlpl",
        {"scores": torch.tensor(SHARES), "entropy_weight": 0.2, **RELEASED},
        SINGLE,
        LATE,
    ),
    "ROLE": ("role", {"expected_positives": 1.5, **RELEASED}, SINGLE, LATE),
}


class Given(nn.Module):
    """Gives prescribed logits: images of zeros are weak views, images of ones strong ones."""

    def __init__(self) -> None:
        super().__init__()
        self.weak = nn.Parameter(torch.tensor(WEAK, dtype=torch.float64))
        self.strong = nn.Parameter(torch.tensor(STRONG, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        views = dict.fromkeys(images.flatten().tolist())
        return torch.cat([self.strong if view else self.weak for view in views])


def worked(name: str) -> tuple[Step, Given, Method]:
    method_name, options, rows, clock = CASES[name]
    labels = torch.tensor(rows, dtype=torch.int8)
    method = build_method(method_name, **options)
    method.setup(Annotations(labels, CLASSES))
    method.double()
    if method_name == "em_apl":  # two soft labels given by an earlier epoch
        method.pseudo.values[0, 1] = 0.05
        method.pseudo.values[1, 3] = 0.12
    if method_name == "role":
        method.estimates.data.copy_(torch.tensor(ESTIMATES, dtype=torch.float64))
    model = Given()
    views = {"weak": torch.zeros(2, 1), "strong": torch.ones(2, 1)}
    step = method.step(model, Batch(torch.arange(2), labels, views), clock)
    step.loss.backward()
    return step, model, method


def close(found: Tensor | None, expected: Any) -> bool:
    assert found is not None
    return torch.allclose(found, torch.tensor(expected, dtype=found.dtype), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name: str) -> None:
    step, model, method = worked(name)
    expected = ORACLES[name]
    assert step.loss.item() == pytest.approx(expected["value"], abs=1e-7)
    assert close(model.weak.grad, expected["weak"])
    if "strong" in expected:
        assert close(model.strong.grad, expected["strong"])
    if "estimates" in expected:
        assert close(method.estimates.grad, expected["estimates"])


@pytest.mark.parametrize("name", ["LL-R", "LL-Ct", "LL-Cp", "SPLC_sum_active", "VLPL_EM_PL"])
def test_the_two_likeliest_misses_are_suspects(name: str) -> None:
    step, _, method = worked(name)
    assert step.suspects is not None
    assert step.suspects.nonzero().tolist() == [[0, 2], [1, 1]]
    if name == "LL-Cp":
        assert method.flipped.values.nonzero().tolist() == [[0, 2], [1, 1]]


def test_contrast_of_labelled_pairs() -> None:
    oracle = ORACLES["LAC"]
    features = torch.tensor(oracle["inputs"]["features"], dtype=torch.float64, requires_grad=True)
    loss = contrastive(features, torch.tensor(oracle["inputs"]["labels"]).long(), 0.5)
    loss.backward()
    assert loss.item() == pytest.approx(oracle["value"], abs=1e-7)
    assert close(features.grad, oracle["features"])


def test_suspects_are_counted_exactly_or_as_released() -> None:
    for epoch, exact, released in ORACLES["LL_k_schedule"]:
        assert count_suspects(1600, 0.005, epoch) == exact
        assert count_suspects(1600, 0.005, epoch, by_floats=True) == released


def test_the_queue_is_a_ring() -> None:
    queue = Queue(8, (1,))
    # Three, three, three, two entries: the third lot wraps around after two.
    for count, position in ((3, 3), (3, 6), (3, 1), (2, 3)):
        queue.push(torch.zeros(count, 1), torch.full((count,), count))
        assert int(queue.position) == position
    assert queue.names.tolist() == [3, 2, 2, 3, 3, 3, 3, 3]


def test_the_lowest_score_of_a_class_becomes_its_soft_label() -> None:
    scores = torch.tensor(ORACLES["APL"]["inputs"]["preds"])
    labels = torch.tensor(ORACLES["APL"]["inputs"]["obs"]).to(torch.int8)
    method = build_method("em_apl", warmup_epochs=5, share=0.9)
    two_classes = torch.stack([labels, torch.ones_like(labels)], 1)
    method.setup(Annotations(two_classes, ("boat", "car")))
    method.end_epoch(Clock(5, 10), lambda: torch.stack([scores, scores], 1))
    given = method.pseudo.values.isfinite()
    assert given.nonzero().tolist() == [[3, 0]]
    assert method.pseudo.values[3, 0].item() == pytest.approx(0.01)
    method.end_epoch(Clock(10, 10), lambda: torch.zeros(10, 2))  # too late to be read
    assert torch.equal(method.pseudo.values.isfinite(), given)


def test_a_boosted_map() -> None:
    oracle = ORACLES["BoostLU"]
    cam = torch.tensor(oracle["cam"], dtype=torch.float64, requires_grad=True)
    trunk = nn.Identity()
    trunk.channels = 2
    model = CamModel(trunk, Purpose(("boat", "car"), 2), boost=5.0).double()
    with torch.no_grad():  # classes are the channels
        model.head.weight.copy_(torch.eye(2)[..., None, None])
        model.head.bias.zero_()
    logits = model(cam)
    labels = torch.tensor(oracle["labels"])
    loss = nn.functional.binary_cross_entropy_with_logits(logits, labels.double())
    loss.backward()
    assert logits.tolist() == [[pytest.approx(1.35), pytest.approx(1.25)]]
    assert loss.item() == pytest.approx(oracle["value"], abs=1e-7)
    assert close(cam.grad, oracle["gradient"])
