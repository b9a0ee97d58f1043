"""Checks of TFLite files: each must be able to fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from compress.core.formats import Precision
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import CheckError
from compress.export import tflite_checks as checks
from compress.lower.walk import lower
from compress.runtime.tflite_meta import pack, unpack

PATH = Path("model.tflite")


@pytest.fixture
def made(build):
    b = build((1, 4, 16, 16), quantized=True)
    flat = b.q(b.node("Flatten", [b.q(b.conv(b.q("images"), 3, 5, strides=[4, 4]))]))
    weight, scale = b.weight((3, 27), size=0.1)
    model = b.model(b.q(b.node("Gemm", [flat, weight, b.bias(3, scale)], transB=1)))
    return model, lower(model)


def _spec(**changes):
    preprocess = Preprocess(resize_px=16, crop_px=16)
    spec = ModelSpec(arch="t", labels=("a", "b", "c"), input_chw=(4, 16, 16), preprocess=preprocess, layout="NHWC")
    return spec.model_copy(update={"precision": Precision.INT8, **changes})


def _lossless(made, data=None):
    model, lowered = made
    return checks.check_lossless(unpack(data or lowered.data), PATH, model, lowered.grids, lowered.integers)


def test_lossless_counts_what_it_compared(made):
    metrics = _lossless(made)
    assert metrics["lossless_integers"] == 3 * 4 * 25 + 3 + 3 * 27 + 3
    assert metrics["lossless_grids"] == 8


@pytest.mark.parametrize("what", ["scale", "zero_point", "weight", "bias"])
def test_one_changed_number_is_found(made, what):
    lowered = made[1]
    table = unpack(lowered.data)
    graph = table.subgraphs[0]
    conv = next(op for op in graph.operators if len(op.inputs) == 3)
    if what == "scale":
        quantization = graph.tensors[conv.outputs[0]].quantization
        quantization.scale = np.nextafter(quantization.scale, np.float32(9))
    elif what == "zero_point":
        graph.tensors[conv.outputs[0]].quantization.zeroPoint = np.array([3], np.int64)
    else:
        buffer = table.buffers[graph.tensors[conv.inputs[1 if what == "weight" else 2]].buffer]
        buffer.data = buffer.data.copy()
        buffer.data[5] ^= 1
    with pytest.raises(CheckError, match="grid of" if what in ("scale", "zero_point") else "integers of"):
        _lossless(made, pack(table))


def test_a_changed_source_is_found(made):
    model, lowered = made
    name = next(name for name, perm in lowered.integers.values() if len(perm) == 5)
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.roll(numpy_helper.to_array(tensor), 1, axis=1), name))
    with pytest.raises(CheckError, match=name):
        _lossless(made)


def test_interface(made):
    data = made[1].data
    checks.check_interface(unpack(data), PATH, _spec())
    with pytest.raises(CheckError, match="'images' has the shape"):
        checks.check_interface(unpack(data), PATH, _spec(input_chw=(4, 16, 17)))
    with pytest.raises(CheckError, match="'logits' has the shape"):
        checks.check_interface(unpack(data), PATH, _spec(labels=("a",)))
    with pytest.raises(CheckError, match="tensor type"):
        checks.check_interface(unpack(data), PATH, _spec(precision=Precision.FP32))
    table = unpack(data)
    table.signatureDefs = []
    with pytest.raises(CheckError, match="no signature"):
        checks.check_interface(unpack(pack(table)), PATH, _spec())


def test_operator_gate(made):
    from ai_edge_litert import schema_py_generated as tfl

    assert checks.check_tflite(unpack(made[1].data), PATH, builtins_only=True, select_tf_ops=False)["operators"] == 3
    table = unpack(made[1].data)
    code = table.operatorCodes[0]
    code.builtinCode = tfl.BuiltinOperator.TANH
    with pytest.raises(CheckError, match="TANH making"):
        checks.check_tflite(unpack(pack(table)), PATH, builtins_only=True, select_tf_ops=False)
    checks.check_tflite(unpack(pack(table)), PATH, builtins_only=False, select_tf_ops=False)
    code.builtinCode, code.customCode = tfl.BuiltinOperator.CUSTOM, "FlexErf"
    with pytest.raises(CheckError, match=r"FlexErf making '.+' is not a TFLite builtin"):
        checks.check_tflite(unpack(pack(table)), PATH, builtins_only=False, select_tf_ops=False)
    checks.check_tflite(unpack(pack(table)), PATH, builtins_only=False, select_tf_ops=True)


def test_int8_share(made, build):
    metrics = checks.check_int8(unpack(made[1].data), PATH)
    assert metrics["int8_weight_pct"] == 100.0
    assert metrics["float_ops"] == 0
    b = build()
    with pytest.raises(CheckError, match="CONV_2D:logits"):
        checks.check_int8(unpack(lower(b.model(b.conv("images", 3))).data), PATH)


def test_integers_only(build, tmp_path):
    def lowered(quantized, *, swish):
        b = build((1, 3, 32, 32), quantized=quantized)
        value = b.q(b.conv(b.q("images"), 3))
        value = b.q(b.node("HardSwish", [value])) if swish else value
        return unpack(lower(b.model(b.node("Flatten", [b.q(b.node("GlobalAveragePool", [value]))]))).data)

    checks.check_integers_only(lowered(True, swish=False), tmp_path / "m.tflite", "mcu")
    with pytest.raises(CheckError, match=r"HARD_SWISH.*target mcu allows no float"):
        checks.check_integers_only(lowered(True, swish=True), tmp_path / "m.tflite", "mcu")
    with pytest.raises(CheckError, match="images"):
        checks.check_integers_only(lowered(False, swish=False), tmp_path / "m.tflite", "mcu")
