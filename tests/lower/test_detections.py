"""TFLite's own post-processing finds what ours finds, and differs where its kernel does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from compress.core.boxes import DETECTIONS, BoxCoding
from compress.detect.answers import Boxes, boxes_of
from compress.errors import CheckError
from compress.export.tflite_checks import check_tflite
from compress.lower.detections import DETECTION_OP
from compress.lower.walk import lower
from compress.runtime.tflite_meta import unpack
from tests.raw_numbers import CODINGS, EDGES, assert_same, passed_on, raw_numbers


def answers(coding: BoxCoding, raw_A4: np.ndarray, logits_AK: np.ndarray) -> dict[str, np.ndarray]:
    interpreter = Interpreter(model_content=lower(passed_on(coding, 1), boxes=coding).data)
    interpreter.allocate_tensors()
    for one in interpreter.get_input_details():
        interpreter.set_tensor(one["index"], raw_A4[None] if one["name"] == "raw" else logits_AK[None])
    interpreter.invoke()
    return {one["name"]: interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()}


def boxes_in(found: dict[str, np.ndarray]) -> Boxes:
    count = int(found["num_detections"][0])
    corners_M4, classes_M, scores_M = (found[name][0] for name in DETECTIONS[:3])
    return Boxes(corners_M4[:count, [1, 0, 3, 2]], scores_M[:count], classes_M[:count].astype(np.int64))


@pytest.mark.parametrize("name", CODINGS)
def test_each_coding_gives_our_boxes(name: str):
    coding = CODINGS[name]
    numbers = raw_numbers(coding)
    for raw_A4, logits_AK, wanted in zip(*numbers, boxes_of(*numbers, coding), strict=True):
        assert len(wanted) or name == "high"
        assert_same(boxes_in(answers(coding, raw_A4, logits_AK)), wanted)


def test_the_final_outputs_come_first_and_the_raw_ones_stay():
    coding = CODINGS["torchvision"]
    (raw_A4,), (logits_AK,) = raw_numbers(coding, 1)
    found = answers(coding, raw_A4, logits_AK)
    assert list(found) == [*DETECTIONS, "boxes", "logits"]
    assert [found[name].shape for name in DETECTIONS] == [(1, 100, 4), (1, 100), (1, 100), (1,)]
    np.testing.assert_array_equal(found["boxes"][0], raw_A4)
    np.testing.assert_array_equal(found["logits"][0], logits_AK)


def test_its_boxes_are_not_cut_at_the_sides():
    coding = BoxCoding(maps=EDGES, nms_iou=1.0, max_boxes=1000)
    raw_NA4, logits_NAK = raw_numbers(coding, 1)
    found = boxes_in(answers(coding, raw_NA4[0], logits_NAK[0]))
    (wanted,) = boxes_of(raw_NA4, logits_NAK, coding)
    assert found.corners_B4.min() < 0
    assert found.corners_B4.max() > 1
    assert_same(Boxes(found.corners_B4.clip(0, 1), found.scores_B, found.classes_B), wanted)


def test_an_overlap_of_0_is_refused_since_the_kernel_refuses_it():
    coding = BoxCoding(maps=EDGES, nms_iou=0.0)
    with pytest.raises(CheckError, match=r"TFLite_Detection_PostProcess\): found nms_iou 0") as caught:
        lower(passed_on(coding, 1), boxes=coding)
    assert "postprocess" in caught.value.hint


def test_the_operator_gate_lets_it_through_only_where_it_is_wanted():
    coding = CODINGS["torchvision"]
    model = unpack(lower(passed_on(coding, 1), boxes=coding).data)
    asked = {"builtins_only": True, "select_tf_ops": False}
    with pytest.raises(CheckError, match=r"custom:TFLite_Detection_PostProcess making 'detection_boxes'"):
        check_tflite(model, Path("m.tflite"), **asked)
    assert check_tflite(model, Path("m.tflite"), **asked, custom_ops=frozenset({DETECTION_OP}))["operators"] == 5
