from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.graph.cleanup import clean


def _model(nodes, initializers, output=("N", 4)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, list(output))],
        [numpy_helper.from_array(array, name) for name, array in initializers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _messy(pad_value=0.0, pad=(0, 0, 0, 0, 0, 0, 1, 1)):
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Identity", ["images"], ["same"], doc_string="/home/me/model.py"),
        helper.make_node("Pad", ["same", "pads", "value"], ["padded"]),
        helper.make_node("Conv", ["padded", "stem.weight"], ["x"], strides=[2, 2], pads=[1, 0, 0, 0]),
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1),
        helper.make_node("Reshape", ["mean", "shape"], ["flat"]),
        helper.make_node("Identity", ["flat"], ["logits"]),
    ]
    return _model(
        nodes,
        {
            "pads": np.array(pad, np.int64),
            "value": np.array(pad_value, np.float32),
            "stem.weight": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
            "axes": np.array([2, 3], np.int64),
            "shape": np.array([-1, 4], np.int64),
            "unused": np.zeros(3, np.float32),
        },
    )


def _run(model):
    images_NCHW = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"images": images_NCHW})[0]


def test_a_messy_graph_becomes_plain_and_computes_the_same():
    before = _run(_messy())
    model = clean(_messy())
    assert [node.op_type for node in model.graph.node] == ["Conv", "GlobalAveragePool", "Flatten"]
    assert [node.name for node in model.graph.node] == ["stem", "globalaveragepool_0", "flatten_0"]
    assert [tensor.name for tensor in model.graph.initializer] == ["stem.weight", "stem.bias"]
    pads = next(entry.ints for entry in model.graph.node[0].attribute if entry.name == "pads")
    assert list(pads) == [1, 0, 1, 1]
    assert b"/home/me" not in model.SerializeToString()
    np.testing.assert_allclose(_run(model), before, atol=1e-6)


@pytest.mark.parametrize("change", [{"pad_value": 1.0}, {"pad": (0, 0, 0, 0, 1, 0, 0, 0)}])
def test_padding_that_a_convolution_cannot_do_stays(change):
    before = _run(_messy(**change))
    model = clean(_messy(**change))
    assert "Pad" in [node.op_type for node in model.graph.node]
    np.testing.assert_allclose(_run(model), before, atol=1e-6)


def test_a_mean_over_other_axes_is_no_pooling():
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=1),
        helper.make_node("Relu", ["mean"], ["logits"]),
    ]
    model = clean(_model(nodes, {"axes": np.array([1, 2], np.int64)}, output=("N", 1, 1, 8)))
    assert [node.op_type for node in model.graph.node] == ["ReduceMean", "Relu"]
    onnx.checker.check_model(model)
