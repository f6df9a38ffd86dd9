"""Training a head alone, on vectors that somebody else made of images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tacit.config import AUTO, Config
from tacit.devices import choose_device, keeping_generators, seed_generators
from tacit.errors import UsageError
from tacit.images.loader import ShuffledBatches
from tacit.labels import SparseLabels
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_head
from tacit.models.base import Model
from tacit.models.wrappers import HeadModel
from tacit.training.checks import check_features
from tacit.training.meter import FiniteWatch
from tacit.training.optim import build_optimiser, build_schedule, freeze_parameters
from tacit.training.parallel import Parallel
from tacit.training.update import Update
from tacit.types import Annotations, Batch, Clock


def train_head(
    features: Tensor, labels: SparseLabels, classes: tuple[str, ...], config: Config
) -> Model:
    """Return a head that was trained on vectors to the last epoch, in the host's memory.

    Args:
        features: (N, D), a vector for each image.
        labels: (N, C), three states.
        classes: Class names.
        config: Method, model's head, phases and run; the rest is about images.
    """
    device = choose_device(config.run.device)
    with keeping_generators(device):
        seed_generators(config.run.seed, device)
        learner = _build(features.shape[1], labels, classes, config).to(device)
        maps = features.float().to(device)[:, :, None, None]
        _train(learner, maps, labels, config, device)
    model: Model = learner.model.cpu().eval()  # type: ignore[assignment]
    return model


def _build(
    channels: int, labels: SparseLabels, classes: tuple[str, ...], config: Config
) -> Learner:
    method = build_method(config.method.name, preset=config.method.preset, **config.method.options)
    check_features(config, method)
    if method.makes_images or method.reads_maps:
        raise UsageError(
            f"Method '{config.method.name}' looks at places in images, which a vector does not "
            f"tell; give it images, or choose another method, such as gr."
        )
    said = config.model.model_fields_set
    asked = {key: value for key, value in method.model_options.items() if key not in said}
    options = {
        "boost": config.model.boost,
        "embedding_dim": config.model.embedding_dim,
        "options": config.model.options,
        **asked,
    }
    model = build_head(config.model.name, classes=classes, channels=channels, **options)
    annotations = Annotations(labels, classes, [str(row) for row in range(len(labels))])
    method.setup(annotations)
    if method.begins_at_frequency and config.model.head_bias != "random":
        model.begin_at(method.expect(annotations))
    return Learner(model, method)


def _train(
    learner: Learner, maps: Tensor, labels: SparseLabels, config: Config, device: torch.device
) -> None:
    head = Learner(HeadModel(learner.model, pooled=False), learner.method)
    watch = FiniteWatch([str(row) for row in range(len(maps))], device)
    finished = 0
    for number, phase in enumerate(config.phases):
        batch = min(len(maps) if phase.batch == AUTO else phase.batch, len(maps))
        order = ShuffledBatches(len(maps), batch, config.run.seed)
        freeze_parameters(learner, phase)
        optimiser = build_optimiser(learner, phase)
        schedule = build_schedule(optimiser, phase, phase.epochs * len(order))
        update = Update(
            head, phase, optimiser, schedule, watch, Parallel(device), config.run.precision
        )
        for epoch in range(1, phase.epochs + 1):
            clock, finished = Clock(epoch, phase.epochs, number), finished + 1
            order.set_epoch(finished)
            learner.train()
            for some in _list_batches(order, maps, labels, learner.method.views):
                update.take(some, clock)
            watch.flush()
            learner.method.end_epoch(clock, lambda: _predict(learner, maps))


def _list_batches(
    order: ShuffledBatches, maps: Tensor, labels: SparseLabels, views: tuple[str, ...]
) -> Iterator[Batch]:
    for items in order:
        rows = [row for _, row in items]
        index = torch.tensor(rows)
        known = torch.from_numpy(labels[rows])
        seen = maps[index.to(maps.device)]
        yield Batch(index.to(maps.device), known.to(maps.device), dict.fromkeys(views, seen))


@torch.no_grad()
def _predict(learner: Learner, maps: Tensor) -> Tensor:
    probabilities: Tensor = learner.model.eval()(maps).sigmoid().float().cpu()
    learner.model.train()
    return probabilities
