"""The table of what may be wrong with a data set: how bad it is, how it is told, what mends it.

Reading the table imports nothing. A new kind is one row here and one place that finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

# {clean} is a path where nothing is yet. Errors are taken out without being asked for; warnings and
# notes, which may be as they should, are not.
CLEAN = "tacit check {data} --clean {clean}"
MEND = "tacit check {data} --clean {clean} --mend {kind}"
SET_ASIDE = "mkdir -p set-aside && mv -- {path} set-aside/"
WRITE_ANEW = (
    'python -c "import sys; from tacit.data.open_image import open_image; '
    'open_image(sys.argv[1]).save(sys.argv[1], quality=95)" {path}'
)


@dataclass(frozen=True)
class Kind:
    """One row: a thing that may be wrong.

    Attributes:
        severity: "error" stops training or falsifies results, "warning" probably hurts, "note" is
            good to know.
        sentence: How one finding is told.
        fix: A command of a shell that mends it.
    """

    severity: Severity
    sentence: str
    fix: str


KINDS: dict[str, Kind] = {
    # the file of labels
    "unreadable": Kind("error", "the labels cannot be used as they are: {why}", CLEAN),
    "conflict": Kind("error", "{image} is said both to show and not to show '{class}'", CLEAN),
    "unlisted_class": Kind("error", "'{class}' is not in the list of classes{near}", CLEAN),
    "blank_name": Kind("error", "row {row} names no image", CLEAN),
    "two_splits": Kind("error", "{image} is in two splits, {split} and {other_split}", CLEAN),
    "odd_splits": Kind(
        "error",
        "the splits are {splits}; training wants train, validation and test, each once",
        CLEAN,
    ),
    "listed_twice": Kind("warning", "{image} is listed {times} times", MEND),
    "unread_names": Kind(
        "warning",
        "the column '{column}' is not read, though it names classes, such as {names}; it may be "
        "one of labels, of negatives (--negative-column), or none of them (--other-columns)",
        "tacit check {data} --negative-column {column}",
    ),
    "unread_column": Kind(
        "note",
        "no labels are read from these columns: {columns}",
        "tacit check {data}{others}",
    ),
    # what lies beside the labels
    "against_rules": Kind("warning", "the labels of {image} contradict {what}", MEND),
    "too_many": Kind("warning", "{image} has {count} labels, more than {most}", MEND),
    "divided_group": Kind(
        "warning", "{image} ({split}) and {other} ({other_split}) are of one group", MEND
    ),
    # names
    "outside": Kind("error", "{image} leads out of the folder of the images", CLEAN),
    "long_name": Kind("error", "{image} has a part of more than 255 bytes", CLEAN),
    "no_images": Kind(
        "error",
        "none of the {count} images is in {root}; say where they are with --images",
        "find .. -name {first}",
    ),
    "missing": Kind("error", "{image} is listed, but there is no such file{near}", CLEAN),
    "case_clash": Kind("warning", "{image} and {other} differ in upper and lower case alone", MEND),
    "unicode_clash": Kind(
        "warning", "{image} and {other} are written alike with other characters", MEND
    ),
    "link_outside": Kind(
        "note",
        "{image} is a link to {target}, outside the folder",
        "cp --remove-destination -- {target_path} {path}",
    ),
    "unlisted": Kind("note", "{image} lies in the folder, but is not listed", SET_ASIDE),
    # files
    "no_file": Kind("error", "{image} is no ordinary file", CLEAN),
    "no_access": Kind("error", "{image} cannot be read: {why}", "chmod u+r -- {path}"),
    "empty_file": Kind("error", "{image} has no bytes", CLEAN),
    "not_an_image": Kind("error", "{image} is no image that can be read", CLEAN),
    "unknown_format": Kind("error", "{image} {what}", "pip install 'tacit[heic]' 'pillow>=11.3'"),
    "corrupt": Kind("error", "{image} is damaged: {why}", CLEAN),
    "bomb": Kind("error", "{image} claims more pixels than are opened: {why}", CLEAN),
    # images
    "wrong_suffix": Kind("note", "{image} holds {found}", WRITE_ANEW),
    "animated": Kind("warning", "{image} has {frames} frames; the first is used", WRITE_ANEW),
    "tiny": Kind("warning", "{image} is {width} x {height} pixels", MEND),
    "stretched": Kind("warning", "{image} is {width} x {height}, very long", MEND),
    "blank": Kind("warning", "{image} has one colour", MEND),
    "sixteen_bit": Kind("note", "{image} has more than 8 bits; they are scaled", WRITE_ANEW),
    "cmyk": Kind("note", "{image} has colours for print (CMYK)", WRITE_ANEW),
    "palette": Kind("note", "{image} has a palette", WRITE_ANEW),
    "transparent": Kind("note", "{image} is transparent; it is put on white", WRITE_ANEW),
    "rotated": Kind("note", "{image} is turned upright by its EXIF orientation", WRITE_ANEW),
    # images beside each other
    "leak": Kind("error", "{image} ({split}) and {other} ({other_split}) are the same file", CLEAN),
    "near_leak": Kind("error", "{image} ({split}) and {other} ({other_split}) look alike", CLEAN),
    "duplicate": Kind("warning", "{image} and {other} are the same file", MEND),
    "near_duplicate": Kind("warning", "{image} and {other} look alike", MEND),
    "set_apart": Kind(
        "error",
        "{image} and {other} look alike, and training would put one into {split}, the other into "
        "{other_split}",
        CLEAN,
    ),
    "duplicates_disagree": Kind(
        "error",
        "of {image} and {other}, the same file, one shows '{class}' and one does not",
        CLEAN,
    ),
    # labels
    "few_classes": Kind(
        "error", "there are {count} classes; training wants two or more", "tacit datasets"
    ),
    "class_variant": Kind(
        "warning", "'{class}' is probably '{other}' ({count} and {others} images)", MEND
    ),
    "class_typo": Kind(
        "warning", "'{class}' may mean '{other}' ({count} and {others} images)", MEND
    ),
    "unlabelled": Kind("warning", "{image} has no label at all", MEND),
    "empty_class": Kind("warning", "'{class}' is present in no image", MEND),
    "untrained_class": Kind(
        "warning", "'{class}' is present in other splits, but never in train", MEND
    ),
    "always_present": Kind("warning", "'{class}' is present in every image", MEND),
    "identical_classes": Kind(
        "warning", "'{class}' and '{other}' are present in the same images", MEND
    ),
    "rare_class": Kind(
        "note",
        "'{class}' is present in few images ({count})",
        MEND,
    ),
}
