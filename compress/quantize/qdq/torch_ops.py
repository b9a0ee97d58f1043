"""How each ONNX operator computes in torch, in one table.

Shapes: N batch, C channels, H height, W width, O output and I input channels of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name
from torch import Tensor

from compress.errors import StageError
from compress.graph.operators import CLIP, HARD_SIGMOID, HARD_SWISH, RELU

Attributes = dict[str, Any]
Inputs = Sequence[Tensor]


def _pad(x_NCHW: Tensor, pads: list[int], value: float = 0.0) -> Tensor:
    top, left, bottom, right = pads
    return F.pad(x_NCHW, (left, right, top, bottom), value=value)


def _conv(inputs: Inputs, a: Attributes) -> Tensor:
    x_NCHW, weight_OIHW = inputs[0], inputs[1]
    bias_O = inputs[2] if len(inputs) > 2 else None
    pads = a.get("pads", [0, 0, 0, 0])
    symmetric = pads[:2] == pads[2:]
    if not symmetric:
        x_NCHW = _pad(x_NCHW, pads)
    padding = tuple(pads[:2]) if symmetric else (0, 0)
    strides, dilations = tuple(a.get("strides", (1, 1))), tuple(a.get("dilations", (1, 1)))
    return F.conv2d(x_NCHW, weight_OIHW, bias_O, strides, padding, dilations, a.get("group", 1))


def _gemm(inputs: Inputs, a: Attributes) -> Tensor:
    if a.get("transA", 0) or a.get("alpha", 1.0) != 1.0 or a.get("beta", 1.0) != 1.0 or not a.get("transB", 0):
        raise StageError(f"Gemm is supported as x @ W.T + b only, found attributes {a}")
    return F.linear(inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None)


def _max_pool(inputs: Inputs, a: Attributes) -> Tensor:
    x_NCHW = _pad(inputs[0], a.get("pads", [0, 0, 0, 0]), float("-inf"))
    ceil = bool(a.get("ceil_mode", 0))
    return F.max_pool2d(x_NCHW, tuple(a["kernel_shape"]), tuple(a.get("strides", (1, 1))), ceil_mode=ceil)


def _average_pool(inputs: Inputs, a: Attributes) -> Tensor:
    pads = a.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        return _average_pool_of_padded(inputs[0], a)
    return F.avg_pool2d(
        inputs[0],
        tuple(a["kernel_shape"]),
        tuple(a.get("strides", (1, 1))),
        tuple(pads[:2]),
        bool(a.get("ceil_mode", 0)),
        bool(a.get("count_include_pad", 0)),
    )


def _average_pool_of_padded(x_NCHW: Tensor, a: Attributes) -> Tensor:
    """Return the average pool with pads that differ between sides, which torch's own does not know."""
    pads = a["pads"]
    unpadded = {**a, "pads": [0, 0, 0, 0]}
    mean_NCHW = _average_pool([_pad(x_NCHW, pads)], unpadded)
    if a.get("count_include_pad", 0):
        return mean_NCHW
    return mean_NCHW / _average_pool([_pad(torch.ones_like(x_NCHW[:1, :1]), pads)], unpadded)


def _reshape(inputs: Inputs, a: Attributes) -> Tensor:
    x = inputs[0]
    shape = [x.shape[i] if size == 0 else int(size) for i, size in enumerate(inputs[1].tolist())]
    return x.reshape(shape)


def _reduce_mean(inputs: Inputs, a: Attributes) -> Tensor:
    axes = [int(axis) for axis in (inputs[1].tolist() if len(inputs) > 1 else a["axes"])]
    return inputs[0].mean(dim=axes, keepdim=bool(a.get("keepdims", 1)))


def _clip(inputs: Inputs, a: Attributes) -> Tensor:
    low, high = a["bounds"]
    return inputs[0].clamp(low, high)


def _pad_of(inputs: Inputs, a: Attributes) -> Tensor:
    """Return a padded tensor; constant mode alone, whose fill is 0 where none is given."""
    x = inputs[0]
    given = [int(size) for size in (inputs[1].tolist() if len(inputs) > 1 else a["pads"])]
    axes = [int(axis) % x.ndim for axis in inputs[3].tolist()] if len(inputs) > 3 else list(range(x.ndim))
    if a.get("mode", "constant") != "constant":
        raise StageError(f"Pad is supported in mode 'constant' only, found '{a['mode']}'")
    amounts = [(0, 0)] * x.ndim
    for place, axis in enumerate(axes):
        amounts[axis] = (given[place], given[place + len(axes)])
    fill = float(inputs[2]) if len(inputs) > 2 else float(a.get("value", 0.0))
    return F.pad(x, [size for pair in reversed(amounts) for size in pair], value=fill)


def _squeeze(inputs: Inputs, a: Attributes) -> Tensor:
    axes = inputs[1].tolist() if len(inputs) > 1 else a.get("axes")
    return inputs[0].squeeze() if axes is None else inputs[0].squeeze(tuple(int(axis) for axis in axes))


