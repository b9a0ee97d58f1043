"""The op set: one explicit table from ONNX operator to its handler."""

from __future__ import annotations

from collections.abc import Callable

from compress.graph.operators import CLIP, HARD_SIGMOID, HARD_SWISH, RELU
from compress.graph.static_graph import Node
from compress.lower import conv, curves, elementwise, pick, pool, resize, shape, tokens
from compress.lower.lowering import Lowering


def matmul(lo: Lowering, node: Node) -> None:
    """Lower MatMul: of rows and constant weights as the layer that it is, of anything else as a product."""
    weight = lo.constant(node.inputs[1])
    rows = lo.constant(node.inputs[0]) is None and lo.rank(node.inputs[0], node) == 2
    (conv.matmul if rows and weight is not None else tokens.matmul)(lo, node)


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
    "Gelu": tokens.gelu,
    "Gemm": conv.gemm,
    "GlobalAveragePool": pool.mean,
    HARD_SIGMOID: elementwise.hard_sigmoid,
    HARD_SWISH: elementwise.hard_swish,
    "Identity": elementwise.identity,
    "LayerNormalization": tokens.layer_norm,
    "LRN": curves.local_response_norm,
    "LeakyRelu": curves.leaky_relu,
    "MatMul": matmul,
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
    "Resize": resize.resize,
    "Sigmoid": elementwise.sigmoid,
    "Slice": pick.slice_,
    "Softmax": elementwise.softmax,
    "Sqrt": curves.root,
    "Squeeze": shape.reshape,
    "Sub": elementwise.arithmetic,
    "Transpose": shape.transpose,
    "Unsqueeze": shape.reshape,
}
