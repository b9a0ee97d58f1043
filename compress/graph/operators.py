"""What is true of each ONNX operator that we read, in one table. Light: no backend, so that planning may ask it.

How an operator computes stands where it is computed: in torch in `quantize.qdq.torch_graph`, in TFLite in `lower.ops`.
Tests hold both against the columns `trained` and `lowered` of this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

HARD_SWISH, HARD_SIGMOID = "HardSwish", "HardSigmoid"
RELU, CLIP, IDENTITY = "Relu", "Clip", "Identity"


@dataclass(frozen=True)
class Operator:
    """Facts about one operator of ONNX's default domain.

    Attributes:
        name: its `op_type`.
        weighted: inputs 1 and 2 are a learned weight and bias.
        keeps_grid: it moves or picks elements and computes none, so that its output keeps its input's int8 grid.
        fused: integer kernels compute it while they store the result of the layer before.
        fuses: such a layer, which takes a `fused` operator behind it.
        unit: its output is within 0..1, whatever its input.
        zero_below: its output is 0 and flat where its input is less than this; None where there is no such place. What
            reads its input judges an error by what is left behind it.
        int8: ONNX Runtime and TFLite have an int8 kernel for it between DequantizeLinear and QuantizeLinear.
        island: XNNPACK computes it in float inside an int8 model without leaving its partition.
        trained: `TorchGraph` runs it.
        lowered: `lower` writes it as TFLite.
        to_integers: how a user gets it into integers, where it is not obvious.
    """

    name: str
    weighted: bool = False
    keeps_grid: bool = False
    fused: bool = False
    fuses: bool = False
    unit: bool = False
    zero_below: float | None = None
    int8: bool = False
    island: bool = False
    trained: bool = True
    lowered: bool = True
    to_integers: str = ""


_EXCLUDED = "take it out of `exclude`, or quantize with `stem: int8`"
_GATE = "set `hard_swish: gate`: an addition and a product of integers"
_FOLD = "let it follow a Conv or Gemm that nothing else reads: `imgc quantize` then folds it into a Clip"
_MEAN = "`imgc quantize` turns a mean over height and width into GlobalAveragePool, which has an int8 kernel"
_TABLE = (
    Operator("Add", fuses=True, int8=True, island=True),
    Operator("AveragePool", int8=True, island=True),
    Operator("Cast"),
    Operator(CLIP, fused=True, island=True),
    Operator("Concat", int8=True, island=True),
    Operator("Conv", weighted=True, fuses=True, int8=True, island=True, to_integers=_EXCLUDED),
    Operator("DepthToSpace", keeps_grid=True),
    Operator("Div", island=True),
    Operator("Dropout"),
    Operator("Elu", island=True),
    Operator("Flatten", keeps_grid=True),
    Operator("Gelu", island=True),
    Operator("Gemm", weighted=True, fuses=True, int8=True, island=True, to_integers=_EXCLUDED),
    Operator("GlobalAveragePool", int8=True, island=True),
    Operator(HARD_SIGMOID, unit=True, zero_below=-3.0, island=True, to_integers=_FOLD),
    Operator(HARD_SWISH, zero_below=-3.0, island=True, to_integers=_GATE),
    Operator(IDENTITY, keeps_grid=True),
    Operator("LRN", island=True),
    Operator("LayerNormalization", island=True),
    Operator("LeakyRelu", int8=True, island=True),
    Operator("MatMul", int8=True, island=True, to_integers="export it as Gemm, whose weights are quantized"),
    Operator("Max", island=True),
    Operator("MaxPool", keeps_grid=True, int8=True, island=True),
    Operator("Min", island=True),
    Operator("Mul", int8=True, island=True),
    Operator("PRelu", island=True),
    Operator("Pad", keeps_grid=True, int8=True, island=True),
    Operator("ReduceMean", int8=True, island=True, to_integers=_MEAN),
    Operator(RELU, fused=True, island=True),
    Operator("Reshape", keeps_grid=True),
    Operator("Resize", int8=True),
    Operator("Sigmoid", unit=True, int8=True, island=True),
    Operator("Slice", keeps_grid=True),
    Operator("Softmax", unit=True, int8=True, island=True),
    Operator("Sqrt", island=True),
    Operator("Squeeze", keeps_grid=True),
    Operator("Sub", int8=True, island=True),
    Operator("Transpose", keeps_grid=True),
    Operator("Unsqueeze", keeps_grid=True),
)
OPERATORS = {operator.name: operator for operator in _TABLE}


def named(fact: Callable[[Operator], object]) -> frozenset[str]:
    """Return the names of the operators of which something is true."""
    return frozenset(operator.name for operator in _TABLE if fact(operator))


WEIGHTED = named(lambda op: op.weighted)
KEEPS_GRID = named(lambda op: op.keeps_grid)
FUSED = named(lambda op: op.fused)
FUSES = named(lambda op: op.fuses)
UNIT = named(lambda op: op.unit)
CURVES = named(lambda op: op.zero_below is not None)
INT8 = named(lambda op: op.int8)
ISLANDS = named(lambda op: op.island)
TRAINED = named(lambda op: op.trained)
LOWERED = named(lambda op: op.lowered)
# an int8 kernel before them stores what they make, or they store the integers they read
PASSING = named(lambda op: op.fused or (op.keeps_grid and not op.int8))

QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})
DYNAMIC = frozenset({"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"})
QOPERATOR = frozenset({"QLinearConv", "QLinearMatMul"})
QUANTIZED = QDQ | DYNAMIC | QOPERATOR
