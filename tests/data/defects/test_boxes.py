"""Images of defects with boxes: the same numbers give the same image, and a box is where its flaw is."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

import compress.data.defects.boxes as module
from compress.data.defects.boxes import BOX_LABELS, BoxImage, make_box_image
from compress.data.defects.fields import Rgb
from compress.data.defects.flaws import FLAWS, Scene
from compress.data.defects.image import LABELS

SIZE_PX = 64
HALF = SIZE_PX // 2
FLAW = (5, 9, 25, 23)  # where `painted` paints in its part: x0, y0, x1, y1


def many(count: int = 150) -> list[BoxImage]:
    return [make_box_image(0, "train", index, SIZE_PX) for index in range(count)]


def part_of(box: module.Box, half: int = HALF) -> tuple[int, int]:
    """Return the row and column of the part that a box lies in; fails where it is in two."""
    x0, y0, x1, y1 = box
    row, column = int(y0 // half), int(x0 // half)
    assert column * half <= x0 < x1 <= (column + 1) * half
    assert row * half <= y0 < y1 <= (row + 1) * half
    return row, column


def test_same_numbers_same_image_and_every_number_counts():
    first = make_box_image(3, "train", 8, SIZE_PX)
    np.random.seed(5)  # the global state must not matter
    assert make_box_image(3, "train", 8, SIZE_PX) == first
    others = [make_box_image(*numbers, SIZE_PX) for numbers in ((4, "train", 8), (3, "val", 8), (3, "train", 9))]
    assert len({first.jpeg, *(other.jpeg for other in others)}) == 4
    with pytest.raises(KeyError, match="dev"):
        make_box_image(3, "dev", 8, SIZE_PX)


def test_the_classes_are_the_flaws_and_no_ok():
    assert LABELS[1:] == BOX_LABELS == tuple(FLAWS)


@pytest.mark.parametrize("size_px", [64, 97, 256])
def test_each_box_lies_in_a_part_of_its_own(size_px: int):
    for index in range(12):
        made = make_box_image(0, "test", index, size_px)
        with Image.open(io.BytesIO(made.jpeg)) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (size_px, size_px))
        parts = [part_of(box, size_px // 2) for box in made.boxes]
        assert len(set(parts)) == len(parts) == len(made.labels)
        assert set(made.labels) <= set(range(len(BOX_LABELS)))
        assert all(side == int(side) for box in made.boxes for side in box), "whole pixels"


def test_up_to_three_flaws_of_every_class_in_every_part_on_every_surface():
    images = many()
    counts = Counter(len(made.boxes) for made in images)
    shares = [counts[count] / len(images) for count in range(4)]
    assert sum(shares) == pytest.approx(1)
    assert shares[0] > 0, "some show the surface alone"
    assert shares == pytest.approx([0.1, 0.4, 0.3, 0.2], abs=0.12)  # three deviations of 150 images
    assert {label for made in images for label in made.labels} == set(range(len(BOX_LABELS)))
    assert {part_of(box) for made in images for box in made.boxes} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {made.surface for made in images} == {"metal", "wood", "fabric"}


def test_boxes_differ_in_size():
    sides = [max(x1 - x0, y1 - y0) for made in many(60) for x0, y0, x1, y1 in made.boxes]
    assert min(sides) < 0.3 * HALF
    assert max(sides) > 0.7 * HALF


def painted(scenes: list[Scene]) -> Callable[[np.random.Generator, Scene], Rgb]:
    """Return a flaw of a known place: black in it, little at its edge, and less than is seen all over."""

    def paint(_: np.random.Generator, scene: Scene) -> Rgb:
        scenes.append(scene)
        image = scene.surface.image
        x0, y0, x1, y1 = FLAW
        change = np.full(image.shape[:2], 0.19, np.float32)
        change[y0:y1, x0:x1] = 0.21
        change[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = 1
        return image - change[..., None]

    return paint


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> list[Scene]:
    """Let every flaw be painted at the same place; return what they were painted on."""
    found: list[Scene] = []
    for name in FLAWS:
        monkeypatch.setitem(FLAWS, name, painted(found))
    return found


def test_a_box_goes_around_what_is_seen_of_its_flaw(scenes: list[Scene]):
    boxes = [box for made in many(10) for box in made.boxes]
    assert len(boxes) == len(scenes) > 10
    for box in boxes:
        row, column = part_of(box)
        left, top = column * HALF, row * HALF
        assert box == (left + FLAW[0], top + FLAW[1], left + FLAW[2], top + FLAW[3])


def test_flaws_are_seen_and_of_many_strengths(scenes: list[Scene]):
    many(60)
    strengths = sorted(scene.strength for scene in scenes)
    assert 0.4 <= strengths[0] < 0.45
    assert 0.95 < strengths[-1] <= 1
    assert max(after - before for before, after in pairwise(strengths)) < 0.1
    assert {scene.size_px for scene in scenes} == {HALF}


def test_flaws_of_an_image_have_one_light_and_do_not_cover_each_other(scenes: list[Scene]):
    made = next(
        made for made in (make_box_image(0, "train", index, SIZE_PX) for index in range(50)) if len(made.boxes) == 3
    )
    assert len({scene.light_angle for scene in scenes[-3:]}) == 1
    assert all(scene.surface.image.min() > -0.1 for scene in scenes), "each part is without a flaw before"
    with Image.open(io.BytesIO(made.jpeg)) as image:
        grey = np.asarray(image.convert("L"))
    flaws = [grey[y0 + 5 : y1 - 5, x0 + 5 : x1 - 5] for x0, y0, x1, y1 in np.array(made.boxes, int)]
    assert max(flaw.mean() for flaw in flaws) < 16 < 48 < grey.mean(), "each flaw is in the file, where its box is"
