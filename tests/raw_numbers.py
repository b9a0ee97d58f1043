"""Raw numbers of a detector without a network: a graph that hands them through, and codings that read them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from compress.core.boxes import AnchorMap, BoxCoding
from compress.detect.answers import Boxes

CLASSES = 3
# three anchors of nearly one size lie on each other in each cell, and cells lie beside each other, inside the image
MAPS = (AnchorMap(rows=8, columns=8, sizes=((0.08, 0.08), (0.064, 0.08), (0.08, 0.072))),)
EDGES = (AnchorMap(rows=4, columns=6, sizes=((0.5, 0.4), (0.4, 0.5))),)
CODINGS = {
    "torchvision": BoxCoding(maps=MAPS),
    "tensorflow": BoxCoding(maps=MAPS, order="yxhw", activation="sigmoid", scales=(10, 9, 5, 4)),
    "no background": BoxCoding(maps=MAPS, background="none", activation="sigmoid", score_threshold=0.6),
    "scores": BoxCoding(maps=MAPS, activation="none", nms_iou=0.7),
    "all": BoxCoding(maps=MAPS, nms="all"),
    "few boxes": BoxCoding(maps=MAPS, max_boxes=7),
    "low": BoxCoding(maps=MAPS, score_threshold=0.0, max_boxes=1000),
    "high": BoxCoding(maps=MAPS, score_threshold=1.0),
}


def raw_numbers(coding: BoxCoding, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return raw_NA4 and logits_NAK, drawn."""
    rng = np.random.default_rng(7)
    shape = (count, coding.anchors)
    raw_NA4 = rng.normal(0, 0.5, (*shape, 4)).astype(np.float32)
    logits_NAK = rng.normal(0, 2, (*shape, coding.columns(CLASSES))).astype(np.float32)
    return raw_NA4, 1 / (1 + np.exp(-logits_NAK)) if coding.activation == "none" else logits_NAK


def passed_on(coding: BoxCoding, images: int | str = "batch") -> onnx.ModelProto:
    """Return a graph from `raw` [N, A, 4] and `scores` [N, A, K] to the same as `boxes` and `logits`."""
    sizes = {"raw": 4, "scores": coding.columns(CLASSES)}
    ports = {"raw": "boxes", "scores": "logits"}

    def value(name: str, size: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [images, coding.anchors, size])

    graph = helper.make_graph(
        [helper.make_node("Mul", [name, "one"], [ports[name]], name) for name in sizes],
        "passed-on",
        [value(name, size) for name, size in sizes.items()],
        [value(ports[name], size) for name, size in sizes.items()],
        [helper.make_tensor("one", TensorProto.FLOAT, (), [1.0])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def assert_same(found: Boxes, wanted: Boxes) -> None:
    """Hold two answers to one image against each other, in order."""
    np.testing.assert_array_equal(found.classes_B, wanted.classes_B)
    np.testing.assert_allclose(found.scores_B, wanted.scores_B, atol=1e-6)
    np.testing.assert_allclose(found.corners_B4, wanted.corners_B4, atol=1e-5)
