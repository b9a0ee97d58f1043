"""Padding in one form: explicit `pads` of the convolution or pooling that reads it.

Every function changes the `GraphProto` in place and keeps its outputs. Letters: H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import GraphProto, NodeProto, helper

from compress.errors import CheckError
from compress.graph.constants import Shape
from compress.graph.proto import Array, attributes_of, constants_of

_WINDOWED = ("Conv", "MaxPool", "AveragePool")


def explicit_pads(graph: GraphProto, shapes: Mapping[str, Shape]) -> None:
    """Write `auto_pad`, which TensorFlow's exporters use, as `pads`; the sizes of images are fixed.

    Raises:
        CheckError: the size of the image is not known.
    """
    for node in graph.node:
        given = attributes_of(node)
        auto = given.get("auto_pad", "NOTSET")
        if node.op_type not in _WINDOWED or auto == "NOTSET":
            continue
        image_HW = shapes.get(node.input[0], ())[2:]
        if len(image_HW) != 2:
            raise CheckError(f"node '{node.name}': auto_pad needs an image of known size, found {image_HW or 'none'}")
        kernel = given.get("kernel_shape") or shapes[node.input[1]][2:]
        ones = [1] * len(kernel)
        strides, dilations = given.get("strides", ones), given.get("dilations", ones)
        sizes = zip(image_HW, kernel, strides, dilations, strict=True)
        pairs = [_automatic(auto, *side) for side in sizes]
        _set_pads(node, [before for before, _ in pairs] + [after for _, after in pairs])


def _automatic(auto: str, size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return the pads before and after along one axis."""
    reach = (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1
    total = max(reach - size, 0) if auto != "VALID" else 0
    before = total // 2 if auto == "SAME_UPPER" else total - total // 2
    return before, total - before


def pads_into_convs(graph: GraphProto) -> None:
    """Move constant zero padding (TF "SAME") into the `pads` of the one convolution that reads it."""
    known = constants_of(graph)
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        readers = [node for node in graph.node if pad.output[0] in node.input]
        spatial = _zero_spatial_pads(pad, known)
        if spatial is None or len(readers) != 1 or readers[0].op_type != "Conv":
            continue
        conv = readers[0]
        own = attributes_of(conv).get("pads", [0, 0, 0, 0])
        _set_pads(conv, [a + b for a, b in zip(own, spatial, strict=True)])
        conv.input[0] = pad.input[0]
        graph.node.remove(pad)


def _set_pads(node: NodeProto, pads: list[int]) -> None:
    kept = [entry for entry in node.attribute if entry.name not in ("auto_pad", "pads")]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("pads", pads)])


def _zero_spatial_pads(pad: NodeProto, known: Mapping[str, Array]) -> list[int] | None:
    """Return [top, left, bottom, right] when a Pad node adds constant zeros to H and W alone, else None."""
    if attributes_of(pad).get("mode", "constant") != "constant" or pad.input[1] not in known or len(pad.input) > 3:
        return None
    value = pad.input[2] if len(pad.input) == 3 else ""
    if value and (value not in known or known[value].item() != 0):
        return None
    pads = [int(size) for size in known[pad.input[1]].tolist()]
    if len(pads) != 8 or any(pads[axis] for axis in (0, 1, 4, 5)) or min(pads) < 0:
        return None
    return [pads[2], pads[3], pads[6], pads[7]]