def _unsqueeze(inputs: Inputs, a: Attributes) -> Tensor:
    axes = inputs[1].tolist() if len(inputs) > 1 else a["axes"]
    rank = inputs[0].ndim + len(axes)
    x = inputs[0]
    for axis in sorted(int(axis) % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _transpose(inputs: Inputs, a: Attributes) -> Tensor:
    return inputs[0].permute(a.get("perm", tuple(range(inputs[0].ndim))[::-1]))


def _cast(inputs: Inputs, a: Attributes) -> Tensor:
    if a["to"] != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(a["to"])
        raise StageError(f"Cast is supported to FLOAT only, found {kind}")
    return inputs[0].float()


def _hard_sigmoid(inputs: Inputs, a: Attributes) -> Tensor:
    alpha: float = a.get("alpha", 0.2)
    beta: float = a.get("beta", 0.5)
    return (inputs[0] * alpha + beta).clamp(0.0, 1.0)


def _flatten(inputs: Inputs, a: Attributes) -> Tensor:
    axis: int = a.get("axis", 1)
    return inputs[0].flatten(axis)


def _slice(inputs: Inputs, a: Attributes) -> Tensor:
    x = inputs[0]
    if "starts" in a:  # attributes until opset 10
        starts, ends, axes = a["starts"], a["ends"], a.get("axes", range(len(a["starts"])))
        steps = [1] * len(starts)
    else:
        starts, ends = inputs[1].tolist(), inputs[2].tolist()
        axes = inputs[3].tolist() if len(inputs) > 3 else range(len(starts))
        steps = inputs[4].tolist() if len(inputs) > 4 else [1] * len(starts)
    picks = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 1:
            raise StageError(f"Slice is supported with steps of 1 or more, found {step}")
        picks[axis] = slice(start, end, step)
    return x[tuple(picks)]


def _resize(inputs: Inputs, a: Attributes) -> Tensor:
    """Return an image in another size, which the last input says as sizes, or as factors."""
    x_NCHW, last = inputs[0], inputs[-1]
    sizes = [int(size) for size in last] if not last.is_floating_point() else _scaled_sizes(x_NCHW, last)
    mode, places = a.get("mode", "nearest"), a.get("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest":
        return F.interpolate(x_NCHW, sizes[2:], mode="nearest")
    return F.interpolate(x_NCHW, sizes[2:], mode="bilinear", align_corners=places == "align_corners")


def _scaled_sizes(x_NCHW: Tensor, factors: Tensor) -> list[int]:
    return [int(size * float(factor)) for size, factor in zip(x_NCHW.shape, factors, strict=True)]


def _layer_norm(inputs: Inputs, a: Attributes) -> Tensor:
    x, scale = inputs[0], inputs[1]
    shape = x.shape[a.get("axis", -1) % x.ndim :]
    return F.layer_norm(x, shape, scale, inputs[2] if len(inputs) > 2 else None, a.get("epsilon", 1e-5))


def _depth_to_space(inputs: Inputs, a: Attributes) -> Tensor:
    x_NCHW, block = inputs[0], a["blocksize"]
    if a.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x_NCHW, block)
    n, c, h, w = x_NCHW.shape
    blocks = x_NCHW.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // block**2, h * block, w * block)


OPS: dict[str, Callable[[Inputs, Attributes], Tensor]] = {
    "Add": lambda x, a: x[0] + x[1],
    "AveragePool": _average_pool,
    "Cast": _cast,
    CLIP: _clip,
    "Concat": lambda x, a: torch.cat(list(x), dim=a["axis"]),
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "Div": lambda x, a: x[0] / x[1],
    "Dropout": lambda x, a: x[0],
    "Elu": lambda x, a: F.elu(x[0], a.get("alpha", 1.0)),
    "Flatten": _flatten,
    "Gelu": lambda x, a: F.gelu(x[0], approximate=a.get("approximate", "none")),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x, a: x[0].mean(dim=(2, 3), keepdim=True),
    HARD_SIGMOID: _hard_sigmoid,
    HARD_SWISH: lambda x, a: F.hardswish(x[0]),
    "Identity": lambda x, a: x[0],
    "LRN": lambda x, a: F.local_response_norm(
        x[0], a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0)
    ),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda x, a: F.leaky_relu(x[0], a.get("alpha", 0.01)),
    "MatMul": lambda x, a: x[0] @ x[1],
    "Max": lambda x, a: reduce(torch.maximum, x),
    "MaxPool": _max_pool,
    "Min": lambda x, a: reduce(torch.minimum, x),
    "Mul": lambda x, a: x[0] * x[1],
    "PRelu": lambda x, a: torch.where(x[0] >= 0, x[0], x[0] * x[1]),
    "Pad": _pad_of,
    "ReduceMean": _reduce_mean,
    RELU: lambda x, a: F.relu(x[0]),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": lambda x, a: torch.sigmoid(x[0]),
    "Slice": _slice,
    "Softmax": lambda x, a: torch.softmax(x[0], dim=a.get("axis", -1)),
    "Sqrt": lambda x, a: torch.sqrt(x[0]),
    "Squeeze": _squeeze,
    "Sub": lambda x, a: x[0] - x[1],
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
