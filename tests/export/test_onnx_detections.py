"""The post-processing inside an ONNX file finds what ours finds, box by box."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from compress.core.boxes import BoxCoding
from compress.detect.answers import Boxes, boxes_of
from compress.export.onnx_detections import with_detections
from tests.raw_numbers import CLASSES, CODINGS, EDGES, assert_same, passed_on, raw_numbers

MORE = CODINGS | {
    "edges": BoxCoding(maps=EDGES, nms_iou=0.4),
    "few candidates": BoxCoding(maps=EDGES, max_candidates=5, score_threshold=0.01),
    "few candidates of all": BoxCoding(maps=EDGES, max_candidates=5, score_threshold=0.01, nms="all"),
    "huge and far away": BoxCoding(maps=EDGES, scales=(0.005, 0.005, 0.02, 0.02)),
}


def answers(model: onnx.ModelProto, raw_NA4: np.ndarray, logits_NAK: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, {"raw": raw_NA4, "scores": logits_NAK}), strict=True))


@pytest.mark.parametrize("name", MORE)
def test_each_coding_gives_our_boxes(name: str):
    coding = MORE[name]
    numbers = raw_numbers(coding)
    model = with_detections(passed_on(coding), coding, CLASSES)
    onnx.checker.check_model(model, full_check=True)
    found = answers(model, *numbers)
    wanted = boxes_of(*numbers, coding)
    assert any(map(len, wanted)) or name == "high"
    for index, boxes in enumerate(wanted):
        count = int(found["num_detections"][index])
        corners_M4, classes_M, scores_M = (found[f"detection_{part}"][index] for part in ("boxes", "classes", "scores"))
        kept = corners_M4[:count, [1, 0, 3, 2]], scores_M[:count], classes_M[:count]
        assert_same(Boxes(*kept), boxes)
        assert not corners_M4[count:].any(), "what stands behind the last box is 0"
        assert not classes_M[count:].any()
        assert not scores_M[count:].any()


def test_the_final_outputs_come_first_and_the_raw_ones_stay():
    coding = CODINGS["torchvision"]
    numbers = raw_numbers(coding)
    found = answers(with_detections(passed_on(coding), coding, CLASSES), *numbers)
    assert list(found) == [
        *("detection_boxes", "detection_classes", "detection_scores", "num_detections"),
        *("boxes", "logits"),
    ]
    assert [found[name].shape for name in list(found)[:4]] == [(3, 100, 4), (3, 100), (3, 100), (3,)]
    np.testing.assert_array_equal(found["boxes"], numbers[0])
    np.testing.assert_array_equal(found["logits"], numbers[1])


def test_a_score_at_the_threshold_counts():
    coding = BoxCoding(maps=EDGES, activation="none", background="none", score_threshold=0.3)
    raw_NA4, scores_NAK = (np.zeros_like(part) for part in raw_numbers(coding, 1))
    scores_NAK[0, 0, 1], scores_NAK[0, -1, 2] = np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(0))
    found = answers(with_detections(passed_on(coding), coding, CLASSES), raw_NA4, scores_NAK)
    assert found["num_detections"].tolist() == [1]
    assert found["detection_classes"][0, 0] == 1
