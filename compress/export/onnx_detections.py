"""From a detector's raw numbers to boxes inside an ONNX file, by operators that ONNX has had since opset 13.

Letters: N images, A anchors, K scores of an anchor, C classes, M the most boxes of an image, P candidates of a class,
which suppression looks at. It goes by groups of Q candidates: those of a class of an image, or all of an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from compress.core.boxes import BOXES, DETECTIONS, LOGITS, BoxCoding
from compress.detect.coding import MAX_LOG_SIZE, y_first
from compress.graph.proto import copy_of

_Value = NDArray[np.generic] | np.generic
_ACTIVATIONS: dict[str, tuple[str, dict[str, int]]] = {"softmax": ("Softmax", {"axis": -1}), "sigmoid": ("Sigmoid", {})}
_PREFIX = "postprocess/"
_LEFT_OUT = np.float32(-1)  # score of a candidate that was suppressed; all others are 0..1


def with_detections(model: ModelProto, coding: BoxCoding, num_classes: int) -> ModelProto:
    """Return the model with `DETECTIONS` as outputs before its raw boxes and logits, found as `boxes_of` finds them.

    They are boxes f32 [N, M, 4] (y0, x0, y1, x1), shares of the square and cut at its sides, classes i64 [N, M], scores
    f32 [N, M], best first, and their number i64 [N]; what stands behind the last one is 0.

    Args:
        model: ends in `boxes` [N, A, 4] and `logits` [N, A, K]; not changed.
        coding: what these mean, and which boxes are kept.
        num_classes: C.
    """
    copy = copy_of(model)
    tail = _Tail(copy.graph)
    outputs = _kept(tail, _corners(tail, coding), _scores(tail, coding), coding, num_classes)
    raw = list(copy.graph.output)
    batch = raw[0].type.tensor_type.shape.dim[0]
    images: int | str = batch.dim_param or batch.dim_value
    most = min(coding.max_boxes, _candidates(coding) * num_classes)
    real, whole = TensorProto.FLOAT, TensorProto.INT64
    kinds = (real, [images, most, 4]), (whole, [images, most]), (real, [images, most]), (whole, [images])
    del copy.graph.output[:]
    for name, made, (kind, shape) in zip(DETECTIONS, outputs, kinds, strict=True):
        copy.graph.node.append(helper.make_node("Identity", [made], [name], f"{_PREFIX}{name}"))
        copy.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    copy.graph.output.extend(raw)
    return copy


@dataclass(frozen=True)
class _Tail:
    """What is written behind the network.

    Attributes:
        graph: that of the model, to which nodes and constants are added.
    """

    graph: GraphProto

    def add(self, op: str, name: str, *inputs: str | _Value, outputs: int = 1, **attributes: Any) -> str:  # noqa: ANN401 - ONNX attributes are of many types
        """Add a node; returns the name of its first output. That of the second one ends in `.1`."""
        made = [f"{_PREFIX}{name}", f"{_PREFIX}{name}.1"][:outputs]
        given = [self._value(f"{made[0]}.input{at}", one) for at, one in enumerate(inputs)]
        self.graph.node.append(helper.make_node(op, given, made, made[0], **attributes))
        return made[0]

    def _value(self, name: str, value: str | _Value) -> str:
        if isinstance(value, str):
            return value
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _corners(tail: _Tail, coding: BoxCoding) -> str:
    """Add what decodes the raw boxes, step by step as `detect.coding.decode`: corners, y first, [N, A, 4]."""
    ordered = y_first(coding)
    raw = tail.add("Gather", "columns", BOXES, _whole(*ordered.columns), axis=2)
    offsets = tail.add("Div", "offsets", raw, ordered.scales_4)
    moved = tail.add("Mul", "moved", _half_of(tail, "places", offsets, 0), ordered.anchors_A4[:, 2:])
    centres = tail.add("Add", "centres", moved, ordered.anchors_A4[:, :2])
    logs = tail.add("Min", "logs", _half_of(tail, "growths", offsets, 2), np.float32(MAX_LOG_SIZE))
    sizes = tail.add("Mul", "sizes", tail.add("Exp", "growth", logs), ordered.anchors_A4[:, 2:])
    halves = tail.add("Div", "halves", sizes, np.float32(2))
    low, high = tail.add("Sub", "low", centres, halves), tail.add("Add", "high", centres, halves)
    return tail.add("Clip", "cut", tail.add("Concat", "corners", low, high, axis=2), np.float32(0), np.float32(1))


def _half_of(tail: _Tail, name: str, values: str, start: int) -> str:
    return tail.add("Slice", name, values, _whole(start), _whole(start + 2), _whole(2))


def _scores(tail: _Tail, coding: BoxCoding) -> str:
    """Add what makes scores of logits, as `detect.answers.scores_of`: [N, C, A]."""
    scores = LOGITS
    if coding.activation in _ACTIVATIONS:
        op, attributes = _ACTIVATIONS[coding.activation]
        scores = tail.add(op, "activation", scores, **attributes)
    if coding.background == "first":
        scores = tail.add("Slice", "foreground", scores, _whole(1), _whole(np.iinfo(np.int64).max), _whole(2))
    return tail.add("Transpose", "scores", scores, perm=[0, 2, 1])


def _kept(tail: _Tail, corners: str, scores: str, coding: BoxCoding, num_classes: int) -> list[str]:
    """Add candidates, suppression and the choice of the best; returns the tensors of `DETECTIONS`."""
    p = _candidates(coding)
    every = p * num_classes
    q = p if coding.nms == "per_class" else every
    best = tail.add("TopK", "best", scores, _whole(p), outputs=2, axis=2)
    places = tail.add("Reshape", "best_places", f"{best}.1", _whole(0, -1, 1))
    candidates = tail.add("GatherND", "candidates", corners, places, batch_dims=1)  # [N, C*P, 4]
    boxes_GQ4 = tail.add("Reshape", "grouped_boxes", candidates, _whole(-1, q, 4))
    scores_G1Q = tail.add("Reshape", "grouped_scores", best, _whole(-1, 1, q))
    below = np.nextafter(np.float32(coding.score_threshold), np.float32(-1))  # ONNX wants scores above its threshold
    most, max_iou = _whole(coding.max_boxes), np.array([coding.nms_iou], np.float32)
    picked = tail.add("NonMaxSuppression", "nms", boxes_GQ4, scores_G1Q, most, max_iou, below[None])
    none = tail.add("Expand", "none", _LEFT_OUT, tail.add("Shape", "grouped_shape", scores_G1Q))
    of_picked = tail.add("GatherND", "picked", scores_G1Q, picked)
    stay = tail.add("Reshape", "stay", tail.add("ScatterND", "left", none, picked, of_picked), _whole(-1, every))
    found = tail.add("TopK", "found", stay, _whole(min(coding.max_boxes, every)), outputs=2, axis=1)
    return _without_rest(tail, candidates, found, p)


def _without_rest(tail: _Tail, candidates: str, found: str, p: int) -> list[str]:
    """Add what sets all behind the last box to 0."""
    at = f"{found}.1"
    here = tail.add("GreaterOrEqual", "here", found, np.float32(0))
    real, whole = tail.add("Cast", "here_real", here, to=TensorProto.FLOAT), tail.add("Cast", "here_whole", here, to=7)
    boxes = tail.add("GatherND", "boxes", candidates, tail.add("Unsqueeze", "at", at, _whole(-1)), batch_dims=1)
    return [
        tail.add("Mul", "kept_boxes", boxes, tail.add("Unsqueeze", "here_box", real, _whole(-1))),
        tail.add("Mul", "kept_classes", tail.add("Div", "classes", at, np.int64(p)), whole),
        tail.add("Relu", "kept_scores", found),
        tail.add("ReduceSum", "count", whole, _whole(1), keepdims=0),
    ]


def _candidates(coding: BoxCoding) -> int:
    """Return P."""
    return min(coding.max_candidates, coding.anchors)


def _whole(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)
