"""The generated scenes: the same every time, long-tailed, in company, and correctly labelled."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tacit.data.scenes.drawing import CLASSES, LARGEST, MOST_OBJECTS, SMALLEST, compose, draw_scene

COMPOSITIONS = 2000


@pytest.fixture(scope="module")
def truth() -> NDArray[np.bool_]:
    """Return which classes occur in each of many compositions, (N, C)."""
    present = np.zeros((COMPOSITIONS, len(CLASSES)), dtype=np.bool_)
    for index in range(COMPOSITIONS):
        present[index, [placement.label for placement in compose(0, index)]] = True
    return present


def test_classes_are_twelve_plain_words() -> None:
    assert len(set(CLASSES)) == 12
    assert all(name.isalpha() and name.islower() for name in CLASSES)


def test_an_image_depends_on_seed_index_and_size_only() -> None:
    first = draw_scene(3, 14)
    draw_scene(4, 15)
    again = draw_scene(3, 14)
    assert np.array_equal(first.image, again.image)
    assert first.objects == again.objects


@pytest.mark.parametrize(("seed", "index"), [(3, 15), (4, 14), (14, 3)])
def test_another_seed_or_index_gives_another_image(seed: int, index: int) -> None:
    assert not np.array_equal(draw_scene(3, 14).image, draw_scene(seed, index).image)
    assert compose(3, 14) != compose(seed, index)


@pytest.mark.parametrize("size", [24, 48, 97])
def test_the_size_is_the_size_asked_for(size: int) -> None:
    image = draw_scene(0, 0, size).image
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    assert image.std() > 5


@pytest.mark.parametrize("index", range(20))
def test_the_composition_does_not_depend_on_the_size(index: int) -> None:
    small, large = draw_scene(1, index, 48), draw_scene(1, index, 144)
    labels = [placement.label for placement in compose(1, index)]
    assert [thing.label for thing in small.objects] == labels
    assert [thing.label for thing in large.objects] == labels
    for one, other in zip(small.objects, large.objects, strict=True):
        assert np.allclose(np.array(one.box) * 3, other.box, atol=1.5)


def test_a_larger_image_shows_the_same_thing() -> None:
    small = draw_scene(1, 5, 48).image.astype(float)
    large = draw_scene(1, 5, 144).image.astype(float)
    shrunk = large.reshape(48, 3, 48, 3, 3).mean(axis=(1, 3))
    assert np.abs(small - shrunk).mean() < 10


def test_there_are_one_to_six_objects_and_some_repeat() -> None:
    counts, repeats = set(), 0
    for index in range(COMPOSITIONS):
        labels = [placement.label for placement in compose(2, index)]
        counts.add(len(labels))
        repeats += len(labels) > len(set(labels))
    assert counts == set(range(1, MOST_OBJECTS + 1))
    assert 0.1 < repeats / COMPOSITIONS < 0.5


def test_classes_are_long_tailed(truth: NDArray[np.bool_]) -> None:
    shares = truth.mean(axis=0)
    assert 0.42 < shares.max() < 0.52
    assert 0.04 < shares.min() < 0.08
    assert 2.6 < truth.sum(axis=1).mean() < 3.0


@pytest.mark.parametrize(
    ("given", "other"),
    [("boat", "fish"), ("sun", "cloud"), ("moon", "star"), ("tree", "flower"), ("car", "house")],
)
def test_some_classes_keep_company(truth: NDArray[np.bool_], given: str, other: str) -> None:
    has_given, has_other = (truth[:, CLASSES.index(name)] for name in (given, other))
    assert has_other[has_given].mean() > 1.2 * has_other.mean()


def test_where_an_object_is_does_not_say_what_it_is() -> None:
    heights: dict[int, list[float]] = {}
    for index in range(COMPOSITIONS):
        for placement in compose(5, index):
            heights.setdefault(placement.label, []).append(placement.y)
    means = [np.mean(values) for values in heights.values()]
    assert len(means) == len(CLASSES)
    assert all(abs(mean - 0.5) < 0.08 for mean in means)


def test_objects_have_their_size_and_hardly_cover_each_other() -> None:
    for index in range(300):
        placements = compose(6, index)
        for number, one in enumerate(placements):
            assert SMALLEST <= one.size <= LARGEST
            covered = 0.0
            for later in placements[number + 1 :]:
                reach = (one.size + later.size) / 2
                across = max(0.0, reach - abs(one.x - later.x))
                down = max(0.0, reach - abs(one.y - later.y))
                covered += min(across, one.size) * min(down, one.size) / one.size**2
            assert covered < 0.4


def test_boxes_lie_inside_the_image_around_the_objects() -> None:
    for index in range(150):
        scene = draw_scene(7, index, 40)
        for thing, placement in zip(scene.objects, compose(7, index), strict=True):
            left, top, right, bottom = thing.box
            assert 0 <= left < right <= 40
            assert 0 <= top < bottom <= 40
            assert 0.5 * placement.size < (right - left) / 40 < 1.3 * placement.size
            assert 0.3 * placement.size < (bottom - top) / 40 < 1.3 * placement.size
            assert left < placement.x * 40 < right
            assert top < placement.y * 40 < bottom
