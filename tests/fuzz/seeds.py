"""Whole files to damage: small, with every kind of part that our files have."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx

from tests.graphs import Build
from tests.tiny_files import Tiny

_SIDE = 16


def onnx_files() -> list[bytes]:
    """Return float and QDQ classifiers, with a spec and without."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = Tiny(Path(folder))
        described = tiny.onnx(spec=tiny.spec()).read_bytes()
        bare = tiny.onnx(batch=1).read_bytes()
    return [described, bare, *(_network(quantized=one).SerializeToString() for one in (False, True))]


def tflite_files() -> list[bytes]:
    """Return float and int8 classifiers, of our lowering and of an older writer."""
    from compress.lower.walk import lower

    with tempfile.TemporaryDirectory() as folder:
        tiny = Tiny(Path(folder))
        described = tiny.tflite(spec=tiny.spec(layout="NHWC")).read_bytes()
        int8 = tiny.tflite(int8=True).read_bytes()
    return [described, int8, *(lower(_network(quantized=one)).data for one in (False, True))]


def safetensors_files() -> list[bytes]:
    """Return the smallest network, as `imgc train` writes it; most of its weights left out."""
    from compress.models.build import build_model, new_spec
    from compress.models.weights import save_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        spec = new_spec("tiny", ("a", "b"), 32)
        save_model(path, build_model(spec), spec)
        return [path.read_bytes()]


def _network(*, quantized: bool) -> onnx.ModelProto:
    """Return a network of the operators that our architectures have."""
    b = Build((1, 3, _SIDE, _SIDE), quantized=quantized)
    value = b.q(b.conv(b.q("images"), 4, pads=[1, 1, 1, 1], strides=[2, 2]))
    value = b.q(b.node("Relu", [value]))
    beside = b.q(b.conv(value, 4, in_channels=4, groups=4, pads=[1, 1, 1, 1]))
    value = b.q(b.node("HardSwish", [b.q(b.node("Add", [value, beside]))]))
    value = b.q(b.node("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2]))
    pooled = b.q(b.node("GlobalAveragePool", [value]))
    flat = b.q(b.node("Flatten", [pooled]))
    weight, _ = b.weight((5, 4))
    return b.model(b.q(b.node("Gemm", [flat, weight], transB=1)))
