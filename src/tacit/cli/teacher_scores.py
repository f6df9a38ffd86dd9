"""`tacit teacher-scores`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tacit.cli.output import print_json, print_table, stderr, tell
from tacit.config import resolve
from tacit.errors import DataError, UsageError
from tacit.files import read_array, read_text
from tacit.processes import find_process

if TYPE_CHECKING:
    from tacit.teachers import Teacher


def teacher_scores(
    data: str,
    /,
    *,
    out: Path,
    model: str = "ViT-B-16",
    weights: str = "openai",
    template: str = "a photo of a {}.",
    resize: Literal["squash", "shortest", "longest"] = "squash",
    crops: int = 0,
    enough: float = 1.0,
    embeddings: Path | None = None,
    texts: Path | None = None,
    names: Path | None = None,
    temperature: float = 0.01,
    batch: int = 64,
    device: str = "auto",
    settings: Annotated[tuple[str, ...], Parameter(name=("--set", "-s"))] = (),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Score the training images with an image-text teacher, once, for vlpl and aevlp.

    A command that was stopped goes on where it was when it is repeated.

    Parameters
    ----------
    data
        Data set, see `tacit datasets`, or the path of labels of your own.
    out
        The file of scores to write.
    model
        Model of open_clip, which the extra clip installs. Its weights are fetched when they are
        not there.
    weights
        Name of its weights, or a file of them.
    template
        Text for each class, with {} for its name.
    resize
        How an image becomes square: squash shows the whole of it, shortest its middle, longest
        adds borders.
    crops
        Crops along a side that are looked at beside the whole image, such as 4 for aevlp.
    enough
        Share that is always enough for a crop to count.
    embeddings
        Embeddings of the images in place of a model: an array, .npy, with a row for each.
    texts
        Embeddings of the classes, a row for each, in the order of the data.
    names
        A line for each row of --embeddings with the image's name. Left out, the rows must be
        the training images in their order.
    temperature
        Divides the cosine similarity before the softmax over classes.
    batch
        Images that go through the model together.
    device
        auto, cpu, cuda, cuda:0 or mps.
    settings
        Keys of a recipe's data table, the same as for the training, e.g. --set data.split_seed=1.
    json
        Print the result as JSON.
    """
    find_process()
    if (embeddings is None) != (texts is None):
        raise UsageError("--embeddings and --texts belong together: images and classes.")
    if names is not None and embeddings is None:
        raise UsageError("--names says whose the rows of --embeddings are; give them as well.")
    if out.exists():
        raise UsageError(f"There is a file at {out} already; choose another --out, or remove it.")
    train = _read_training_split(data, settings)
    if embeddings is not None and texts is not None:
        scores = _score_embeddings(train, embeddings, texts, names, temperature, out)
    else:
        from tacit.devices import choose_device
        from tacit.teachers import TowerTeacher, fill_template, open_clip_towers

        prompts = fill_template(template, train.classes)
        with stderr().status(f"loading {model}"):
            towers = open_clip_towers(model, weights, prompts, choose_device(device), resize)
            look = TowerTeacher(*towers, temperature=temperature, grid=crops, enough=enough)
        about = repr((model, weights, prompts, resize, crops, enough, temperature))
        scores = _score_images(train, look, out, batch, about)
    _tell_result(train, scores, out, json)
    given = "".join(f" --set {shlex.quote(setting)}" for setting in settings)
    tell(
        f"Train with them: tacit train --method vlpl --data {shlex.quote(data)}{given} "
        f"--set method.scores={shlex.quote(str(out))}"
    )


def _read_training_split(data: str, settings: tuple[str, ...]) -> Any:
    for setting in settings:
        if not setting.startswith("data."):
            raise UsageError(f"A teacher has no '{setting}'; only keys of data are for it.")
    with stderr().status("reading the data"):
        from tacit.runs.build import read_splits

        return read_splits(resolve(None, (f"data.name={data}", *settings))).train


def _score_images(train: Any, look: Teacher, out: Path, batch: int, about: str) -> Any:
    from tacit.teachers import score

    started = time.perf_counter()
    with stderr().status("scoring") as status:

        def watch(done: int, total: int) -> None:
            speed = done / (time.perf_counter() - started)
            status.update(f"scoring · {done:,} of {total:,} images · {speed:,.0f} images/s")

        try:
            return score(train, look, out, batch=batch, about=about, watch=watch)
        except KeyboardInterrupt:
            tell("What is finished is kept; the same command goes on.")
            raise


def _score_embeddings(
    train: Any, embeddings: Path, texts: Path, names: Path | None, temperature: float, out: Path
) -> Any:
    import torch

    from tacit.teachers import compute_class_shares, save_scores

    tables = [torch.from_numpy(_read_array(path)) for path in (embeddings, texts)]
    if len(tables[1]) != len(train.classes):
        raise DataError(
            f"{texts} has {len(tables[1]):,} rows, but the data has {len(train.classes):,} classes."
        )
    whose = train.images if names is None else _read_names(names)
    if len(tables[0]) != len(whose):
        listed = "there are training images" if names is None else f"{names} has lines"
        raise DataError(
            f"{embeddings} has {len(tables[0]):,} rows, but {listed}: {len(whose):,}. "
            f"--names FILE says whose the rows are, a name on a line."
        )
    place = {name: row for row, name in enumerate(whose)}
    if len(place) != len(whose):
        raise DataError(f"{names} has {len(whose):,} lines but {len(place):,} different names.")
    missing = [name for name in train.images if name not in place]
    if missing:
        raise DataError(
            f"{names} lacks {len(missing):,} of {len(train.images):,} training images, "
            f"beginning with '{missing[0]}'."
        )
    rows = tables[0][[place[name] for name in train.images]]
    scores = compute_class_shares(rows, tables[1], temperature).numpy()
    save_scores(out, train.images, scores, train.classes)
    return scores


def _read_names(path: Path) -> list[str]:
    from tacit.names import split_lines

    return split_lines(read_text(path))


def _read_array(path: Path) -> Any:
    import numpy as np

    array = read_array(path)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise DataError(f"{path} holds no table of numbers, a row for each embedding.")
    return array.astype(np.float32)


def _tell_result(train: Any, scores: Any, out: Path, json: bool) -> None:
    import numpy as np

    from tacit.teachers import measure_agreement

    known = np.stack([train.labels[row] == 1 for row in range(len(train))])
    found = {
        "images": len(train),
        "classes": len(train.classes),
        "known in first place": round(measure_agreement(scores, known, 1), 4),
        "known in first three": round(measure_agreement(scores, known, 3), 4),
    }
    if json:
        print_json({"written": str(out), **found})
        return
    shares = [f"{found[f'known in first {word}']:.1%}" for word in ("place", "three")]
    print_table(tuple(found), [(f"{len(train):,}", f"{len(train.classes):,}", *shares)])
