"""Models that cannot be exported: each names file and tensor, what was found and what is allowed; nothing is left."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.artifact import Artifact
from compress.core.digest import sha256_file
from compress.core.formats import Format
from compress.core.stage import RunContext
from compress.errors import ImgcError
from compress.export.config import ExportConfig, ParityBounds
from compress.export.stage import run

SHAPE = (1, 4, 8, 8)


def _head(b, name, channels=4):
    """Return logits [N,channels]."""
    return b.q(b.node("Flatten", [b.q(b.node("GlobalAveragePool", [name]))]))


@pytest.fixture
def ctx(tmp_path):
    folder = tmp_path / "stage"
    folder.mkdir()
    return RunContext(stage_dir=folder, seed=0, data=None)


@pytest.fixture
def refused(tmp_path, ctx):
    """Export a model (or bytes) and return its one error, which names the file and leaves no file behind."""

    def check(model: onnx.ModelProto | bytes, fmt: str = "tflite", **options) -> ImgcError:
        path = tmp_path / "bad model.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        artifact = Artifact(
            stage_id="above", kind="train", format=Format.ONNX, path=path, sha256=sha256_file(path),
            size_bytes=path.stat().st_size, spec=None, metrics={},
        )  # fmt: skip
        with pytest.raises(ImgcError) as caught:
            run(ExportConfig(format=fmt, **options), {"from": artifact}, ctx)
        assert str(path) in caught.value.message or str(ctx.stage_dir) in caught.value.message
        assert caught.value.hint
        assert list(ctx.stage_dir.iterdir()) == []
        return caught.value

    return check


def _retype(model, name, array):
    """Replace a constant."""
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(array, name))


def _constant_like(model, shape, dtype=TensorProto.FLOAT):
    return next(t.name for t in model.graph.initializer if tuple(t.dims) == shape and t.data_type == dtype)


def test_unsupported_operator(build, refused):
    b = build(SHAPE)
    error = refused(b.model(_head(b, b.node("Softplus", [b.conv("images", 4)]))))
    assert "'softplus_2' (Softplus)" in error.message
    assert "allowed: Add, AveragePool" in error.message


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_open_image_size(build, refused, fmt):
    b = build(SHAPE)
    model = b.model(_head(b, b.conv("images", 4)))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    error = refused(model, fmt)
    assert "takes 'images' float32 [?, 4, ?, 8]" in error.message
    assert "fixed height and width" in error.hint


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
@pytest.mark.parametrize(("number", "found"), [(np.nan, "1 NaN and 0 infinite"), (-np.inf, "0 NaN and 1 infinite")])
def test_weights_that_are_no_numbers(build, refused, fmt, number, found):
    b = build(SHAPE)
    model = b.model(_head(b, b.conv("images", 4)))
    name = _constant_like(model, (4, 4, 3, 3))
    array = numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name)).copy()
    array[1, 2, 0, 0] = number
    _retype(model, name, array)
    assert f"'{name}' holds {found} of 144 numbers" in refused(model, fmt).message


def test_nan_in_the_scales_of_a_qdq_model(build, refused):
    b = build(SHAPE, quantized=True)
    model = b.model(_head(b, b.conv(b.q("images"), 4)))
    name = _constant_like(model, (4,))
    _retype(model, name, np.array([1, np.nan, 1, 1], np.float32))
    assert f"'{name}' holds 1 NaN" in refused(model).message


@pytest.mark.parametrize("scale", [0.0, -0.5])
def test_scales_that_are_no_scales(build, refused, scale):
    b = build(SHAPE, quantized=True)
    model = b.model(_head(b, b.conv(b.q("images"), 4)))
    name = _constant_like(model, (4,))
    _retype(model, name, np.array([1, 1, scale, 1], np.float32))
    error = refused(model)
    assert f"scale '{name}' is {scale:g} at channel 2 (1 of 4 so), allowed finite and above 0" in error.message


def test_infinite_bound_of_a_clip_is_no_bad_weight(build, same, images):
    from pathlib import Path

    from compress.graph.finite import require_finite

    b = build(SHAPE)
    model = b.model(b.node("Clip", [b.conv("images", 4), b.const(np.float32(0)), b.const(np.float32(np.inf))]))
    require_finite(model, Path("m.onnx"))
    same(model, images())


@pytest.mark.parametrize("where", ["weight", "activation"])
@pytest.mark.parametrize("dtype", [TensorProto.INT4, TensorProto.UINT4, TensorProto.INT16])
def test_other_integers(build, refused, dtype, where):
    b = build(SHAPE, quantized=True)
    kind = TensorProto.DataType.Name(dtype).lower()
    b.constants.append(helper.make_tensor("zero", dtype, (), [0]))
    if where == "weight":
        b.constants.append(helper.make_tensor("packed", dtype, (4, 4, 1, 1), [1] * 16))
        weight = b.node("DequantizeLinear", ["packed", b.const(np.float32(0.1)), "zero"])
        made = b.node("Conv", [b.q("images"), weight])
    else:
        grid = [b.const(np.float32(0.1)), "zero"]
        made = b.node("DequantizeLinear", [b.node("QuantizeLinear", ["images", *grid]), *grid])
    error = refused(b.model(_head(b, made), opset=21))
    tensor = "packed" if where == "weight" else "quantizelinear_1"
    assert f"tensor '{tensor}' is {kind}, allowed uint8, int8" in error.message


def test_int4_weights_without_zero_point(build, refused):
    b = build(SHAPE, quantized=True)
    b.constants.append(helper.make_tensor("packed", TensorProto.INT4, (4, 4, 1, 1), [1] * 16))
    weight = b.node("DequantizeLinear", ["packed", b.const(np.float32(0.1))])
    error = refused(b.model(_head(b, b.node("Conv", [b.q("images"), weight])), opset=21))
    assert "'packed' is int4" in error.message


def test_blocked_scales(build, refused):
    b = build(SHAPE, quantized=True)
    scales = b.const(np.full((4, 2, 1, 1), 0.1, np.float32))
    weight = b.node(
        "DequantizeLinear", [b.const(np.ones((4, 4, 1, 1), np.int8)), scales, b.const(np.zeros((4, 2, 1, 1), np.int8))],
        axis=1, block_size=2,
    )  # fmt: skip
    error = refused(b.model(_head(b, b.node("Conv", [b.q("images"), weight])), opset=21))
    assert "dequantizelinear_1" in error.message
    assert "block_size 2" in error.message


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_foreign_domain(build, refused, fmt):
    b = build(SHAPE, quantized=True)
    model = b.model(_head(b, b.conv(b.q("images"), 4)))
    for node in model.graph.node:
        if node.op_type.endswith("uantizeLinear"):
            node.domain = "com.microsoft"  # as ONNX Runtime's quantizer writes with UseQDQContribOps
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    error = refused(model, fmt)
    assert "com.microsoft.QuantizeLinear" in error.message
    assert "default" in error.hint


def test_other_formats_of_quantization(build, refused):
    b = build(SHAPE)
    b.nodes.append(helper.make_node("DynamicQuantizeLinear", ["images"], ["y", "s", "z"], name="dynamic"))
    weight, zero = b.const(np.ones((4, 4, 1, 1), np.int8)), b.const(np.int8(0))
    made = b.node("Cast", [b.node("ConvInteger", ["y", weight, "z", zero])], to=TensorProto.FLOAT)
    error = refused(b.model(_head(b, made)))
    assert "'dynamic' (DynamicQuantizeLinear)" in error.message
    assert "QDQ" in error.hint


def test_image_and_weights_mixed_up(build, refused):
    b = build((1, 4, 3, 3))
    weight = b.const(np.ones((1, 4, 8, 8), np.float32), "kernel")
    model = b.model(_head(b, b.node("Conv", [weight, "images"], kernel_shape=[3, 3])))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    error = refused(model)
    assert "'conv_1' (Conv): input 'kernel' is a constant" in error.message
    assert "mixed up" in error.hint


@pytest.mark.parametrize("op", ["Gemm"])
def test_features_and_weights_mixed_up(build, refused, op):
    b = build(SHAPE)
    flat = b.node("Flatten", [b.node("GlobalAveragePool", ["images"])])
    model = b.model(b.node(op, [b.const(np.ones((1, 1), np.float32), "matrix"), flat]))
    error = refused(model)
    assert f"{op.lower()}_3" in error.message
    assert "'matrix'" in error.message


def test_constant_where_an_image_is_wanted(build, refused):
    b = build(SHAPE)
    model = b.model(_head(b, b.node("Concat", ["images", b.const(np.ones((1, 4, 8, 8), np.float32), "table")], axis=1)))
    error = refused(model)
    assert "ONNX Runtime cannot run it on [32, 4, 8, 8]" in error.message


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_two_inputs(build, refused, fmt):
    b = build(SHAPE)
    model = b.model(_head(b, b.node("Add", ["images", "images"])))
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 4, 8, 8]))
    error = refused(model, fmt)
    assert "found inputs 'images' float32 [?, 4, 8, 8], 'mask' float32 [1, 4, 8, 8]" in error.message
    assert "allowed are one float input" in error.message


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_a_detector_is_no_classifier(build, refused, fmt):
    b = build(SHAPE)
    assert "'logits' float32 [?, 6, 6, 6]; allowed are" in refused(b.model(b.conv("images", 6)), fmt).message


@pytest.mark.parametrize(
    "content", [b"", b"\x1c\0\0\0TFL3" + bytes(40), b"\xff\xd8\xff\xe0JFIF"], ids=["empty", "tflite", "jpeg"]
)
def test_another_file_under_the_name(refused, content):
    refused(content)


def test_half_a_file(build, refused):
    b = build(SHAPE)
    whole = b.model(_head(b, b.conv("images", 4))).SerializeToString()
    refused(whole[: len(whole) // 2])


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_a_file_that_breaks_its_parity_bound_is_removed(build, refused, fmt):
    b = build(SHAPE)
    model = b.model(_head(b, b.conv("images", 4, kernel=1)))
    refused(model, fmt, precision="fp16", parity=ParityBounds(max_abs_logit_diff=0.0, images=4))


def test_a_graph_that_contradicts_itself(build, refused):
    b = build(SHAPE)
    table = b.const(np.ones((1, 4, 6, 6), np.float32), "table")
    model = b.model(_head(b, b.node("Add", [b.conv("images", 4), table])))
    _retype(model, "table", np.ones((1, 4, 5, 5), np.float32))
    assert "refuses the graph" in refused(model, "onnx", dynamic_batch=False).message


@pytest.mark.parametrize(("quantized", "hint"), [(False, "converter: tensorflow"), (True, "format: onnx")])
def test_what_else_to_try(build, refused, quantized, hint):
    b = build(SHAPE, quantized=quantized)
    pads = b.const(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    model = b.model(_head(b, b.node("Pad", [b.q(b.conv(b.q("images"), 4)), pads], mode="reflect")))
    error = refused(model)
    assert "mode 'reflect', allowed 'constant'" in error.message
    assert hint in error.hint
