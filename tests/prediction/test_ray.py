"""Ray Data: another engine, the same bytes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tacit.errors import UsageError
from tacit.prediction.plan import Settings
from tacit.prediction.run import Work, choose_output, predict_to

HAS_RAY = importlib.util.find_spec("ray") is not None


def predict(model: Path, images: Path, out: Path, work: Work) -> None:
    place, format = choose_output(out, None)
    settings = Settings(str(model), format, batch=4, shard_rows=5, threads=1)
    predict_to([str(images)], place, settings, work)


@pytest.mark.skipif(
    not HAS_RAY, reason="Ray is an extra that the tests' environment does not hold: tacit[ray]"
)
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Ray's own code warns of is not ours to mend
def test_ray_and_torch_write_the_same_bytes(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    ray, torch = tmp_path / "ray.parquet", tmp_path / "torch.parquet"
    predict(model_folder, images, torch, Work(device="cpu", workers=0))
    predict(model_folder, images, ray, Work(engine="ray", device="cpu", workers=1))
    assert ray.read_bytes() == torch.read_bytes()


@pytest.mark.skipif(HAS_RAY, reason="says what to do where Ray is missing, and it is here")
def test_ray_that_is_missing_is_named_with_its_remedy(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"needs Ray, .* pip install 'tacit\[ray\]'"):
        predict(model_folder, images, tmp_path / "out.csv", Work(engine="ray"))
