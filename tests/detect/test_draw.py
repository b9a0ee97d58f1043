"""Boxes drawn on an image."""

from __future__ import annotations

import numpy as np
from PIL import Image

from compress.detect.answers import Boxes
from compress.detect.draw import drawn, write_drawn

LABELS = ("nut", "bolt")


def boxes(*corners: tuple[float, float, float, float], classes: tuple[int, ...] = (0, 1)) -> Boxes:
    count = len(corners)
    return Boxes(
        np.array(corners, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.array(classes[:count], np.int64),
    )


def changed(image: Image.Image, copy: Image.Image) -> np.ndarray:
    return (np.asarray(image) != np.asarray(copy)).any(axis=2)


def test_a_box_is_a_frame_and_leaves_the_rest_of_the_image():
    image = Image.new("RGB", (320, 240), "grey")
    where = changed(image, drawn(image, boxes((100, 100, 200, 180)), LABELS))
    assert where[100, 100:200].all()
    assert where[100:180, 100].all()
    assert not where[110:170, 110:190].any()
    assert not where[190:, :].any()
    assert not where[:, 240:].any()


def test_classes_have_colours_of_their_own_and_the_image_stays_as_it_is():
    image = Image.new("RGB", (320, 240), "grey")
    first, second = (drawn(image, boxes((50, 60, 150, 160), classes=(index,)), LABELS) for index in (0, 1))
    assert first.getpixel((50, 100)) != second.getpixel((50, 100))
    assert image.getcolors() == [(320 * 240, (128, 128, 128))]


def test_a_label_stays_inside_an_image_whose_box_begins_at_the_top():
    image = Image.new("RGB", (320, 240), "grey")
    where = changed(image, drawn(image, boxes((10, 0, 300, 200)), LABELS))
    assert where[2:12, 14:40].any()


def test_a_label_stays_inside_an_image_whose_box_lies_at_its_right_side():
    image = Image.new("RGB", (320, 240), "grey")
    where = changed(image, drawn(image, boxes((300, 100, 318, 180)), ("a long name",)))
    assert where[90, 230:319].all()
    assert not where[90, :200].any()
    wide = changed(image, drawn(image, boxes((300, 100, 318, 180)), {0: "a name that is longer than the image " * 2}))
    assert wide[90, :4].all(), "it begins at the left side, and its head can be read"


def test_the_best_box_lies_on_top():
    image = Image.new("RGB", (320, 240), "grey")
    same = (50.0, 60.0, 150.0, 160.0)
    alone = drawn(image, boxes(same), LABELS)
    both = drawn(image, boxes(same, same), LABELS)
    assert both.getpixel((50, 100)) == alone.getpixel((50, 100))


def test_no_box_and_the_smallest_image_are_drawn(tmp_path):
    path = write_drawn(tmp_path, "a.png", Image.new("RGB", (1, 1)), boxes(), LABELS)
    with Image.open(path) as image:
        assert image.size == (1, 1)


def test_equal_names_do_not_overwrite_each_other(tmp_path):
    image = Image.new("RGB", (20, 20))
    names = [write_drawn(tmp_path / "out", "x/a.png", image, boxes((1, 1, 9, 9)), LABELS).name for _ in range(3)]
    assert names == ["a.jpg", "a-2.jpg", "a-3.jpg"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
