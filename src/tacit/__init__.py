"""Multi-label classifiers from labels that are right where they are, and unknown elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tacit.data.load import load as load
    from tacit.prediction.in_memory import predict as predict

__version__ = "0.1.0"
__all__ = ["__version__", "load", "predict"]


def __getattr__(name: str) -> Any:
    # Imported when it is used, so that `import tacit` costs nothing.
    if name == "load":
        from tacit.data.load import load

        return load
    if name == "predict":
        from tacit.prediction.in_memory import predict

        return predict
    raise AttributeError(f"module 'tacit' has no attribute '{name}'")
