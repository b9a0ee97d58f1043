from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from compress.core.dataset import BoxesData
from compress.core.formats import Precision
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, SilentReporter
from compress.errors import CheckError, UsageError
from compress.export import detector as under_test
from compress.export.config import ExportConfig
from compress.export.stage import run
from compress.models.weights import read_spec_of
from compress.runtime.detector import open_detector
from tests.detector_files import DetectorFiles, artifact_of

pytestmark = pytest.mark.slow


def exported(files: DetectorFiles, folder: Path, *, data: bool = False, **options: object):
    images = BoxesData(kind="coco", path=files.data) if data else None
    ctx = RunContext(stage_dir=folder, seed=0, device="cpu", reporter=SilentReporter(), data=images)
    artifact = artifact_of(files.torch, read_spec_of(files.torch))
    return run(ExportConfig(**options), {"from": artifact}, ctx)


def test_the_onnx_file_ends_in_boxes_and_logits_and_says_what_they_mean(detector_files: DetectorFiles):
    model = onnx.load(detector_files.onnx)
    assert [value.name for value in model.graph.output] == ["boxes", "logits"]
    assert "NonMaxSuppression" not in {node.op_type for node in model.graph.node}
    (text,) = [entry.value for entry in model.metadata_props if entry.key == "imgc.spec"]
    spec = ModelSpec.model_validate(json.loads(text))
    assert (spec.task, spec.labels, spec.preprocess.fit) == ("detect", ("nut", "bolt"), "stretch")


def test_the_tflite_file_is_one_piece_for_xnnpack(detector_files: DetectorFiles):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(detector_files.tflite))
    interpreter.allocate_tensors()
    operators = [one["op_name"] for one in interpreter._get_ops_details()]
    assert operators.count("DELEGATE") == 1
    assert "TRANSPOSE" not in operators


def test_parity_is_measured_on_the_runs_images(detector_files: DetectorFiles, tmp_path: Path):
    metrics = exported(detector_files, tmp_path, data=True, format="tflite").metrics
    assert metrics["parity_images"] == 8, "validation and test images"
    assert metrics["parity_on"] == "images"
    assert metrics["parity_agreement_pct"] == 100
    assert 0 < metrics["parity_max_abs_logit_diff"] < 1e-3


def test_a_file_that_answers_otherwise_is_not_left(detector_files: DetectorFiles, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(under_test, "_BOUNDS", {Precision.FP32: 0.0})
    with pytest.raises(CheckError, match="its numbers differ by"):
        exported(detector_files, tmp_path, format="onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bounds", "words"),
    [({"max_abs_logit_diff": 1e-12}, "allowed 1e-12"), ({"min_agreement_pct": 100.0}, "at least 100 % wanted")],
)
def test_the_bounds_are_those_of_the_recipe(detector_files: DetectorFiles, tmp_path: Path, monkeypatch, bounds, words):
    monkeypatch.setattr(under_test, "partners", _one_is_alone)
    monkeypatch.setattr(under_test, "_NEAR", 0.0)
    with pytest.raises(CheckError, match=words):
        exported(detector_files, tmp_path, data=True, format="onnx", parity=bounds)


def test_a_box_near_the_threshold_does_not_count_against_the_share(
    detector_files: DetectorFiles, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(under_test, "partners", _one_is_alone)
    monkeypatch.setattr(under_test, "_NEAR", 1.0)
    metrics = exported(detector_files, tmp_path, data=True, format="onnx", parity={"min_agreement_pct": 100.0}).metrics
    assert metrics["parity_near_ties"] > 0
    assert metrics["parity_agreement_pct"] < 100


def _one_is_alone(boxes, _others):
    found = np.arange(len(boxes))
    found[:1] = -1
    return found


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"converter": "tensorflow", "format": "tflite"}, UsageError, "converter 'tensorflow' is for classifiers"),
        ({"precision": "int8"}, UsageError, "int8 asked of 'train'"),
        ({"target": "mcu", "format": "tflite"}, CheckError, "is not a quantized model"),
    ],
)
def test_what_a_float_detector_is_not_written_in_is_said(
    detector_files: DetectorFiles, tmp_path: Path, options, error, words
):
    with pytest.raises(error, match=words):
        exported(detector_files, tmp_path, **{"format": "onnx", **options})


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_half_precision_halves_the_file_and_finds_the_same_boxes(
    detector_files: DetectorFiles, tmp_path: Path, fmt: str
):
    metrics = exported(
        detector_files, tmp_path, data=True, format=fmt, precision="fp16", parity={"min_agreement_pct": 50}
    ).metrics
    whole = {"onnx": detector_files.onnx, "tflite": detector_files.tflite}[fmt].stat().st_size
    assert (tmp_path / f"model.{fmt}").stat().st_size < 0.6 * whole
    assert metrics["precision"] == "fp16"
    assert metrics["parity_max_abs_logit_diff"] > 0


def test_the_source_opens_as_what_was_written(detector_files: DetectorFiles):
    spec = open_detector(detector_files.tflite).spec
    assert (spec.layout, spec.layers) == ("NHWC", ())
