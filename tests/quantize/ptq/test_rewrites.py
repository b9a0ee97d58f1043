from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from compress.quantize.ptq.rewrites import (
    early_hard_swishes,
    fold_hard_sigmoid,
    gate_hard_swish,
    hard_swishes,
    relu6_for_hard_swish,
)
from compress.quantize.qdq.torch_graph import TorchGraph


def _logits(model: onnx.ModelProto, images_NCHW: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return TorchGraph(model)(torch.from_numpy(images_NCHW)).numpy()


def _ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_a_folded_hard_sigmoid_gives_the_same_logits(float_model, images_NCHW):
    rewritten, count = fold_hard_sigmoid(float_model)
    assert count == 1
    assert "HardSigmoid" not in _ops(rewritten)
    onnx.checker.check_model(rewritten, full_check=True)
    np.testing.assert_allclose(_logits(rewritten, images_NCHW), _logits(float_model, images_NCHW), atol=2e-6)


def test_a_gated_hard_swish_gives_the_same_logits(float_model, images_NCHW):
    rewritten, count = gate_hard_swish(float_model)
    assert count == 1
    assert "HardSwish" not in _ops(rewritten)
    assert _ops(rewritten).count("Mul") == _ops(float_model).count("Mul") + 1
    onnx.checker.check_model(rewritten, full_check=True)
    np.testing.assert_allclose(_logits(rewritten, images_NCHW), _logits(float_model, images_NCHW), atol=2e-6)


def test_the_model_that_was_given_is_left_alone(float_model):
    before = float_model.SerializeToString()
    fold_hard_sigmoid(float_model)
    gate_hard_swish(float_model)
    relu6_for_hard_swish(float_model, ["swish"])
    assert float_model.SerializeToString() == before


def test_a_layer_that_something_else_reads_keeps_its_hard_swish(float_model):
    add = next(node for node in float_model.graph.node if node.name == "residual")
    add.input[1] = "c0"  # the hard-swish's input
    rewritten, count = gate_hard_swish(float_model)
    assert count == 0
    assert "HardSwish" in _ops(rewritten)


def test_a_weight_that_two_layers_share_is_not_scaled(float_model):
    extra = helper.make_node("Conv", ["images", "w0", "b0"], ["other"], "twin", kernel_shape=[3, 3])
    float_model.graph.node.insert(0, extra)
    _, count = gate_hard_swish(float_model)
    assert count == 0


def test_relu6_takes_the_place_of_the_named_nodes_alone(float_model, images_NCHW):
    rewritten, count = relu6_for_hard_swish(float_model, ["swish", "nobody"])
    assert count == 1
    swapped = next(node for node in rewritten.graph.node if node.name == "swish")
    assert swapped.op_type == "Clip"
    bounds = {
        tensor.name: numpy_helper.to_array(tensor).item() for tensor in rewritten.graph.initializer if not tensor.dims
    }
    assert [bounds[name] for name in swapped.input[1:]] == [0.0, 6.0]
    assert np.abs(_logits(rewritten, images_NCHW) - _logits(float_model, images_NCHW)).max() > 1e-3


def test_early_ends_where_images_shrink(float_model):
    later = helper.make_node("HardSwish", ["cb"], ["hb"], "late")
    at = next(index for index, node in enumerate(float_model.graph.node) if node.name == "concat")
    float_model.graph.node.insert(at, later)
    float_model.graph.node[at + 1].input[1] = "hb"
    assert hard_swishes(float_model) == ("swish", "late")
    assert early_hard_swishes(float_model) == ("swish",)
