"""What a method thinks of a batch: promises of all, and each family's evidence by hand."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from support.methods import active_options
from tacit.learner import Learner
from tacit.methods import METHODS, build_method, method_class
from tacit.methods.base import Method
from tacit.models import build_model
from tacit.types import AFTER_TRAINING, Annotations, Batch, Clock, Judgement
from toys import ScriptedModel, Table, annotations_of, make_batch

CLASSES = ("bird", "boat", "car", "fish", "tree")
ROWS, SIDE = 8, 24
LATE = Clock(6, 10, phase=1)
SHARES = torch.rand(ROWS, len(CLASSES), generator=torch.Generator().manual_seed(9))
NEEDED: dict[str, dict[str, Any]] = {"vlpl": {"scores": SHARES}, "aevlp": {"scores": SHARES}}

every_method = pytest.mark.parametrize("name", sorted(METHODS))


def labels_for(name: str) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    labels = -(torch.rand(ROWS, len(CLASSES), generator=generator) < 0.2).to(torch.int8)
    labels[range(ROWS - 1), torch.randint(len(CLASSES), (ROWS - 1,), generator=generator)] = 1
    kind = method_class(name).labels
    return labels if kind == "observed" else torch.where(labels == 1, 1, -1).to(torch.int8)


def batch_for(name: str, *views: str, rows: range = range(ROWS)) -> Batch:
    generator = torch.Generator().manual_seed(4)
    images = torch.randn(ROWS, 3, SIDE, SIDE, generator=generator)[rows.start : rows.stop]
    labels = labels_for(name)[rows.start : rows.stop]
    return Batch(torch.tensor(rows), labels, dict.fromkeys(views or ("weak",), images))


def trained(name: str, **options: Any) -> Learner:
    """Build a learner that has taken two steps, so that averages and tables hold something."""
    torch.manual_seed(0)
    asked = method_class(name).model_options
    model = build_model(classes=CLASSES, **{"size": SIDE, "trunk": "tiny", **asked})
    method = build_method(name, **{**active_options(name), **NEEDED.get(name, {}), **options})
    method.setup(Annotations(labels_for(name), CLASSES))
    learner = Learner(model, method).train()
    optimiser = torch.optim.SGD(learner.parameters(), lr=0.01)
    for clock in (Clock(1, 10), LATE):
        learner(batch_for(name, *method.views), clock).loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        method.end_epoch(clock, lambda: SHARES)
    return learner


def judge(learner: Learner, batch: Batch, clock: Clock = LATE) -> Judgement:
    return learner.method.judge(learner.model, batch, clock)


def tensors_of(found: Judgement) -> list[Tensor]:
    return [found.score, found.suspects, *found.evidence.values(), *found.images.values()]


@every_method
@pytest.mark.parametrize("clock", [Clock(1, 10), LATE, AFTER_TRAINING], ids=str)
def test_a_judgement_has_its_shape(name: str, clock: Clock) -> None:
    learner, batch = trained(name), batch_for(name)
    found = judge(learner, batch, clock)
    assert found.score.shape == found.suspects.shape == batch.labels.shape
    assert found.score.is_floating_point() and found.suspects.dtype == torch.bool
    assert not found.suspects[~batch.unknown].any() and not found.score[~batch.unknown].any()
    for value in found.evidence.values():
        assert value.shape == batch.labels.shape and value.isfinite().all()
    for image in found.images.values():
        assert len(image) == ROWS
    for tensor in tensors_of(found):
        assert tensor.isfinite().all() and not tensor.requires_grad


@every_method
def test_judging_leaves_everything_as_it_was(name: str) -> None:
    learner, batch = trained(name), batch_for(name)
    learner.model.head.eval()  # type: ignore[union-attr]
    modes = [module.training for module in learner.modules()]
    before = {key: value.clone() for key, value in learner.state_dict().items()}
    given = [batch.index.clone(), batch.labels.clone(), batch["weak"].clone()]
    random = torch.get_rng_state()
    first, second = judge(learner, batch), judge(learner, batch)
    for one, other in zip(tensors_of(first), tensors_of(second), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), random)
    after = learner.state_dict()
    assert after.keys() == before.keys()
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=0, atol=0, equal_nan=True, msg=key)
    assert [module.training for module in learner.modules()] == modes
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in learner.parameters())
    found = [batch.index, batch.labels, batch["weak"]]
    assert all(torch.equal(one, other) for one, other in zip(found, given, strict=True))


@every_method
def test_logits_do_not_depend_on_the_other_images_of_a_batch(name: str) -> None:
    learner = trained(name)
    learner.method.cap = False  # type: ignore[assignment]  # counts the positives of a batch
    together = judge(learner, batch_for(name), AFTER_TRAINING)
    for row in range(ROWS):
        alone = judge(learner, batch_for(name, rows=range(row, row + 1)), AFTER_TRAINING)
        for key in {"logit", "gap"} & set(alone.evidence):
            torch.testing.assert_close(
                alone.evidence[key][0], together.evidence[key][row], rtol=1e-4, atol=1e-5
            )


# The averages of these would move in a step; here they stand still.
STILL = {"bias_correction": False, "gap_decay": 1.0, "average_decay": 1.0, "cap": False}


@every_method
def test_a_step_and_a_judgement_agree_on_suspects(name: str) -> None:
    still = STILL if "gap_decay" in active_options(name) else {}
    learner = trained(name, **still)
    for parameter in learner.model.head.parameters():  # type: ignore[union-attr]
        parameter.data *= 20  # opinions, after so few steps
    learner.eval()  # so that a step reads the model as a judgement does
    learner(batch_for(name, *learner.method.views), LATE)  # and remembers what it read
    step = copy.deepcopy(learner)(batch_for(name, *learner.method.views), LATE)
    found = judge(learner, batch_for(name))
    if step.suspects is None:
        assert not found.suspects.any()
        return
    assert torch.equal(found.suspects, step.suspects)
    assert found.suspects.any(), "the comparison says nothing"
    shared = found.evidence.keys() & step.evidence.keys()
    assert "logit" in shared
    for key in shared:
        torch.testing.assert_close(found.evidence[key], step.evidence[key], msg=key)


@every_method
def test_images_from_elsewhere_are_judged_too(name: str) -> None:
    """What is remembered of single images is of no use there, so nothing may depend on it."""
    learner, batch = trained(name), batch_for(name)
    elsewhere = Batch(torch.full((ROWS,), -1), batch.labels, batch.views)
    expected = judge(learner, elsewhere)
    assert all(tensor.isfinite().all() for tensor in tensors_of(expected))
    for key, value in learner.method.state_dict().items():
        if value.shape == (ROWS, len(CLASSES)):  # a table of the training images
            value.fill_(1)
            assert method_class(name).keeps_table, key
    for one, other in zip(tensors_of(judge(learner, elsewhere)), tensors_of(expected), strict=True):
        assert torch.equal(one, other)


@every_method
def test_no_other_process_is_asked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, batch = trained(name), batch_for(name)
    expected = judge(learner, batch)

    def refuse(*arguments: Any) -> None:
        raise AssertionError("another process was asked")

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    for verb in ("all_reduce", "all_gather", "broadcast"):
        monkeypatch.setattr(f"torch.distributed.{verb}", refuse)
    assert torch.equal(judge(learner, batch).suspects, expected.suspects)


class Scripted(Method):
    """Says what it is told to, right or wrong."""

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        self.seen = (torch.is_grad_enabled(), self.training, model.training, clock)
        return Judgement(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool))


def test_a_method_need_not_see_to_known_cells_modes_and_gradients() -> None:
    method, model = Scripted().train(), torch.nn.Identity().train()
    found = method.judge(model, make_batch([[1, 0, -1], [0, 0, 1]]))
    assert found.score.tolist() == [[0, 1, 0], [1, 1, 0]]
    assert found.suspects.tolist() == [[False, True, False], [True, True, False]]
    assert method.seen == (False, False, False, AFTER_TRAINING)
    assert method.training and model.training


# By hand. Logits of two images and four classes; (0, 0) and (1, 2) are known, (1, 3) is absent.
WEAK = [[0.5, -1.2, 2.0, -0.3], [-0.8, 1.5, 0.1, 3.0]]
LABELS = [[1, 0, 0, 0], [0, 0, 1, -1]]
UNKNOWN = torch.tensor(LABELS) == 0


def on_toys(
    name: str, clock: Clock = AFTER_TRAINING, masked: Table = WEAK, **options: Any
) -> Judgement:
    method = build_method(name, **options)
    method.setup(annotations_of(LABELS))
    return method.judge(ScriptedModel(WEAK, None, masked), make_batch(LABELS), clock)


def cells(marked: Tensor) -> list[list[int]]:
    return marked.nonzero().tolist()


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_without_a_judgement_of_its_own_a_method_scores_by_probability() -> None:
    found = on_toys("an")
    expected = [[0, sigmoid(-1.2), sigmoid(2), sigmoid(-0.3)], [sigmoid(-0.8), sigmoid(1.5), 0, 0]]
    torch.testing.assert_close(found.score, torch.tensor(expected).double())
    assert not found.suspects.any()
    assert found.evidence["logit"].tolist() == WEAK


class TestGaps:
    # Known gaps 0.2 and 0.3. Beside them (0, 2), (1, 1) and, a known negative, (1, 3) exceed tau,
    # but (1, 1) is below its own class's average.
    MASKED = [[0.3, -1.3, -1.0, -0.2], [-0.9, -0.7, -0.2, -2.3]]
    TAU, MU = 0.25, (-1.0, 1.6, -0.2, -1.0)

    def judged(self, name: str, clock: Clock, images: Tensor, **options: Any) -> Judgement:
        method: Any = build_method(name, **{**STILL, "strong_view": False, **options})
        method.setup(annotations_of(LABELS))
        method.double()
        method.lift.value.fill_(9)  # so that rejection does not wait
        method.gap_average.value.fill_(self.TAU)
        method.logit_average.value.copy_(torch.tensor(self.MU))
        model = ScriptedModel(WEAK, None, self.MASKED)
        return method.judge(model, make_batch(LABELS, weak=images), clock)

    @pytest.mark.parametrize("mode", ["train", "update", "evaluation"])
    @pytest.mark.parametrize("name", ["ignore", "calr"])
    def test_gap_thresholds_and_suspects(self, name: str, mode: str) -> None:
        found = self.judged(name, AFTER_TRAINING, torch.zeros(2, 3, 4, 4), gap_mode=mode)
        gaps = [[0.2, 0.1, 3.0, 0.1], [0.1, 2.2, 0.3, 5.3]]
        torch.testing.assert_close(found.evidence["gap"], torch.tensor(gaps).double())
        assert cells(found.suspects) == [[0, 2]]
        assert (found.evidence["tau"] == self.TAU).all()
        torch.testing.assert_close(
            found.evidence["mu"], torch.tensor([self.MU, self.MU]).double(), rtol=0, atol=1e-7
        )
        torch.testing.assert_close(
            found.score,
            torch.tensor(WEAK, dtype=torch.float64).sigmoid() * UNKNOWN,
            rtol=1e-12,
            atol=0,
        )

    def test_the_warm_up_suspects_nothing_and_shows_all_the_same(self) -> None:
        early = self.judged("ignore", Clock(2, 10), torch.zeros(2, 3, 4, 4))
        assert not early.suspects.any() and early.evidence["gap"][0, 2] == 3.0
        assert self.judged("ignore", Clock(3, 10), torch.zeros(2, 3, 4, 4)).suspects.any()

    def test_thresholds_can_be_left_out(self) -> None:
        images = torch.zeros(2, 3, 4, 4)
        found = self.judged("ignore", AFTER_TRAINING, images, average_threshold=False)
        assert cells(found.suspects) == [[0, 2], [1, 1]]
        # No more are missing than there are known positives: none.
        found = self.judged("ignore", AFTER_TRAINING, images, average_threshold=False, cap=True)
        assert not found.suspects.any()

    def test_what_was_hidden_can_be_shown(self) -> None:
        # The map of a known class, 0 to 3 over the quarters, is (2 y + x) / 3 with y and x from
        # 0, 1/4, 3/4, 1 after it has been enlarged, and above 0.4 where 2 y + x > 1.2.
        found = self.judged("ignore", AFTER_TRAINING, torch.ones(2, 3, 4, 4))
        visible = [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
        assert found.images["visible"].int().tolist() == [visible, visible]
        assert found.images["masked"][1, 2].int().tolist() == visible
        assert found.images["map"][0, 3].tolist() == [[0, 1], [2, 3]]

    def test_without_rejection_there_are_no_suspects(self) -> None:
        found = self.judged("ignore", AFTER_TRAINING, torch.zeros(2, 3, 4, 4), reject=False)
        assert not found.suspects.any()
        assert set(found.evidence) == {"logit"} and set(found.images) == {"map"}


class TestLargeLosses:
    # By loss, the unknown cells are (0, 2), (1, 1), (0, 3), (1, 0), (0, 1).
    @pytest.mark.parametrize("name", ["ll_r", "ll_ct", "boostlu"])
    def test_as_many_as_the_clock_says_and_none_without_one(self, name: str) -> None:
        losses = softplus(torch.tensor(WEAK, dtype=torch.float64))
        for epoch, suspects in ((1, []), (2, [[0, 2]]), (3, [[0, 2], [1, 1]])):
            # An eighth of 8 cells more with every epoch.
            found = on_toys(name, Clock(epoch, 10), rate=0.125)
            assert cells(found.suspects) == suspects
            torch.testing.assert_close(found.evidence["loss"], losses)
            order = found.score.flatten().argsort(descending=True)[:5].tolist()
            assert order == [2, 5, 3, 4, 1]
        assert not on_toys(name, rate=0.125).suspects.any()

    def test_what_was_corrected_for_ever_is_past_doubt(self) -> None:
        method: Any = build_method("ll_cp", rate=0.125)
        method.setup(annotations_of(LABELS))
        method.flipped.values[0, 1] = True
        model = ScriptedModel(WEAK, None, WEAK)
        found = method.judge(model, make_batch(LABELS), Clock(1, 10))
        assert cells(found.suspects) == [[0, 1]] and found.score[0, 1] == 1
        # From the second epoch on an eighth of all cells more.
        for clock in (Clock(2, 10), Clock(9, 10), AFTER_TRAINING):
            found = method.judge(model, make_batch(LABELS), clock)
            assert cells(found.suspects) == [[0, 1], [0, 2]]


class TestTables:
    def test_em_apl_tells_what_it_has_written_down(self) -> None:
        method: Any = build_method("em_apl")
        method.setup(annotations_of(LABELS))
        method.pseudo.values[0, 1] = 0.125
        found = method.judge(ScriptedModel(WEAK, None, WEAK), make_batch(LABELS))
        assert cells(found.evidence["labelled"]) == [[0, 1]]
        assert found.score[0, 1] == found.evidence["pseudo"][0, 1] == 0.125
        assert found.score[0, 2].item() == pytest.approx(sigmoid(2))
        assert not found.suspects.any()

    @pytest.mark.parametrize("update", ["dense", "rows"])
    def test_role_tells_its_estimates(self, update: str) -> None:
        method: Any = build_method("role", update=update)
        method.setup(annotations_of(LABELS))
        table = method.estimates if update == "dense" else method.rows.values
        table.data.copy_(torch.tensor([[9.0, 0.5, -0.5, 0.0], [-2.0, 1.0, 9.0, 9.0]]))
        batch = make_batch(LABELS)
        found = method.judge(ScriptedModel(WEAK, None, WEAK), batch)
        assert cells(found.suspects) == [[0, 1], [1, 1]]
        assert found.score[0, 1].item() == pytest.approx(sigmoid(0.5))
        assert found.evidence["estimate"][0].tolist() == [9.0, 0.5, -0.5, 0.0]
        elsewhere = Batch(torch.tensor([-1, 1]), batch.labels, batch.views)
        found = method.judge(ScriptedModel(WEAK, None, WEAK), elsewhere)
        assert cells(found.suspects) == [[1, 1]]
        assert found.evidence["estimate"][0].tolist() == WEAK[0]


class TestTeachers:
    SCORES = torch.tensor([[0.9, 0.4, 0.35, 0.1], [0.8, 0.3, 0.6, 0.9]])

    def test_vlpl_takes_what_is_above_its_threshold(self) -> None:
        options = {"scores": self.SCORES, "threshold": 0.3, "warmup_epochs": 2}
        found = on_toys("vlpl", **options)
        assert cells(found.suspects) == [[0, 1], [0, 2], [1, 0]]
        torch.testing.assert_close(found.score, self.SCORES.masked_fill(~UNKNOWN, 0).double())
        assert not on_toys("vlpl", Clock(2, 9), **options).suspects.any()

    def test_aevlp_takes_the_few_highest(self) -> None:
        # Of the highest two of each image, (0, 0) and (1, 3) are known.
        found = on_toys("aevlp", scores=self.SCORES, threshold=0.3, most=2)
        assert cells(found.suspects) == [[0, 1], [1, 0]]
        assert torch.equal(found.evidence["share"], self.SCORES)

    @pytest.mark.parametrize("name", ["vlpl", "aevlp"])
    def test_what_the_teacher_has_not_seen_the_model_scores(self, name: str) -> None:
        method = build_method(name, scores=self.SCORES)
        method.setup(annotations_of(LABELS))
        batch = make_batch(LABELS)
        batch = Batch(torch.tensor([-1, 1]), batch.labels, batch.views)
        found = method.judge(ScriptedModel(WEAK, None, WEAK), batch)
        assert cells(found.suspects) == [[1, 0]]
        assert found.score[0, 2].item() == pytest.approx(sigmoid(2))
        assert found.score[1, 0].item() == pytest.approx(0.8)


class TestThresholds:
    # Probabilities 0.231, 0.881, 0.426 and 0.310, 0.818 of the unknown cells.
    def test_splc_takes_what_is_above_its_threshold_once_it_may(self) -> None:
        found = on_toys("splc", Clock(2, 9), threshold=0.4)
        assert cells(found.suspects) == [[0, 2], [0, 3], [1, 1]]
        assert found.evidence["threshold"].unique().tolist() == [0.4]
        assert not on_toys("splc", Clock(1, 9), threshold=0.4).suspects.any()

    def test_plc_takes_what_it_is_sure_of(self) -> None:
        assert cells(on_toys("plc", threshold=0.85).suspects) == [[0, 2]]
        assert cells(on_toys("plc", threshold=0.6).suspects) == [[0, 2], [1, 1]]

    def test_plc_lac_is_stricter_in_its_second_stage(self) -> None:
        options = {"threshold": 0.6, "late_threshold": 0.85}
        assert cells(on_toys("plc_lac", Clock(2, 4), **options).suspects) == [[0, 2], [1, 1]]
        assert cells(on_toys("plc_lac", Clock(3, 4), **options).suspects) == [[0, 2]]
        assert cells(on_toys("plc_lac", **options).suspects) == [[0, 2]]

    def test_gr_takes_what_is_above_the_middle_of_its_chances(self) -> None:
        # In the second of 2 epochs the slope is halfway from 0 to 2, and the width of the weight
        # at its end: chance = sigmoid(p - 2), its middle that of sigmoid(-2) and sigmoid(-1).
        found = on_toys("gr", Clock(2, 2))
        middle = (sigmoid(-2) + sigmoid(-1)) / 2
        probability = sigmoid(2.0)
        assert found.evidence["chance"][0, 2].item() == pytest.approx(sigmoid(probability - 2))
        weight = math.exp(-0.5 * ((probability - 0.8) / 0.5) ** 2)
        assert found.evidence["weight"][0, 2].item() == pytest.approx(weight)
        above = [
            [i, j] for i in (0, 1) for j in range(4) if sigmoid(sigmoid(WEAK[i][j]) - 2) > middle
        ]
        assert cells(found.suspects) == [cell for cell in above if UNKNOWN[tuple(cell)]]
        assert cells(found.suspects) == [[0, 2], [1, 1]]
