"""What a recipe may say: every key with its kind, its range, its default and its meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
AUTO = 0
Batch = Annotated[
    int, BeforeValidator(lambda said: AUTO if said == "auto" else said), Field(ge=AUTO)
]
LabelKind = Literal["observed", "full", "true_negatives"]


class Section(BaseModel):
    """A table of a recipe; keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """What to learn from."""

    name: str = Field("scenes", description="data set, see `tacit datasets`, or a path to labels")
    options: dict[str, Any] = Field({}, description="passed on to the reader of the data set")
    labels: LabelKind | None = Field(
        None, description="labels to train on; left out, the method says what it is meant for"
    )
    positives: int | None = Field(
        None,
        ge=-1,
        description="known positives drawn per image, -1 for all; left out, 1 for a named data "
        "set, and no draw for files",
    )
    negatives: int | None = Field(
        None, ge=-1, description="known negatives drawn per image, -1 for all"
    )
    draw_seed: int = Field(1200, ge=0, lt=2**32, description="seed of the draw of observed labels")
    split_seed: int = Field(1200, ge=0, lt=2**32, description="seed of the validation split")
    validation: float = Field(
        0.2, gt=0, lt=1, description="share set aside for validation, where there is no such split"
    )
    test: float = Field(
        0.1, gt=0, lt=1, description="share set aside for the test, where there is no such split"
    )
    validation_labels: Literal["clean", "observed"] | None = Field(
        None,
        description="labels that choose the best epoch; left out, clean ones where they are known, "
        "as in the literature",
    )
    mix: Literal["none", "logicmix"] = Field(
        "none", description="mix pairs of images; plain mixup means nothing for unknown labels"
    )
    cache: str | None = Field(
        None, description="folder for images scaled once, which every run then reads"
    )
    store: str | None = Field(
        None,
        description="folder where features of frozen trunks are kept for every run to come; "
        '"shared" is one for all runs of this user',
    )
    store_limit: Positive = Field(
        20.0, description="GB that the feature store may grow to; a run that needs more is refused"
    )
    hold: Literal["disk", "memory", "device"] = Field(
        "disk", description="where cached images wait to be read"
    )
    reading: Literal["exact", "fast"] = Field(
        "exact", description="fast scales images by torch, within one level of 255"
    )
    strong: Literal["host", "device"] = Field(
        "host", description="where strong views are made: image by image, or by batches"
    )
    strong_operations: int = Field(3, ge=1, description="changes that make a view a strong one")
    strong_magnitude: int = Field(5, ge=0, le=30, description="how large they are, of 30")
    workers: int = Field(0, ge=0, description="processes that prepare batches")


class ModelConfig(Section):
    """What to train."""

    name: str = Field("cam", description="model, see `tacit models`")
    trunk: str = Field("tiny", description="tiny, or any timm network with spatial maps")
    trunk_options: dict[str, Any] = Field({}, description="passed on to timm")
    weights: str = Field("none", description="none, hub, package, or a weights file")
    size: int = Field(48, ge=8, description="side of the images in pixels")
    mean: tuple[float, float, float] | None = Field(
        None, description="left out, what timm notes of the weights"
    )
    std: tuple[float, float, float] | None = Field(
        None, description="left out, what timm notes of the weights"
    )
    boost: float = Field(1.0, gt=0, description="factor of the positive part of activation maps")
    embedding_dim: int = Field(0, ge=0, description="length of class embeddings, 0 for none")
    head_bias: Literal["random", "frequency"] | None = Field(
        None,
        description="where the bias of each class begins",
    )
    options: dict[str, Any] = Field({}, description="further options of the model")


class MethodConfig(BaseModel):
    """How to learn; further keys are the method's own hyperparameters."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field("ignore", description="method, see `tacit methods`")
    preset: str | None = Field(None, description="a named set of the method's hyperparameters")

    @property
    def options(self) -> dict[str, Any]:
        """The method's own hyperparameters."""
        return dict(self.model_extra or {})


