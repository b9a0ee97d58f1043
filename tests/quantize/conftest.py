"""Small float graphs with the op set of the supported families."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def _constant(name: str, *shape: int, rng: np.random.Generator) -> onnx.TensorProto:
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    return numpy_helper.from_array((rng.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32), name)


@pytest.fixture
def float_model() -> onnx.ModelProto:
    """Return a graph with conv, hard-swish, a squeeze-excite gate, concat, pools, residual add, clip and a head."""
    rng = np.random.default_rng(0)
    node = helper.make_node
    conv = {"kernel_shape": [3, 3]}
    nodes = [
        node("Conv", ["images", "w0", "b0"], ["c0"], "stem", pads=[0, 0, 1, 1], strides=[2, 2], **conv),
        node("HardSwish", ["c0"], ["h0"], "swish"),
        node("Conv", ["h0", "wd", "bd"], ["cd"], "depthwise", pads=[1, 1, 1, 1], group=8, **conv),
        node("Relu", ["cd"], ["rd"], "relu"),
        node("GlobalAveragePool", ["rd"], ["gap"], "squeeze"),
        node("Conv", ["gap", "ws", "bs"], ["cs"], "gate", kernel_shape=[1, 1]),
        node("HardSigmoid", ["cs"], ["sig"], "sigmoid", alpha=1 / 6, beta=0.5),
        node("Mul", ["rd", "sig"], ["se"], "excite"),
        node("Conv", ["se", "wp", "bp"], ["cp"], "project", kernel_shape=[1, 1]),
        node("Add", ["cp", "h0"], ["sum"], "residual"),
        node("Clip", ["sum", "zero", "six"], ["clip"], "relu6"),
        node("MaxPool", ["clip"], ["mp"], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Conv", ["mp", "wa", "ba"], ["ca"], "left", kernel_shape=[1, 1]),
        node("Conv", ["mp", "wb", "bb"], ["cb"], "right", pads=[1, 1, 1, 1], **conv),
        node("Concat", ["ca", "cb"], ["cat"], "concat", axis=1),
        node("GlobalAveragePool", ["cat"], ["mean"], "mean"),
        node("Reshape", ["mean", "shape"], ["flat"], "flatten"),
        node("Gemm", ["flat", "wh", "bh"], ["logits"], "head", transB=1),
    ]
    shapes = {
        "w0": (8, 3, 3, 3), "wd": (8, 1, 3, 3), "ws": (8, 8, 1, 1), "wp": (8, 8, 1, 1), "wa": (4, 8, 1, 1),
        "wb": (4, 8, 3, 3), "wh": (5, 8), "b0": (8,), "bd": (8,), "bs": (8,), "bp": (8,), "ba": (4,), "bb": (4,),
        "bh": (5,),
    }  # fmt: skip
    constants = [_constant(name, *shape, rng=rng) for name, shape in shapes.items()]
    constants.append(numpy_helper.from_array(np.array([0, -1], np.int64), "shape"))
    constants.append(numpy_helper.from_array(np.array(0.0, np.float32), "zero"))
    constants.append(numpy_helper.from_array(np.array(6.0, np.float32), "six"))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture
def images_NCHW() -> np.ndarray:  # noqa: N802 - shape suffix
    """Return 16 seeded random images [16, 3, 32, 32]."""
    return np.random.default_rng(1).normal(size=(16, 3, 32, 32)).astype(np.float32)
