"""From a detector's raw numbers to boxes inside a TFLite file, by the operator that TFLite has for it.

Letters: N images (one), A anchors, M the most boxes of an image.
"""

from __future__ import annotations

import numpy as np
from flatbuffers import flexbuffers

from compress.core.boxes import BOXES, DETECTIONS, LOGITS, BoxCoding
from compress.detect.coding import CodingYFirst, y_first
from compress.graph.static_graph import Node
from compress.lower.lowering import Lowering

DETECTION_OP = "TFLite_Detection_PostProcess"
_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "softmax": ("SOFTMAX", {"beta": 1.0}),
    "sigmoid": ("LOGISTIC", {}),
}
_AS_THEY_ARE = (0, 1, 2, 3)


def detections(lo: Lowering, coding: BoxCoding) -> dict[str, int]:
    """Write activation and TFLite_Detection_PostProcess behind `boxes` and `logits`; returns its outputs by name.

    They are float: boxes [1, M, 4] (y0, x0, y1, x1), classes [1, M], scores [1, M] and their number [1], as
    `tflite/kernels/detection_postprocess.cc` of LiteRT writes them. Unlike our own post-processing, it does not cut
    boxes at the sides of the image, and `max_candidates` does not count.

    Raises:
        CheckError: an overlap of 0 is not to be had.
    """
    end = Node("post-processing", DETECTION_OP, (BOXES, LOGITS), DETECTIONS, {})
    if coding.nms_iou == 0:
        raise end.fail("found nms_iou 0, allowed is above 0", hint="leave `postprocess` out, or write ONNX")
    raw, scores = (lo.real(lo.value(name, end), name) for name in end.inputs)
    ordered = y_first(coding)
    if coding.activation in _ACTIVATIONS:
        code, options = _ACTIVATIONS[coding.activation]
        scores = lo.inner(code, [scores.index], scores, "postprocess/scores", **options)
    if ordered.columns != _AS_THEY_ARE:  # last: XNNPACK leaves it out, and takes what stands before it as one piece
        columns = lo.plain_constant("postprocess/columns", np.array(ordered.columns, np.int32))
        raw = lo.inner("GATHER", [raw.index, columns], raw, "postprocess/boxes", axis=2)
    anchors = lo.writer.constant("postprocess/anchors", ordered.anchors_A4)
    most = coding.max_boxes
    shapes = (1, most, 4), (1, most), (1, most), (1,)
    outputs = {name: lo.writer.activation(name, shape, None) for name, shape in zip(DETECTIONS, shapes, strict=True)}
    classes = scores.shape[2] - (coding.background == "first")
    inputs = [raw.index, scores.index, anchors]
    lo.writer.custom(DETECTION_OP, inputs, list(outputs.values()), _options(coding, ordered, classes))
    return outputs


def _options(coding: BoxCoding, ordered: CodingYFirst, classes: int) -> bytes:
    """Return the kernel's options, a map as flexbuffer; it skips the first score where there is one more than classes.

    Its regular suppression goes by class. Its fast one looks at the best class of each anchor alone, which is what is
    left where boxes suppress those of all classes.
    """
    y, x, height, width = map(float, ordered.scales_4)
    values = {
        "max_detections": coding.max_boxes,
        "detections_per_class": coding.max_boxes,
        "max_classes_per_detection": 1,
        "use_regular_nms": coding.nms == "per_class",
        "nms_score_threshold": coding.score_threshold,
        "nms_iou_threshold": coding.nms_iou,
        "num_classes": classes,
        "y_scale": y,
        "x_scale": x,
        "h_scale": height,
        "w_scale": width,
    }
    return bytes(flexbuffers.Dumps(values))
