"""Sliding windows: ONNX's explicit pads in TFLite's words SAME and VALID, with a PAD in front where neither fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compress.graph.static_graph import Node
from compress.lower.lowering import Lowering, Value

SAME, VALID = 0, 1  # schema.Padding
Pads = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))


@dataclass(frozen=True)
class Window:
    """A window over H and W.

    Attributes:
        kernel_HW: size in pixels, before dilation.
        stride_HW: step.
        dilation_HW: distance of the taps.
        pads: zeros that the windows really touch, per side; the tail of ONNX's pads that no window reaches is cut.
        padding: SAME where TensorFlow's SAME pads the same, VALID where there is nothing to pad, None: needs a PAD.
        beyond: whether ceil_mode lets the last window reach beyond ONNX's own pads.
    """

    kernel_HW: tuple[int, int]
    stride_HW: tuple[int, int]
    dilation_HW: tuple[int, int]
    pads: Pads
    padding: int | None
    beyond: bool = False

    def options(self, *, padding: int) -> dict[str, int]:
        """Return stride and padding as TFLite's options name them."""
        return {"strideH": self.stride_HW[0], "strideW": self.stride_HW[1], "padding": padding}


def read_window(node: Node, image_HW: Sequence[int], out_HW: Sequence[int], kernel_HW: Sequence[int]) -> Window:
    """Return the window of a Conv or pooling node.

    Args:
        node: the node with `strides`, `pads`, `dilations`, `auto_pad`.
        image_HW: size of the input.
        out_HW: size of the output as ONNX's shape inference says.
        kernel_HW: size of the kernel.

    Raises:
        CheckError: 1-D or 3-D windows, or a last window of nothing but padding.
    """
    if len(kernel_HW) != 2:
        raise node.fail(f"a {len(kernel_HW)}-D window, allowed 2-D")
    stride, dilation = _pair(node, "strides"), _pair(node, "dilations")
    given = node.attrs.get("pads", [0, 0, 0, 0])
    auto = node.attrs.get("auto_pad", "NOTSET")
    sides: list[tuple[int, int]] = []
    same: list[tuple[int, int]] = []
    beyond = False
    for axis in range(2):
        size, out = int(image_HW[axis]), int(out_HW[axis])
        span = (int(kernel_HW[axis]) - 1) * dilation[axis] + 1
        reach = (out - 1) * stride[axis] + span  # pixels from the first window's start to the last one's end
        total = max(reach - size, 0)
        before = int(given[axis])
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
        elif auto == "VALID":
            before = 0
        after = max(reach - size - before, 0)
        beyond = beyond or (auto == "NOTSET" and after > int(given[axis + 2]))
        if auto == "NOTSET" and (out - 1) * stride[axis] >= size + before:
            raise node.fail(
                f"ceil_mode leaves a last window that lies in the padding of axis {axis + 2} alone, "
                "where ONNX and its runtimes disagree about the size of the output",
                hint="set ceil_mode=False, or pads that are smaller",
            )
        sides.append((before, after))
        if out == math.ceil(size / stride[axis]):
            same.append((total // 2, total - total // 2))
    padding = VALID if not any(map(any, sides)) else SAME if sides == same else None
    kernel = int(kernel_HW[0]), int(kernel_HW[1])
    return Window(kernel, stride, dilation, (sides[0], sides[1]), padding, beyond)


def padded(lo: Lowering, value: Value, window: Window, name: str) -> tuple[Value, int]:
    """Return the input with the zeros that TFLite's own padding cannot express, and the padding to write."""
    if window.padding is not None:
        return value, window.padding
    return pad_image(lo, value, window.pads, name), VALID


def pad_image(lo: Lowering, value: Value, pads: Pads, name: str) -> Value:
    """Return an NHWC tensor with zeros (the zero point, for int8) around H and W."""
    amounts = lo.plain_constant(f"{name}/pads", np.array([(0, 0), *pads, (0, 0)], np.int32))
    n, h, w, c = value.shape
    index = lo.writer.activation(f"{name}/padded", (n, h + sum(pads[0]), w + sum(pads[1]), c), value.quant)
    lo.writer.operator("PAD", [value.index, amounts], index)
    return Value(index, (n, h + sum(pads[0]), w + sum(pads[1]), c), value.quant, nonneg=value.nonneg)


def _pair(node: Node, attr: str) -> tuple[int, int]:
    first, second = node.attrs.get(attr, (1, 1))
    return int(first), int(second)
