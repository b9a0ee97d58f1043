"""Writes the quantized model: the float graph with QuantizeLinear/DequantizeLinear pairs and integer weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graph.bounds import node_bounds
from compress.graph.operators import CLIP, WEIGHTED
from compress.graph.proto import constants_of
from compress.quantize.qdq.fake_quant import Grid

BIAS_LIMIT = 2**30  # half of int32, so that the accumulator cannot overflow when the bias is added
_ARITHMETIC = ("Add", "Mul", "Sub")
INT8_OFFSET = 128  # int8 is the uint8 grid moved by this


class _Writer:
    """Collects the nodes and constants of the new graph."""

    def __init__(self, activation: str) -> None:
        self.activation_dtype = np.uint8 if activation == "uint8" else np.int8
        self.offset = 0 if activation == "uint8" else INT8_OFFSET
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._shared: set[str] = set()  # constants of arithmetic nodes that are written

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def round_trip(self, name: str, grid: Grid, output: str) -> None:
        """Add Q and DQ of the tensor `name`, ending in the tensor `output`."""
        scale = self.constant(f"{name}_scale", np.array(grid.scale, np.float32))
        zero_point = np.array(grid.zero_point - self.offset, self.activation_dtype)
        parameters = [scale, self.constant(f"{name}_zero_point", zero_point)]
        quantized = f"{name}_quantized"
        self.nodes.append(helper.make_node("QuantizeLinear", [name, *parameters], [quantized], f"{name}_q"))
        self.nodes.append(helper.make_node("DequantizeLinear", [quantized, *parameters], [output], f"{name}_dq"))

    def constant_on_grid(self, name: str, array: np.ndarray, grid: Grid) -> str:
        """Add a constant as integers of an activation's type, and its DQ, once; return the float tensor's name."""
        output = f"{name}_dequantized"
        if output in self._shared:
            return output
        self._shared.add(output)
        integers = np.clip(np.round(array / grid.scale) + grid.zero_point, 0, 255) - self.offset
        inputs = [
            self.constant(f"{name}_quantized", integers.astype(self.activation_dtype)),
            self.constant(f"{name}_scale", np.array(grid.scale, np.float32)),
            self.constant(f"{name}_zero_point", np.array(grid.zero_point - self.offset, self.activation_dtype)),
        ]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [output], f"{name}_dq"))
        return output

    def dequantized(self, name: str, integers: np.ndarray, scales_O: np.ndarray) -> str:
        """Add an integer constant and its DQ along axis 0; return the float tensor's name."""
        zero_points = np.zeros(len(scales_O), integers.dtype)
        inputs = [
            self.constant(f"{name}_quantized", integers),
            self.constant(f"{name}_scale", scales_O.astype(np.float32)),
            self.constant(f"{name}_zero_point", zero_points),
        ]
        output = f"{name}_dequantized"
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [output], f"{name}_dq", axis=0))
        return output


def weight_integers(weight: np.ndarray, scales_O: np.ndarray) -> np.ndarray:
    """Return the int8 values [O, ...] of a float weight, in -127..127."""
    shape = (-1, *[1] * (weight.ndim - 1))
    rounded: np.ndarray = np.clip(np.round(weight / scales_O.reshape(shape)), -127, 127)
    return rounded.astype(np.int8)


def safe_weight_scales(weight: np.ndarray, bias_O: np.ndarray | None, input_scale: float) -> np.ndarray:
    """Return max |w| / 127 per output channel, raised where the bias would not fit into half of int32.

    A nearly dead channel has tiny weights and an ordinary bias; its own scale would overflow the int32 bias.
    """
    largest_O = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scales_O = np.maximum(largest_O / 127.0, 2.0**-24).astype(np.float32)
    if bias_O is not None:
        floor_O = np.abs(bias_O) / (input_scale * (BIAS_LIMIT - 1))
        scales_O = np.maximum(scales_O, np.nextafter(floor_O.astype(np.float32), np.float32(np.inf)))
    return np.asarray(scales_O)


