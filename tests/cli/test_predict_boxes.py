from __future__ import annotations

import json

import pytest

from compress.data.transforms import read_placed
from compress.runtime.detector import open_detector
from tests.detector_files import DetectorFiles

pytestmark = pytest.mark.slow


def test_boxes_are_in_pixels_of_the_image(imgc, folder, detector_files: DetectorFiles):
    image = detector_files.images[0]
    result = imgc("predict", image, "--model", detector_files.onnx, "--json")
    assert result.exit_code == 0, result.stderr
    (answer,) = json.loads(result.stdout)["images"]
    detector = open_detector(detector_files.onnx)
    pixels_HWC, place = read_placed(image, detector.spec.preprocess)
    (expected,) = detector.detect(pixels_HWC[None], [place])
    assert len(answer["detections"]) == len(expected) > 0
    first = answer["detections"][0]
    assert first.keys() == {"index", "label", "score", "box"}
    assert first["label"] == ("nut", "bolt")[first["index"]]
    assert first["box"] == pytest.approx(expected.corners_B4[0].tolist(), abs=0.01)
    assert first["score"] == pytest.approx(float(expected.scores_B[0]))


def test_a_line_for_each_image_and_bad_ones_do_not_cost_the_others(imgc, folder, detector_files: DetectorFiles):
    (folder / "bad.png").write_bytes(b"no image")
    result = imgc("predict", detector_files.images[0], "bad.png", "--model", detector_files.tflite)
    assert result.exit_code == 2
    assert " at " in result.stdout
    assert "1 of 2 images were not answered" in result.stderr


def test_evaluate_prints_map(imgc, folder, detector_files: DetectorFiles):
    result = imgc("evaluate", detector_files.onnx, "--data", detector_files.data, "--json")
    assert result.exit_code == 0, result.stderr
    assert {"n_images", "map_pct", "map50_pct"} <= json.loads(result.stdout).keys()


def test_a_folder_is_a_stream_whose_frames_have_boxes_in_pixels(imgc, folder, detector_files: DetectorFiles):
    result = imgc("predict", "--dir", detector_files.data / "images", "--model", detector_files.onnx, "--json")
    assert result.exit_code == 0, result.stderr
    *frames, summary = map(json.loads, result.stdout.splitlines())
    assert len(frames) == summary["summary"]["frames"] == len(detector_files.images)
    alone = imgc("predict", detector_files.images[0], "--model", detector_files.onnx, "--json")
    assert frames[0]["detections"] == json.loads(alone.stdout)["images"][0]["detections"] != []


@pytest.mark.parametrize("where", ["--dir", "images"])
def test_images_are_written_with_their_boxes(imgc, folder, detector_files: DetectorFiles, where: str):
    given = [where, detector_files.data / "images"] if where == "--dir" else detector_files.images
    result = imgc("predict", *given, "--model", detector_files.onnx, "--draw", "drawn")
    assert result.exit_code == 0, result.stderr
    assert len(list((folder / "drawn").glob("*.jpg"))) == len(detector_files.images)


def test_a_classifier_draws_nothing(imgc, folder, tiny):
    result = imgc("predict", "x.png", "--model", tiny.onnx(spec=tiny.spec()), "--draw", "drawn")
    assert result.exit_code == 2
    assert "finds no boxes" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("predict", "x.png", "--model", "{onnx}", "--top-k", "3"), "--top-k: is for classifiers"),
        (("snippet", "{onnx}", "--for", "python", "--preprocess", "unit"), "--preprocess: is for classifiers"),
        (("evaluate", "{onnx}", "--data", "."), "no train.json"),
        (("evaluate", "{onnx}", "--data", "{data}", "--baseline", "{onnx}"), "--baseline: is for classifiers"),
        (("predict", "x.png", "--model", "{onnx}", "--preprocess", "unit"), "--preprocess: is for classifiers"),
    ],
)
def test_what_detectors_do_not_do_is_said(imgc, folder, detector_files: DetectorFiles, arguments, words):
    names = {"data": detector_files.data, "onnx": detector_files.onnx}
    result = imgc(*[one.format(**names) for one in arguments])
    assert result.exit_code in (2, 4)
    assert words in result.stderr
