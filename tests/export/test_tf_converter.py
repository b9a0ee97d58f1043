"""The other converter, and both against each other: an independent reading of the same graph."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest

from compress.errors import CheckError, ImgcError
from compress.export import tf_converter, tflite_checks
from compress.graph.cleanup import clean
from compress.lower.walk import lower
from compress.runtime.tflite_meta import unpack

NETWORKS = ("mobilenet_v3_small", "squeezenet1_1")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("torch_first")]


def _every_operator(b):
    """Return a classifier with each operator of the op set that a float network has."""
    made = b.node("HardSwish", [b.conv("images", 8, in_channels=3, strides=[2, 2], pads=[1, 1, 1, 1])])
    gate = b.node("HardSigmoid", [b.conv(b.node("GlobalAveragePool", [made]), 8, 1, in_channels=8)], alpha=1 / 6)
    made = b.node("Mul", [made, gate])
    made = b.node("Relu", [b.conv(made, 8, in_channels=8, groups=8, pads=[1, 1, 1, 1])])
    made = b.node("Concat", [made, b.node("Sigmoid", [b.conv(made, 4, 1, in_channels=8, groups=2)])], axis=1)
    made = b.node("MaxPool", [made], kernel_shape=[3, 3], strides=[2, 2])
    pads = b.const(np.array([0, 0, 1, 0, 0, 0, 0, 1], np.int64))
    made = b.node("AveragePool", [b.node("Pad", [made, pads])], kernel_shape=[2, 2], strides=[1, 1])
    made = b.node("Clip", [b.conv(made, 12, in_channels=12), b.const(np.float32(0)), b.const(np.float32(6))])
    made = b.node("Sub", [made, b.node("ReduceMean", [made, b.const(np.array([2, 3], np.int64))])])
    flat = b.node("Flatten", [b.node("Div", [made, b.const(np.float32(0.5))])])
    made = b.node("Gemm", [flat, b.weight((5, 12 * 25), size=0.1)[0], b.bias(5, None)], transB=1)
    made = b.node("Add", [b.node("MatMul", [made, b.weight((5, 5))[0]]), b.const(np.arange(5, dtype=np.float32))])
    return b.model(b.node("Softmax", [made], axis=1))


def test_both_converters_agree(build, images, runs, tmp_path):
    run_onnx, run_tflite = runs
    model, pixels = _every_operator(build((1, 3, 32, 32))), images((3, 32, 32))
    other = tf_converter.convert(model)
    wanted = run_onnx(model, pixels)
    assert np.abs(run_tflite(other, pixels)[0] - wanted).max() < 1e-4
    assert np.abs(run_tflite(lower(model).data, pixels)[0] - wanted).max() < 1e-4
    tflite_checks.check_tflite(unpack(other), tmp_path, builtins_only=False, select_tf_ops=False)
    half = tf_converter.convert(model, half=True)
    assert len(half) < len(other)


@pytest.mark.parametrize("name", NETWORKS)
def test_both_converters_agree_on_networks(float_network, images, runs, name):
    """Two readings of one graph that share no code; compared with each other, not with a third."""
    _, run_tflite = runs
    model, pixels = clean(onnx.load(float_network(name))), images((3, 64, 64), count=2)
    ours = run_tflite(lower(model).data, pixels)[0]
    theirs = run_tflite(tf_converter.convert(model), pixels)[0]
    assert ours.std() > 0
    assert np.abs(ours - theirs).max() < 1e-4 * max(1.0, np.abs(theirs).max())
    assert np.abs(ours - theirs).max() < 0.01 * ours.std()  # the logits of random weights are small


def test_graph_outside_our_op_set(build, images, runs):
    run_onnx, run_tflite = runs
    b = build()
    model = b.model(b.node("Softplus", [b.conv("images", 4)]))
    with pytest.raises(CheckError):
        lower(model)
    assert np.abs(run_tflite(tf_converter.convert(model), images())[0] - run_onnx(model, images())).max() < 1e-4


def test_missing_tensorflow_names_the_extra(build, monkeypatch):
    b = build()
    model = b.model(b.conv("images", 4))
    monkeypatch.setitem(sys.modules, "onnx2tf", None)
    with pytest.raises(ImgcError) as caught:
        tf_converter.convert(model)
    assert "imgc-toolkit[tensorflow]" in caught.value.hint
    assert caught.value.exit_code == 3
