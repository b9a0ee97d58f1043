"""What annotation tools get wrong in boxes has one answer, whatever the format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from compress.core.stage import SilentReporter
from compress.data.boxes import BoxEntry, BoxLabels, DrawnBoxes, OddBoxes, entries_of, require_boxes, visible_labels
from compress.errors import DataError
from tests.data.test_coco import SIZE, Told, image

SOURCE = Path("boxes.json")
Box = tuple[float, float, float, float]


def drawn(folder: Path, *corners: Box, name: str = "a.png", said: Sequence[int | None] = (None, None)) -> DrawnBoxes:
    """Return the boxes of an image that is there, in pixels, each of its own class."""
    return DrawnBoxes(folder / "images" / name, name, corners, range(len(corners)), (said[0], said[1]))


def mended(one: DrawnBoxes, told: Told | None = None) -> BoxLabels:
    (entry,) = entries_of([one], SOURCE, told or SilentReporter())
    return entry.boxes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image(tmp_path, "a.png")
    return tmp_path


def test_good_boxes_stay_as_they_are(folder: Path):
    told = Told()
    found = mended(drawn(folder, (10, 5, 30.5, 35), (0, 0, *SIZE)), told)
    assert found.corners_B4.tolist() == [[10, 5, 30.5, 35], [0, 0, *SIZE]]
    assert (found.corners_B4.dtype, found.classes_B.dtype) == (np.float32, np.int64)
    assert (found.classes_B.tolist(), found.size) == ([0, 1], SIZE)
    assert told.warnings == []


def test_images_are_by_name_and_none_without_boxes_is_lost(folder: Path):
    for name in ("b.png", "0.png"):
        image(folder, name)
    given = [drawn(folder, name="b.png"), drawn(folder, (1, 1, 5, 5)), drawn(folder, name="0.png")]
    entries = entries_of(given, SOURCE, SilentReporter())
    assert [(one.name, one.path.name, one.label) for one in entries] == [
        (name, name, "") for name in ("0.png", "a.png", "b.png")
    ]
    assert [one.boxes.corners_B4.shape for one in entries] == [(0, 4), (1, 4), (0, 4)]
    assert [one.boxes.classes_B.shape for one in entries] == [(0,), (1,), (0,)]
    assert entries_of([], SOURCE, SilentReporter()) == ()


@pytest.mark.parametrize("given", [(30, 35, 10, 5), (30, 5, 10, 35), (10, 35, 30, 5)], ids=["both", "across", "down"])
def test_a_box_of_negative_sides_is_turned_around(folder: Path, given: Box):
    told = Told()
    assert mended(drawn(folder, given), told).corners_B4.tolist() == [[10, 5, 30, 35]]
    assert told.warnings == ["boxes.json: 1 boxes of negative width or height were turned around:\n  a.png"]


@pytest.mark.parametrize(
    ("given", "cut"),
    [
        ((-5, 5, 30, 35), (0, 5, 30, 35)),
        ((10, -5, 30, 35), (10, 0, 30, 35)),
        ((10, 5, 61, 35), (10, 5, 60, 35)),
        ((10, 5, 60.01, 35), (10, 5, 60, 35)),
        ((10, 5, 30, 41), (10, 5, 30, 40)),
        ((-1e9, -1e9, 1e9, 1e9), (0, 0, 60, 40)),
    ],
)
def test_a_box_is_cut_at_each_side_of_its_image(folder: Path, given: Box, cut: Box):
    told = Told()
    assert mended(drawn(folder, given), told).corners_B4.tolist() == [list(cut)]
    assert told.warnings == ["boxes.json: 1 boxes that reach beyond their image were cut at its sides:\n  a.png"]


def test_the_rounding_of_numbers_is_cut_and_not_told(folder: Path):
    told = Told()
    assert mended(drawn(folder, (-0.0009, 5, 60.0009, 35)), told).corners_B4.tolist() == [[0, 5, 60, 35]]
    assert told.warnings == []


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ((10, 5, 11, 6), True),
        ((10, 5, 10.9, 35), False),
        ((10, 5, 30, 5.9), False),
        ((10, 5, 10, 5), False),
        ((59.5, 5, 70, 35), False),
        ((70, 50, 90, 90), False),
    ],
)
def test_a_box_of_less_than_a_pixel_in_its_image_is_left_out_with_its_class(folder: Path, given: Box, left: bool):
    told = Told()
    found = mended(drawn(folder, given, (1, 1, 5, 5)), told)
    assert found.classes_B.tolist() == ([0, 1] if left else [1])
    assert len(found.corners_B4) == len(found.classes_B)
    words = "boxes.json: 1 boxes of less than 1 pixel in their image were left out:\n  a.png"
    assert (words in told.warnings) is not left


def test_each_kind_is_told_once_with_the_image_of_each_box(folder: Path):
    image(folder, "b.png")
    odd = [(30, 35, 10, 5), (50, 30, 90, 90), (1, 1, 1, 1)]
    told = Told()
    entries_of([drawn(folder, *odd, (8, 8, 8, 8)), drawn(folder, *odd, name="b.png")], SOURCE, told)
    assert told.warnings == [
        "boxes.json: 2 boxes of negative width or height were turned around:\n  a.png\n  b.png",
        "boxes.json: 2 boxes that reach beyond their image were cut at its sides:\n  a.png\n  b.png",
        "boxes.json: 3 boxes of less than 1 pixel in their image were left out:\n  a.png\n  a.png\n  b.png",
    ]


def test_no_more_than_ten_images_are_named():
    odd, told = OddBoxes(), Told()
    odd.add("are odd", "a.png", 12)
    odd.add("are even", "a.png", 0)
    odd.tell(SOURCE, told)
    assert told.warnings == ["boxes.json: 12 boxes are odd:" + "\n  a.png" * 10 + "\n  ... and 2 more"]


@pytest.mark.parametrize(
    ("said", "corners"),
    [
        (SIZE, [20, 0, 40, 10]),
        (SIZE[::-1], [0, 0, 10, 20]),
        ((None, None), [0, 0, 10, 20]),
        ((SIZE[0], None), [0, 0, 10, 20]),
    ],
)
def test_the_said_size_tells_whether_boxes_are_turned(folder: Path, said, corners):
    image(folder, "a.png", orientation=6)
    found = mended(drawn(folder, (0, 0, 10, 20), said=said))
    assert (found.corners_B4.tolist(), found.size) == ([corners], SIZE[::-1])


def test_a_box_is_cut_at_the_sides_of_the_upright_image(folder: Path):
    image(folder, "a.png", orientation=6)
    assert mended(drawn(folder, (0, 0, *SIZE))).corners_B4.tolist() == [[0, 0, 40, 40]]
    assert mended(drawn(folder, (0, 0, *SIZE), said=SIZE)).corners_B4.tolist() == [[0, 0, 40, 60]]


@pytest.mark.parametrize("said", [(61, 40), (60, 41), (30, 20)])
def test_an_image_of_another_size_is_an_error(folder: Path, said):
    with pytest.raises(
        DataError, match=rf"boxes\.json: a\.png is said to be {said[0]} x {said[1]} pixels and has 60 x"
    ):
        mended(drawn(folder, (1, 1, 5, 5), said=said))


def test_shares_are_of_the_upright_image_and_one_beyond_it_is_told(folder: Path):
    image(folder, "a.png", orientation=6)
    path = folder / "images" / "a.png"
    told = Told()
    found = mended(
        DrawnBoxes(path, "a.png", [(0.25, 0.25, 0.5, 1.0), (0.75, 0.5, 1.5, 1)], [3, 3], in_shares=True), told
    )
    assert found.corners_B4.tolist() == [[10, 15, 20, 60], [30, 30, 40, 60]]
    assert [line.split(":")[1] for line in told.warnings] == [
        " 1 boxes that reach beyond their image were cut at its sides"
    ]


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_boxes_of_a_bad_image_wait_until_all_bad_images_are_told(folder: Path, content: bytes | None):
    path = folder / "images" / "a.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    told = Told()
    found = mended(drawn(folder, (30, 35, 10, 5), (70, 50, 90, 90), said=(1, 2)), told)
    assert found.corners_B4.tolist() == [[10, 5, 30, 35], [70, 50, 90, 90]]
    assert found.classes_B.tolist() == [0, 1]
    assert [line.split("\n")[0] for line in told.warnings] == [
        "boxes.json: 1 boxes of negative width or height were turned around:"
    ]


def test_class_names_are_kept_in_order_and_what_is_not_seen_is_written_out():
    assert visible_labels(["nut", "bolt", "\u00e9crou"], SOURCE) == ("nut", "bolt", "\u00e9crou")
    assert visible_labels(["\x1b[2J", "a\u202eb"], SOURCE) == (r"\x1b[2J", r"a\u202eb")


@pytest.mark.parametrize(
    ("names", "words"), [([], "no categories"), (["nut", "bolt", "nut"], "two categories have the name 'nut'")]
)
def test_no_class_and_one_twice_are_errors(names, words):
    with pytest.raises(DataError, match=rf"boxes\.json: {words}"):
        visible_labels(names, SOURCE)


def test_training_images_need_a_box(folder: Path):
    with_box, without = (
        BoxEntry(folder, "a.png", "", BoxLabels(np.ones((count, 4), np.float32), np.zeros(count, np.int64)))
        for count in (1, 0)
    )
    with pytest.raises(DataError, match=r"boxes\.json: not one box to learn from"):
        require_boxes({"train": [without, without], "val": [with_box]}, SOURCE)
    require_boxes({"train": [without, with_box], "val": [without]}, SOURCE)
