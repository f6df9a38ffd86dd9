"""Which question comes next, and what is made of the answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reviews import CLASSES, Served, make_review, make_source, serving, write_queue
from tacit.errors import DataError, UsageError
from tacit.repair.opening import open_review
from tacit.repair.payloads import describe_labels, describe_report
from tacit.repair.queue import Queue, Wanted
from tacit.repair.session import LEASE, Given, Review
from tacit.repair.store import Store
from tacit.repair.suspects_file import SuspectsFile, write_suspects


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return make_review(tmp_path, audit_share=0.0)


def give(review: Review, who: str, *answers: str) -> list[tuple[int, int]]:
    """Answer the next questions, and return their cells."""
    cells = []
    for answer in answers:
        question = review.next(who)[0]
        review.answer(who, question, answer)  # type: ignore[arg-type]
        cells.append(question.cell)
    return cells


def test_the_most_probable_come_first_and_none_twice(review: Review) -> None:
    with review:
        cells = give(review, "ann", "present", "absent", "unsure")
        assert cells == [(0, 1), (0, 2), (0, 3)]
        assert review.next("ann")[0].cell == (1, 0)
    said = [(each.image, each.label, each.answer) for each in review.store.verdicts()]
    name = "photos/image-0000.jpg"
    assert said == [(name, "cat", "present"), (name, "dog", "absent"), (name, "tree", "unsure")]
    first = next(review.store.verdicts())
    assert first.stream == "queue" and first.posterior == pytest.approx(0.9) and first.who == "ann"


def test_a_review_goes_on_where_it_stopped(tmp_path: Path, review: Review) -> None:
    with review:
        give(review, "ann", "present", "absent")
    again = make_review(tmp_path, audit_share=0.0)
    with again:
        assert again.next("ann")[0].cell == (0, 3)
        assert again.undo("ann").cell == (0, 2)  # type: ignore[union-attr]
        assert again.undo("ann").cell == (0, 1)  # type: ignore[union-attr]
        assert again.undo("ann") is None
        assert again.next("ann")[0].cell == (0, 1)
    assert again.store.settle() == {}


def test_undo_brings_back_an_earlier_answer_about_the_same_cell(review: Review) -> None:
    with review:
        question = review.next("ann")[0]
        review.answer("ann", question, "present")
        review.answer("ann", question, "absent")
        review.undo("ann")
        assert review.answers.said[question.cell]["ann"].answer == "present"
        assert review.store.settle()[question.image, question.label]["ann"].answer == "present"
        assert review.answers.counts["cat", "present"] == 1
        assert not review.answers.counts["cat", "absent"]


def test_two_people_get_different_questions_until_a_lease_ends(tmp_path: Path) -> None:
    clock = Clock()
    review = make_review(tmp_path, audit_share=0.0)
    review.clock = clock
    with review:
        ann = [each.cell for each in review.next("ann", 3)]
        ben = [each.cell for each in review.next("ben", 3)]
        assert not set(ann) & set(ben)
        assert [each.cell for each in review.next("ann", 3)] == ann  # she has loaded the page anew
        clock.now += LEASE + 1
        assert [each.cell for each in review.next("ben", 3)] == ann


def test_the_opposite_answer_of_another_person_is_a_conflict(review: Review) -> None:
    with review:
        question = review.next("ann")[0]
        review.answer("ben", question, "absent")
        given = Given("mine", question.cell, "present", question.version)
        met = review.submit("ann", [given])
        assert met.ids == [] and len(met.conflicts) == 1
        assert met.conflicts[0]["others"] == [{"who": "ben", "answer": "absent"}]
        assert question.cell in review.answers.said and len(review.store) == 1
        # Whoever knows of it may still say what she sees.
        known = Given("mine", question.cell, "present", met.conflicts[0]["version"])
        assert review.submit("ann", [known]).done.result(5) == 1
        assert {who: each.answer for who, each in review.answers.said[question.cell].items()} == {
            "ben": "absent",
            "ann": "present",
        }
        # Sent again because the answer was lost, it is no conflict with itself or with anybody.
        assert review.submit("ann", [given]).ids == ["mine"]


def test_the_same_answer_and_no_answer_are_no_conflict(review: Review) -> None:
    with review:
        question = review.next("ann")[0]
        review.answer("ben", question, "unsure")
        for number, answer in enumerate(("present", "unsure")):
            given = Given(f"a{number}", question.cell, answer, 0)  # type: ignore[arg-type]
            assert not review.submit("ann", [given]).conflicts


def test_answers_on_their_way_to_the_disk_are_in_conflict_as_well(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import Future

    with review:
        question = review.next("ann")[0]
        waiting: Future[int] = Future()
        monkeypatch.setattr(review.store, "submit", lambda verdicts: waiting)
        review.submit("ben", [Given("b", question.cell, "absent")])
        met = review.submit("ann", [Given("a", question.cell, "present")])
        assert met.conflicts[0]["others"] == [{"who": "ben", "answer": "absent"}]
        waiting.set_exception(DataError("the disk is gone."))
        assert not review.answers.pending and not review.answers.said


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(column=2), [(0, 2), (1, 2), (3, 2)]),
        (Wanted(most=0.5), [(20, 1), (20, 2), (20, 3)]),
        (Wanted(least=0.9), [(0, 1)]),
        (Wanted(without_label=True), []),
    ],
)
def test_filters(review: Review, wanted: Wanted, expected: list[tuple[int, int]]) -> None:
    with review:
        assert [each.cell for each in review.next("ann", 3, wanted)] == expected


def test_only_images_of_a_name(review: Review) -> None:
    with review:
        asked = review.next("ann", 9, Wanted(name="Image-001"))
        assert {each.row // 10 for each in asked} == {1} and len(asked) == 9
        assert review.next("ann", 9, Wanted(name="(")) == []


def test_what_speaks_for_a_suspect_is_read_from_its_row(tmp_path: Path) -> None:
    source = make_source(6)
    block = {
        "image": [source.images[0], source.images[1], source.images[2]],
        "class": [1, 0, 0],
        "rank": [1, 2, 3],
        "posterior": [0.9, 0.8, 0.7],
        "score": [0.25, None, 0.5],
        "evidence": [{"times": 4, "odd": 0.25}, {"times": 1, "neighbours": 0.5}, {"times": 0}],
    }
    about = {"data": source.fingerprint(), "classes": list(source.classes), "floor": 0.0}
    write_suspects(tmp_path / "suspects-of-a-test.parquet", [block, block], about)
    review = make_review(tmp_path, source, audit_share=0.0)
    with review:
        assert review.evidence((0, 1)) == [
            "The score of a model that was not trained on this image: 25%.",
            "A method suspected it 4 times while it trained.",
            "odd: 0.25.",
        ]
        assert review.evidence((1, 0)) == [
            "A method suspected it once while it trained.",
            "Of the images most like this one, 50% show the class.",
        ]
        assert len(review.evidence((2, 0))) == 1
        assert review.evidence((2, 0))[0].endswith("image: 50%.")
        assert review.evidence((3, 0)) == []


def test_a_drawn_cell_that_is_not_read_yet_lets_nobody_wait(tmp_path: Path) -> None:
    with make_review(tmp_path, audit_share=1.0) as review:
        review.audit.wait()
        drawn = review.audit.cells[0]
        review.queue.rest_is_read.clear()
        assert review.next("ann")[0].cell == (0, 1)
        review.queue.rest_is_read.set()
        assert review.next("ann", without=[(0, 1)])[0].cell == drawn


def test_who_repaired_a_label_is_told(tmp_path: Path) -> None:
    from PIL import Image

    import tacit
    from tacit.repair.opening import read_origins

    for row in range(4):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{row}.png")
    path = tmp_path / "labels.csv"
    path.write_text("image,labels\n0.png,boat\n1.png,cat;boat\n2.png,cat\n3.png,\n")
    changes = [
        {"image": "1.png", "class": "boat", "old": 0, "new": 1, "rule": "person", "who": "ben"},
        {"image": "2.png", "class": "cat", "old": 0, "new": 1, "rule": "model", "who": ""},
        {"image": "0.png", "class": "cat", "old": 0, "new": 1, "rule": "person", "who": "ben"},
        {"image": "gone.png", "class": "cat", "old": 0, "new": 1, "rule": "person", "who": "ben"},
    ]
    told = tmp_path / "labels.csv.changes.jsonl"
    told.write_text("".join(json.dumps(change) + "\n" for change in changes))
    source = tacit.load(path)
    origins = read_origins(path, source)
    assert origins == {(1, 0): "ben", (2, 1): "a model", (0, 1): "file"}
    file = write_queue(tmp_path / "a.parquet", source)
    with open_review(file.path, path) as review:
        by = {each["label"]: each["by"] for each in describe_labels(review, 1)}
        assert by == {"boat": "ben", "cat": "file"}
    told.unlink()
    assert read_origins(path, source) == {}


def test_images_nobody_has_looked_at(tmp_path: Path) -> None:
    source = make_source(6)
    labels = source.labels.dense()
    labels[4] = 0
    review = make_review(tmp_path, source.with_labels(labels), audit_share=0.0)
    with review:
        assert {each.row for each in review.next("ann", 9, Wanted(without_label=True))} == {4}
        give(review, "ann", "present")
        assert review.next("ann", 1, Wanted(unseen=True))[0].row == 1
        review.undo("ann")
        assert review.next("ann", 1, Wanted(unseen=True))[0].row == 0


def test_a_class_may_be_added_unasked(review: Review) -> None:
    with review:
        cell = review.find_cell("photos/image-0000.jpg", "boat")
        review.submit("ann", [Given("x", cell, "absent", shown="added")]).done.result(5)
        assert next(review.store.verdicts()).stream == "added"
        with pytest.raises(UsageError, match="no class called 'bout'; did you mean 'boat'"):
            review.find_cell("photos/image-0000.jpg", "bout")
        with pytest.raises(DataError, match="no image 'x.jpg'"):
            review.find_cell("x.jpg", "boat")


def test_suspects_of_other_data_are_refused(tmp_path: Path) -> None:
    source = make_source()
    write_queue(tmp_path / "suspects-of-a-test.parquet", source)
    other = make_source(41)
    with pytest.raises(DataError, match="other images or labels than 'plain'"):
        make_review(tmp_path, other)
    renamed = make_source(classes=("boat", "cat", "hound", "tree"))
    with pytest.raises(DataError, match="dog is missing there and hound is new"):
        make_review(tmp_path, renamed)
    with pytest.raises(DataError, match=r"classes that 'plain' does not have \(dog\)"):
        Queue(SuspectsFile(tmp_path / "suspects-of-a-test.parquet"), renamed)


def test_data_have_to_be_named_for_a_file_and_not_for_a_run(tmp_path: Path) -> None:
    file = write_queue(tmp_path / "a.parquet", make_source())
    with pytest.raises(UsageError, match="add --data"):
        open_review(file.path)
    with pytest.raises(UsageError, match="leave --data out"):
        open_review(tmp_path, "labels.csv")


def test_a_file_of_suspects_opens_with_the_labels_it_is_about(tmp_path: Path) -> None:
    from PIL import Image

    import tacit

    lines = ["image,boat,cat"]
    for row in range(6):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{row}.png")
        lines.append(f"{row}.png,1," if row % 2 else f"{row}.png,,1")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    (tmp_path / "found").mkdir()
    file = write_queue(tmp_path / "found" / "a.parquet", tacit.load(tmp_path / "labels.csv"))
    with open_review(file.path, tmp_path / "labels.csv") as review:
        assert review.next("ann")[0].label == "boat"
        assert review.store.path == tmp_path / "found" / "verdicts.sqlite"
    (tmp_path / "labels.csv").write_text("\n".join([*lines[:-1], "5.png,1,1"]))
    with pytest.raises(DataError, match="about other images or labels than"):
        open_review(file.path, tmp_path / "labels.csv")


def test_the_cells_of_the_audit_are_asked_in_their_order_and_told_of_to_nobody(
    tmp_path: Path,
) -> None:
    with serving(make_review(tmp_path, audit_share=1.0)) as served:
        review = served.review
        review.audit.wait()
        asked = served.get("/api/questions?count=5")["questions"]
        cells = [tuple(map(int, each["cell"].split("-"))) for each in asked]
        assert cells == review.audit.cells[:5]
        for each in asked:
            assert set(each) == EXPECTED
        sent = [{"id": str(n), "cell": asked[n]["cell"], "answer": "absent"} for n in (1, 0)]
        assert served.post(sent)[0] == 200
        review.audit.wait()
        assert review.audit.result is not None and review.audit.result.looks == 2
    verdicts = list(review.store.verdicts())
    assert {each.stream for each in verdicts} == {"audit"}
    assert {each.probability for each in verdicts} == {review.audit.probability[cells[0]]}


EXPECTED = {
    *("cell", "row", "column", "image", "label", "posterior", "box", "version", "known"),
    *("others", "examples", "alike"),
}


def test_what_the_queue_has_answered_counts_where_the_audit_drew_it(tmp_path: Path) -> None:
    review = make_review(tmp_path, audit_share=0.0)
    with review:
        review.audit.wait()
        looks = []
        for cell in (review.audit.cells[1], review.audit.cells[0]):
            review.answer("ann", review.ask(cell), "present")
            review.audit.wait()
            assert review.audit.result is not None
            looks.append(review.audit.result.looks)
        assert looks == [0, 2]
    assert {each.stream for each in review.store.verdicts()} == {"queue"}


def test_what_the_audit_says_is_said_beside_the_question(tmp_path: Path) -> None:
    """A person who knows the truth: every unknown cell of dogs is there, and no other."""
    review = make_review(tmp_path, audit_share=0.5)
    with review:
        review.random.seed(0)  # how the two kinds of questions alternate
        review.audit.wait()
        for _ in range(40):
            question = review.next("ann")[0]
            review.answer("ann", question, "present" if question.label == "dog" else "absent")
        review.audit.wait()
        result = review.audit.result
        assert result is not None and 5 < result.looks < 60
        # How often the interval holds the truth is counted with the audit's own tests.
        assert result.low <= result.total <= result.high
        assert review.sentence().startswith("40 looks. About")
        report = describe_report(review, "ann")
        assert report["columns"][-1] == "missing in all"
        assert re.fullmatch(r"\d+ to \d+", report["rows"][0][-1])
        assert "The next 100 looks will find" in report["sentences"][-1]
    assert (tmp_path / "audit.json").exists()
    again = make_review(tmp_path)
    with again:
        again.audit.wait()
        assert again.audit.cells == review.audit.cells
        assert again.audit.result is not None and again.audit.result.looks == result.looks
    (tmp_path / "audit.json").write_text("[]")
    with pytest.raises(DataError, match="holds no audit; delete it"):
        make_review(tmp_path)


@pytest.fixture
def served(tmp_path: Path) -> Any:
    with serving(make_review(tmp_path, audit_share=0.0)) as page:
        yield page


def test_over_http_an_answer_is_stored_before_it_is_said_to_be(served: Served) -> None:
    status, told = served.post([{"id": "a", "cell": "0-1", "answer": "present", "shown": "crop"}])
    assert status == 200 and told["stored"] == ["a"] and told["progress"]["present"] == 1
    assert [each.id for each in Store(served.review.store.path).verdicts()] == ["a"]
    assert served.post([{"id": "a", "cell": "0-1", "answer": "present"}])[0] == 200
    assert len(served.review.store) == 1


def test_over_http_a_conflict_is_409_and_the_rest_is_stored(served: Served) -> None:
    served.post([{"id": "b", "cell": "0-1", "answer": "absent"}], user="ben")
    sent = [{"id": f"a{n}", "cell": f"0-{n}", "answer": "present"} for n in (1, 2)]
    status, told = served.post(sent)
    assert status == 409 and told["stored"] == ["a2"]
    assert [each["id"] for each in told["conflicts"]] == ["a1"]


def test_over_http_a_full_disk_is_507(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    from tacit.repair import store as module

    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(module, "_write", fail)
    status, told = served.post([{"id": "a", "cell": "0-1", "answer": "present"}])
    assert status == 507 and "Nothing more fits" in told["error"]
    monkeypatch.undo()
    assert served.post([{"id": "a", "cell": "0-1", "answer": "present"}])[0] == 200
    assert len(served.review.store) == 1


def test_over_http_grids_history_and_report(served: Served) -> None:
    grid = served.get("/api/grid?class=2")
    assert grid["label"] == "dog" and len(grid["cells"]) == 24
    answers = [{"id": each["cell"], "cell": each["cell"], "answer": "absent"}
               for each in grid["cells"][:3]]  # fmt: skip
    assert served.post(answers)[0] == 200
    history = served.get("/api/history")["answers"]
    assert [each["question"]["cell"] for each in history] == ["3-2", "1-2", "0-2"]
    assert [each["answer"] for each in served.get("/api/history?skip=2")["answers"]] == ["absent"]
    report = served.get("/api/report")
    row = next(row for row in report["rows"] if row[0] == "dog")
    assert row[1:5] == ["10", "0", "3", "0"]
    state = served.get("/api/state?user=ben")
    assert state["user"] == "ben" and [each["name"] for each in state["classes"]] == list(CLASSES)


def test_look_alikes_are_what_people_said_is_absent(served: Served) -> None:
    before = served.get("/api/question?cell=5-2")
    assert len(before["examples"]) == 3 and all(row % 4 == 2 for row in before["examples"])
    sent = [{"id": f"a{n}", "cell": f"{n}-2", "answer": "absent"} for n in (0, 1, 3, 5)]
    served.post(sent)
    alike = served.get("/api/question?cell=5-2")["alike"]
    assert alike == [{"row": row, "label": "not dog"} for row in (0, 1, 3)]
    known = served.get("/api/question?cell=5-3")["known"]
    assert known == [
        {"label": "cat", "answer": "present", "by": "file"},
        {"label": "dog", "answer": "absent", "by": "ann"},
    ]
