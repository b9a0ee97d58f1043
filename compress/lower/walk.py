"""`lower`: ONNX model in, TFLite bytes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from compress.core.boxes import BoxCoding
from compress.errors import CheckError
from compress.graph.operators import DYNAMIC, QOPERATOR
from compress.graph.static_graph import Graph, Node, static_graph
from compress.lower.detections import detections
from compress.lower.lowering import NCHW_TO_NHWC, Lowering, Value
from compress.lower.ops import HANDLERS
from compress.lower.writer import INPUT_KEY, OUTPUT_KEY
from compress.package import with_extra

CONVERTER_HINT = (
    "the other converter knows more operators: `converter: tensorflow` "
    f"(needs {with_extra('tensorflow')}; float32 and float16 only)"
)
_CONTRADICTIONS = (ValueError, IndexError, KeyError, TypeError, ArithmeticError)
_QDQ_HINT = "quantize in QDQ format: QuantizeLinear and DequantizeLinear around float operators"


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


def lower(model: onnx.ModelProto, *, half: bool = False, boxes: BoxCoding | None = None) -> Lowered:
    """Return a model as TFLite: QDQ graphs as int8 with exactly their scales and integers, others in float.

    Args:
        model: canonical; images are 4-D [N,C,H,W]; constants inside.
        half: store float weights as float16, widened by DEQUANTIZE when the model is loaded.
        boxes: what a detector's numbers mean, for its file to end in TFLite's own post-processing; None leaves it out.

    Raises:
        CheckError: the graph leaves the op set, or asks for what TFLite cannot do; names the node.
    """
    graph = static_graph(model)
    _require_known(graph)
    lo = Lowering(graph, half=half)
    inputs = {name: _input(lo, name) for name in graph.inputs}
    for node in graph.nodes:
        if node.outputs[0] not in lo.done:
            _lower_node(lo, node)
    outputs = {name: _output(lo, name) for name in graph.outputs}
    if boxes is not None:
        outputs = detections(lo, boxes) | outputs
    if set(outputs.values()) & set(inputs.values()):
        raise CheckError("the graph computes nothing: its output is its input")
    data = lo.writer.finish(_keyed(inputs, INPUT_KEY), _keyed(outputs, OUTPUT_KEY), "imgc")
    grids = {name: value.index for name, value in lo.values.items() if name in graph.grids}
    return Lowered(data, grids, lo.integers, tuple(lo.float_nodes), tuple(lo.notes), len(lo.writer.operators))


def _keyed(indices: Mapping[str, int], key: str) -> dict[str, int]:
    """Return tensor indices by the signature's names: that of all classifiers for a single one, else the graph's."""
    return {key: next(iter(indices.values()))} if len(indices) == 1 else dict(indices)


def _input(lo: Lowering, name: str) -> int:
    """Add an input: int8 where every reader quantizes it to one grid, else float32."""
    shape = lo.graph.shapes[name]
    shape = tuple(shape[axis] for axis in NCHW_TO_NHWC) if len(shape) == 4 else shape
    source = Node("(input)", "graph input", (), (name,), {})
    tail = lo.tail(source, int8=True, fuse=False)
    index = lo.writer.activation(name, shape, tail.quant)
    lo.bind(tail, Value(index, shape, tail.quant, nonneg=tail.quant is not None and tail.nonneg()))
    return index


def _lower_node(lo: Lowering, node: Node) -> None:
    try:
        HANDLERS[node.op](lo, node)
    except _CONTRADICTIONS as error:  # shape inference lets much pass: pads of three numbers, a bias of another length
        raise node.fail(f"its attributes and inputs contradict each other ({type(error).__name__}: {error})") from error


def _output(lo: Lowering, name: str) -> int:
    """Return an output's tensor, named as the graph's output; int8 ones were named after their QuantizeLinear."""
    output = lo.value(name, Node("(output)", "graph output", (name,), (), {}))
    if all(tensor.name != name for tensor in lo.writer.tensors):
        lo.writer.tensors[output.index].name = name
    return output.index


def _require_known(graph: Graph) -> None:
    """Refuse the graph before anything is written, naming the first node outside the op set."""
    for node in graph.nodes:
        if node.op in HANDLERS:
            continue
        hint = _QDQ_HINT if node.op in QOPERATOR | DYNAMIC else CONVERTER_HINT
        raise node.fail(f"not in the op set; allowed: {', '.join(sorted(HANDLERS))}", hint=hint)
