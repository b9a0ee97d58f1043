from __future__ import annotations

import json
import re
from pathlib import Path

import onnx
import pytest

from compress.core.boxes import BoxCoding
from compress.runtime.detector import open_detector
from tests.detector_files import LABELS, SIDE, DetectorFiles, write_boxes
from tests.serve.conftest import colours_onnx

pytestmark = pytest.mark.slow


@pytest.fixture
def foreign(folder: Path, detector_files: DetectorFiles) -> BoxCoding:
    """Write ssd.onnx, which says nothing of itself, and boxes.json; return the coding."""
    model = onnx.load(detector_files.onnx)
    del model.metadata_props[:]
    onnx.save(model, folder / "ssd.onnx")
    coding = open_detector(detector_files.onnx).coding
    said = {"boxes": "boxes", "logits": "logits", "coding": coding.model_dump(mode="json")}
    (folder / "boxes.json").write_text(json.dumps(said))
    (folder / "labels.txt").write_text("\n".join(LABELS))
    return coding


def test_a_described_detector_goes_through_the_chain(imgc, folder, foreign, detector_files: DetectorFiles):
    given = ("--preprocess", f"tf:{SIDE}", "--labels", "labels.txt", "--boxes", "boxes.json")
    result = imgc("describe", "ssd.onnx", "--out", "d.onnx", *given)
    assert result.exit_code == 0, result.output
    assert f"boxes of 2 classes, images of {SIDE} px, fp32" in result.stdout
    image = detector_files.images[0]
    own, described = (imgc("predict", image, "--model", file, "--json") for file in (detector_files.onnx, "d.onnx"))
    assert json.loads(described.stdout)["images"] == json.loads(own.stdout)["images"]

    write_boxes(folder / "data", 12)
    steps = ("--set", "reconstruct.steps=0")
    result = imgc("quantize", "--from", "d.onnx", "--data", "data", *steps)
    assert result.exit_code == 0, result.output
    result = imgc("export", "--format", "tflite", "--out", "d.tflite")
    assert result.exit_code == 0, result.output
    assert re.search(
        r"run it elsewhere: imgc snippet \S+/model\.tflite --for raspberry-pi .*/detect\.py", result.output
    )
    detector = open_detector(folder / "d.tflite")
    assert (detector.spec.arch, detector.spec.precision, detector.coding) == ("foreign", "int8", foreign)


def test_inspect_says_what_a_detector_can_become(imgc, folder, detector_files: DetectorFiles):
    result = imgc("inspect", detector_files.onnx, "--json")
    assert json.loads(result.stdout)["prospects"] == {"TFLite": "yes", "int8": "yes"}


def test_a_classifier_then_needs_no_preprocess(imgc, folder):
    model = onnx.ModelProto.FromString(colours_onnx())
    side = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    del model.metadata_props[:]
    onnx.save(model, folder / "c.onnx")
    result = imgc("describe", "c.onnx", "--out", "d.onnx", "--preprocess", "unit")
    assert result.exit_code == 0, result.output
    assert f"images of {side} px" in result.stdout
    assert imgc("snippet", "d.onnx").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ssd.onnx", "--out", "ssd.onnx", "--preprocess", "tf:128"), 2, "is the file itself"),
        (("ssd.onnx", "--out", "ssd.tflite", "--preprocess", "tf:128"), 2, "give a name that ends in .onnx"),
        (("ssd.onnx", "--out", "d.onnx", "--boxes", "boxes.json"), 4, "say how it was trained: --preprocess"),
        (("ssd.onnx", "--out", "d.onnx", "--preprocess", "tf:128"), 4, "a detector: see imgc describe"),
        (
            ("ssd.onnx", "--out", "d.onnx", "--preprocess", "tf:128", "--boxes", "labels.txt"),
            2,
            "labels.txt: Invalid JSON",
        ),
        (
            ("ssd.onnx", "--out", "d.onnx", "--preprocess", "tf:128", "--boxes", "none.json"),
            2,
            "none.json: cannot be read",
        ),
        (
            ("ssd.onnx", "--out", "d.onnx", "--preprocess", "tf:128", "--boxes", "bad.json"),
            2,
            "bad.json: coding.maps: ",
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(imgc, folder, foreign, arguments, code, words):
    (folder / "bad.json").write_text('{"boxes": "a", "logits": "b", "coding": {"maps": []}}')
    before = (folder / "ssd.onnx").read_bytes()
    result = imgc("describe", *arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert not (folder / "d.onnx").exists()
    assert (folder / "ssd.onnx").read_bytes() == before
