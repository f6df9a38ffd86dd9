"""The table of methods: the one place where their names become classes.

Reading the table imports nothing heavy; a method's module is imported when the method is built.
A new method is one file, one row here and one in ``docs/methods.md``, and one section on a page in
``docs/methods/``. From outside, ``METHODS["mine"] = MyMethod`` is all it takes, or a place instead
of a name: ``package.module:MyMethod``, or ``path/to/file.py:MyMethod``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tacit.errors import unknown_name
from tacit.registry import Row, check_class, find

if TYPE_CHECKING:
    from tacit.methods.base import Method


@dataclass(frozen=True)
class Paper:
    """Where a method was published."""

    title: str
    venue: str
    year: int


@dataclass(frozen=True)
class Entry(Row):
    """One row: what the method is called in the literature and where it lives.

    Methods that differ by numbers alone share a class; ``preset`` names the numbers.
    """

    paper: Paper
    preset: str | None = None


COLE = Paper("Multi-Label Learning from Single Positive Labels", "CVPR", 2021)
EM = Paper(
    "Acknowledging the Unknown for Multi-label Learning with Single Positive Labels", "ECCV", 2022
)
ASL = Paper("Asymmetric Loss For Multi-Label Classification", "ICCV", 2021)
MISSING = Paper(
    "Simple and Robust Loss Design for Multi-Label Learning with Missing Labels", "arXiv", 2021
)
GR = Paper(
    "Boosting Single Positive Multi-label Classification with Generalized Robust Loss",
    "IJCAI",
    2024,
)
LARGE = Paper("Large Loss Matters in Weakly Supervised Multi-Label Classification", "CVPR", 2022)
BOOST = Paper(
    "Bridging the Gap between Model Explanations in Partially Annotated Multi-label Classification",
    "CVPR",
    2023,
)
LAC = Paper(
    "Label-Aware Global Consistency for Multi-Label Learning with Single Positive Labels",
    "NeurIPS",
    2022,
)
CALR = Paper(
    "CAM based Loss Rejection for Multi-Label Learning with Single Positive Labels",
    "preprint",
    2023,
)
IGNORE = Paper(
    "IGNORE: Information Gap-based False Negative Loss Rejection "
    "for Single Positive Multi-Label Learning",
    "ECCV",
    2024,
)
CRISP = Paper("Can Class-Priors Help Single-Positive Multi-Label Learning?", "arXiv", 2023)
VLPL = Paper(
    "Vision-Language Pseudo-Labels for Single-Positive Multi-Label Learning", "CVPRW", 2024
)
AEVLP = Paper(
    "More Reliable Pseudo-labels, Better Performance: "
    "A Generalized Approach to Single Positive Multi-label Learning",
    "ICCV",
    2025,
)

CSL = Paper(
    "Multi-label Classification with Partial Annotations using Class-aware Selective Loss",
    "CVPR",
    2022,
)
CAP = Paper(
    "Class-Distribution-Aware Pseudo Labeling for Semi-Supervised Multi-Label Learning",
    "NeurIPS",
    2023,
)
SCL = Paper(
    "Spatial Consistency Loss for Training Multi-Label Classifiers from Single-Label Annotations",
    "WACV",
    2023,
)
CALD = Paper(
    "Category-Adaptive Label Discovery and Noise Rejection for Multi-label Image Recognition "
    "with Partial Positive Labels",
    "TMM",
    2024,
)
MIME = Paper("Revisiting Pseudo-Label for Single-Positive Multi-Label Learning", "ICML", 2023)
PUMLC = Paper("Positive Label Is All You Need for Multi-Label Classification", "ICME", 2024)

OWN = Paper("The likelihood of a draw", "tacit", 2026)

METHODS: dict[str, Entry | type[Method]] = {
    "bce": Entry("tacit.methods.pointwise:FullLabels", "Full labels (bound)", COLE),
    "bce_ls": Entry("tacit.methods.pointwise:SmoothedFullLabels", "Full labels, smoothed", COLE),
    "iun": Entry("tacit.methods.pointwise:IgnoreMissed", "Ignore missed (bound)", COLE),
    "iu": Entry("tacit.methods.pointwise:IgnoreUnknown", "Ignore unknown", COLE),
    "an": Entry("tacit.methods.pointwise:AssumeNegative", "Assume negative", COLE),
    "wan": Entry("tacit.methods.pointwise:WeakAssumeNegative", "Weak negatives", COLE),
    "an_ls": Entry("tacit.methods.pointwise:SmoothedAssumeNegative", "Smoothed", COLE),
    "epr": Entry(
        "tacit.methods.class_priors:ExpectedPositiveRegularisation", "Expected positives", COLE
    ),
    "role": Entry("tacit.methods.role:OnlineEstimation", "Online label estimates", COLE),
    "em": Entry("tacit.methods.pointwise:EntropyMaximisation", "Entropy maximisation", EM),
    "em_apl": Entry("tacit.methods.pseudo_labels:AsymmetricPseudoLabels", "EM + APL", EM),
    "mime": Entry("tacit.methods.bottleneck:InformationBottleneck", "After MIME", MIME),
    "asl": Entry("tacit.methods.robust_losses:Asymmetric", "Asymmetric loss", ASL),
    "hill": Entry("tacit.methods.robust_losses:Hill", "Hill loss", MISSING),
    "splc": Entry("tacit.methods.robust_losses:SelfPacedCorrection", "SPLC", MISSING),
    "gr": Entry("tacit.methods.robust_losses:GeneralisedRobust", "GR loss", GR),
    "csl": Entry("tacit.methods.selective:Selective", "Selective loss", CSL),
    "ll_r": Entry("tacit.methods.large_loss:LargeLossRejection", "LL-R", LARGE),
    "ll_ct": Entry("tacit.methods.large_loss:LargeLossCorrection", "LL-Ct", LARGE),
    "ll_cp": Entry("tacit.methods.large_loss:PermanentCorrection", "LL-Cp", LARGE),
    "boostlu": Entry("tacit.methods.large_loss:BoostedRejection", "LL-R + BoostLU", BOOST),
    "plc": Entry("tacit.methods.consistency:PseudoLabelConsistency", "PLC", LAC),
    "plc_lac": Entry("tacit.methods.consistency:LabelAwareConsistency", "PLC + LAC", LAC),
    "scl": Entry("tacit.methods.running_scores:RunningScores", "After EN + SCL", SCL),
    "cald": Entry("tacit.methods.nearness:Nearness", "CALD-NR", CALD),
    "calr": Entry("tacit.methods.gap_rejection:Ignore", "CALR", CALR, "calr"),
    "ignore": Entry("tacit.methods.gap_rejection:Ignore", "IGNORE", IGNORE),
    "crisp": Entry("tacit.methods.class_priors:ClassPriorRisk", "After CRISP", CRISP),
    "quota": Entry("tacit.methods.quota:QuotaPseudoLabels", "Pseudo-labels by quota", CAP),
    "pumlc": Entry(
        "tacit.methods.positive_unlabelled:VariationalPositiveUnlabelled", "PU-MLC", PUMLC
    ),
    "drawn": Entry("tacit.methods.drawn:Drawn", "Likelihood of the draw", OWN),
    "vlpl": Entry("tacit.methods.vision_language:TeacherPseudoLabels", "VLPL", VLPL),
    "aevlp": Entry("tacit.methods.vision_language:TeacherRobust", "AEVLP", AEVLP),
}


def method_class(name: str) -> type[Method]:
    """Return the class behind a method's name, or behind a place such as ``file.py:Class``."""
    found: type[Method] = find("method", name, METHODS)
    from tacit.methods.base import Method

    check_class("method", name, found, Method)
    return found


def hyperparameters(name: str) -> dict[str, Any]:
    """Return the hyperparameters of a method with their defaults.

    They are read off the constructor, under the preset that the method's row names.
    """
    cls = method_class(name)
    parameters = inspect.signature(cls).parameters.values()
    # A class without a constructor inherits that of modules, which takes anything.
    named = {
        p.name: p.default for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    return named | dict(_row_preset(name))


def _row_preset(name: str) -> Mapping[str, Any]:
    entry = METHODS.get(name)
    if not isinstance(entry, Entry) or entry.preset is None:
        return {}
    return method_class(name).presets[entry.preset]


def build_method(name: str, *, preset: str | None = None, **options: Any) -> Method:
    """Build a method by name: its defaults, under a preset, under the options."""
    cls = method_class(name)
    if preset is not None and preset not in cls.presets:
        raise unknown_name(f"preset of '{name}'", preset, cls.presets)
    chosen = cls.presets[preset] if preset else _row_preset(name)
    known = hyperparameters(name)
    for option in options:
        if option not in known:
            raise unknown_name(f"hyperparameter of '{name}'", option, known)
    return cls(**{**chosen, **options})
