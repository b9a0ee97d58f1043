"""`Lowering`: what the walk knows while it goes, and the few moves that every operator's handler is made of.

A `Value` is a TFLite tensor that stands for an ONNX tensor. QuantizeLinear's and DequantizeLinear's outputs share
one int8 `Value`; a handler that wants float calls `real`, which adds a DEQUANTIZE once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from compress.graph.constants import Shape
from compress.graph.grids import Quant, QuantConst
from compress.graph.operators import FUSED as FUSED_OPS
from compress.graph.proto import Array
from compress.graph.static_graph import Graph, Node, clip_bounds
from compress.lower.writer import Writer

NCHW_TO_NHWC = (0, 2, 3, 1)
NHWC_TO_NCHW = (0, 3, 1, 2)
FUSED = {"": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}  # ActivationFunctionType
MIXED_HINT = "look whether data and weights are mixed up: the data come first, the weights second"
CLAMPS: dict[tuple[float | None, float | None], str] = {
    (0.0, None): "RELU",
    (0.0, 6.0): "RELU6",
    (-1.0, 1.0): "RELU_N1_TO_1",
}


def stored_shape(shape: Shape) -> Shape:
    """Return an ONNX tensor's shape in TFLite's layout: NHWC where it has four axes."""
    return tuple(shape[axis] for axis in NCHW_TO_NHWC) if len(shape) == 4 else shape


@dataclass(frozen=True, eq=False)
class Value:
    """A TFLite tensor.

    Attributes:
        index: its index in the subgraph.
        shape: its shape in TFLite's layout (4-D: NHWC).
        quant: its grid; None for float32.
        nonneg: whether no element can be below zero, so that padding with zeros cannot win a maximum.
        flat_CHW: set while the tensor is a [N, H*W*C] reshape of NHWC where ONNX means [N, C*H*W].
    """

    index: int
    shape: Shape
    quant: Quant | None = None
    nonneg: bool = False
    flat_CHW: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Tail:
    """What follows a node: a fused activation, then quantization where the result is int8.

    Attributes:
        activation: a key of `FUSED`.
        names: the ONNX tensors that the result stands for.
        quant: grid of the result; None means float32.
        then: the int8 tail that a float result is quantized for, where the operator cannot compute in int8.
    """

    activation: str
    names: tuple[str, ...]
    quant: Quant | None
    then: Tail | None = None

    def nonneg(self) -> bool:
        """Return whether activation or grid keep every value at or above zero."""
        on_grid = self.quant is not None and int(self.quant.zero_point[0]) == -128
        return on_grid or self.activation in ("RELU", "RELU6")


@dataclass
class Lowering:
    """State of one walk.

    Attributes:
        half: whether weights are stored as float16.
        integers: tensor index -> (ONNX name, permutation) of every quantized constant, for the lossless check.
        float_nodes: ONNX nodes computed in float.
        notes: what was changed in a way that the user should know.
    """

    graph: Graph
    half: bool = False
    writer: Writer = field(default_factory=Writer)
    values: dict[str, Value] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    integers: dict[int, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    float_nodes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _real: dict[int, Value] = field(default_factory=dict)
    _constants: dict[tuple[object, ...], int] = field(default_factory=dict)
    _turned: dict[int, tuple[Value, tuple[int, ...]]] = field(default_factory=dict)  # index -> of what, by which order

    # ---- what is known of inputs

    def constant(self, name: str) -> Array | None:
        """Return a constant as float32 or integers, dequantized where the graph stores integers; None if computed."""
        return self.graph.constant(name)

    def quantized(self, name: str) -> QuantConst | None:
        """Return the integers behind a DequantizeLinear over a constant."""
        return self.graph.quantized.get(name)

    def rank(self, name: str, node: Node) -> int:
        """Return the rank of an ONNX tensor."""
        return len(self.shape(name, node))

    def shape(self, name: str, node: Node) -> Shape:
        """Return the ONNX shape of a tensor.

        Raises:
            CheckError: it is not static.
        """
        if name not in self.graph.shapes:
            raise node.fail(f"the shape of '{name}' is not static", hint="export with fixed image size; see onnxsim")
        return self.graph.shapes[name]

    def value(self, name: str, node: Node) -> Value:
        """Return the tensor of a computed input in ONNX's order of elements (4-D: as NHWC).

        Raises:
            CheckError: nothing has computed it.
        """
        value = self.flat_value(name, node)
        if value.flat_CHW is None:
            return value
        c, h, w = value.flat_CHW
        batch = value.shape[0]
        image = self.reshape(name, value, (batch, h, w, c))
        image = self.transpose(name, image, NHWC_TO_NCHW)
        self.values[name] = self.reshape(name, image, (batch, c * h * w))
        return self.values[name]

    def flat_value(self, name: str, node: Node) -> Value:
        """Return the tensor of a computed input, which may still be flattened in NHWC order (`flat_CHW`)."""
        if name not in self.values:
            raise node.fail(f"input '{name}' is a constant, allowed a tensor computed from the images", hint=MIXED_HINT)
        return self.values[name]

    def real(self, value: Value, name: str) -> Value:
        """Return the tensor as float32, with one DEQUANTIZE for all its readers."""
        if value.quant is None:
            return value
        if value.index not in self._real:
            index = self.writer.activation(f"{name}/float", value.shape, None)
            self.writer.operator("DEQUANTIZE", [value.index], index)
            self._real[value.index] = replace(value, index=index, quant=None)
        return replace(self._real[value.index], flat_CHW=value.flat_CHW)

    # ---- what follows a node

    def tail(self, node: Node, *, int8: bool, fuse: bool = True) -> Tail:
        """Return and claim what follows: an activation if `fuse`, quantization if `int8` is possible.

        A result is int8 only where every reader quantizes it to the same grid. A Clip or Relu in front of a grid
        that clips at least as hard is claimed and needs no activation.
        """
        name, activation = node.outputs[0], ""
        follower = self.only_reader(name)
        if follower is not None and follower.op in FUSED_OPS:
            bounds = clip_bounds(self.graph, follower)
            grid = self.grid_behind(follower.outputs[0]) if int8 else None
            implied = grid is not None and grid.implies_clip(*bounds)
            activation = CLAMPS.get(bounds, "") if fuse and not implied else ""
            if activation or implied:
                self.done.add(follower.outputs[0])
                name = follower.outputs[0]
        grid = self.grid_behind(name) if int8 else None
        if grid is not None:
            names = tuple(reader.outputs[0] for reader in self.graph.consumers[name])
            self.done.update(names)
            return Tail(activation, names, grid)
        return Tail(activation, (name,), None)

    def grid_behind(self, name: str) -> Quant | None:
        """Return the per-tensor grid to which every reader quantizes a tensor; None where one does not."""
        readers = self.graph.consumers.get(name, ())
        if not readers or name in self.graph.outputs or any(node.op != "QuantizeLinear" for node in readers):
            return None
        first, *others = (self.graph.grids[reader.outputs[0]] for reader in readers)
        return None if first.per_channel or not all(grid.same(first) for grid in others) else first

    def only_reader(self, name: str) -> Node | None:
        """Return the one node that reads a tensor; None where several do, or where it is the graph's output."""
        readers = self.graph.consumers.get(name, ())
        return readers[0] if len(readers) == 1 and name not in self.graph.outputs else None

    # ---- writing

    def emit(
        self,
        code: str,
        inputs: Sequence[int],
        tail: Tail,
        shape: Shape,
        options: Mapping[str, int | float | bool] | None = None,
        *,
        nonneg: bool = False,
    ) -> Value:
        """Write an operator whose result is bound to the tail's ONNX names; returns the result."""
        index = self.writer.activation(tail.names[0], shape, tail.quant)
        self.writer.operator(code, inputs, index, options)
        value = self.bind(tail, Value(index, shape, tail.quant, nonneg=nonneg or tail.nonneg()))
        return value if tail.then is None else self.requantize(value, tail.then)

    def bind(self, tail: Tail, value: Value) -> Value:
        """Let the tail's ONNX names stand for a tensor."""
        self.values.update(dict.fromkeys(tail.names, value))
        return value

    def inner(self, code: str, inputs: Sequence[int], like: Value, name: str, **options: float) -> Value:
        """Write an operator whose result no ONNX tensor stands for; shape and grid as `like`."""
        index = self.writer.activation(name, like.shape, like.quant)
        self.writer.operator(code, inputs, index, options)
        return replace(like, index=index)

    def requantize(self, value: Value, tail: Tail) -> Value:
        """Bind the tail's names to the same values on the tail's grid: nothing to do, or one QUANTIZE."""
        if tail.quant is None or (value.quant is not None and value.quant.same(tail.quant)):
            return self.bind(tail, value)
        result = self.emit("QUANTIZE", [value.index], tail, value.shape, nonneg=value.nonneg)
        return self.bind(tail, replace(result, flat_CHW=value.flat_CHW))

    def reshape(self, name: str, value: Value, shape: Shape) -> Value:
        """Return the same elements in the same order under another shape."""
        target = self.plain_constant(f"{name}/shape", np.array(shape, np.int32))
        like = replace(value, shape=shape, flat_CHW=None)
        result = self.inner("RESHAPE", [value.index, target], like, f"{name}/reshaped")
        self.writer.operators[-1].builtinOptions.newShape = np.array(shape, np.int32)
        return result

    def transpose(self, name: str, value: Value, perm: Sequence[int]) -> Value:
        """Return the tensor with permuted axes: one transpose of what was turned before, none where two cancel."""
        if value.index in self._turned:
            source, before = self._turned[value.index]
            value, perm = replace(source, nonneg=value.nonneg), [before[axis] for axis in perm]
        shape, moved = tuple(value.shape[axis] for axis in perm), [axis for axis in perm if value.shape[axis] != 1]
        if moved == sorted(moved):  # axes of one place move, or none: the numbers lie as they lay
            return value if list(perm) == sorted(perm) else self.reshape(f"{name}/transposed", value, shape)
        axes = self.plain_constant(f"{name}/perm", np.array(perm, np.int32))
        turned = self.inner("TRANSPOSE", [value.index, axes], replace(value, shape=shape), f"{name}/transposed")
        self._turned[turned.index] = value, tuple(perm)
        return turned

    def plain_constant(self, name: str, data: Array) -> int:
        """Return the index of a small constant (shape, pads, scalar), shared by equal content."""
        key = (data.dtype.str, data.shape, data.tobytes())
        if key not in self._constants:
            self._constants[key] = self.writer.constant(name, data)
        return self._constants[key]

    def scalar(self, number: float) -> int:
        """Return the index of a float32 scalar."""
        return self.plain_constant(f"scalar/{number:g}", np.array(number, np.float32))

    def real_constant(self, name: str, data: Array, *, half: bool = False) -> int:
        """Return the index of float weights; as float16 with a DEQUANTIZE where that is asked for.

        Raises:
            CheckError: a weight does not fit float16.
        """
        key = (name, data.shape, data.tobytes())
        if key not in self._constants:
            self._constants[key] = self._half(name, data) if half and self.half else self._float(name, data)
        return self._constants[key]

    def int_constant(self, const: QuantConst, perm: Sequence[int], shape: Shape | None = None) -> int:
        """Return the index of quantized weights with permuted axes (and then reshaped), grid untouched."""
        data = const.data.transpose(tuple(perm))
        axis = tuple(perm).index(const.quant.axis) if const.quant.per_channel else 0
        if shape is not None:
            data = data.reshape(shape)
        key = (const.name, tuple(perm), data.shape, axis)
        if key not in self._constants:
            index = self.writer.constant(const.name, data, replace(const.quant, axis=axis))
            self.integers[index] = (const.name, tuple(perm))
            self._constants[key] = index
        return self._constants[key]

    def _float(self, name: str, data: Array) -> int:
        return self.writer.constant(name, np.asarray(data, np.float32))

    def _half(self, name: str, data: Array) -> int:
        with np.errstate(over="ignore"):
            half = np.asarray(data, np.float16)
        if not np.all(np.isfinite(half)):
            found = float(np.abs(data).max())
            raise Node(name, "weights", (), (), {}).fail(f"{found:g} does not fit float16 (at most 65504)")
        stored = self.writer.constant(f"{name}/fp16", half)
        index = self.writer.activation(name, data.shape, None)
        self.writer.operator("DEQUANTIZE", [stored], index)
        return index
