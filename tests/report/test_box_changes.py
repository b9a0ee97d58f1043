"""What compression changed of boxes, from the answers alone."""

from __future__ import annotations

from compress.report.box_changes import find_box_changes
from compress.report.changes import MAX_IMAGES, MAX_MODELS
from tests.report.box_run import ELSEWHERE, LABELS, NUT, SCREW, box_answers, image_of

BOTH = image_of((NUT, 0, 0.9), (SCREW, 2, 0.8))


def answers_of(folder, truth, **found):
    given = box_answers(folder)
    paths = tuple(f"/p/{index}.jpg" for index in range(len(truth)))
    return type(given)(labels=given.labels, paths=paths, truth=truth, found=found)


def test_boxes_are_counted_against_the_baseline_and_the_labels(tmp_path) -> None:
    (found,) = find_box_changes(box_answers(tmp_path), "train")
    assert (found.stage, found.alike) == ("export", ("quantize",))
    # 8 boxes before, all right; after 2 + 1 + 3 + 2, of which 2 + 1 + 2 + 0 are right
    assert (found.changed, found.gone, found.new) == (3, 3, 3)
    assert (found.labelled, found.right_before, found.right_after) == (8, 8, 5)
    assert (found.wrong_before, found.wrong_after) == (0, 3)


def test_a_box_that_only_moved_is_the_same_and_one_of_another_class_is_not(tmp_path) -> None:
    images = find_box_changes(box_answers(tmp_path), "train")[0].images
    assert "0.png" not in [one.path for one in images]
    renamed = next(one for one in images if one.path == "3.png")
    assert [(one.label, one.same) for one in renamed.before] == [("nut", False), (LABELS[2], False)]
    assert [(one.label, one.same) for one in renamed.after] == [(LABELS[1], False), ("nut", False)]


def test_the_worst_image_comes_first(tmp_path) -> None:
    images = find_box_changes(box_answers(tmp_path), "train")[0].images
    # two boxes missed and two made up; then one missed or one made up
    assert [(one.path, one.mistakes_before, one.mistakes_after) for one in images] == [
        *(("3.png", 0, 4), ("1.png", 0, 1), ("2.png", 0, 1))
    ]
    better = answers_of(tmp_path, (BOTH,) * 3, a=(BOTH, image_of(), BOTH), b=(image_of((NUT, 0, 0.9)), BOTH, BOTH))
    worst = find_box_changes(better, "a")[0].images
    assert [one.path for one in worst] == ["0.jpg", "1.jpg"], "an image that got better comes last"


def test_of_equal_mistakes_the_image_of_more_other_boxes_comes_first(tmp_path) -> None:
    one, two = image_of((ELSEWHERE, 1, 0.9)), image_of((ELSEWHERE, 1, 0.9), (SCREW, 1, 0.8))
    other, others = image_of((ELSEWHERE, 2, 0.9)), image_of((ELSEWHERE, 2, 0.9), (SCREW, 0, 0.8))
    found = find_box_changes(answers_of(tmp_path, (image_of(),) * 2, a=(one, two), b=(other, others)), "a")
    assert [image.path for image in found[0].images] == ["1.jpg", "0.jpg"]


def test_boxes_are_told_as_they_were_kept(tmp_path) -> None:
    image = find_box_changes(box_answers(tmp_path), "train")[0].images[0]
    first = image.before[0]
    assert (first.index, first.label, first.score, first.box) == (0, "nut", 0.9, NUT)


def test_models_and_images_are_bounded(tmp_path) -> None:
    count, names = 40, [f"m{index}" for index in range(6)]
    found = {
        name: tuple(image_of((NUT, 0, 0.9)) if image % 6 == index else image_of() for image in range(count))
        for index, name in enumerate(names)
    }
    answers = answers_of(tmp_path, (BOTH,) * count, train=(BOTH,) * count, **found)
    changes = find_box_changes(answers, "train")
    assert [one.stage for one in changes] == ["m5", "m4", "m3", "m2"]
    assert len(changes) == MAX_MODELS
    assert sum(len(one.images) for one in changes) == MAX_IMAGES


def test_a_model_that_finds_what_the_baseline_finds_has_nothing_to_show(tmp_path) -> None:
    answers = answers_of(tmp_path, (BOTH,), train=(BOTH,), export=(BOTH,))
    (found,) = find_box_changes(answers, "train")
    assert (found.changed, found.gone, found.new, found.images) == (0, 0, 0, ())
    assert find_box_changes(answers_of(tmp_path, (BOTH,), train=(BOTH,)), "train") == ()
