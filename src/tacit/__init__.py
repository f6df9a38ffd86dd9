"""Multi-label classifiers from labels that are right where they are, and unknown elsewhere."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tacit.version import __version__ as __version__

if TYPE_CHECKING:
    from tacit.data.load import load as load
    from tacit.estimator import MultiLabelClassifier as MultiLabelClassifier
    from tacit.methods.base import Method as Method
    from tacit.prediction.in_memory import Predictions as Predictions
    from tacit.prediction.in_memory import predict as predict
    from tacit.repair.missing import find_missing as find_missing
    from tacit.trained_model import TrainedModel as TrainedModel
    from tacit.trained_model import fit as fit
    from tacit.trained_model import from_pretrained as from_pretrained
    from tacit.types import Batch as Batch
    from tacit.types import Step as Step

# Each is imported when it is used, so that `import tacit` costs nothing.
_PLACES = {
    "Batch": "tacit.types",
    "Method": "tacit.methods.base",
    "MultiLabelClassifier": "tacit.estimator",
    "Predictions": "tacit.prediction.in_memory",
    "Step": "tacit.types",
    "TrainedModel": "tacit.trained_model",
    "find_missing": "tacit.repair.missing",
    "fit": "tacit.trained_model",
    "from_pretrained": "tacit.trained_model",
    "load": "tacit.data.load",
    "predict": "tacit.prediction.in_memory",
}
__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'tacit' has no attribute '{name}'")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
