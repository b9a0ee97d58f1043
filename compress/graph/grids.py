"""Quantization parameters as TFLite wants them: int8 (or int32 for biases), exactly the grid of the QDQ graph.

uint8 and int8 are the same grid: `zero_point_int8 = zero_point_uint8 - 128`, integers shifted alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from compress.errors import CheckError
from compress.graph.proto import Array, attributes_of

_SHIFT = {np.dtype(np.uint8): 128, np.dtype(np.int8): 0, np.dtype(np.int32): 0}
_ALLOWED = "allowed uint8, int8, and int32 for biases"
_HINT = "quantize activations to uint8 or int8 and weights to int8, one scale a tensor or an output channel"


@dataclass(frozen=True, eq=False)
class Quant:
    """Scale and zero point of a tensor: `real = scale * (integer - zero_point)`.

    Attributes:
        scale: float32 [1] per tensor or [C] per channel.
        zero_point: int64, same length; of the int8 (or int32) integers.
        axis: channel axis in the ONNX layout; only read where `scale` has more than one entry.
    """

    scale: Array
    zero_point: Array
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        """Return whether there is more than one scale."""
        return self.scale.size > 1

    def same(self, other: Quant) -> bool:
        """Return whether both are the same grid, bit for bit."""
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.zero_point, other.zero_point)

    def implies_clip(self, low: float | None, high: float | None) -> bool:
        """Return whether quantizing to this per-tensor int8 grid makes a Clip(low, high) in front of it do nothing.

        Rounding keeps order, so that holds exactly where both bounds are rounded to the grid's ends, or beyond.
        """
        return (low is None or self._integer(low) <= -128) and (high is None or self._integer(high) >= 127)

    def _integer(self, number: float) -> float:
        """Return the integer of a real number before saturation, in float32 as QuantizeLinear computes it."""
        return float(np.rint(np.float32(number) / np.float32(self.scale[0]))) + int(self.zero_point[0])

    def is_unit_interval(self) -> bool:
        """Return whether this is the grid TFLite demands of int8 LOGISTIC and SOFTMAX: 1/256 from -128."""
        return not self.per_channel and float(self.scale[0]) == 1 / 256 and int(self.zero_point[0]) == -128


@dataclass(frozen=True, eq=False)
class QuantConst:
    """A constant that the graph stores as integers: weights, biases, constants of Add and Mul.

    Attributes:
        name: name of the ONNX initializer.
        data: int8 or int32, in the ONNX layout.
    """

    name: str
    data: Array
    quant: Quant

    def __post_init__(self) -> None:
        """Raise CheckError where there is no scale for each channel."""
        shape, scales, axis = self.data.shape, self.quant.scale.size, self.quant.axis
        if self.quant.per_channel and (axis >= len(shape) or shape[axis] != scales):
            raise CheckError(
                f"tensor '{self.name}' has the shape {list(shape)} and {scales} scales for its axis {axis}", hint=_HINT
            )

    def real(self) -> Array:
        """Return the float32 values that DequantizeLinear yields."""
        shape = [1] * self.data.ndim
        if self.quant.per_channel:
            shape[self.quant.axis] = -1
        zero = self.quant.zero_point.reshape(shape) if self.data.ndim else self.quant.zero_point[0]
        scale = self.quant.scale.reshape(shape) if self.data.ndim else self.quant.scale[0]
        return np.asarray((self.data.astype(np.int64) - zero).astype(np.float32) * scale, np.float32)


def read_quant(node: onnx.NodeProto, constants: Mapping[str, Array], rank: int, stored: np.dtype[Any] | None) -> Quant:
    """Return the grid of a QuantizeLinear or DequantizeLinear node.

    A missing zero point is 0, of the type that ONNX says: that of the integers read by DequantizeLinear, the
    `output_dtype` of QuantizeLinear, else uint8. As int8 it is therefore 0 or -128.

    Args:
        node: the node; its scale and zero point must be constants.
        constants: name -> array.
        rank: rank of the tensor, for a negative axis.
        stored: type of the integers that a DequantizeLinear reads; None for QuantizeLinear.

    Raises:
        CheckError: integers of another type (int4, int16, float8), blocked scales, scales found while running, or
            scales that are not finite and above 0.
    """
    attributes = attributes_of(node)
    where = f"node '{node.name}' ({node.op_type})"
    if attributes.get("block_size"):
        raise CheckError(
            f"{where}: blocked scales (block_size {attributes['block_size']}), allowed per tensor and per channel",
            hint=_HINT,
        )
    missing = [name for name in node.input[1:3] if name and name not in constants]
    if missing:
        raise CheckError(
            f"{where}: scale or zero point '{missing[0]}' is not a constant",
            hint="quantize with static ranges (QDQ), not dynamically",
        )
    scale = np.atleast_1d(np.asarray(constants[node.input[1]], np.float32))
    has_zero = len(node.input) > 2 and bool(node.input[2])
    zero = np.atleast_1d(constants[node.input[2]]) if has_zero else None
    dtype = zero.dtype if zero is not None else _implied_dtype(attributes, stored)
    if dtype not in _SHIFT:
        tensor = node.input[0] if node.op_type == "DequantizeLinear" else node.output[0]
        raise CheckError(f"{where}: tensor '{tensor}' is {dtype}, {_ALLOWED}", hint=_HINT)
    _require_scales(where, node.input[1], scale)
    zero_point = np.zeros(scale.size, np.int64) if zero is None else zero.astype(np.int64)
    axis = int(attributes.get("axis", 1))
    return Quant(scale, zero_point - _SHIFT[dtype], axis % rank if rank else 0)


def _require_scales(where: str, name: str, scale: Array) -> None:
    """Refuse scales that are not finite and above 0, naming the first."""
    bad = np.flatnonzero(~(np.isfinite(scale) & (scale > 0)))
    if bad.size:
        raise CheckError(
            f"{where}: scale '{name}' is {scale[bad[0]]:g} at channel {bad[0]} ({bad.size} of {scale.size} so), "
            "allowed finite and above 0",
            hint="a channel of zeros may have any scale above 0, such as 1",
        )


def shift_to_int8(data: Array) -> Array:
    """Return uint8 integers as the int8 of the same grid; int8 and int32 as they are."""
    return (data.astype(np.int16) - 128).astype(np.int8) if data.dtype == np.uint8 else data


def _implied_dtype(attributes: Mapping[str, Any], stored: np.dtype[Any] | None) -> np.dtype[Any]:
    """Return the integer type of a node without zero point; DequantizeLinear's `output_dtype` is a float type."""
    if stored is not None:
        return stored
    if output := attributes.get("output_dtype"):
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(output))
    return np.dtype(np.uint8)
