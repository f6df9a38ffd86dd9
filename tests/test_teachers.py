"""Teachers: shares of classes, and the files that hold them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels, fingerprint
from tacit.teachers import (
    compute_class_shares,
    compute_patch_shares,
    embed,
    read_scores,
    save_scores,
)
from tacit.types import Annotations

NAMES = ("a.jpg", "b.jpg", "c.jpg")
CLASSES = ("boat", "car")
SCORES = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])


@pytest.fixture
def annotations() -> Annotations:
    labels = torch.tensor([[1, 0], [0, 1], [1, 0]], dtype=torch.int8)
    return Annotations(labels, CLASSES, NAMES)


def test_shares_are_a_softmax_of_cosines() -> None:
    images, texts = torch.randn(4, 5).double(), torch.randn(3, 5).double()
    found = compute_class_shares(images, texts, 0.1)
    for row in range(4):
        cosines = [
            float(images[row] @ texts[label] / (images[row].norm() * texts[label].norm()))
            for label in range(3)
        ]
        powers = [math.exp(cosine / 0.1) for cosine in cosines]
        assert found[row].tolist() == pytest.approx([power / sum(powers) for power in powers])


def test_crops_speak_up_where_they_are_surer_than_of_the_known_class() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 8, generator=generator).double()
    crops = torch.randn(6, 4, 8, generator=generator).double()
    texts = torch.randn(5, 8, generator=generator).double()
    known = torch.zeros(6, 5, dtype=torch.bool)
    known[range(6), [0, 1, 2, 3, 4, 0]] = True
    known[0, 3] = True
    found = compute_patch_shares(images, crops, texts, known, 0.3)
    raised = 0
    for row in range(6):
        whole = compute_class_shares(images[row], texts, 0.3)
        parts = compute_class_shares(crops[row], texts, 0.3)
        least = min(float(whole[label]) for label in range(5) if known[row, label])
        for label in range(5):
            above = float(parts[:, label].max()) > least
            local = parts[:, label].max() if above else parts[:, label].min()
            raised += above
            assert float(found[row, label]) == pytest.approx(float(whole[label] + local) / 2)
    assert 0 < raised < 30


def test_a_tower_runs_over_batches() -> None:
    batches = [torch.ones(2, 3), torch.zeros(1, 3)]
    assert embed(batches, lambda images: images.sum(1, keepdim=True).half()).tolist() == [
        [3.0],
        [3.0],
        [0.0],
    ]


class TestFiles:
    @pytest.mark.parametrize("kind", [torch.Tensor, np.ndarray])
    def test_scores_come_back_in_the_order_of_the_data(
        self, kind: type, tmp_path: Path, annotations: Annotations
    ) -> None:
        file = tmp_path / "teacher.npz"
        order = [2, 0, 1]
        scores: Any = torch.cat([SCORES[order], torch.zeros(1, 2)])
        names = [*(NAMES[row] for row in order), "of another split.jpg"]
        save_scores(file, names, scores if kind is torch.Tensor else scores.numpy(), CLASSES)
        assert torch.equal(read_scores(file, annotations), SCORES)
        assert [path.name for path in tmp_path.iterdir()] == ["teacher.npz"]

    def test_embeddings_become_shares(self, tmp_path: Path, annotations: Annotations) -> None:
        images, texts = torch.randn(3, 4), torch.randn(2, 4)
        np.savez(tmp_path / "t.npz", names=np.array(NAMES), images=images, texts=texts)
        found = read_scores(tmp_path / "t.npz", annotations)
        torch.testing.assert_close(found, compute_class_shares(images, texts))

    def test_a_plain_array_is_taken_row_by_row(
        self, tmp_path: Path, annotations: Annotations
    ) -> None:
        np.save(tmp_path / "t.npy", SCORES.double().numpy())
        assert torch.equal(read_scores(tmp_path / "t.npy", annotations), SCORES)

    @pytest.mark.parametrize(
        ("arrays", "sentence"),
        [
            ({"names": NAMES, "scores": SCORES[:, :1]}, r"scores \(3, 1\) .* has \(3, 2\)"),
            ({"names": NAMES[:2], "scores": SCORES[:2]}, "lacks 1 of 3 .* beginning with 'c.jpg'"),
            ({"names": NAMES, "scores": SCORES / 0}, "no numbers, for 3 images"),
            ({"names": NAMES}, "holds names, but it needs 'names' and either"),
            ({"scores": SCORES}, "holds scores, but it needs 'names'"),
            (
                {"names": NAMES, "scores": SCORES, "classes": CLASSES[::-1]},
                "another order: column 0 is 'car' there and 'boat' here",
            ),
            (
                {"names": NAMES, "scores": SCORES, "classes": ("boat", "cat")},
                "'cat' is not among the data's",
            ),
            (
                {"names": NAMES, "scores": SCORES[:, :1], "classes": CLASSES[:1]},
                "some of the data's are missing",
            ),
            ({"names": NAMES[:2], "scores": SCORES}, "3 rows for 2 names"),
            (
                {"names": (*NAMES, "a.jpg"), "scores": SCORES[[0, 1, 2, 0]]},
                "4 rows but only 3 images",
            ),
            ({"names": NAMES, "scores": [["a", "b"]] * 3}, "and no table"),
            ({"names": NAMES, "images": torch.ones(3, 4), "texts": torch.ones(2, 5)}, "one pair"),
        ],
    )
    def test_a_file_that_does_not_fit_is_refused(
        self, arrays: dict[str, Any], sentence: str, tmp_path: Path, annotations: Annotations
    ) -> None:
        file = tmp_path / "t.npz"
        np.savez(file, **{name: np.asarray(values) for name, values in arrays.items()})
        with pytest.raises(DataError, match=sentence):
            read_scores(file, annotations)

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half an archive", b"\x93NUMPY", b"text"])
    def test_a_file_of_something_else_is_refused(
        self, content: bytes, tmp_path: Path, annotations: Annotations
    ) -> None:
        (tmp_path / "t.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"t\.npz is no file of numpy arrays"):
            read_scores(tmp_path / "t.npz", annotations)
        with pytest.raises(DataError, match="There are no teacher scores at"):
            read_scores(tmp_path / "none.npz", annotations)

    def test_what_makes_no_table_is_not_written(self, tmp_path: Path) -> None:
        file = tmp_path / "t.npz"
        with pytest.raises(UsageError, match="3 rows of scores for 2 names"):
            save_scores(file, NAMES[:2], SCORES)
        with pytest.raises(UsageError, match="2 columns for 1 classes"):
            save_scores(file, NAMES, SCORES, CLASSES[:1])
        with pytest.raises(UsageError, match=r"must be a table, \(N, C\), and not \(3,\)"):
            save_scores(file, NAMES, SCORES[:, 0])
        with pytest.raises(DataError, match="no numbers, for 1 images, beginning with 'b.jpg'"):
            save_scores(file, NAMES, SCORES.index_fill(0, torch.tensor(1), torch.inf))
        assert not list(tmp_path.iterdir())

    def test_a_write_that_fails_leaves_the_old_file(
        self, tmp_path: Path, annotations: Annotations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "t.npz"
        save_scores(file, NAMES, SCORES)

        def half(opened: Any, **_: Any) -> None:
            opened.write(b"PK")
            raise OSError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(np, "savez", half)
            with pytest.raises(OSError, match="the disk is full"):
                save_scores(file, NAMES, SCORES * 0)
        assert torch.equal(read_scores(file, annotations), SCORES)
        assert [path.name for path in tmp_path.iterdir()] == ["t.npz"]

    def test_names_are_those_of_the_training_set(self, tmp_path: Path) -> None:
        file = tmp_path / "t.npz"
        save_scores(file, NAMES, SCORES)
        nameless = Annotations(torch.eye(3, 2).to(torch.int8), CLASSES)
        with pytest.raises(DataError, match="the training set came without any"):
            read_scores(file, nameless)


class TestCrops:
    images, texts = torch.eye(3)[:2].double(), torch.eye(3).double()
    crops = torch.eye(3)[torch.tensor([[1, 2], [0, 2]])].double()

    def local(self, known: Any, enough: float = 1.0) -> torch.Tensor:
        whole = compute_class_shares(self.images, self.texts, 1)
        table = torch.tensor(known, dtype=torch.bool)
        found = compute_patch_shares(self.images, self.crops, self.texts, table, 1, enough)
        return 2 * found - whole

    def test_nothing_known_lets_every_crop_speak(self) -> None:
        parts = compute_class_shares(self.crops, self.texts, 1)
        known = [[True, False, False], [False, False, False]]
        found = self.local(known)
        torch.testing.assert_close(found[1], parts[1].amax(0))
        torch.testing.assert_close(found[0], parts[0].amin(0))  # none exceeds the whole's share

    def test_a_share_may_be_enough_whatever_is_known(self) -> None:
        parts = compute_class_shares(self.crops, self.texts, 1)
        known = [[True, False, False], [False, True, False]]
        assert not torch.equal(self.local(known), parts.amax(1))
        torch.testing.assert_close(self.local(known, enough=0), parts.amax(1))
        for wrong in (-0.1, 1.1, math.nan):
            with pytest.raises(UsageError, match="enough must be a share from 0 to 1"):
                self.local(known, wrong)

    def test_tables_must_fit_each_other(self) -> None:
        with pytest.raises(UsageError, match=r"they must be \(N, C\), \(N, G, C\) and \(N, C\)"):
            self.local([[True, False, False]])
        with pytest.raises(UsageError, match=r"must be \(N, D\) and \(C, D\), from one pair"):
            compute_class_shares(self.images, torch.eye(4).double())
        with pytest.raises(UsageError, match="temperature must be a number above 0, not 0"):
            compute_class_shares(self.images, self.texts, 0)


def test_scores_that_depend_on_known_labels_are_read_with_no_others(tmp_path: Path) -> None:
    labels = SparseLabels.of(np.eye(3, 2, dtype=np.int8))
    images, classes = ["1", "2", "3"], ("a", "b")
    mark = fingerprint(classes, images, labels)
    save_scores(tmp_path / "it.npz", images, np.eye(3, 2), classes, mark)
    assert read_scores(tmp_path / "it.npz", Annotations(labels, classes, images)).shape == (3, 2)
    others = SparseLabels.of(np.ones((3, 2), np.int8))
    with pytest.raises(DataError, match=r"other known labels: .*data.draw_seed"):
        read_scores(tmp_path / "it.npz", Annotations(others, classes, images))
    with pytest.raises(DataError, match="other images or other known labels"):
        read_scores(tmp_path / "it.npz", Annotations(labels.take([0, 1]), classes, images[:2]))
