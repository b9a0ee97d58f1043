from __future__ import annotations

import json
from pathlib import Path

import pytest

from compress.core.stage import SilentReporter
from compress.errors import DataError
from compress.runtime.detector import open_detector
from compress.runtime.evaluate_detector import as_json_data, evaluate_detector, texts
from tests.detector_files import DetectorFiles

pytestmark = pytest.mark.slow


def test_every_format_has_the_same_map(detector_files: DetectorFiles):
    measured = [
        as_json_data(evaluate_detector(open_detector(path), detector_files.data, SilentReporter()))
        for path in (detector_files.torch, detector_files.onnx, detector_files.tflite)
    ]
    assert measured[0].keys() == {"n_images", "map_pct", "map50_pct", "by_class_map_pct"}
    assert measured[0]["n_images"] == 4
    for other in measured[1:]:
        assert other["map_pct"] == pytest.approx(measured[0]["map_pct"], abs=0.05)
        assert other["map50_pct"] == pytest.approx(measured[0]["map50_pct"], abs=0.05)


def test_the_lines_name_file_runtime_and_classes(detector_files: DetectorFiles):
    first, second = texts(evaluate_detector(open_detector(detector_files.onnx), detector_files.data, SilentReporter()))
    assert "onnxruntime" in first
    assert "4 images" in first
    assert "nut" in second
    assert "bolt" in second


def test_other_classes_are_refused(detector_files: DetectorFiles, tmp_path: Path):
    (tmp_path / "images").symlink_to(detector_files.data / "images")
    for split in ("train", "val", "test"):
        content = json.loads((detector_files.data / f"{split}.json").read_text())
        content["categories"].reverse()
        for number, one in enumerate(content["categories"]):
            one["id"] = number
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="its classes are bolt, nut"):
        evaluate_detector(open_detector(detector_files.onnx), tmp_path, SilentReporter())


class Told(SilentReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.mark.parametrize(("splits", "images", "warned"), [(("train",), 4, True), (("train", "val"), 3, False)])
def test_no_split_is_made_of_images_that_were_trained_on(detector_files, tmp_path: Path, splits, images, warned):
    """A split made here would be another one than the training's."""
    (tmp_path / "images").symlink_to(detector_files.data / "images")
    for split in splits:
        content = json.loads((detector_files.data / f"{split}.json").read_text())
        if split == "val":
            content["images"] = content["images"][:3]
            content["annotations"] = [one for one in content["annotations"] if one["image_id"] < 3]
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    told = Told()
    found = evaluate_detector(open_detector(detector_files.onnx), tmp_path, told)
    assert found.n_images == images
    assert any("judged on the training images" in line for line in told.warnings) == warned