def write_qdq(
    model: onnx.ModelProto,
    weights: Mapping[str, np.ndarray],
    grids: Mapping[str, Grid],
    activation: str = "uint8",
    floats: Collection[str] = (),
) -> onnx.ModelProto:
    """Return the QDQ model.

    Args:
        model: the float model; its nodes and names are kept.
        weights: float values by initializer name, of every Conv and Gemm weight [O, ...] and bias [O].
        grids: grid by tensor name, for every quantized activation, in uint8 terms.
        activation: uint8 or int8.
        floats: names of the nodes that stay float, weights too.
    """
    writer = _Writer(activation)
    graph = model.graph
    constants = constants_of(model.graph)
    # A graph's output keeps its name after the last DequantizeLinear; the node before it writes another.
    outputs = {value.name for value in graph.output}
    renamed = {name: name if name in outputs else f"{name}_dequantized" for name in grids}
    done: dict[str, str] = {}
    if (name := graph.input[0].name) in grids:
        writer.round_trip(name, grids[name], renamed[name])
    for node in graph.node:
        new, name = onnx.NodeProto(), node.output[0]
        new.CopyFrom(node)
        if node.op_type in WEIGHTED and node.name in floats:
            _place_floats(writer, node, weights, done)
        elif node.op_type in WEIGHTED:
            _quantize_layer(writer, new, weights, grids, done)
        elif node.op_type in _ARITHMETIC and node.name not in floats:
            _quantize_operands(writer, new, constants, grids)
        _rename_inputs(new, renamed)
        if name not in grids:
            writer.nodes.append(new)
            continue
        source = f"{name}_float" if name in outputs else name
        if node.op_type == CLIP and _saturates(grids[name], node_bounds(node, constants)):
            source = new.input[0]
        else:
            new.output[0] = source
            writer.nodes.append(new)
        writer.round_trip(source, grids[name], renamed[name])
    return _assemble(model, writer)


def _saturates(grid: Grid, bounds: tuple[float, float]) -> bool:
    """Return whether rounding to the grid clips at least as hard as a Clip, other than ReLU6, that may then go."""
    least, most = -grid.zero_point * grid.scale, (255 - grid.zero_point) * grid.scale
    slack = 1e-6 * grid.scale * 255
    return bounds != (0.0, 6.0) and least >= bounds[0] - slack and most <= bounds[1] + slack


def _rename_inputs(node: onnx.NodeProto, renamed: Mapping[str, str]) -> None:
    for index, name in enumerate(node.input):
        node.input[index] = renamed.get(name, name)


def _quantize_layer(
    writer: _Writer,
    node: onnx.NodeProto,
    weights: Mapping[str, np.ndarray],
    grids: Mapping[str, Grid],
    done: dict[str, str],
) -> None:
    """Replace a layer's weight and bias by integers; a constant two layers share is written once."""
    data, weight_name = node.input[0], node.input[1]
    bias_name = node.input[2] if len(node.input) > 2 else ""
    input_scale = grids[data].scale
    weight, bias_O = weights[weight_name], weights.get(bias_name)
    scales_O = safe_weight_scales(weight, bias_O, input_scale)
    if weight_name not in done:
        done[weight_name] = writer.dequantized(weight_name, weight_integers(weight, scales_O), scales_O)
    node.input[1] = done[weight_name]
    if bias_O is not None:
        bias_scales_O = (np.float32(input_scale) * scales_O).astype(np.float32)
        integers_O = np.round(bias_O / bias_scales_O.astype(np.float64)).astype(np.int32)
        if bias_name not in done:
            done[bias_name] = writer.dequantized(bias_name, integers_O, bias_scales_O)
        node.input[2] = done[bias_name]


def _place_floats(
    writer: _Writer, node: onnx.NodeProto, weights: Mapping[str, np.ndarray], done: dict[str, str]
) -> None:
    """Write the weight and bias of a layer that stays float, as they stand."""
    for name in filter(None, node.input[1:]):
        if name not in done:
            done[name] = writer.constant(name, weights[name])


def _quantize_operands(
    writer: _Writer, node: onnx.NodeProto, constants: Mapping[str, np.ndarray], grids: Mapping[str, Grid]
) -> None:
    """Replace a constant operand by integers where the other operand has a grid; a single number is met exactly."""
    if not any(name in grids for name in node.input):
        return
    for index, name in enumerate(node.input):
        if name in constants:
            array = constants[name]
            node.input[index] = writer.constant_on_grid(
                name, array, Grid.of_range(float(array.min()), float(array.max()))
            )


def _assemble(model: onnx.ModelProto, writer: _Writer) -> onnx.ModelProto:
    used = {name for node in writer.nodes for name in node.input}
    written = {tensor.name for tensor in writer.constants}
    kept = [t for name, t in _constants(model).items() if name in used - written]
    graph = helper.make_graph(
        writer.nodes, model.graph.name, list(model.graph.input), list(model.graph.output), kept + writer.constants
    )
    out = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    out.producer_name, out.producer_version = model.producer_name, model.producer_version
    for entry in model.metadata_props:
        out.metadata_props.add(key=entry.key, value=entry.value)
    return out


def _constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    made_by_nodes = {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    return {
        name: numpy_helper.from_array(array, name)
        for name, array in constants_of(model.graph).items()
        if name not in made_by_nodes
    }
