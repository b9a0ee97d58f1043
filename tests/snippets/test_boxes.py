"""Snippets of detectors run as a user would run them; the boxes that they print are those of `imgc predict --json`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.cli.predict_boxes import found_by
from compress.core.boxes import AnchorMap, BoxCoding
from compress.core.preprocess import Preprocess
from compress.runtime.detector import Detector, open_detector
from compress.runtime.tflite_predictor import open_interpreter
from compress.snippets.boxes import box_values
from compress.snippets.write import LANGUAGES, snippet
from tests.snippets.patches import CODING, PREPROCESS, write_detector
from tests.snippets.programs import in_browser, in_node, in_python

IMAGES = {  # size of each, and how it is written
    "turned.jpg": ((98, 131), {"quality": 95, "exif": Image.Exif()}),
    "wide.png": ((128, 65), {}),
    "high.webp": ((90, 170), {"lossless": True}),
}
IMAGES["turned.jpg"][1]["exif"][0x0112] = 6
# What each file says otherwise than the usual one, which stretches and takes the softmax, background first.
VARIANTS = {
    "usual": ({}, {"score_threshold": 0.2}),
    "cut": (
        {"resize_px": 72, "fit": "crop", "channel_order": "BGR"},
        {"score_threshold": 0.25, "nms_iou": 0.7, "max_candidates": 6, "max_boxes": 9},
    ),
    "letterbox": (
        {"fit": "letterbox", "interpolation": "bicubic"},
        {"order": "yxhw", "scales": (9.0, 8.0, 0.2, 0.6), "nms": "all", "nms_iou": 0.3},
    ),
    "no background": ({"fit": "letterbox"}, {"activation": "sigmoid", "background": "none", "max_candidates": 50}),
    "scores": ({}, {"activation": "none", "score_threshold": 0.0, "nms_iou": 0.45, "nms": "all"}),
    "none": ({}, {"score_threshold": 1.0}),
}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with images of three formats, one of which says how it is to be turned."""
    for seed, (name, (size, options)) in enumerate(IMAGES.items()):
        noise = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(tmp_path / name, **options)
    return tmp_path


def detector_in(work: Path, name: str, variant: str) -> Detector:
    """Write a detector's file, in int8 if it is called so."""
    preprocess, coding = VARIANTS[variant]
    write_detector(
        work / name,
        BoxCoding.model_validate(CODING.model_dump() | coding),
        Preprocess.model_validate(PREPROCESS.model_dump() | preprocess),
        quantized="int8" in name,
    )
    return open_detector(work / name)


def require_boxes_of(detector: Detector, image: Path, lines: list[str]) -> None:
    """Hold what a program prints against `imgc predict --json`."""
    expected = found_by(detector, None)(image)[0]["detections"]
    if detector.coding.score_threshold == 1:
        assert (lines, expected) == (["no box"], [])
        return
    found = [line.rsplit(" ", 5) for line in lines]
    assert [row[0] for row in found] == [row["label"] for row in expected]
    assert len(found) >= 9
    assert [float(row[1]) for row in found] == pytest.approx([row["score"] for row in expected], abs=2e-4)
    corners = np.array([row[2:] for row in found], float)
    np.testing.assert_allclose(corners, [row["box"] for row in expected], atol=0.1)


RUN = [
    ("model.onnx", "python"),
    ("int8.onnx", "python"),
    ("model.tflite", "python"),
    ("int8.tflite", "raspberry-pi"),
]


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("name", "language"), RUN)
def test_python(work, name, language, variant):
    detector = detector_in(work, name, variant)
    text = snippet(detector, language)
    assert "compress" not in text
    for image in IMAGES if variant in ("usual", "letterbox") else ["turned.jpg"]:
        require_boxes_of(detector, work / image, in_python(work, text, image))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), [*[("model.onnx", one) for one in VARIANTS], ("int8.onnx", "scores")])
def test_node(work, name, variant):
    detector = detector_in(work, name, variant)  # of int8 many scores are equal
    text = snippet(detector, "node")
    for image in IMAGES if variant in ("usual", "letterbox") else ["turned.jpg"]:
        require_boxes_of(detector, work / image, in_node(work, text, image))


@pytest.mark.slow
def test_browser(work):
    detector = detector_in(work, "model.onnx", "letterbox")
    for image, lines in zip(IMAGES, in_browser(work, snippet(detector, "browser"), list(IMAGES)), strict=True):
        require_boxes_of(detector, work / image, lines)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_program_is_complete_and_says_what_the_file_means(work, language, variant):
    name = "int8.tflite" if language in ("raspberry-pi", "android", "ios") else "model.onnx"
    detector = detector_in(work, name, variant)
    text = snippet(detector, language)
    assert not re.search("@[A-Z_]+@", text)
    assert len(text.splitlines()) <= 130
    coding = detector.coding
    numbers = (coding.score_threshold, coding.nms_iou, coding.max_candidates, coding.max_boxes, *coding.scales)
    for said in (*detector.spec.labels, Path(name).stem, "0.33333334", *map(repr, numbers)):
        assert said in text
    assert ("114" in text) == (detector.spec.preprocess.fit == "letterbox")
    same_class = ("== index", "other.index === one.index", "it.index == one.index", "$0.index == one.index")
    assert any(code in text for code in (*same_class, "one.index == other.index")) == (coding.nms == "per_class")


def test_integers_are_read_by_their_grids(work):
    detector = detector_in(work, "int8.tflite", "usual")
    interpreter, _ = open_interpreter(detector.path, 1, None)
    kotlin, swift = snippet(detector, "android"), snippet(detector, "ios")
    assert "allocateDirect(1 * SIZE * SIZE * 3)" in kotlin
    for place, sink in enumerate(interpreter.get_output_details()):
        (scale, zero), name = sink["quantization"], "raw" if sink["name"] == "boxes" else "logits"
        assert f"(it - {zero}) * {scale!r}f" in kotlin
        assert f"{place} to {sink['name']}" in kotlin
        assert f"let {name} = try interpreter.output(at: {place})" in swift
        assert f"Float(Int($0) - ({zero})) * {scale!r}" in swift


def test_anchors_are_written_as_the_float32_they_are():
    coding = BoxCoding(maps=(AnchorMap(rows=2, columns=3, sizes=((1 / 3, 0.1), (1.0, 2e-6))),))
    values = box_values(coding)
    assert values["MAPS_PY"] == "(2, 3, [(0.33333334, 0.1), (1.0, 2e-06)])"
    assert values["MAPS_C"] == "{2, 3, {{0.33333334, 0.1}, {1.0, 2e-06}}}"
