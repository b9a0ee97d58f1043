"""A file that finds the boxes itself goes through every verb, which answer as without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.detector_files import DetectorFiles

pytestmark = pytest.mark.slow

OUTPUTS = ["detection_boxes", "detection_classes", "detection_scores", "num_detections", "boxes", "logits"]


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_each_verb_answers_as_without(imgc, folder: Path, detector_files: DetectorFiles, fmt: str):
    loose = ("--set", "parity.min_agreement_pct=95")  # drawn weights: a hundred boxes lie over the sides of each image
    result = imgc("export", detector_files.onnx, "--format", fmt, "--postprocess", "--out", f"d.{fmt}", *loose)
    assert result.exit_code == 0, result.output
    assert "of its boxes found by itself" in result.output
    raw = getattr(detector_files, fmt)

    def told(*arguments: object) -> list[dict[str, object]]:
        both = [imgc(*(file if one is None else one for one in arguments), "--json") for file in (raw, f"d.{fmt}")]
        assert [result.exit_code for result in both] == [0, 0], both[-1].output
        return [json.loads(result.stdout) for result in both]

    without, found = told("predict", *detector_files.images[:2], "--model", None)
    assert found["images"] == without["images"]
    without, found = told("evaluate", None, "--data", detector_files.data)
    assert found["map_pct"] == without["map_pct"]
    without, found = told("inspect", None)
    assert [port["name"] for port in found["outputs"]] == OUTPUTS
    assert found["prospects"] == without["prospects"]
    result = imgc("benchmark", "files", raw, f"d.{fmt}", "--data", detector_files.data, "--repeats", 5, "--json")
    first, second = json.loads(result.stdout)["rows"]
    assert second["map_pct"] == first["map_pct"]


def test_it_is_for_detectors(imgc, folder: Path, tiny):
    path = tiny.onnx(spec=tiny.spec())
    result = imgc("export", path, "--format", "onnx", "--postprocess")
    assert result.exit_code == 2
    assert "`postprocess` is for detectors" in result.stderr
    assert "leave `postprocess` out" in result.stderr


def test_it_is_not_for_a_target_without_floats(imgc, folder: Path, detector_files: DetectorFiles):
    result = imgc("export", detector_files.onnx, "--format", "tflite", "--postprocess", "--target", "mcu")
    assert result.exit_code == 2
    assert "target mcu gives integers: leave one of them out" in result.stderr
