"""A stand-in for an image-text teacher on generated scenes, which learned from other scenes.

    python studies/teacher.py --out teacher.npz [--images 1250] [--seed 0]

No network trained on captions knows the shapes of scenes, so a small model is trained with full
labels on scenes drawn from another seed, of which no image is among those to be learned from. It
then scores the training images once, a softmax over classes as an image-text teacher would.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from tacit.config import Config, resolve
from tacit.evaluation.evaluate import predict
from tacit.images.loader import build_evaluation_loader
from tacit.models.artefact import load_model
from tacit.runs.build import read_splits
from tacit.teachers import save_scores
from tacit.training.run import train

OTHER = 1_000_003  # apart from every seed that a student's scenes are drawn from
TEACHER = ("method.name=bce", "data.options.images=600", "phases.epochs=12")


def teach(config: Config, path: Path) -> None:
    """Train the teacher and write its scores of the training images of a run."""
    source = read_splits(config).train
    with tempfile.TemporaryDirectory() as folder:
        other = f"data.options.seed={OTHER + config.run.seed}"
        settings = (*TEACHER, other, f"run.seed={config.run.seed}", "run.device=cpu")
        train(resolve(None, settings), Path(folder) / "teacher")
        model = load_model(Path(folder) / "teacher")
    loader = build_evaluation_loader(source, model.size, 64, 0)
    probabilities = torch.from_numpy(predict(model, loader, torch.device("cpu")))
    shares = probabilities.clamp(1e-6, 1 - 1e-6).logit().softmax(1)
    save_scores(path, source.images, shares, source.classes)


def main() -> None:
    """Write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1250)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settings = (f"data.options.images={options.images}", f"run.seed={options.seed}")
    teach(resolve(None, settings), options.out)


if __name__ == "__main__":
    main()
