"""What names hold is shown, and never obeyed, by a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cli.conftest import Call
from tacit.cli.output import print_table, say, tell

ESCAPES = ("\x1b", "\x07", "\x9b", "\x85", "\u202e")
NAME = "a" + "".join(ESCAPES) + "[2J"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Return labels whose names clear the screen and call it something else."""
    Image.new("RGB", (9, 9)).save(tmp_path / "b.png")
    path = tmp_path / "labels.csv"
    rows = [f'"{NAME}.png","cat{NAME};dog"', f'b.png,"{NAME}"', 'b.png,"dog"']
    path.write_text("\n".join(["file,labels", *rows]), encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("check",),
        ("check", "--no-decode"),
        ("observe", "--absent=negative", "--out=drawn"),
        ("train", "--method=an", "--out=run"),
        ("train", "--method=an", "--out=run", f"--set=data.options.label_column={NAME}"),
        ("train", f"--method={NAME}", "--out=run"),
    ],
)
def test_names_reach_no_terminal_as_they_are(
    command: tuple[str, ...], labels: Path, call: Call
) -> None:
    verb, *flags = command
    data = [f"--data={labels}"] if verb == "train" else [labels]
    answer = call(verb, *data, *flags)
    shown = answer.out + answer.err
    assert shown and not set(ESCAPES) & set(shown)
    assert verb == "train" or "\\x1b" in shown


def test_whatever_is_printed_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    say(NAME)
    tell(NAME)
    print_table((NAME, "AP"), [(NAME, "1")], title=NAME)
    shown = "".join(capsys.readouterr())
    assert shown.count("[2J") == 5 and not set(ESCAPES) & set(shown)
