"""Tables of per-image state, on the device, in the host's memory, and in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tacit.errors import UsageError
from tacit.methods.parts.label_table import LabelTable

SHAPE = (2, 2)


def places(folder: Path) -> dict[str, str]:
    return {"device": "device", "cpu": "cpu", "file": str(folder / "table.bin")}


def refusal(keep: str) -> str:
    """Return the sentence with which a place is refused."""
    with pytest.raises(UsageError) as caught:
        LabelTable(SHAPE, 0, torch.float32, keep)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["device", "cpu", "file"])
def test_rows_are_read_and_written_wherever_they_live(kind: str, tmp_path: Path) -> None:
    table = LabelTable((5, 3), 0.5, torch.float32, places(tmp_path)[kind])
    assert (table.values == 0.5).all()
    index = torch.tensor([4, 1])
    table.write(index, torch.tensor([[1.0, 2, 3], [4, 5, 6]], dtype=torch.float64))
    assert table.read(index).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert table.values.sum() == 21 + 3 * 3 * 0.5
    copy = LabelTable((5, 3), 0, torch.float32)
    copy.load_state_dict(table.state_dict())
    assert torch.equal(copy.values, table.values)


def test_what_is_written_keeps_no_graph() -> None:
    table = LabelTable(SHAPE, 0, torch.float32)
    table.write(torch.tensor([0]), torch.ones(1, 2, requires_grad=True))
    assert not table.values.requires_grad
    read = table.read(torch.tensor([0]))
    read += 1
    assert table.values[0].tolist() == [1, 1], "what is read is a copy"


def test_moving_a_module_leaves_tables_that_are_kept_elsewhere(tmp_path: Path) -> None:
    kept = {
        kind: LabelTable(SHAPE, 0, torch.float32, place) for kind, place in places(tmp_path).items()
    }
    dtypes = {kind: table.double().values.dtype for kind, table in kept.items()}
    assert dtypes == {"device": torch.float64, "cpu": torch.float32, "file": torch.float32}


def test_a_file_holds_what_was_written(tmp_path: Path) -> None:
    place = tmp_path / "table.bin"
    table = LabelTable((100, 7), 0, torch.bool, str(place))
    table.write(torch.tensor([99]), torch.ones(1, 7, dtype=torch.bool))
    assert place.stat().st_size == 700
    assert place.read_bytes() == bytes(693) + bytes([1]) * 7


def test_an_interrupted_run_takes_its_file_up_again(tmp_path: Path) -> None:
    """The file is filled anew, and the state that is loaded afterwards is written into it."""
    place = tmp_path / "table.bin"
    first = LabelTable((3, 2), torch.nan, torch.float32, str(place))
    first.write(torch.tensor([1]), torch.tensor([[0.25, 0.5]]))
    state = {name: value.clone() for name, value in first.state_dict().items()}
    second = LabelTable((3, 2), torch.nan, torch.float32, str(place))
    assert second.values.isnan().all()
    second.load_state_dict(state)
    assert second.read(torch.tensor([1])).tolist() == [[0.25, 0.5]]
    written = torch.frombuffer(bytearray(place.read_bytes()), dtype=torch.float32)
    assert torch.equal(written.view(3, 2).isnan(), torch.tensor([[1, 1], [0, 0], [1, 1]]).bool())
    assert written[2:4].tolist() == [0.25, 0.5]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    place = tmp_path / "none" / "table.bin"
    assert refusal(str(place)) == (
        f"A label table cannot be kept at {place}: there is no such folder."
    )


@pytest.mark.parametrize("content", [b"", b"notes", bytes(17)])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "notes.txt"
    place.write_bytes(content)
    assert refusal(str(place)) == (
        f"A label table of 16 bytes cannot be kept at {place}: something else is there already. "
        f"Choose another path, or remove it."
    )
    assert place.read_bytes() == content


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "something else is there already" in refusal(str(tmp_path))


def test_a_file_that_cannot_be_made_is_a_sentence() -> None:
    # Nobody can make files there, not even the administrator.
    message = refusal("/proc/table.bin")
    assert message.startswith("A label table cannot be kept at /proc/table.bin: ")


@pytest.mark.parametrize("word", ["gpu", "disk", "Device"])
def test_a_single_word_is_taken_for_a_slip(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(word) == (
        f"A label table is kept on the 'device', on the 'cpu' or in a file, and '{word}' is none "
        f"of these; write './{word}' if a file of this name is meant."
    )
    assert not list(tmp_path.iterdir())
    LabelTable(SHAPE, 0, torch.float32, f"./{word}")
    assert [path.name for path in tmp_path.iterdir()] == [word]
