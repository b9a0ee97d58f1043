"""Whole networks, the op set, the signature and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compress.errors import CheckError
from compress.lower.ops import HANDLERS
from compress.lower.walk import lower
from compress.runtime.tflite_meta import unpack


def test_unknown_operator_is_named_with_the_op_set_and_the_other_converter(build):
    b = build()
    with pytest.raises(CheckError, match=r"node 'softplus_1' \(Softplus\).*Add, AveragePool") as caught:
        lower(b.model(b.node("Softplus", ["images"])))
    assert "converter: tensorflow" in caught.value.hint


def test_operator_format_of_quantization_is_refused_with_a_hint(build):
    b = build()
    b.nodes.append(helper.make_node("DynamicQuantizeLinear", ["images"], ["dq_y", "dq_s", "dq_z"], name="dynamic"))
    with pytest.raises(CheckError, match="dq_s") as caught:
        lower(b.model(b.node("DequantizeLinear", ["dq_y", "dq_s", "dq_z"])))
    assert "QDQ" in caught.value.hint


def test_foreign_domain_is_refused(build):
    b = build()
    model = b.model(b.conv("images", 4))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node[0].domain = "com.microsoft"
    with pytest.raises(CheckError, match=r"com\.microsoft\.Conv"):
        lower(model)


def test_open_image_size_is_refused(build):
    model = _with_open_height(build)
    with pytest.raises(CheckError, match=r"'images' float32 \[1, 4, \?, 8\].*fixed size"):
        lower(model)


def _with_open_height(build) -> onnx.ModelProto:
    b = build()
    model = b.model(b.conv("images", 4))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    return model


@pytest.mark.parametrize("dtype", [TensorProto.INT16, TensorProto.INT4])
def test_other_integers_are_refused(build, dtype):
    b = build()
    zero = helper.make_tensor("zero", dtype, (), [0])
    b.constants.append(zero)
    grid = [b.const(np.float32(0.1)), "zero"]
    made = b.node("DequantizeLinear", [b.node("QuantizeLinear", ["images", *grid]), *grid])
    with pytest.raises(CheckError, match=r"quantizelinear_1.*int"):
        lower(b.model(made, opset=21))


def test_signature_names_and_types(build):
    b = build(quantized=True)
    model = unpack(lower(b.model(b.q(b.conv(b.q("images"), 4)))).data)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    names = [[(e.name, graph.tensors[e.tensorIndex].name) for e in s] for s in (signature.inputs, signature.outputs)]
    assert names == [[(b"images", b"images")], [(b"logits", b"logits")]]
    assert graph.tensors[graph.inputs[0]].shape.tolist() == [1, 8, 8, 4]


def test_float16_stores_half_the_bytes(build, images, runs):
    run_onnx, run_tflite = runs
    b = build()
    model = b.model(b.conv("images", 64, 5))
    half, whole = lower(model, half=True).data, lower(model).data
    assert len(half) < 0.6 * len(whole)
    found, wanted = run_tflite(half, images())[0], run_onnx(model, images())
    assert 0 < np.abs(found - wanted).max() < 1e-2


def test_weights_beyond_float16_are_refused(build):
    b = build()
    weight = b.const(np.full((1, 4, 1, 1), 1e6, np.float32), "huge")
    with pytest.raises(CheckError, match=r"huge.*float16"):
        lower(b.model(b.node("Conv", ["images", weight])), half=True)


def test_equal_models_give_equal_bytes(build):
    made = []
    for _ in range(2):
        b = build(quantized=True)
        made.append(lower(b.model(b.q(b.conv(b.q("images"), 4)))).data)
    assert made[0] == made[1]


def test_lowering_does_not_change_the_model(build):
    b = build(quantized=True)
    model = b.model(b.q(b.conv(b.q("images"), 4)))
    before = model.SerializeToString()
    lower(model)
    assert model.SerializeToString() == before


def test_no_tensorflow_and_no_torch_are_imported():
    code = (
        "import sys, compress.lower.walk as walk, compress.runtime.tflite_meta as meta; meta.schema();"
        "print([m for m in ('tensorflow', 'torch', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_op_set_is_the_one_promised():
    assert {"Conv", "Gemm", "Concat", "MaxPool", "HardSwish", "HardSigmoid", "Softmax", "Pad"} <= HANDLERS.keys()
