"""A detector whose every number is a weighted sum of one patch: quick to make, and no two of its boxes are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from compress.core.boxes import BOXES, LOGITS, AnchorMap, BoxCoding
from compress.core.formats import Format, format_of
from compress.core.preprocess import Preprocess
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.lower.walk import lower
from compress.runtime.tflite_meta import embed_spec
from tests.graphs import Build

SIDE, COLUMNS = 64, 3
PATCHES = {
    8: ((0.2, 0.3), (0.35, 0.25), (0.004, 0.006)),
    32: ((0.5, 0.5), (0.6, 0.4), (1 / 3, 0.7)),
}  # side -> sizes of its anchors
CODING = BoxCoding(
    maps=tuple(AnchorMap(rows=SIDE // px, columns=SIDE // px, sizes=sizes) for px, sizes in PATCHES.items())
)
PREPROCESS = Preprocess(resize_px=SIDE, crop_px=SIDE, fit="stretch", mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


def write_detector(path: Path, coding: BoxCoding, preprocess: Preprocess, *, quantized: bool = False) -> None:
    """Write the detector as ONNX or TFLite, of two labels and a background or of three; in int8 its ends are too."""
    labels = ("ground", "nut", "bolt")[coding.background == "first" :]
    spec = ModelSpec(arch="patches", labels=labels, input_chw=(3, SIDE, SIDE), preprocess=preprocess, boxes=coding)
    model = _network(quantized=quantized)
    if format_of(path) is Format.TFLITE:
        path.write_bytes(embed_spec(lower(model).data, spec.model_copy(update={"layout": "NHWC"})))
        return
    helper.set_model_props(model, {SPEC_KEY: spec.model_dump_json()})
    onnx.save(model, path)


def _network(*, quantized: bool) -> onnx.ModelProto:
    build = Build((1, 3, SIDE, SIDE), quantized=quantized)
    images = build.q("images")
    outputs = {LOGITS: COLUMNS, BOXES: 4}  # a program goes by their names
    for name, columns in outputs.items():
        parts, limits = [], (-4.0, 4.0) if name == BOXES else (-5.0, 3.0)
        for px, sizes in PATCHES.items():
            numbers = build.q(
                build.conv(images, len(sizes) * columns, px, strides=[px, px], kernel_shape=[px, px]), *limits
            )
            last = build.q(build.node("Transpose", [numbers], perm=[0, 2, 3, 1]), *limits)
            shape = build.const(np.array([1, -1, columns], np.int64))
            parts.append(build.q(build.node("Reshape", [last, shape]), *limits))
        build.q(build.node("Concat", parts, axis=1), *limits)
        build.nodes[-1].output[0] = name
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, CODING.anchors, columns])
        for name, columns in outputs.items()
    ]
    source = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(build.nodes, "patches", [source], values, build.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)
