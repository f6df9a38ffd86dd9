"""Pairs of towers, for images and for texts, and the teacher they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from tacit.errors import UsageError, unknown_name
from tacit.teachers.shares import compute_class_shares, compute_patch_shares

Tower = Callable[[Tensor], Tensor]
# How open_clip makes an image square: by ignoring its aspect ratio, by cutting off what exceeds the
# middle, or by adding borders.
Resize = Literal["squash", "shortest", "longest"]


def fill_template(template: str, classes: Sequence[str]) -> list[str]:
    """Return a prompt for each class: its name in place of ``{}``, underscores as spaces."""
    if template.count("{}") != 1:
        raise UsageError(
            f"A template has {{}} once, where the class's name belongs, as in 'a photo of a {{}}'; "
            f"'{template}' has it {template.count('{}')} times."
        )
    return [template.replace("{}", name.replace("_", " ")) for name in classes]


@torch.inference_mode()
def embed(batches: Iterable[Tensor], tower: Tower) -> Tensor:
    """Run an image tower over batches of prepared images, (N, D)."""
    return torch.cat([tower(images).float().cpu() for images in batches])


def open_clip_towers(
    name: str,
    weights: str,
    prompts: Sequence[str],
    device: torch.device | str = "cpu",
    resize: Resize = "squash",
) -> tuple[Tower, Tensor, Callable[[Any], Tensor]]:
    """Return an open_clip image tower, the text embeddings, and how to prepare an image.

    Needs the extra ``clip`` and fetches the weights unless they are stored already.

    Args:
        name: The model, as open_clip calls it, such as ``ViT-B-16``.
        weights: A name of weights, such as ``openai``, or a file of them.
        prompts: A text for each class.
        device: Where the towers run.
        resize: How an image becomes square. ``squash`` shows the whole of it, as training does and
            the literature; ``shortest`` is the middle, as open_clip would; ``longest`` adds
            borders.
    """
    if resize not in get_args(Resize):
        raise unknown_name("way to resize", resize, get_args(Resize))
    try:
        import open_clip
    except ImportError as error:
        raise UsageError(
            "open_clip is not installed: pip install 'tacit[clip]' adds it (open-clip-torch). "
            "Scores from any other program do as well, see tacit.teachers.save_scores."
        ) from error
    try:
        model, _, prepare = open_clip.create_model_and_transforms(
            name, pretrained=weights, image_resize_mode=resize
        )
        tokens = open_clip.get_tokenizer(name)(list(prompts))
    except (RuntimeError, OSError, ValueError, AssertionError, KeyError) as error:
        reason = (str(error) or type(error).__name__).partition("\n")[0].rstrip(".")
        raise UsageError(
            f"open_clip gives no model '{name}' with the weights '{weights}': {reason}. "
            f"open_clip.list_pretrained() names what it knows."
        ) from error
    model = model.to(device).eval()
    with torch.inference_mode():
        texts = model.encode_text(tokens.to(device)).float().cpu()
    return lambda images: model.encode_image(images.to(device)), texts, prepare


class TowerTeacher:
    """Shares of classes from a pair of towers, for `tacit.teachers.score`.

    Args:
        tower: Turns prepared images, (n, 3, H, W), into embeddings, (n, D).
        texts: (C, D) embeddings of the classes' prompts.
        prepare: Turns an image into what the tower reads, (3, H, W).
        temperature: Divides the cosine similarity.
        grid: Crops along a side, for `compute_patch_shares`; 0 looks at whole images only.
        enough: Share that is always enough for a crop.
    """

    def __init__(
        self,
        tower: Tower,
        texts: Tensor,
        prepare: Callable[[Any], Tensor],
        *,
        temperature: float = 0.01,
        grid: int = 0,
        enough: float = 1.0,
    ) -> None:
        if grid < 0:
            raise UsageError(f"The grid of crops has 0 or more along a side, not {grid}.")
        self.tower, self.texts, self.prepare = tower, texts, prepare
        self.temperature, self.grid, self.enough = temperature, grid, enough
        self.uses_known = grid > 0

    def __call__(self, images: list[Any], known: Tensor) -> Tensor:
        """Return the shares of some images, (n, C)."""
        whole = self._embed(images)
        if not self.grid:
            return compute_class_shares(whole, self.texts, self.temperature)
        crops = [crop for image in images for crop in cut_into_crops(image, self.grid)]
        parts = self._embed(crops).view(len(images), self.grid**2, -1)
        return compute_patch_shares(whole, parts, self.texts, known, self.temperature, self.enough)

    def _embed(self, images: list[Any]) -> Tensor:
        size = 64  # crops of many images would not fit at once
        prepared = (
            torch.stack([self.prepare(image) for image in images[first : first + size]])
            for first in range(0, len(images), size)
        )
        return embed(prepared, self.tower)


def cut_into_crops(image: Any, count: int) -> list[Any]:
    """Cut an image into a grid of ``count`` times ``count`` parts, row by row."""
    across = [round(image.width * step / count) for step in range(count + 1)]
    down = [round(image.height * step / count) for step in range(count + 1)]
    if min(image.width, image.height) < count:
        raise UsageError(
            f"An image of {image.width} x {image.height} pixels cannot be cut into "
            f"{count} x {count} crops."
        )
    return [
        image.crop((left, top, right, bottom))
        for top, bottom in zip(down, down[1:], strict=False)
        for left, right in zip(across, across[1:], strict=False)
    ]
