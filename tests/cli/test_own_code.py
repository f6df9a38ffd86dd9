"""Methods, models and readers of one's own, on the command line, as a user would bring them."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from cli.conftest import Call
from tacit import registry
from tacit.data.formats import FORMATS, read_listing, recognise
from tacit.data.load import load
from tacit.errors import DataError

METHOD = '''
from tacit.losses import assumed_negative
from tacit.methods.base import Method
from tacit.types import Step


class Mine(Method):
    """Everything unknown is absent.

    Args:
        weight: Of the loss.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def step(self, model, batch, clock):
        loss = assumed_negative(model(batch["weak"]), batch.labels)
        return Step({"all": self.weight * loss.mean()})


class Stranger:
    pass
'''

MODEL = """
import torch
from tacit.models.base import Model


class Strongest(Model):
    def __init__(self, trunk, purpose, *, scale: float = 1.0):
        super().__init__(trunk, purpose)
        self.head, self.scale = torch.nn.Conv2d(trunk.channels, len(purpose.classes), 1), scale

    def logits_from(self, features):
        return self.localise_from(features)[0]

    def localise_from(self, features):
        maps = self.scale * self.head(features).float()
        return maps.amax((2, 3)), maps
"""

READER = """
import numpy as np
from tacit.data.formats import Match
from tacit.data.listing import Listing
from tacit.labels import SparseLabels


def recognise(path):
    return Match("a .mine file") if path.suffix == ".mine" else None


def read(path, *, images=None, absent=None, only=""):
    rows = [line.split() for line in path.read_text().splitlines()]
    classes = tuple(sorted({name for _, *names in rows for name in names if only in name}))
    labels = np.array([[name in names for name in classes] for _, *names in rows], np.int8)
    names = [name for name, *_ in rows]
    return Listing(path.stem, images or path.parent, names, classes, SparseLabels.of(labels))
"""


def forget_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as another process, in which nobody asked for a file yet."""
    monkeypatch.setattr(registry, "_asked_for", set())
    for name in [name for name in sys.modules if name.startswith("tacit_file_")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(registry.TRUST, raising=False)
    (tmp_path / "code").mkdir()
    path = tmp_path / "code" / "mine.py"
    path.write_text(METHOD)
    return path


def test_a_method_in_a_file_trains_goes_on_and_is_scored(
    call: Call, file: Path, small: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = call(
        "train", "--method=code/mine.py:Mine", "--set=method.weight=2.0", "--json", *small
    )
    assert trained.status == 0, trained.err
    run = Path(trained.json()["folder"])
    assert run.name == "scenes-Mine-0"  # no path within a name
    config = json.loads((run / "run.json").read_text())["config"]
    assert config["method"] == {"name": f"{file}:Mine", "preset": None, "weight": 2.0}
    assert config["data"]["labels"] == "observed"  # so that scoring needs no method
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resumed = call("train", "--resume", f"--out={tmp_path / run}", "--json")
    assert resumed.status == 0, resumed.err
    assert resumed.json()["map"] == trained.json()["map"]
    forget_files(monkeypatch)
    file.unlink()
    scored = call("evaluate", tmp_path / run, "--json")
    assert (scored.status, scored.json()["map"]) == (0, trained.json()["map"])
    gone = call("train", "--resume", f"--out={tmp_path / run}")
    assert gone.status == 2
    assert f"There is no file {file} for the method" in gone.err and "run.json" in gone.err


def test_a_method_in_a_package_trains_and_is_explained(
    call: Call, file: Path, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = file.parent / "own_methods_of_a_test"
    package.mkdir()
    file.rename(package / "__init__.py")
    monkeypatch.syspath_prepend(file.parent)
    name = "own_methods_of_a_test:Mine"
    trained = call("train", f"--method={name}", "--out=run", "--json", *small)
    assert trained.status == 0, trained.err
    assert json.loads(Path("run/run.json").read_text())["config"]["method"]["name"] == name
    assert call("train", "--resume", "--out=run", "--json").json()["map"] == trained.json()["map"]
    shown = call("methods", name).out
    assert "Everything unknown is absent." in shown and "weight" in shown
    wrong = call("train", f"--method={name}", "--set=method.wieght=2.0", "--dry-run")
    assert wrong.status == 2 and "did you mean 'weight'?" in wrong.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("code/none.py:Mine", "There is no file code/none.py for the method to come from."),
        ("code/mine.py:Mien", "There is no 'Mien' in code/mine.py; did you mean 'Mine'?"),
        ("code/mine.py:Stranger", "is no method: derive a class from tacit.methods.base.Method."),
        ("code/mine.py", "does not say which method is meant"),
    ],
)
def test_a_method_that_cannot_be_had_is_refused_in_a_sentence(
    call: Call, file: Path, name: str, message: str
) -> None:
    answer = call("train", f"--method={name}", "--out=run")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("tacit: ") and message in answer.err
    assert not Path("run").exists()


def test_a_file_that_is_no_python_says_where(call: Call, file: Path) -> None:
    file.write_text(METHOD.replace("class Stranger:", "class Stranger"))
    answer = call("train", "--method=code/mine.py:Mine", "--out=run")
    assert answer.status == 2
    line = METHOD[: METHOD.index("class Stranger")].count("\n") + 1
    assert f"code/mine.py cannot be imported: SyntaxError: expected ':' (mine.py, line {line})" in (
        answer.err
    )


def test_a_foreign_run_makes_nobody_run_its_code(
    call: Call, copied: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("from pathlib import Path\nPath('ran').touch()\n" + METHOD + MODEL)
    record = json.loads((copied / "run.json").read_text())
    for change in (
        # Which labels it was trained on is recorded; else only the method's class can say.
        {
            "method": {"name": f"{file}:Mine"},
            "data": {**record["config"]["data"], "labels": None},
        },
        {"data": {**record["config"]["data"], "options": {"format": f"{file}:Mine"}}},
    ):
        config = {**record["config"], **change}
        (copied / "run.json").write_text(json.dumps({**record, "config": config}))
        answer = call("evaluate", copied)
        assert answer.status == 2 and "TACIT_TRUST_CODE=1" in answer.err
        assert not Path("ran").exists()
    (copied / "run.json").write_text(json.dumps(record))
    saved = json.loads((copied / "config.json").read_text())
    saved["model"]["name"] = f"{file}:Strongest"
    (copied / "config.json").write_text(json.dumps(saved))
    Path("images").mkdir()
    Image.new("RGB", (16, 16)).save("images/one.png")
    for command in (
        ("evaluate", copied),
        ("predict", copied, "images", "--out=seen"),
    ):
        answer = call(*command)
        assert answer.status == 2 and "TACIT_TRUST_CODE=1" in answer.err, answer
    assert not Path("ran").exists()


def test_a_model_in_a_file_trains_and_is_read_again(
    call: Call, file: Path, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(MODEL)
    own = ("--set=model.name=code/mine.py:Strongest", "--set=model.options.scale=2.0")
    trained = call("train", "--method=an", "--out=run", "--json", *own, *small)
    assert trained.status == 0, trained.err
    for name in ("run/config.json", "run/run.json"):
        assert f'"{file}:Strongest"' in Path(name).read_text()
    assert call("train", "--resume", "--out=run", "--json").json()["map"] == trained.json()["map"]
    forget_files(monkeypatch)
    assert call("evaluate", "run").status == 2
    monkeypatch.setenv("TACIT_TRUST_CODE", "1")
    assert call("evaluate", "run", "--json").json()["map"] == trained.json()["map"]
    assert "scale" in call("models", "code/mine.py:Strongest").out


@pytest.fixture
def listed(file: Path, photos: Callable[[int], list[str]]) -> Path:
    """Labels that no reader of ours knows."""
    file.write_text(READER)
    names = photos(40)
    lines = [f"{name} {'boat fish' if n % 2 else 'fish'}" for n, name in enumerate(names)]
    path = file.parent.parent / "labels.mine"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Callable[[int], list[str]]:
    def draw(count: int) -> list[str]:
        names = [f"{number}.png" for number in range(count)]
        for number, name in enumerate(names):
            Image.new("RGB", (16, 16), (number * 6, 0, 0)).save(tmp_path / name)
        return names

    return draw


def test_a_reader_in_a_file_reads_what_is_trained_on(
    call: Call, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = call("train", f"--data={listed}", "--method=an", "--out=run")
    assert refused.status == 3 and "in no known format" in refused.err
    flags = ("--trunk=tiny", "--epochs=1", "--device=cpu", "--batch=8", "--size=16")
    own = "--set=data.options.format=code/mine.py:read"
    trained = call("train", f"--data={listed}", "--method=an", "--out=run", own, *flags, "--json")
    assert trained.status == 0, trained.err
    config = json.loads(Path("run/run.json").read_text())["config"]
    assert config["data"]["options"]["format"] == f"{listed.parent / 'code' / 'mine.py'}:read"
    forget_files(monkeypatch)
    assert call("evaluate", "run").status == 2
    monkeypatch.setenv("TACIT_TRUST_CODE", "1")
    assert call("evaluate", "run", "--json").json()["map"] == trained.json()["map"]
    wrong = call(
        "train", f"--data={listed}", "--method=an", "--out=r", own, "--set=data.options.onyl=x"
    )
    assert wrong.status == 2 and "did you mean 'only'?" in wrong.err
    looked = call("check", listed, "--format=code/mine.py:read")
    assert "40 images, 2 classes" in looked.out, looked


def test_a_reader_in_the_table_is_read_by_name_and_recognised(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(listed.parent)
    by_place = read_listing(listed, format="code/mine.py:read")
    module = SimpleNamespace(**runpy.run_path("code/mine.py"))
    with monkeypatch.context() as patch:
        patch.setitem(FORMATS, "mine", module)
        assert recognise(listed) == "mine"
        assert load(listed).images == by_place.images
    monkeypatch.setitem(FORMATS, "mine", module.read)
    assert load(listed, format="mine").classes == ("boat", "fish")
    with pytest.raises(DataError, match="no known format"):
        recognise(listed)  # a function says of nothing that it knows it
