"""The op set: one explicit table from ONNX operator to its handler."""

from __future__ import annotations

from collections.abc import Callable

from compress.graph.operators import CLIP, HARD_SIGMOID, HARD_SWISH, RELU
from compress.graph.static_graph import Node
from compress.lower import conv, elementwise, pool, shape
from compress.lower.lowering import Lowering

HANDLERS: dict[str, Callable[[Lowering, Node], None]] = {
    "Add": elementwise.arithmetic,
    "AveragePool": pool.average_pool,
    "Cast": elementwise.identity,
    CLIP: elementwise.clip,
    "Concat": shape.concat,
    "Conv": conv.conv,
    "DequantizeLinear": elementwise.dequantize,
    "Div": elementwise.arithmetic,
    "Dropout": elementwise.identity,
    "Flatten": shape.reshape,
    "Gemm": conv.gemm,
    "GlobalAveragePool": pool.mean,
    HARD_SIGMOID: elementwise.hard_sigmoid,
    HARD_SWISH: elementwise.hard_swish,
    "Identity": elementwise.identity,
    "MatMul": conv.matmul,
    "MaxPool": pool.max_pool,
    "Mul": elementwise.arithmetic,
    "Pad": shape.pad,
    "QuantizeLinear": elementwise.quantize,
    "ReduceMean": pool.mean,
    RELU: elementwise.clip,
    "Reshape": shape.reshape,
    "Sigmoid": elementwise.sigmoid,
    "Softmax": elementwise.softmax,
    "Squeeze": shape.reshape,
    "Sub": elementwise.arithmetic,
    "Transpose": shape.transpose,
    "Unsqueeze": shape.reshape,
}
