"""The other road, and both roads against each other: an independent reading of the same graph."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from compress.errors import CheckError, ImgcError
from compress.export import tf_road, tflite_checks
from compress.export.lower.walk import lower

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def _small_net(build):
    b = build((1, 3, 32, 32))
    made = b.node("HardSwish", [b.conv("images", 8, in_channels=3, strides=[2, 2], pads=[1, 1, 1, 1])])
    gate = b.node("HardSigmoid", [b.conv(b.node("GlobalAveragePool", [made]), 8, 1, in_channels=8)], alpha=1 / 6)
    made = b.node("Mul", [made, gate])
    made = b.node("Relu", [b.conv(made, 8, in_channels=8, groups=8, pads=[1, 1, 1, 1])])
    made = b.node("MaxPool", [made], kernel_shape=[3, 3], strides=[2, 2])
    flat = b.node("Flatten", [made])
    return b.model(b.node("Gemm", [flat, b.weight((5, 8 * 49), size=0.1)[0], b.bias(5, None)], transB=1))


def test_both_roads_agree(build, images, runs, tmp_path):
    run_onnx, run_tflite = runs
    model, pictures = _small_net(build), images((3, 32, 32))
    other = tf_road.convert(model)
    wanted = run_onnx(model, pictures)
    assert np.abs(run_tflite(other, pictures)[0] - wanted).max() < 1e-4
    assert np.abs(run_tflite(lower(model).data, pictures)[0] - wanted).max() < 1e-4
    tflite_checks.check_tflite(other, tmp_path, builtins_only=False, select_tf_ops=False)
    half = tf_road.convert(model, half=True)
    assert len(half) < len(other)


def test_graph_outside_our_op_set(build, images, runs):
    run_onnx, run_tflite = runs
    b = build()
    model = b.model(b.node("Elu", [b.conv("images", 4)]))
    with pytest.raises(CheckError):
        lower(model)
    assert np.abs(run_tflite(tf_road.convert(model), images())[0] - run_onnx(model, images())).max() < 1e-4


def test_missing_tensorflow_names_the_extra(build, monkeypatch):
    b = build()
    model = b.model(b.conv("images", 4))
    monkeypatch.setitem(sys.modules, "onnx2tf", None)
    with pytest.raises(ImgcError) as caught:
        tf_road.convert(model)
    assert "imgc[tensorflow]" in caught.value.hint
    assert caught.value.exit_code == 3
