"""Multi-label classifiers from labels that are right where they are, and unknown elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tacit.data.load import load as load
    from tacit.prediction.in_memory import predict as predict
    from tacit.repair.missing import find_missing as find_missing

__version__ = "0.1.0"
__all__ = ["__version__", "find_missing", "load", "predict"]


def __getattr__(name: str) -> Any:
    # Imported when it is used, so that `import tacit` costs nothing.
    if name == "find_missing":
        from tacit.repair.missing import find_missing

        return find_missing
    if name == "load":
        from tacit.data.load import load

        return load
    if name == "predict":
        from tacit.prediction.in_memory import predict

        return predict
    raise AttributeError(f"module 'tacit' has no attribute '{name}'")
