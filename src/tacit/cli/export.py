"""`tacit export`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tacit.cli.output import print_json, say, stderr, tell

if TYPE_CHECKING:
    from PIL.Image import Image

    from tacit.runs.folder import Run


def export(
    folder: Path,
    /,
    *,
    out: Path,
    images: Path | None = None,
    compared: int = 1000,
    onnx: bool = True,
    push: str | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a model for others: ONNX with a script that needs no tacit, weights, and a card.

    The ONNX file is kept only if it says the same as torch, to 1e-4, on the images compared.

    Parameters
    ----------
    folder
        A run folder that `tacit train` wrote, or a saved model.
    out
        A new folder.
    images
        Images to compare the ONNX file with torch on: a folder, or one file. Left out, the run's
        own test images, or noise where there are none.
    compared
        How many images to compare on, at most.
    onnx
        Write the ONNX file, which needs `pip install 'tacit[onnx]'`.
    push
        Put the folder on the Hugging Face hub, under this owner/name.
    json
        Print the result as JSON.
    """
    with stderr().status("exporting"):
        from tacit.export.folder import export_model
        from tacit.export.hub import check_repository, push_folder
        from tacit.runs.folder import Run

        if push is not None:
            check_repository(push)  # before work that would be for nothing
        run = Run(folder)
        told = export_model(
            folder,
            out,
            images=_open_images(run, images),
            onnx=onnx,
            compared=compared,
            record=run.record if run.exists else None,
        )
        told["address"] = None if push is None else push_folder(out, push)
    if json:
        print_json(told)
        return
    if told["onnx"]:
        say(told["onnx"]["sentence"])
        if told["onnx"]["noise"]:
            tell("These were images of noise: --images FOLDER compares on real ones.")
    for name, size in told["files"].items():
        say(f"{out / name}: {size / 1e6:,.1f} MB")
    if push:
        say(told["address"])
    tell("Read README.md before you hand it on: licences of weights and images are yours to mind.")


def _open_images(run: Run, said: Path | None) -> Iterator[Image]:
    from tacit.data.open_image import open_image
    from tacit.prediction.in_memory import list_files

    if said is not None:
        yield from (open_image(path) for path in list_files(said))
    elif run.exists:
        test = run.splits().test
        yield from (test.open(row) for row in range(len(test)))
