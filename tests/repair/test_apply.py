"""What verdicts change in labels, by which rule, and what is never guessed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tacit.config import DataConfig
from tacit.data.formats import read_listing
from tacit.data.listing import Listing
from tacit.data.splits import load_splits
from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels
from tacit.repair.accept import accept_suspects, trace
from tacit.repair.apply import Difference, Settling, compare
from tacit.repair.suspects_file import SuspectsFile, write_suspects
from tacit.repair.verdict_files import is_about
from tacit.repair.verdicts import Answer, Stream, Verdict

CLASSES = ("bird", "cat", "dog")
DENSE = [[0, 1, 1], [0, 0, 1], [1, -1, 0]]


def listing(dense: list[list[int]] = DENSE, splits: tuple[str, ...] = ()) -> Listing:
    images = [f"{row + 1}.jpg" for row in range(len(dense))]
    labels = SparseLabels.of(np.array(dense, np.int8))
    return Listing("it", Path("."), images, CLASSES, labels, splits)


def say(
    cell: str, answer: Answer, who: str = "ann", at: int = 0, stream: Stream = "queue"
) -> Verdict:
    image, label = cell.split()
    return Verdict(f"{who}{cell}{answer}{at}", f"{image}.jpg", label, answer, who, str(at), stream)


def changes(difference: Difference) -> list[tuple[str, str, int, int, str]]:
    return [(c.image, c.label, c.old, c.new, c.rule) for c in difference.changes]


def test_what_people_say_is_added_and_removed_in_the_order_of_the_labels() -> None:
    given = [say("3 dog", "present"), say("1 dog", "absent"), say("1 bird", "absent")]
    difference = compare(listing(), given)
    assert changes(difference) == [
        ("1.jpg", "bird", 0, -1, "person"),
        ("1.jpg", "dog", 1, -1, "person"),
        ("3.jpg", "dog", 0, 1, "person"),
    ]
    repaired = difference.apply_to(listing()).labels.dense().tolist()
    assert repaired == [[-1, 1, -1], [0, 0, 1], [1, -1, 1]]
    assert difference.per_class() == {
        "dog": {"added": 1, "removed": 1, "absent": 0},
        "bird": {"added": 0, "removed": 0, "absent": 1},
    }


def test_the_last_answer_of_a_person_holds_and_undo_takes_it_back() -> None:
    given = [say("1 bird", "absent", at=1), say("1 bird", "present", at=2)]
    assert changes(compare(listing(), given)) == [("1.jpg", "bird", 0, 1, "person")]
    assert compare(listing(), [*given, say("1 bird", "undo", at=3)]).changes[0].new == -1


def test_what_is_so_already_and_what_nobody_is_sure_of_changes_nothing() -> None:
    given = [say("1 cat", "present"), say("3 cat", "absent"), say("1 bird", "unsure")]
    difference = compare(listing(), given)
    assert (difference.changes, difference.confirmed, difference.unsure) == ([], 2, 1)


@pytest.mark.parametrize(
    ("rule", "new", "outcome"),
    [("skip", None, "none"), ("last", -1, "absent"), ("majority", 1, "present")],
)
def test_people_who_disagree_are_listed_and_settled_as_one_says(
    rule: Settling, new: int | None, outcome: str
) -> None:
    given = [say("1 bird", "present", who, at) for at, who in enumerate(("ann", "ben"))]
    given += [say("1 bird", "absent", "eve", 2), say("1 bird", "unsure", "kim", 3)]
    difference = compare(listing(), given, conflicts=rule)
    assert [(c.new, c.rule) for c in difference.changes] == ([(new, rule)] if new else [])
    (conflict,) = difference.conflicts
    assert (conflict.kind, conflict.outcome) == ("persons", outcome)
    assert conflict.said == {"ann": "present", "ben": "present", "eve": "absent", "kim": "unsure"}


def test_no_majority_is_no_answer_and_an_unsure_person_is_no_disagreement() -> None:
    given = [say("1 bird", "present", "ann"), say("1 bird", "absent", "ben")]
    assert compare(listing(), given, conflicts="majority").changes == []
    given = [say("1 bird", "present", "ann"), say("1 bird", "unsure", "ben")]
    difference = compare(listing(), given)
    assert [(c.who, c.rule) for c in difference.changes] == [("ann", "person")]
    assert not difference.conflicts


def test_a_label_that_came_with_the_data_goes_only_where_a_person_says_absent() -> None:
    difference = compare(listing(), [say("1 cat", "absent", stream="added")])
    assert changes(difference) == [("1.jpg", "cat", 1, -1, "person")]
    assert [(c.kind, c.outcome) for c in difference.conflicts] == [("overruled", "absent")]


def test_labels_that_were_edited_since_are_not_written_over_unless_one_says_so() -> None:
    given = [say("1 cat", "absent"), say("1 bird", "present")]
    for rule, kept in (("skip", True), ("last", False)):
        difference = compare(listing(), given, conflicts=rule, edited=True)  # type: ignore[arg-type]
        assert difference.edited
        assert [(c.kind, c.outcome == "none") for c in difference.conflicts] == [("edited", kept)]
        assert len(difference.changes) == (1 if kept else 2)


def test_what_an_earlier_answer_wrote_is_no_edit_of_somebody_else() -> None:
    given = [say("1 cat", "present", at=1), say("1 cat", "absent", at=2)]
    difference = compare(listing(), given, edited=True)
    assert changes(difference) == [("1.jpg", "cat", 1, -1, "person")]
    assert not difference.conflicts


def test_labels_are_known_as_a_whole_by_their_split_and_by_what_is_trained_on(
    tmp_path: Path,
) -> None:
    rows = [f"{n}.jpg,{'cat' if n % 2 else 'dog'}," for n in range(40)]
    for row in rows:
        (tmp_path / row.split(",")[0]).write_bytes(b"an image")
    (tmp_path / "plain.csv").write_text("\n".join(["file,labels", *(r[:-1] for r in rows)]))
    split = [row + ("train" if n < 30 else "test") for n, row in enumerate(rows)]
    (tmp_path / "split.csv").write_text("\n".join(["file,labels,split", *split]))
    for name in ("plain.csv", "split.csv"):
        path = tmp_path / name
        found, config = read_listing(path), DataConfig(name=str(path))
        known = [found.source(), load_splits(config).train]
        known += [found.source("train")] if name == "split.csv" else []
        assert all(is_about(source.fingerprint(), found, config) for source in known)
        assert len({source.fingerprint() for source in known}) == len(known)
        path.write_text(path.read_text().replace("3.jpg,cat", "3.jpg,dog"))
        assert not is_about(known[0].fingerprint(), read_listing(path), config)


def test_where_absence_was_only_concluded_nothing_is_overruled() -> None:
    complete = listing([[1, -1, -1], [-1, -1, 1]])
    given = [say("1 cat", "present")]
    difference = compare(complete, given, edited=True)
    assert changes(difference) == [("1.jpg", "cat", -1, 1, "person")] and not difference.conflicts


def test_images_and_classes_that_are_gone_are_passed_over_and_counted() -> None:
    given = [say("9 cat", "present"), say("9 dog", "absent"), say("1 cats", "present")]
    difference = compare(listing(), [*given, say("1 bird", "present")])
    assert difference.gone_images == {"9.jpg": 2}
    assert difference.gone_classes == {"cats": (1, "cat")}
    assert len(difference.changes) == 1
    assert json.loads(json.dumps(difference.summary()))["gone_classes"] == {
        "cats": {"verdicts": 1, "nearest": "cat"}
    }


def test_verdicts_about_other_images_alone_are_refused() -> None:
    with pytest.raises(DataError, match="None of 2 verdicts .*one '9.jpg', .*call one '1.jpg'"):
        compare(listing(), [say("9 cat", "present"), say("8 cat", "present")])


def test_rows_that_moved_are_found_by_name() -> None:
    whole = listing()
    turned = Listing(
        "it", Path("."), whole.images[::-1], CLASSES, whole.labels.take(np.array([2, 1, 0]))
    )
    given = [say("1 bird", "present"), say("3 dog", "absent")]
    repaired = compare(turned, given).apply_to(turned).labels.dense()
    assert repaired[::-1].tolist() == compare(whole, given).apply_to(whole).labels.dense().tolist()


def test_a_rule_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="skip, last, majority, not first"):
        compare(listing(), [], conflicts="first")  # type: ignore[arg-type]


@pytest.fixture
def suspects(tmp_path: Path) -> SuspectsFile:
    cells = [("1.jpg", 0, 0.99), ("2.jpg", 1, 0.96), ("1.jpg", 1, 0.95), ("3.jpg", 1, 0.94)]
    cells += [("9.jpg", 1, 0.93), ("2.jpg", 0, 0.9), ("3.jpg", 2, 0.2)]
    block = {
        "image": [cell[0] for cell in cells],
        "class": [cell[1] for cell in cells],
        "rank": list(range(1, len(cells) + 1)),
        "posterior": [cell[2] for cell in cells],
        "score": [cell[2] for cell in cells],
    }
    about = {"data": "f00d", "classes": list(CLASSES), "floor": 0.1, "model": "m1"}
    write_suspects(tmp_path / "suspects.parquet", [block], about)
    return SuspectsFile(tmp_path / "suspects.parquet")


def test_a_models_word_is_taken_as_far_as_the_audit_bears_it_out(suspects: SuspectsFile) -> None:
    given = [say("2 bird", "absent")]
    difference = compare(listing(), given)
    count = accept_suspects(difference, listing(), suspects, given, 0.85, lambda above: 0.9)
    # Not 1 cat and 3 cat, which the labels know, nor 2 bird, of which a person said otherwise.
    by_model = [c for c in difference.changes if c.rule == "model"]
    assert [(c.image, c.label, c.model) for c in by_model] == [
        ("1.jpg", "bird", "m1"),
        ("2.jpg", "cat", "m1"),
    ]
    assert count == 2 and difference.gone_images == {"9.jpg": 1}
    summary = difference.summary()
    assert summary["by_model"] == 2
    assert summary["expected_wrong"] == pytest.approx(0.1, abs=0.05)
    assert summary["most_wrong"] == pytest.approx(0.2)
    assert difference.apply_to(listing()).labels.dense()[1].tolist() == [-1, 1, 1]


def test_unsure_people_and_those_who_disagree_are_not_overruled_by_a_model(
    suspects: SuspectsFile,
) -> None:
    given = [say("1 bird", "unsure"), say("2 cat", "present"), say("2 cat", "absent", "ben")]
    difference = compare(listing(), given)
    assert accept_suspects(difference, listing(), suspects, given, 0.95, lambda above: 1.0) == 0


def test_suspects_of_other_images_are_refused(suspects: SuspectsFile) -> None:
    other = Listing("other", Path("."), ["x.jpg"], CLASSES, listing([[0, 1, 1]]).labels)
    with pytest.raises(DataError, match="'other' has none; it was found for other labels"):
        accept_suspects(compare(other, []), other, suspects, [], 0.9, lambda above: 1.0)


@pytest.mark.parametrize(
    ("above", "bound", "said"),
    [
        (0.9, None, "only where an audit bears it out"),
        (0.9, 0.89, "bears out 0.89 .* less than 0.9"),
        (1.5, 1.0, "between 0 and 1, not 1.5"),
    ],
)
def test_a_models_word_is_refused_where_no_audit_bears_it_out(
    suspects: SuspectsFile, above: float, bound: float | None, said: str
) -> None:
    known = None if bound is None else lambda above: bound
    difference = compare(listing(), [])
    with pytest.raises(UsageError, match=said):
        accept_suspects(difference, listing(), suspects, [], above, known)
    assert not difference.changes


def test_every_label_says_where_it_comes_from() -> None:
    difference = compare(listing(), [say("1 bird", "present"), say("3 dog", "absent")])
    repaired = difference.apply_to(listing())
    earlier = [{"image": "1.jpg", "class": "cat", "new": 1, "rule": "person", "who": "ben"}]
    rows = {
        (row["image"], row["class"]): (row["state"], row["source"], row["who"])
        for row in trace(repaired, difference.changes, earlier)
    }
    assert rows == {
        ("1.jpg", "bird"): (1, "person", "ann"),
        ("1.jpg", "cat"): (1, "person", "ben"),
        ("1.jpg", "dog"): (1, "file", None),
        ("2.jpg", "dog"): (1, "file", None),
        ("3.jpg", "bird"): (1, "file", None),
        ("3.jpg", "cat"): (-1, "file", None),
        ("3.jpg", "dog"): (-1, "person", "ann"),
    }
