from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper

from compress.graph.proto import constants_of, consumers_of
from compress.quantize.ptq.equalize import equalize
from compress.quantize.qdq.torch_graph import TorchGraph


@pytest.fixture
def uneven(float_model):
    """Return the model with a chain conv, relu, depthwise, relu, conv whose channels differ a lot, and its tensors."""
    rng = np.random.default_rng(3)
    shapes = {"v1": (8, 8, 1, 1), "v2": (8, 1, 3, 3), "v3": (4, 8, 1, 1), "u1": (8,), "u2": (8,), "u3": (4,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    arrays["v1"][2] *= 300.0
    arrays["v2"][5] *= 0.01
    del float_model.graph.node[12:15]  # the two branches and their join
    nodes = [
        helper.make_node("Conv", ["mp", "v1", "u1"], ["x1"], "expand", kernel_shape=[1, 1]),
        helper.make_node("Relu", ["x1"], ["y1"], "relu_1"),
        helper.make_node(
            "Conv", ["y1", "v2", "u2"], ["x2"], "spatial", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=8
        ),
        helper.make_node("Relu", ["x2"], ["y2"], "relu_2"),
        helper.make_node("Conv", ["y2", "v3", "u3"], ["x3"], "narrow", kernel_shape=[1, 1]),
        helper.make_node("Concat", ["x3", "x3"], ["cat"], "join", axis=1),
    ]
    for index, node in enumerate(nodes):
        float_model.graph.node.insert(12 + index, node)
    float_model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    return float_model


def _logits(model, images_NCHW):
    with torch.no_grad():
        return TorchGraph(model)(torch.from_numpy(images_NCHW)).numpy()


def _spread(weight):
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    return largest.max() / largest.min()


def test_the_logits_stay_and_the_channels_come_closer(uneven, images_NCHW):
    equal, count = equalize(uneven)
    assert count == 2
    wanted = _logits(uneven, images_NCHW)
    np.testing.assert_allclose(_logits(equal, images_NCHW), wanted, atol=1e-5 * np.abs(wanted).max())
    before, after = constants_of(uneven.graph), constants_of(equal.graph)
    assert _spread(after["v1"]) < 0.1 * _spread(before["v1"])
    ranges = [np.abs(after[name]).max(axis=axes) for name, axes in (("v1", (1, 2, 3)), ("v2", (1, 2, 3)))]
    np.testing.assert_allclose(ranges[0], ranges[1], rtol=0.02)


def test_what_is_kept_stays(uneven):
    equal, count = equalize(uneven, keep=["spatial"])
    assert count == 0
    before, after = constants_of(uneven.graph), constants_of(equal.graph)
    assert all(np.array_equal(before[name], after[name]) for name in ("v1", "v2", "v3"))


def test_a_tensor_that_something_else_reads_lets_no_factor_through(uneven):
    uneven.graph.node[17].input[1] = "y1"  # the join reads the first ReLU
    uneven.graph.node[17].input[0] = "x3"
    assert "Concat" in {node.op_type for node in consumers_of(uneven.graph)["y1"]}
    _, count = equalize(uneven)
    assert count == 1


def test_a_channel_of_almost_no_weights_does_not_blow_up_its_bias(uneven):
    arrays = {tensor.name: tensor for tensor in uneven.graph.initializer}
    faint, biases = numpy_helper.to_array(arrays["v1"]).copy(), numpy_helper.to_array(arrays["u1"]).copy()
    faint[4], biases[4] = 1e-6, 1.0
    arrays["v1"].CopyFrom(numpy_helper.from_array(faint, "v1"))
    arrays["u1"].CopyFrom(numpy_helper.from_array(biases, "u1"))
    equal, _ = equalize(uneven)
    assert constants_of(equal.graph)["u1"][4] == 1.0


def test_several_filters_a_channel_let_no_factor_through(uneven, images_NCHW):
    rng = np.random.default_rng(4)
    arrays = {tensor.name: tensor for tensor in uneven.graph.initializer}
    for name, shape in {"v2": (16, 1, 3, 3), "u2": (16,), "v3": (4, 16, 1, 1)}.items():
        arrays[name].CopyFrom(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    wanted = _logits(uneven, images_NCHW)
    equal, count = equalize(uneven)
    assert count == 1
    np.testing.assert_allclose(_logits(equal, images_NCHW), wanted, atol=1e-5 * np.abs(wanted).max())


def test_a_dead_channel_keeps_its_size(uneven, images_NCHW):
    arrays = {tensor.name: tensor for tensor in uneven.graph.initializer}
    dead = numpy_helper.to_array(arrays["v1"]).copy()
    dead[4] = 0.0
    arrays["v1"].CopyFrom(numpy_helper.from_array(dead, "v1"))
    equal, _ = equalize(uneven)
    assert np.isfinite(_logits(equal, images_NCHW)).all()
    assert not constants_of(equal.graph)["v1"][4].any()
