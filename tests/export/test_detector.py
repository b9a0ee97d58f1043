from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from compress.core.dataset import CocoData
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
    images = CocoData(kind="coco", path=files.data) if data else None
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


def test_parity_is_measured_on_the_runs_images(detector_files: DetectorFiles, tmp_path: Path):
    metrics = exported(detector_files, tmp_path, data=True, format="tflite").metrics
    assert metrics["parity_images"] == 8, "validation and test images"
    assert metrics["parity_on"] == "images"
    assert metrics["parity_agreement_pct"] == 100
    assert 0 < metrics["parity_max_abs_logit_diff"] < 1e-3


def test_a_file_that_answers_otherwise_is_not_left(detector_files: DetectorFiles, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(under_test, "_BOUND", 0.0)
    with pytest.raises(CheckError, match="its numbers differ by"):
        exported(detector_files, tmp_path, format="onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bounds", "words"),
    [({"max_abs_logit_diff": 1e-12}, "allowed 1e-12"), ({"min_agreement_pct": 100.0}, "at least 100 % wanted")],
)
def test_the_bounds_are_those_of_the_recipe(detector_files: DetectorFiles, tmp_path: Path, monkeypatch, bounds, words):
    monkeypatch.setattr(under_test, "matched", lambda first, _second: len(first) - 1)
    with pytest.raises(CheckError, match=words):
        exported(detector_files, tmp_path, format="onnx", parity=bounds)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "fp16"}, "precision 'fp16' is for classifiers"),
        ({"precision": "int8"}, "precision 'int8' is for classifiers"),
        ({"target": "mcu", "format": "tflite"}, "target 'mcu' is for classifiers"),
    ],
)
def test_what_detectors_are_not_written_in_is_said(detector_files: DetectorFiles, tmp_path: Path, options, words):
    with pytest.raises(UsageError, match=words):
        exported(detector_files, tmp_path, **{"format": "onnx", **options})


def test_the_source_opens_as_what_was_written(detector_files: DetectorFiles):
    spec = open_detector(detector_files.tflite).spec
    assert (spec.layout, spec.layers) == ("NHWC", ())
