from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper

from compress.quantize.ptq.importance import Moments, channel_importance


def _moments(*variances):
    values = torch.tensor(variances, dtype=torch.float64)
    return Moments(values, values)


def _model(nodes, **constants):
    tensors = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "graph", [], [], tensors))


def test_a_dense_layer_counts_its_weights_beside_what_it_makes():
    model = _model([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], w=[[1.0, 2.0], [0.0, 10.0]])
    found = channel_importance(model, {"x": _moments(1, 1), "y": _moments(1, 100)})
    assert found["x"] == pytest.approx([0.5, (4 / 1 + 100 / 100) / 2])


def test_a_weight_that_is_not_transposed_means_the_same():
    weight = np.array([[1.0, 2.0], [0.0, 10.0]])
    model = _model([helper.make_node("Gemm", ["x", "w"], ["y"])], w=weight.T)
    found = channel_importance(model, {"x": _moments(1, 1), "y": _moments(1, 100)})
    assert found["x"] == pytest.approx([0.5, 2.5])


def test_a_depthwise_layer_gives_each_channel_its_own():
    weight = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    model = _model([helper.make_node("Conv", ["x", "w"], ["y"], group=2)], w=weight)
    found = channel_importance(model, {"x": _moments(1, 1), "y": _moments(1, 9)})
    assert found["x"][0] == pytest.approx(found["x"][1])


def test_weights_pass_back_through_joins_gates_and_activations():
    nodes = [
        helper.make_node("HardSwish", ["a"], ["h"]),
        helper.make_node("Mul", ["h", "gate"], ["m"]),
        helper.make_node("Concat", ["m", "b"], ["c"], axis=1),
        helper.make_node("Gemm", ["c", "w"], ["y"], transB=1),
    ]
    model = _model(nodes, w=[[1.0, 2.0, 3.0]])
    seen = {"a": _moments(1, 1), "h": _moments(1, 1), "gate": _moments(0.5, 0.25), "m": _moments(1, 1)}
    found = channel_importance(model, {**seen, "b": _moments(1), "c": _moments(1, 1, 1), "y": _moments(1)})
    assert found["b"] == pytest.approx([9.0])
    assert found["m"] == pytest.approx([1.0, 4.0])
    for name in ("h", "a"):
        assert found[name] == pytest.approx([0.5, 1.0])


def test_no_channel_counts_nothing_and_a_dead_layer_counts_all_alike():
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)]
    seen = {"x": _moments(1, 1), "y": _moments(1)}
    assert channel_importance(_model(nodes, w=[[1.0, 0.0]]), seen)["x"][1] > 0
    assert channel_importance(_model(nodes, w=[[0.0, 0.0]]), seen)["x"] == pytest.approx([1.0, 1.0])
