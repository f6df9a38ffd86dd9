"""What the tests of prediction share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from things_to_predict import images as images
from things_to_predict import model_folder as model_folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Predict on one thread and alone, whatever the shell says, and put torch back."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
