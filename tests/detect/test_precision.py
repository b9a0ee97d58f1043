"""Mean average precision, against pycocotools."""

from __future__ import annotations

import sys
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from compress.data.boxes import BoxLabels
from compress.detect.answers import Boxes
from compress.detect.precision import RECALLS, AveragePrecision, average_precision
from compress.errors import BackendMissingError
from tests.detect.test_boxes import boxes

SIDE = 300.0
CLASSES = 4
NONE_B4 = np.zeros((0, 4), np.float32)


def known(corners_B4: Any, classes: list[int]) -> BoxLabels:
    return BoxLabels(np.array(corners_B4, np.float32).reshape(-1, 4), np.array(classes, np.int64))


def answer(corners_B4: Any, scores: Any, classes: Any) -> Boxes:
    corners_B4 = np.array(corners_B4, np.float32).reshape(-1, 4)
    return Boxes(corners_B4, np.array(scores, np.float32), np.array(classes, np.int64))


def random_pair(seed: int, images: int = 8) -> tuple[list[BoxLabels], list[Boxes]]:
    """Return boxes of all classes but the last, and answers: some are right, some moved, renamed or made up."""
    rng = np.random.default_rng(seed)
    truth, answers = [], []
    for image in range(images):
        count = int(rng.integers(0, 9)) if image else 0
        corners_B4 = boxes(count, seed=seed * 100 + image) * SIDE
        classes_B = rng.integers(0, CLASSES - 1, count)
        truth.append(BoxLabels(corners_B4.astype(np.float32), classes_B))
        moved_B4 = np.repeat(corners_B4, 2, axis=0) + rng.normal(0, 6, (2 * count, 4))
        made_up_B4 = boxes(120 if image == 1 else 3, seed=seed * 100 + image + 50) * SIDE
        found_B4 = np.concatenate([moved_B4, made_up_B4])
        found_B4[:, 2:] = np.maximum(found_B4[:, 2:], found_B4[:, :2] + 1)
        renamed_B = np.where(rng.uniform(size=2 * count) < 0.2, 3, np.repeat(classes_B, 2))
        classes = np.concatenate([renamed_B, rng.integers(0, CLASSES, len(made_up_B4))])
        scores = np.sort(rng.uniform(size=len(found_B4)))[::-1]
        shuffled = rng.permutation(len(found_B4))
        answers.append(answer(found_B4[shuffled], scores, classes[shuffled]))
    return truth, answers


def sides(corners_B4: np.ndarray) -> list[list[float]]:
    return [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in corners_B4.astype(np.float64).tolist()]


