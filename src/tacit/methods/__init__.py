"""The table of methods: the one place where their names become classes.

Reading the table imports nothing heavy; a method's module is imported when the method is built.
A new method is one file, one row here and one in ``docs/methods.md``, and one section on a page in
``docs/methods/``. From outside, ``METHODS["mine"] = MyMethod`` is all it takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tacit.errors import unknown_name

if TYPE_CHECKING:
    from tacit.methods.base import Method


@dataclass(frozen=True)
class Entry:
    """One row: what the method is called in the literature and where it lives.

    Methods that differ by numbers alone share a class; ``preset`` names the numbers.
    """

    title: str
    paper: str
    venue: str
    year: int
    module: str
    cls: str
    preset: str | None = None

    def load(self) -> type[Method]:
        """Import the method's class."""
        loaded: type[Method] = getattr(import_module(f"tacit.methods.{self.module}"), self.cls)
        return loaded


COLE = "Multi-Label Learning from Single Positive Labels"
LARGE = "Large Loss Matters in Weakly Supervised Multi-Label Classification"
EM = "Acknowledging the Unknown for Multi-label Learning with Single Positive Labels"
MISSING = "Simple and Robust Loss Design for Multi-Label Learning with Missing Labels"
LAC = "Label-Aware Global Consistency for Multi-Label Learning with Single Positive Labels"
BOOST = (
    "Bridging the Gap between Model Explanations in Partially Annotated Multi-label Classification"
)
GR = "Boosting Single Positive Multi-label Classification with Generalized Robust Loss"
CRISP = "Can Class-Priors Help Single-Positive Multi-Label Learning?"
VLPL = "Vision-Language Pseudo-Labels for Single-Positive Multi-Label Learning"
AEVLP = (
    "More Reliable Pseudo-labels, Better Performance: "
    "A Generalized Approach to Single Positive Multi-label Learning"
)
CALR = "CAM based Loss Rejection for Multi-Label Learning with Single Positive Labels"
IGNORE = (
    "IGNORE: Information Gap-based False Negative Loss Rejection "
    "for Single Positive Multi-Label Learning"
)

METHODS: dict[str, Entry | type[Method]] = {
    "bce": Entry("Full labels (bound)", COLE, "CVPR", 2021, "pointwise", "FullLabels"),
    "bce_ls": Entry("Full labels, smoothed", COLE, "CVPR", 2021, "pointwise", "SmoothedFullLabels"),
    "iun": Entry("Ignore missed (bound)", COLE, "CVPR", 2021, "pointwise", "IgnoreMissed"),
    "iu": Entry("Ignore unknown", COLE, "CVPR", 2021, "pointwise", "IgnoreUnknown"),
    "an": Entry("Assume negative", COLE, "CVPR", 2021, "pointwise", "AssumeNegative"),
    "wan": Entry("Weak negatives", COLE, "CVPR", 2021, "pointwise", "WeakAssumeNegative"),
    "an_ls": Entry("Smoothed", COLE, "CVPR", 2021, "pointwise", "SmoothedAssumeNegative"),
    "epr": Entry(
        "Expected positives", COLE, "CVPR", 2021, "class_priors", "ExpectedPositiveRegularisation"
    ),
    "role": Entry("Online label estimates", COLE, "CVPR", 2021, "role", "OnlineEstimation"),
    "em": Entry("Entropy maximisation", EM, "ECCV", 2022, "pointwise", "EntropyMaximisation"),
    "em_apl": Entry("EM + APL", EM, "ECCV", 2022, "pseudo_labels", "AsymmetricPseudoLabels"),
    "asl": Entry(
        "Asymmetric loss",
        "Asymmetric Loss For Multi-Label Classification",
        "ICCV",
        2021,
        "robust_losses",
        "Asymmetric",
    ),
    "hill": Entry("Hill loss", MISSING, "arXiv", 2021, "robust_losses", "Hill"),
    "splc": Entry("SPLC", MISSING, "arXiv", 2021, "robust_losses", "SelfPacedCorrection"),
    "gr": Entry("GR loss", GR, "IJCAI", 2024, "robust_losses", "GeneralisedRobust"),
    "ll_r": Entry("LL-R", LARGE, "CVPR", 2022, "large_loss", "LargeLossRejection"),
    "ll_ct": Entry("LL-Ct", LARGE, "CVPR", 2022, "large_loss", "LargeLossCorrection"),
    "ll_cp": Entry("LL-Cp", LARGE, "CVPR", 2022, "large_loss", "PermanentCorrection"),
    "boostlu": Entry("LL-R + BoostLU", BOOST, "CVPR", 2023, "large_loss", "BoostedRejection"),
    "plc": Entry("PLC", LAC, "NeurIPS", 2022, "consistency", "PseudoLabelConsistency"),
    "plc_lac": Entry("PLC + LAC", LAC, "NeurIPS", 2022, "consistency", "LabelAwareConsistency"),
    "calr": Entry("CALR", CALR, "preprint", 2023, "gap_rejection", "Ignore", "calr"),
    "ignore": Entry("IGNORE", IGNORE, "ECCV", 2024, "gap_rejection", "Ignore"),
    "crisp": Entry("After CRISP", CRISP, "arXiv", 2023, "class_priors", "ClassPriorRisk"),
    "vlpl": Entry("VLPL", VLPL, "CVPRW", 2024, "vision_language", "TeacherPseudoLabels"),
    "aevlp": Entry("AEVLP", AEVLP, "ICCV", 2025, "vision_language", "TeacherRobust"),
}


def method_class(name: str) -> type[Method]:
    """Return the class behind a method's name."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    entry = METHODS[name]
    return entry.load() if isinstance(entry, Entry) else entry


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
    entry = METHODS[name]
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
