"""Resize of images to a fixed height and width: nearest and linear, as TFLite has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.graph.static_graph import Node
from compress.lower.conv import float_input
from compress.lower.lowering import Lowering, stored_shape
from compress.lower.pool import finish

# how pixels of the result lie in the source -> TFLite's (alignCorners, halfPixelCenters)
_LINEAR = {"half_pixel": (False, True), "pytorch_half_pixel": (False, True), "align_corners": (True, False),
           "asymmetric": (False, False)}  # fmt: skip


def resize(lo: Lowering, node: Node) -> None:
    """Lower Resize over height and width.

    Raises:
        CheckError: other axes, modes or places of pixels than TFLite has.
    """
    source, target = lo.shape(node.inputs[0], node), lo.shape(node.outputs[0], node)
    if len(source) != 4 or source[:2] != target[:2]:
        raise node.fail(f"from {list(source)} to {list(target)}, allowed height and width of an image")
    mode, places = node.attrs.get("mode", "nearest"), node.attrs.get("coordinate_transformation_mode", "half_pixel")
    whole = all(large % small == 0 for small, large in zip(source[2:], target[2:], strict=True))
    floor = places == "asymmetric" and node.attrs.get("nearest_mode") == "floor"
    if mode == "nearest" and (whole or floor):  # repeated wholly, a pixel's middle says nothing
        code, (align, half) = "RESIZE_NEAREST_NEIGHBOR", (False, False)
    elif mode == "linear" and places in _LINEAR and not node.attrs.get("antialias", 0):
        code, (align, half) = "RESIZE_BILINEAR", _LINEAR[places]
    else:
        allowed = "nearest to a multiple or asymmetric by floor, and linear without antialias"
        raise node.fail(f"mode '{mode}' at '{places}', allowed {allowed}")
    value = lo.value(node.inputs[0], node)
    tail = lo.tail(node, int8=value.quant is not None and mode == "nearest", fuse=False)
    image = value if tail.quant else float_input(lo, value, node)
    size = lo.plain_constant(f"{node.outputs[0]}/size", np.array(target[2:], np.int32))
    options = {"alignCorners": int(align), "halfPixelCenters": int(half)}
    finish(lo, code, [image.index, size], tail, replace(image, shape=stored_shape(target)), options)