def by_pycocotools(truth: list[BoxLabels], answers: list[Boxes]) -> AveragePrecision:
    """Return what pycocotools says."""
    reference = COCO()
    labelled = [
        (image, box, index)
        for image, one in enumerate(truth)
        for box, index in zip(sides(one.corners_B4), one.classes_B, strict=True)
    ]
    reference.dataset = {
        "info": {},
        "images": [{"id": image + 10} for image in range(len(truth))],
        "categories": [{"id": index + 1} for index in range(CLASSES)],
        "annotations": [
            {
                "id": number,
                "image_id": image + 10,
                "category_id": int(index) + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for number, (image, box, index) in enumerate(labelled, 1)
        ],
    }
    reference.createIndex()
    found = reference.loadRes(
        [
            {"image_id": image + 10, "category_id": int(index) + 1, "bbox": box, "score": float(score)}
            for image, one in enumerate(answers)
            for box, index, score in zip(sides(one.corners_B4), one.classes_B, one.scores_B, strict=True)
        ]
    )
    judge = COCOeval(reference, found, "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    by_class = []
    for index in range(CLASSES):
        curve = judge.eval["precision"][:, :, index, 0, 2]
        by_class.append(None if (curve < 0).all() else 100 * float(curve[curve > -1].mean()))
    curves = judge.eval["precision"][0, :, :, 0, 2].T
    sizes = zip(("small", "medium", "large"), judge.stats[3:6], strict=True)
    by_size = {size: None if value < 0 else 100 * float(value) for size, value in sizes}
    return AveragePrecision(
        100 * judge.stats[0],
        100 * judge.stats[1],
        tuple(by_class),
        by_size,
        tuple(None if (curve < 0).all() else tuple(curve.tolist()) for curve in curves),
    )


@pytest.mark.parametrize("seed", range(4))
def test_precision_is_pycocotools(seed):
    truth, answers = random_pair(seed)
    expected, found = by_pycocotools(truth, answers), average_precision(truth, answers, CLASSES)
    assert 5 < found.map_pct < found.map50_pct < 95
    assert found.map_pct == pytest.approx(expected.map_pct, abs=1e-6)
    assert found.map50_pct == pytest.approx(expected.map50_pct, abs=1e-6)
    assert found.by_class_pct == pytest.approx(expected.by_class_pct, abs=1e-6)
    assert found.by_class_pct[-1] is None, "no image has one"
    assert found.by_size_pct == pytest.approx(expected.by_size_pct, abs=1e-6)
    assert found.curves[-1] is None
    assert found.by_class50_pct[-1] is None
    for curve, wanted in zip(found.curves[:-1], expected.curves[:-1], strict=True):
        assert len(curve) == RECALLS
        assert curve == pytest.approx(wanted, abs=1e-9)
    assert fmean(found.by_class50_pct[:-1]) == pytest.approx(found.map50_pct), "the curves are what the mAP is made of"
    assert len({round(one) for one in found.by_class_pct[:-1]}) > 1


def test_at_most_a_hundred_boxes_of_an_image_count():
    box, others = [10, 10, 50, 60], boxes(100, seed=1) * 40 + 200
    truth = [known([box], [0])]
    last = answer(np.concatenate([others, [box]]), np.linspace(1, 0.1, 101), [0] * 101)
    within = answer(np.concatenate([others[1:], [box]]), np.linspace(1, 0.1, 100), [0] * 100)
    assert average_precision(truth, [last], 1).map_pct == 0.0
    assert average_precision(truth, [within], 1).map_pct > 0.0


def without_sizes(found: AveragePrecision) -> AveragePrecision:
    return replace(found, by_size_pct={}, curves=())


def test_what_is_there_is_worth_all():
    truth = [known([[10, 10, 50, 60], [0, 0, 30, 20]], [0, 2]), known([], [])]
    answers = [answer(truth[0].corners_B4, [0.9, 0.2], [0, 2]), answer([], [], [])]
    by_class = (pytest.approx(100), None, pytest.approx(100))
    expected = AveragePrecision(pytest.approx(100), pytest.approx(100), by_class)
    assert without_sizes(average_precision(truth, answers, 3)) == expected


def test_a_box_of_little_overlap_is_worth_something_at_the_lowest_bound_alone():
    truth, moved = [known([[0, 0, 100, 100]], [0])], answer([[0, 0, 100, 52]], [0.9], [0])
    assert without_sizes(average_precision(truth, [moved], 1)) == AveragePrecision(
        pytest.approx(10), pytest.approx(100), (pytest.approx(10),)
    )


def test_a_box_where_nothing_is_counts_against_it():
    truth, right = [known([[0, 0, 100, 100]], [0]), known([], [])], answer([[0, 0, 100, 100]], [0.5], [0])
    surer, less_sure = (answer([[5, 5, 40, 40]], [score], [0]) for score in (0.9, 0.1))
    assert average_precision(truth, [right, surer], 1).map_pct == pytest.approx(50)
    assert average_precision(truth, [right, less_sure], 1).map_pct == pytest.approx(100)


def test_no_answer_is_worth_nothing_where_something_is():
    truth = [known([[0, 0, 100, 100]], [1])]
    found = average_precision(truth, [answer([], [], [])], 3)
    assert without_sizes(found) == AveragePrecision(0.0, 0.0, (None, 0.0, None))
    assert found.curves == (None, (0.0,) * RECALLS, None)
    assert found.by_class50_pct == (None, 0.0, None)


@pytest.mark.parametrize("found", [answer([], [], []), answer([[0, 0, 9, 9]], [0.9], [1])], ids=["silent", "wrong"])
def test_where_nothing_is_known_it_is_nought(found):
    assert without_sizes(average_precision([known([], [])], [found], 2)) == AveragePrecision(0.0, 0.0, (None, None))


def test_a_missing_library_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(BackendMissingError, match="faster_coco_eval") as caught:
        average_precision([known([], [])], [answer([], [], [])], 1)
    assert "train" in caught.value.hint


def test_nothing_is_printed(capfd):
    average_precision(*random_pair(0), CLASSES)
    assert capfd.readouterr() == ("", "")
