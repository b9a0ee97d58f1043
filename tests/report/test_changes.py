"""What compression changed, from the answers alone."""

from __future__ import annotations

from compress.report.changes import MAX_IMAGES, MAX_MODELS, find_changes, images_folder
from tests.report.rich_run import LABELS, answers


def test_the_last_model_comes_first_and_models_that_answer_alike_are_one(tmp_path) -> None:
    found = find_changes(answers(tmp_path), "train")
    assert [(one.stage, one.alike) for one in found] == [("export", ("quantize",)), ("prune", ())]
    # before 0 0 0 | 1 1 1 | 2 2 0 | 3 3 0; after 0 1 0 | 1 1 2 | 2 3 2 | 3 0 0; truth 0 0 0 | 1 1 1 | 2 2 2 | 3 3 3
    assert (found[0].changed, found[0].lost, found[0].gained) == (5, 4, 1)
    assert (found[1].changed, found[1].lost, found[1].gained) == (1, 1, 0)


def test_recall_of_each_class_the_largest_loss_first(tmp_path) -> None:
    recall = find_changes(answers(tmp_path), "train")[0].recall
    assert [(row.label, row.images) for row in recall] == [
        *((LABELS[index], 3) for index in (0, 1, 3)),
        (LABELS[2], 3),
    ]
    assert [round(row.change_pp, 2) for row in recall] == [-33.33, -33.33, -33.33, 0.0]
    assert recall[1].before_pct == 100.0


def test_a_class_without_images_has_no_recall(tmp_path) -> None:
    given = answers(tmp_path)
    kept = given.model_copy(update={"labels": (*given.labels, "unseen")})
    assert {row.label for row in find_changes(kept, "train")[0].recall} == set(LABELS)


def test_confusions_are_those_whose_count_changed(tmp_path) -> None:
    pairs = {
        (one.truth, one.answer): (one.before, one.after)
        for one in find_changes(answers(tmp_path), "train")[0].confusions
    }
    assert pairs == {
        ("dress", "hat"): (0, 1),
        ("hat", LABELS[2]): (0, 1),
        (LABELS[2], LABELS[3]): (0, 1),
        (LABELS[2], "dress"): (1, 0),
        (LABELS[3], "dress"): (1, 2),
    }


def test_images_come_lost_first_by_the_fall_of_the_right_class(tmp_path) -> None:
    images = find_changes(answers(tmp_path), "train")[0].images
    assert [one.path.rsplit("/", 1)[1] for one in images] == ["1.jpg", "5.jpg", "7.jpg", "10.jpg", "8.jpg"]
    first = images[0]
    assert (first.truth, first.before, first.after) == ("dress", "dress", "hat")
    assert (first.before_confidence, first.truth_before, first.truth_after) == (0.89, 0.9, 0.05)
    assert images[-1].after == images[-1].truth
    assert images_folder(answers(tmp_path).paths) == str(tmp_path)
    assert not first.path.startswith("/")


def test_models_and_images_are_bounded(tmp_path) -> None:
    given = answers(tmp_path)
    count = 40
    wide = {
        "labels": given.labels,
        "paths": tuple(f"/p/{index}.jpg" for index in range(count)),
        "truth": (0,) * count,
        "top1": {"train": (0,) * count}
        | {f"m{index}": (index % 3 + 1,) * (count - index) + (0,) * index for index in range(6)},
    }
    shares = dict.fromkeys(wide["top1"], (0.5,) * count)
    found = find_changes(type(given)(**wide, confidence=shares, truth_confidence=shares), "train")
    assert [one.stage for one in found] == ["m5", "m4", "m3", "m2"]
    assert len(found) == MAX_MODELS
    assert sum(len(one.images) for one in found) == MAX_IMAGES


def test_a_model_that_answers_as_the_baseline_has_nothing_to_show(tmp_path) -> None:
    given = answers(tmp_path)
    same = given.model_copy(update={"top1": dict.fromkeys(given.top1, given.top1["train"])})
    (found,) = find_changes(same, "train")
    assert (found.changed, found.confusions, found.images) == (0, (), ())
    assert find_changes(given.model_copy(update={"top1": {"train": given.top1["train"]}}), "train") == ()
