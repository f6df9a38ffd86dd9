"""Training steps on a device: in time, against the bare network, and in memory (G1 to G5)."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import timm
import torch
import torch.nn.functional as F
from gpu_turns import CLASSES, Found, Scale, Side, failure, in_turns, paired, rates, settle
from plain import PlainModel, PlainQuery2Label, PlainStep, our_names
from step import LATE, LR, pictures
from torch import Tensor, nn

from tacit.config import Phase, RunConfig
from tacit.devices import autocast
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model
from tacit.training.meter import FiniteWatch
from tacit.training.optim import build_optimiser, build_schedule
from tacit.training.parallel import Parallel
from tacit.training.prepare_model import prepare
from tacit.training.update import Update
from tacit.types import Annotations, Batch

# Of ResNet-50 at 448 px, in GFLOP: forward and backward, and a step of IGNORE.
ONCE, STEP = 97.3, 227.4
# Pictures a second that an H200's memory and its arithmetic allow, by the same model.
CEILINGS = {"share of the byte model": 1200.0, "share of the FLOP floor": 3470.0}
PHASE = Phase(optimiser="adam", lr=LR, weight_decay=0.0, schedule="constant")
PLAIN = {"cam": PlainModel, "query2label": PlainQuery2Label}
FUSED = RunConfig(precision="bf16", fuse_views=True)
# As the plain one does: maps are made of the weights after dropout.
OPTIONS = {"cam": {}, "query2label": {"cam_dropout": True}}


def in_half(scale: Scale) -> RunConfig:
    """Say how our fastest step computes."""
    return RunConfig(precision="bf16", compile=scale.compiled)


def plain_learning(scale: Scale, name: str = "cam", classes: int = CLASSES) -> PlainStep:
    """Return the plain step."""
    torch.manual_seed(0)
    return PlainStep(PLAIN[name](scale.trunk, classes).to(scale.device), classes, LR)


def our_learning(
    scale: Scale, run: RunConfig, plain: PlainStep, annotations: Annotations, name: str = "cam"
) -> Update:
    """Return our update, as training builds it, with the weights of the plain step."""
    model = build_model(
        name,
        classes=annotations.classes,
        size=scale.size,
        trunk=scale.trunk,
        options=OPTIONS[name],
    )
    model.load_state_dict(our_names(plain.model.state_dict()))
    method = build_method("ignore", preset="released", warmup_epochs=0)
    method.setup(annotations)
    learner = Learner(model, method).to(scale.device).train()
    parallel = Parallel(scale.device)
    prepare(learner, run, parallel)
    optimiser = build_optimiser(learner, PHASE)
    schedule = build_schedule(optimiser, PHASE, 1)
    rows = [str(row) for row in range(annotations.shape[0])]
    watch = FiniteWatch(rows, scale.device)
    return Update(learner, PHASE, optimiser, schedule, watch, parallel, run.precision)


def resident(scale: Scale) -> tuple[Tensor, Tensor, Tensor]:
    """Return 8-bit weak and strong views and labels, on the device."""
    weak, strong, labels = pictures(scale.size, scale.batch)
    return weak.to(scale.device), strong.to(scale.device), labels.to(scale.device)


def normalised(scale: Scale, pixels: Tensor, layout: torch.memory_format) -> Tensor:
    """Return what a network reads."""
    like: Any = build_model(classes=("a", "b"), size=scale.size, trunk="tiny").to(scale.device)
    return like.normalise(pixels).contiguous(memory_format=layout)


def plain_side(scale: Scale, step: PlainStep) -> Side:
    """Return plain steps over views that are floats already."""
    weak, strong, labels = resident(scale)
    views = tuple(normalised(scale, view, torch.contiguous_format) for view in (weak, strong, weak))
    return Side(lambda: step(views, labels), images=scale.batch)  # type: ignore[arg-type]


def our_side(scale: Scale, update: Update, **flags: Any) -> Side:
    """Return our steps, from pixels on."""
    weak, strong, labels = resident(scale)
    index = torch.arange(scale.batch)
    normalise: Any = update.learner.model.normalise

    def step() -> None:
        views = {
            name: normalise(view).contiguous(memory_format=torch.channels_last)
            for name, view in (("weak", weak), ("strong", strong))
        }
        update.take(Batch(index, labels, views), LATE)

    return Side(step, images=scale.batch, **flags)


def described(labels: Tensor) -> Annotations:
    """Describe pictures of 80 classes."""
    return Annotations(labels, tuple(map(str, range(CLASSES))))


@contextmanager
def tf32() -> Iterator[None]:
    """Let products of matrices use TF32, as convolutions do by default."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def against_plain(
    scale: Scale, run: RunConfig, others: dict[str, RunConfig], name: str = "cam", **flags: Any
) -> Found:
    """Time our steps against plain ones; for the figures alone, in other ways as well."""
    plain = plain_learning(scale, name)
    known = described(pictures(scale.size, scale.batch)[2])

    def ours(how: RunConfig) -> Side:
        return our_side(scale, our_learning(scale, how, plain, known, name), **flags)

    sides = {"plain": plain_side(scale, plain), "ours": ours(run)}
    failed = {}
    for way, how in others.items():
        try:
            sides[way] = ours(how)
            sides[way].step()
        except Exception as error:  # it is beside the point
            sides.pop(way, None)
            failed[way] = failure(error).why
    seconds = in_turns(sides, scale.device, scale.plan)
    figures = rates(sides, seconds) | compiled_graphs(scale) | failed
    if scale.trunk == "resnet50" and name == "cam":
        rate = figures["ours"]["images/s"]
        figures |= {what: rate / ceiling for what, ceiling in CEILINGS.items()}
    return Found(paired(seconds["plain"], seconds["ours"]), figures)


