"""What the post-processing inside a file finds, read as our own answers are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compress.errors import ModelFileError
from compress.runtime.detections import open_detections
from compress.runtime.detector import open_detector
from tests.detector_files import SIDE, DetectorFiles

pytestmark = pytest.mark.slow


def test_a_file_without_boxes_of_its_own_says_so(detector_files: DetectorFiles):
    preprocess = open_detector(detector_files.onnx).spec.preprocess
    for path in (detector_files.onnx, detector_files.tflite):
        with pytest.raises(ModelFileError, match=r"its outputs are boxes, logits; wanted are .* detection_boxes"):
            open_detections(path, preprocess)


def test_boxes_are_turned_and_cut_and_what_stands_behind_the_last_one_means_nothing(
    detector_files: DetectorFiles, tmp_path: Path
):
    answers = {
        "detection_boxes": np.array([[[-0.1, 0.2, 0.3, 1.4], [0.5, 0.5, 0.6, 0.7]]], np.float32),
        "detection_classes": np.array([[1, 7]], np.int64),
        "detection_scores": np.array([[0.75, np.nan]], np.float32),
        "num_detections": np.array([1], np.int64),
    }
    kinds = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in answers.items()}
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{name}.value"], [name]) for name in answers],
        "answers",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, kinds[name], value.shape) for name, value in answers.items()],
        [helper.make_tensor(f"{name}.value", kinds[name], value.shape, value) for name, value in answers.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "a.onnx")
    detections = open_detections(tmp_path / "a.onnx", open_detector(detector_files.onnx).spec.preprocess)
    (boxes,) = detections(np.zeros((1, 3, SIDE, SIDE), np.float32))
    np.testing.assert_array_equal(boxes.corners_B4, np.array([[0.2, 0, 1, 0.3]], np.float32))
    assert (boxes.scores_B.tolist(), boxes.classes_B.tolist()) == ([0.75], [1])
