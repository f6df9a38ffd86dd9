"""A queue that follows what was learned from answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reviews import make_review, make_source, serving
from tacit.repair.learning import EVERY


class Reverse:
    """Takes the last images for the most probable once it has heard of any answer."""

    def __init__(self, images: int, classes: int) -> None:
        self.posterior: NDArray[np.float32] = np.zeros((images, classes), np.float32)
        self.heard: list[Mapping[int, bool]] = []

    def update(self, verdicts: Mapping[int, bool]) -> None:
        self.heard.append(verdicts)
        self.posterior += np.arange(len(self.posterior), dtype=np.float32)[:, None] / 100


def test_the_queue_is_made_anew_after_so_many_answers(tmp_path: Path) -> None:
    source = make_source()
    learner = Reverse(*source.labels.shape)
    review = make_review(tmp_path, source, audit_share=0.0, learner=lambda between: learner)
    with serving(review) as served:
        for number in range(EVERY):
            assert review.live_queue is not None and review.live_queue.turns == 0
            question = review.next("ann")[0]
            assert question.row < 10
            review.answer("ann", question, "unsure" if number == 0 else "present")
        end = time.monotonic() + 20
        while not review.live_queue.turns and time.monotonic() < end:
            time.sleep(0.01)
        assert len(learner.heard[0]) == EVERY - 1  # who is not sure teaches nothing
        asked = served.get("/api/questions?count=2")
        assert [each["row"] for each in asked["questions"]] == [39, 39]
        assert asked["questions"][0]["posterior"] == 0.39
        assert asked["progress"]["turns"] == 1


def test_a_learner_that_fails_leaves_the_order_as_it_was(tmp_path: Path) -> None:
    class Broken(Reverse):
        def update(self, verdicts: Mapping[int, bool]) -> None:
            raise ValueError("broken")

    source = make_source()
    review = make_review(
        tmp_path, source, audit_share=0.0, learner=lambda between: Broken(*source.labels.shape)
    )
    with review:
        for _ in range(EVERY):
            review.answer("ann", review.next("ann")[0], "present")
        assert review.live_queue is not None
        review.live_queue._thread.join(20)
        assert isinstance(review.live_queue.failed, ValueError)
        assert review.next("ann")[0].row == 6


def test_the_end_of_a_review_stops_what_is_being_computed(tmp_path: Path) -> None:
    begun = threading.Event()

    def make(between: Callable[[], None]) -> Reverse:
        begun.set()
        while True:  # features of many images
            time.sleep(0.001)
            between()

    with make_review(tmp_path, make_source(), audit_share=0.0, learner=make) as review:
        for _ in range(EVERY):
            review.answer("ann", review.next("ann")[0], "present")
        assert begun.wait(20)
    assert review.live_queue is not None
    assert not review.live_queue._thread.is_alive() and review.live_queue.failed is None
