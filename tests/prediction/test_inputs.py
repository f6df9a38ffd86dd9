"""Inputs: whatever a person names becomes rows, in an order that stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacit.errors import DataError
from tacit.prediction.inputs import Names, find_names


def names_of(inputs: list[str], work: Path, **options: Path | None) -> list[str]:
    tables = find_names(inputs, work, options.get("images"), None)
    return [
        name
        for table in tables
        for place in table.open().cut(2)
        for name in table.open().read(place)
    ]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.png", "b/1.jpg", "b/.hidden.png", "b/inner/0.png", "b/note.txt", "a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "b/.cache").mkdir()
    (tmp_path / "b/.cache/3.png").write_bytes(b"")
    (tmp_path / "shards").mkdir()
    for number in (1, 0):
        (tmp_path / f"shards/{number}.csv").write_text(f"image,n\nx{number}.png,1\n")
    return tmp_path


def test_a_folder_gives_its_images_by_name_and_no_hidden_ones(here: Path) -> None:
    assert names_of(["b"], here) == ["b/1.jpg", "b/2.png", "b/inner/0.png"]
    assert names_of([str(here / "b/inner")], here) == [(here / "b/inner/0.png").as_posix()]


def test_inputs_keep_the_order_in_which_they_are_given(here: Path) -> None:
    found = names_of(["a.png", "shards", "b/inner", "a.png"], here)
    assert found == ["a.png", "x0.png", "x1.png", "b/inner/0.png", "a.png"]


def test_a_pattern_stands_for_what_it_matches(here: Path) -> None:
    assert names_of(["shards/*.csv"], here) == ["x0.png", "x1.png"]
    assert names_of(["b/[12].*"], here) == ["b/1.jpg", "b/2.png"]
    with pytest.raises(DataError, match=r"There is nothing at shards/\*\.parquet"):
        names_of(["shards/*.parquet"], here)


def test_images_beside_their_table_are_meant_themselves(here: Path) -> None:
    (here / "b/metadata.csv").write_text("image,n\nx.png,1\n")
    assert "x.png" not in names_of(["b"], here)


def test_an_empty_folder_is_refused(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no images, and no tables"):
        names_of(["empty"], here)


def test_names_in_tables_are_below_their_folder(tmp_path: Path) -> None:
    table = Names("names.csv", str(tmp_path), "image")
    assert table.image("a/b.png") == tmp_path / "a/b.png"
    assert table.image(str(tmp_path / "a/b.png")) == tmp_path / "a/b.png"
    for name in ("../a.png", "/etc/a.png", f"{tmp_path}/../a.png", "a/../../a.png"):
        with pytest.raises(DataError, match="leaves the folder"):
            table.image(name)
    with pytest.raises(DataError, match="names no image"):
        table.image(" ")


def test_images_are_found_beside_the_table_or_where_one_says(here: Path) -> None:
    assert find_names(["shards/0.csv"], here, None, None)[0].root == str(here / "shards")
    assert find_names(["shards/0.csv"], here, Path("b"), None)[0].root == str(here / "b")
