"""A training loop of one's own: tacit brings the method, everything else is plain PyTorch.

    python examples/plain_loop.py [METHOD]

METHOD is any name that `tacit methods` lists, `ignore` if left out, but for those that need more
than one positive per picture: `iu` and those with a teacher. The loop asks nothing about it.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor
from torch.nn.functional import pad

from tacit.config import DataConfig
from tacit.data.source import Source
from tacit.data.splits import load_splits
from tacit.evaluation.metrics import mean_average_precision
from tacit.images.views import to_pixels
from tacit.learner import Learner
from tacit.methods import METHODS, build_method, method_class
from tacit.models import build_model
from tacit.types import Annotations, Batch, Clock

EPOCHS, BATCH = 3, 32


def shifted(images: Tensor) -> Tensor:
    """A strong view of our own: moved by up to four pixels, with some noise."""
    x, y = torch.randint(0, 9, (2,)).tolist()
    moved = pad(images, (4, 4, 4, 4))[..., y : y + images.shape[2], x : x + images.shape[3]]
    return moved + 0.1 * torch.randn_like(moved)


def main(name: str) -> None:
    torch.manual_seed(0)
    options = {"images": 400, "test_images": 200}
    splits = load_splits(DataConfig(options=options), method_class(name).labels)
    labels = torch.from_numpy(splits.train.labels.dense())

    method = build_method(name)
    model = build_model(classes=splits.train.classes, size=48, trunk="tiny", **method.model_options)
    method.setup(Annotations(labels, splits.train.classes))
    learner = Learner(model, method)
    optimiser = torch.optim.AdamW(learner.parameters(), lr=3e-3)

    def read(source: Source) -> Tensor:
        pixels = [to_pixels(source.open(row)) for row in range(len(source))]
        return model.normalise(torch.stack(pixels))

    def predict() -> Tensor:
        learner.eval()
        with torch.no_grad():
            return model(images).sigmoid()

    images = read(splits.train)
    for epoch in range(1, EPOCHS + 1):
        learner.train()
        for rows in torch.randperm(len(labels)).split(BATCH):
            views = {"weak": images[rows], "strong": shifted(images[rows])}
            step = learner(Batch(rows, labels[rows], views), Clock(epoch, EPOCHS))
            optimiser.zero_grad()
            step.loss.backward()
            optimiser.step()
        method.end_epoch(Clock(epoch, EPOCHS), predict)
        terms = ", ".join(f"{term} {value.item():.3f}" for term, value in step.terms.items())
        print(f"epoch {epoch}: {terms}")

    learner.eval()
    with torch.inference_mode():
        scores = model(read(splits.test)).numpy()
    truth = (splits.test.labels.dense() == 1).astype("int8")
    print(f"{name}: {mean_average_precision(scores, truth).map:.1f} mAP on the test pictures")


if __name__ == "__main__":
    main(next((word for word in sys.argv[1:] if word in METHODS), "ignore"))
