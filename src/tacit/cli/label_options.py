"""What the verbs that read labels of one's own let a user say about them, beside where they lie."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter


@Parameter(name="*", group="Labels of your own")
@dataclass(frozen=True)
class LabelOptions:
    """The data.options of tables and of what lies beside labels; those of other formats: --set.

    Parameters
    ----------
    images
        The folder of the images, where it is not found.
    absent
        What it means that a class is not mentioned: unknown or negative.
    format
        The format, where it is not found out.
    image_column
        The column of file names, where it is called otherwise.
    label_column
        The column of labels, where it is called otherwise.
    negative_column
        The column of classes that are known to be absent, where it is called otherwise.
    split_column
        The column that says train, validation or test, where it is called otherwise.
    classes
        A class, or a column to be read as one; given for each class, in their order.
    separator
        What parts the names of classes in one cell of a table, such as ";", where it is not found
        out.
    negative_value
        The number that means absent in a class's own column: 0 or -1.
    other_columns
        A column of a table that is none of a class, whatever it holds; may be given several times.
    groups
        A column that says which product, video or place an image belongs to, or a table of them.
    taxonomy
        A file of classes that imply others, and of classes that exclude each other.
    catalogue
        A table of what can, or cannot, be in the images of a group.
    at_most
        The most labels that an annotator could give an image.
    merge_duplicates
        Make one image of equal files, with the labels of all of them.
    """

    images: Path | None = None
    absent: Literal["unknown", "negative"] | None = None
    format: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    negative_column: str | None = None
    split_column: str | None = None
    classes: tuple[str, ...] = ()
    separator: str | None = None
    negative_value: int | None = None
    other_columns: tuple[str, ...] = ()
    groups: str | None = None
    taxonomy: Path | None = None
    catalogue: Path | None = None
    at_most: int | None = None
    merge_duplicates: Annotated[bool, Parameter(negative=())] = False

    def as_arguments(self) -> dict[str, Any]:
        """Return what was said as a recipe's data.options has it."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in said.items()
            if value not in (None, (), False) or value == 0 and value is not False
        }

    def as_settings(self) -> tuple[str, ...]:
        """Return the same as settings of a recipe."""
        return tuple(
            f"data.options.{name}={json.dumps(value, ensure_ascii=False)}"
            for name, value in self.as_arguments().items()
        )


AS_FOUND = LabelOptions()
"""Nothing is said, and everything is found out."""