class Phase(Section):
    """A stretch of epochs with one optimiser."""

    epochs: Count = Field(24, description="passes over the training images")
    batch: Batch = Field(32, description="images per step, over all processes")
    accumulate: Count = Field(1, description="parts a batch is computed in, to save memory")
    optimiser: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Positive = Field(3e-3, description="learning rate; the peak, under onecycle")
    head_lr: Positive = Field(1.0, description="learning rate of the head, relative to lr")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="learning rate of each layer of the trunk, relative to the next",
    )
    weight_decay: float = Field(1e-2, ge=0)
    decay_norms: bool = Field(True, description="let norms and biases decay as well")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    clip: Positive | None = Field(None, description="largest norm of the model's gradient")
    schedule: Literal["constant", "onecycle"] = "onecycle"
    warmup_share: float = Field(0.2, gt=0, lt=1, description="share of steps onecycle rises for")
    patience: int | None = Field(
        None, ge=0, description="epochs without a better one before the phase ends early"
    )
    max_drop: Positive | None = Field(
        None, description="points below the best epoch at which the phase ends early"
    )
    own_best: bool = Field(
        False, description="judge the phase by its own best epoch, not by those before it"
    )
    freeze: tuple[str, ...] = Field((), description="modules of the model that do not learn")
    features: Literal["fresh", "stages", "maps", "pooled"] = Field(
        "fresh", description="what is computed once of an image"
    )
    versions: int = Field(1, ge=1, le=2, description="versions of an image that features are of")


class RunConfig(Section):
    """Where and how precisely to compute."""

    seed: int = Field(0, ge=0, lt=2**63)
    device: str = Field("auto", description="auto, cpu, cuda, cuda:0, mps")
    precision: Literal["fp32", "bf16", "auto"] = Field(
        "fp32", description="which is bf16 where the device has instructions for it"
    )
    sync_batch_norm: bool = Field(False, description="batch statistics over all processes, on CUDA")
    shard: bool = Field(False, description="divide the trunk's weights among the processes")
    fuse_views: bool = Field(False, description="let the trunk read all views of a batch in one go")
    checkpointing: bool = Field(
        False, description="compute the trunk's activations twice instead of keeping them"
    )
    channels_last: bool = Field(True, description="memory layout that convolutions run faster in")
    compile: bool = Field(
        False, description="compile the trunk: slow to begin with, then faster steps"
    )
    average: float | None = Field(
        None, gt=0, lt=1, description="decay of a running average of the weights, if wanted"
    )


class DecideConfig(Section):
    """What decided labels are for."""

    goal: str = Field("f1", description="what labels are decided for")
    labels_per_image: Positive | None = Field(
        None,
        description="how many labels an image has on average, where you know; left out, counted "
        "on clean validation labels, or estimated from known positives",
    )


class Config(Section):
    """One run, whole."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    method: MethodConfig = MethodConfig()
    phases: tuple[Phase, ...] = Field((Phase(),), min_length=1)
    decide: DecideConfig = DecideConfig()
    run: RunConfig = RunConfig()


# In a table of a method or a model, one table of phases is laid over every phase of the recipe; a
# list of them takes the place of the recipe's.
Phases = Annotated[
    tuple[Phase, ...], BeforeValidator(lambda said: (said,) if isinstance(said, dict) else said)
]


class MethodTable(MethodConfig):
    """``[methods.NAME]``: the keys of ``[method]``, and what else is different for it."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    phases: Phases = ()
    run: RunConfig = RunConfig()


class ModelTable(ModelConfig):
    """``[models.NAME]``: the keys of ``[model]``, and what else is different on it."""

    data: DataConfig = DataConfig()
    methods: dict[str, MethodTable] = {}
    phases: Phases = ()
    run: RunConfig = RunConfig()


class Recipe(Config):
    """What a recipe may say: a run, and tables of which one method and one model are chosen."""

    methods: dict[str, MethodTable] = {}
    models: dict[str, ModelTable] = {}
