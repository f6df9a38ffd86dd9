"""What a module of somebody's own lacks is said when it meets the method."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model


class Plain(nn.Module):
    """Logits and nothing else."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


@pytest.mark.parametrize(
    ("method", "lacking"), [("boostlu", "boost"), ("plc_lac", "embed"), ("ignore", "localise")]
)
def test_a_module_without_what_a_method_asks_for_is_refused(method: str, lacking: str) -> None:
    built = build_method(method)
    with pytest.raises(UsageError, match=f"asks a model for `{lacking}`, which a Plain does not"):
        Learner(Plain(), built)
    plain = Plain()
    setattr(plain, lacking, 1)
    assert Learner(plain, built).model is plain
    options = dict(built.model_options)
    ours = build_model(classes=("a", "b"), size=16, trunk="tiny", **options)
    assert Learner(ours, built).model is ours


def test_a_module_that_gives_logits_is_enough_for_others() -> None:
    Learner(Plain(), build_method("an"))