def compiled_graphs(scale: Scale) -> dict[str, Any]:
    """Say what became of compiling, which goes on without a word where it cannot."""
    if not scale.compiled:
        return {}
    counters = torch._dynamo.utils.counters
    return {
        "compiled graphs": counters["stats"]["unique_graphs"],
        "graph breaks": sum(counters["graph_break"].values()),
    }


def half_precision(scale: Scale) -> list[Found]:
    """G1."""
    others = {"not compiled": RunConfig(precision="bf16"), "views together": FUSED}
    return [against_plain(scale, in_half(scale), others)]


def single_precision(scale: Scale) -> list[Found]:
    """G2: nothing but the rounding differs from the plain step."""
    others = {"views together": RunConfig(fuse_views=True)}
    return [against_plain(scale, RunConfig(), others, flags=tf32)]


def queries(scale: Scale) -> list[Found]:
    """G3."""
    return [against_plain(scale, in_half(scale), {"views together": FUSED}, "query2label")]


def bare_sides(scale: Scale) -> dict[str, Side]:
    """Return timm's network in a loop without anything, under the flags of our step.

    Once forward and backward, as its own benchmark trains; and as often as IGNORE needs it.
    """
    network: nn.Module = timm.create_model(scale.trunk, num_classes=CLASSES).to(scale.device)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if scale.compiled:
        network.compile()
    optimiser = torch.optim.Adam(network.parameters(), lr=LR, fused=True)
    weak, strong, labels = resident(scale)
    weak, strong = (normalised(scale, view, torch.channels_last) for view in (weak, strong))
    target = (labels == 1).float()

    def descend(views: tuple[Tensor, ...]) -> None:
        with autocast(scale.device, "bf16"):
            losses = [
                F.binary_cross_entropy_with_logits(network(view).float(), target) for view in views
            ]
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        optimiser.step()

    def often() -> None:
        with torch.no_grad(), autocast(scale.device, "bf16"):
            network(weak)
        descend((weak, strong))

    return {
        "bare": Side(lambda: descend((weak,)), images=scale.batch),
        "bare, as often": Side(often, images=scale.batch),
    }


def framework_tax(scale: Scale) -> list[Found]:
    """G4, in two forms: pictures a second by FLOP, and time against the same passes."""
    plain = plain_learning(scale)
    labels = pictures(scale.size, scale.batch)[2]
    ours = our_learning(scale, in_half(scale), plain, described(labels))
    sides = {"ours": our_side(scale, ours), **bare_sides(scale)}
    seconds = in_turns(sides, scale.device, scale.plan)
    figures = rates(sides, seconds) | compiled_graphs(scale)
    return [
        Found(paired(seconds["bare"], seconds["ours"], STEP / ONCE), figures),
        Found(paired(seconds["ours"], seconds["bare, as often"])),
    ]


def peak(scale: Scale, build: Callable[[], tuple[Side, nn.Module]]) -> dict[str, float]:
    """Return the bytes of a step beyond its model's: batch, gradients, optimiser, activations.

    On the host, where no allocator counts, it is what a step keeps for its backward pass.
    """
    device, on_card = scale.device, scale.device.type == "cuda"
    if on_card:
        gc.collect()
        torch.cuda.empty_cache()
        before, reserved = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
    side, model = build()
    own = sum(value.nbytes for value in (*model.parameters(), *model.buffers()))
    for _ in range(3):
        side.step()
    settle(device)
    if on_card:
        torch.cuda.reset_peak_memory_stats(device)
        for _ in range(3):
            side.step()
        settle(device)
        return {
            "allocated": torch.cuda.max_memory_allocated(device) - before - own,
            "reserved": torch.cuda.max_memory_reserved(device) - reserved - own,
        }
    kept: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        side.step()
    return {"kept for backward": sum(kept.values())}


def memory(scale: Scale) -> list[Found]:
    """G5: each side by itself."""

    def plain() -> tuple[Side, nn.Module]:
        step = plain_learning(scale)
        return plain_side(scale, step), step.model

    def ours() -> tuple[Side, nn.Module]:
        labels = pictures(scale.size, scale.batch)[2]
        weights = plain_learning(scale)
        update = our_learning(scale, in_half(scale), weights, described(labels))
        return our_side(scale, update), update.learner

    found = {"plain": peak(scale, plain), "ours": peak(scale, ours)}
    first = next(iter(found["plain"]))
    figures = {f"{side}, MB": {k: v / 2**20 for k, v in of.items()} for side, of in found.items()}
    return [Found([found["ours"][first] / found["plain"][first]], figures)]
