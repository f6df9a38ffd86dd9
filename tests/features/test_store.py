"""The feature store: what was put in comes out again, whoever else is at work on it."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tacit.errors import DataError
from tacit.features.store import KEY_BYTES, Shelf, find_store, to_keys


def digests(first: int, count: int) -> list[bytes]:
    return [number.to_bytes(KEY_BYTES, "big") for number in range(first, first + count)]


def features_of(first: int, count: int) -> Tensor:
    return torch.arange(first, first + count).float().view(-1, 1, 1, 1).expand(-1, 3, 1, 1)


def look_up(shelf: Shelf, first: int, count: int) -> dict[int, float]:
    """Return what the shelf has of images by their numbers."""
    found: dict[int, float] = {}
    for hit in shelf.find(to_keys(digests(first, count))):
        values = shelf.read(hit)
        assert values.shape == (len(hit.found), 3, 1, 1)
        found |= {first + int(at): float(row[0]) for at, row in zip(hit.found, values, strict=True)}
    return found


def test_each_image_is_found_by_its_key_in_any_order(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", {"trunk": "tiny"})
    assert look_up(shelf, 0, 9) == {}
    shelf.add(to_keys(digests(4, 3)[::-1]), features_of(4, 3).flip(0))
    shelf.add(to_keys(digests(0, 2)), features_of(0, 2))
    assert look_up(shelf, 0, 9) == {row: float(row) for row in (0, 1, 4, 5, 6)}
    assert look_up(shelf, 5, 1) == {5: 5.0}
    assert '"trunk": "tiny"' in (tmp_path / "shelf" / "about.json").read_text()


def test_an_image_that_was_asked_for_twice_is_found_twice(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {})
    shelf.add(to_keys(digests(7, 1)), features_of(7, 1))
    (hit,) = shelf.find(to_keys(digests(7, 1) * 2))
    assert hit.found.tolist() == [0, 1] and shelf.read(hit).flatten()[::3].tolist() == [7, 7]


def test_many_may_write_at_once(tmp_path: Path) -> None:
    def write(first: int) -> None:
        Shelf(tmp_path, {}).add(to_keys(digests(first, 5)), features_of(first, 5))

    threads = [threading.Thread(target=write, args=(3 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert look_up(Shelf(tmp_path, {}), 0, 26) == {row: float(row) for row in range(26)}


@pytest.mark.parametrize("keep", [0, 9, 100])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, keep: int) -> None:
    shelf = Shelf(tmp_path, {})
    shelf.add(to_keys(digests(0, 4)), features_of(0, 4))
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match="delete it"):
        shelf.find(to_keys(digests(0, 1)))


def test_the_shared_store_is_where_the_user_keeps_what_can_be_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert find_store(None) is None
    assert find_store("here") == Path("here")
    monkeypatch.setenv("TACIT_CACHE", str(tmp_path))
    assert find_store("shared") == tmp_path / "features"
    monkeypatch.delenv("TACIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_store("shared") == tmp_path / "tacit" / "features"


def test_keys_keep_zero_bytes_at_their_end() -> None:
    keys = to_keys([bytes(KEY_BYTES), b"\1" + bytes(KEY_BYTES - 1)])
    assert len(keys) == 2 and keys[0] != keys[1] and len(np.unique(keys)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"keys": None},
        {"features": None},
        {"keys": torch.zeros(2, KEY_BYTES)},
        {"keys": torch.zeros(2, 3, dtype=torch.uint8)},
        {"keys": torch.zeros(0, KEY_BYTES, dtype=torch.uint8)},
        {"features": torch.zeros(1, 3, 1, 1)},
        {"features": torch.zeros(2, 3, 1, 1, dtype=torch.int64)},
        {"features": torch.zeros(2, 5, 1, 1)},
        {"further": torch.zeros(2)},
    ],
)
def test_files_of_others_are_named_with_what_to_do(
    changes: dict[str, Tensor | None], tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path, {})
    shelf.add(to_keys(digests(4, 2)), features_of(4, 2))
    keys = torch.from_numpy(to_keys(digests(0, 2)).view(np.uint8).reshape(2, -1).copy())
    tensors = {"keys": keys, "features": features_of(0, 2).contiguous(), **changes}
    save_file(
        {name: each for name, each in tensors.items() if each is not None},
        tmp_path / "zz.safetensors",
    )
    with pytest.raises(DataError, match=r"zz\.safetensors holds no features .*; delete it"):
        look_up(shelf, 0, 9)
