"""The op set: one explicit table from ONNX operator to its handler."""

from __future__ import annotations

from collections.abc import Callable

from compress.graph.operators import CLIP, HARD_SIGMOID, HARD_SWISH, RELU
from compress.graph.static_graph import Node
from compress.lower import conv, curves, elementwise, pick, pool, shape
from compress.lower.lowering import Lowering

HANDLERS: dict[str, Callable[[Lowering, Node], None]] = {
    "Add": elementwise.arithmetic,
    "AveragePool": pool.average_pool,
    "Cast": elementwise.identity,
    CLIP: elementwise.clip,
    "Concat": shape.concat,
    "Conv": conv.conv,
    "DepthToSpace": pick.depth_to_space,
    "DequantizeLinear": elementwise.dequantize,
    "Div": elementwise.arithmetic,
    "Dropout": elementwise.identity,
    "Elu": curves.elu,
    "Flatten": shape.reshape,
    "Gemm": conv.gemm,
    "GlobalAveragePool": pool.mean,
    HARD_SIGMOID: elementwise.hard_sigmoid,
    HARD_SWISH: elementwise.hard_swish,
    "Identity": elementwise.identity,
    "LeakyRelu": curves.leaky_relu,
    "MatMul": conv.matmul,
    "Max": curves.extremum,
    "MaxPool": pool.max_pool,
    "Min": curves.extremum,
    "Mul": elementwise.arithmetic,
    "Pad": shape.pad,
    "PRelu": curves.prelu,
    "QuantizeLinear": elementwise.quantize,
    "ReduceMean": pool.mean,
    RELU: elementwise.clip,
    "Reshape": shape.reshape,
    "Sigmoid": elementwise.sigmoid,
    "Slice": pick.slice_,
    "Softmax": elementwise.softmax,
    "Squeeze": shape.reshape,
    "Sub": elementwise.arithmetic,
    "Transpose": shape.transpose,
    "Unsqueeze": shape.reshape,
}
