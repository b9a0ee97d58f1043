"""Detectors side by side: mAP, its interval, and the boxes that match the baseline's."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from compress.benchmark.accuracies import accuracies_of
from compress.benchmark.box_answers import BoxAnswers
from compress.core.dataset import BoxesData
from compress.core.stage import SilentReporter
from compress.data.dataset import load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import read_placed
from compress.errors import StageError
from compress.runtime.detector import open_detector
from tests.detector_files import DetectorFiles

pytestmark = pytest.mark.slow


@pytest.fixture
def asked(detector_files: DetectorFiles):
    dataset = load_dataset(BoxesData(kind="coco", path=detector_files.data), seed=0, task="detect")
    split = dataset.splits["train"]

    def pixels(preprocess):
        return evaluation_pixels(split, preprocess, SilentReporter())

    def accuracies(models, labels=dataset.labels):
        return accuracies_of(models, "first", pixels, split, labels, SilentReporter())

    return accuracies


def test_equal_files_have_equal_figures(detector_files: DetectorFiles, asked):
    models = {"first": open_detector(detector_files.torch), "second": open_detector(detector_files.onnx)}
    found = asked(models).found
    assert found["second"].map_pct == pytest.approx(found["first"].map_pct, abs=0.5)
    assert found["first"].map_drop_pp == 0
    assert found["first"].map_drop_ci95_pp == (0, 0)
    assert found["first"].agreement_pct == 100
    assert found["second"].agreement_pct > 90
    assert found["first"].postprocess_p50_ms > 0
    assert found["first"].score_threshold == open_detector(detector_files.torch).coding.score_threshold
    low, high = found["first"].map_ci95_pct
    assert low <= found["first"].map_pct <= high
    assert set(found["first"].class_map_pct) <= {"nut", "bolt"}


def test_answers_are_the_boxes_that_a_file_shows_and_the_curves_of_its_map(detector_files: DetectorFiles, asked):
    models = {"first": open_detector(detector_files.torch), "second": open_detector(detector_files.onnx)}
    accuracies = asked(models)
    answers = accuracies.answers
    assert isinstance(answers, BoxAnswers)
    assert BoxAnswers.model_validate_json(answers.model_dump_json()) == answers
    assert answers.labels == ("nut", "bolt")
    assert [path.rsplit("/", 1)[1] for path in answers.paths] == [f"train-{index}.png" for index in range(4)]
    assert [one.classes for one in answers.truth] == [(0, 1)] * 4
    assert answers.truth[0].corners == ((10, 20, 60, 70), (90, 70, 150, 90))
    assert list(answers.found) == ["first", "second"]
    (pixels_HWC, place) = read_placed(detector_files.images[4], models["first"].spec.preprocess)
    (boxes,) = models["first"].detect(pixels_HWC[None], [place])
    assert len(answers.found["first"][0].classes) == len(boxes) > 0
    np.testing.assert_allclose(answers.found["first"][0].corners, boxes.corners_B4, atol=0.01)
    for name, row in accuracies.found.items():
        curves = answers.precision[name]
        assert {label: 100 * fmean(curve) for label, curve in curves.items()} == pytest.approx(
            row.class_map50_pct, abs=0.01
        )
        assert fmean(row.class_map50_pct.values()) == pytest.approx(row.map50_pct)


def test_a_file_that_finds_less_drops(detector_files: DetectorFiles, asked):
    whole = open_detector(detector_files.torch)

    def blind(inputs):
        raw_NA4, logits_NAK = whole.engine.run(inputs)
        return raw_NA4 + np.float32(3.0), logits_NAK

    moved = replace(whole, engine=replace(whole.engine, run=blind))
    found = asked({"first": whole, "second": moved}).found["second"]
    assert found.map_drop_pp > 0
    assert found.agreement_pct < 50


def test_other_classes_are_refused_by_name(detector_files: DetectorFiles, asked):
    with pytest.raises(StageError, match="has the classes nut, bolt, the images have cat"):
        asked({"first": open_detector(detector_files.torch)}, labels=("cat",))


def test_a_file_that_answers_nan_is_an_error_of_its_row(detector_files: DetectorFiles, asked):
    whole = open_detector(detector_files.torch)

    def broken(inputs):
        raw_NA4, logits_NAK = whole.engine.run(inputs)
        return raw_NA4 * np.float32("nan"), logits_NAK

    found = asked({"first": whole, "second": replace(whole, engine=replace(whole.engine, run=broken))})
    assert list(found.found) == ["first"]
    assert "NaN" in found.errors["second"]
