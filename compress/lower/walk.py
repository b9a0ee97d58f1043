"""`lower`: ONNX model in, TFLite bytes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from compress.errors import CheckError
from compress.lower.graph import Graph, Node, read_graph
from compress.lower.lowering import NCHW_TO_NHWC, Lowering, Value
from compress.lower.ops import HANDLERS
from compress.package import with_extra

ROAD_HINT = (
    "the other road knows more operators: `road: tensorflow` "
    f"(needs {with_extra('tensorflow')}; float32 and float16 only)"
)
_QDQ_HINT = "quantize in QDQ format: QuantizeLinear and DequantizeLinear around float operators"
_INTEGER_OPS = frozenset(
    {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"}
)  # other formats of quantization


@dataclass(frozen=True)
class Lowered:
    """A TFLite file and where its integers come from.

    Attributes:
        data: bytes of the flatbuffer, without the spec.
        grids: ONNX name of a QuantizeLinear's or DequantizeLinear's output -> tensor index.
        integers: tensor index -> (ONNX name, permutation of the axes) of every quantized constant; a permutation
            (a, b, C, H, W) means: permuted by (a, b), then the inputs reordered from C,H,W to H,W,C.
        float_nodes: ONNX nodes computed in float, in order.
        notes: what could not be kept exactly.
        operators: number of TFLite operators.
    """

    data: bytes
    grids: Mapping[str, int]
    integers: Mapping[int, tuple[str, tuple[int, ...]]]
    float_nodes: tuple[str, ...]
    notes: tuple[str, ...]
    operators: int


def lower(model: onnx.ModelProto, *, half: bool = False) -> Lowered:
    """Return a classifier as TFLite: QDQ graphs as int8 with exactly their scales and integers, others in float.

    Args:
        model: one image input [N,C,H,W], one output; constants inside.
        half: store float weights as float16, widened by DEQUANTIZE when the model is loaded.

    Raises:
        CheckError: the graph leaves the op set, or asks for what TFLite cannot do; names the node.
    """
    graph = read_graph(model)
    _require_known(graph)
    lo = Lowering(graph, half=half)
    input_index = _input(lo)
    for node in graph.nodes:
        if node.outputs[0] not in lo.done:
            HANDLERS[node.op](lo, node)
    output = lo.value(graph.output_name, Node("(output)", "graph output", (graph.output_name,), (), {}))
    if output.index == input_index:
        raise CheckError("the graph computes nothing: its output is its input")
    _name_output(lo, output)
    data = lo.writer.finish(input_index, output.index, "imgc")
    grids = {name: value.index for name, value in lo.values.items() if name in graph.grids}
    return Lowered(data, grids, lo.integers, tuple(lo.float_nodes), tuple(lo.notes), len(lo.writer.operators))


def _input(lo: Lowering) -> int:
    """Add the image input: int8 where every reader quantizes it to one grid, else float32."""
    name = lo.graph.input_name
    shape = tuple(lo.graph.shapes[name][axis] for axis in NCHW_TO_NHWC)
    source = Node("(input)", "graph input", (), (name,), {})
    tail = lo.tail(source, int8=True, fuse=False)
    index = lo.writer.activation(name, shape, tail.quant)
    lo.bind(tail, Value(index, shape, tail.quant, nonneg=tail.quant is not None and tail.nonneg()))
    return index


def _name_output(lo: Lowering, output: Value) -> None:
    """Give the output tensor the name of the graph's output; int8 outputs were named after their QuantizeLinear."""
    name = lo.graph.output_name
    if all(tensor.name != name for tensor in lo.writer.tensors):
        lo.writer.tensors[output.index].name = name


def _require_known(graph: Graph) -> None:
    """Refuse the graph before anything is written, naming the first node outside the op set."""
    for node in graph.nodes:
        if node.op in HANDLERS:
            continue
        hint = _QDQ_HINT if node.op in _INTEGER_OPS else ROAD_HINT
        raise node.fail(f"not in the op set; allowed: {', '.join(sorted(HANDLERS))}", hint=hint)
