"""Checks of ONNX files and parity: each must be able to fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from compress.core.formats import Precision
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import CheckError
from compress.export.checks import check_int8_onnx, check_interface, check_onnx, check_parity, output_scale

PATH = Path("model.onnx")
SPEC = ModelSpec(
    arch="tiny", labels=("a", "b", "c"), input_chw=(4, 16, 16), preprocess=Preprocess(resize_px=16, crop_px=16)
)


def _model(build, *, quantized=False):
    b = build((1, 4, 16, 16), quantized=quantized)
    pooled = b.q(b.node("GlobalAveragePool", [b.q(b.conv(b.q("images"), 3))]))
    return b.model(b.node("Flatten", [pooled]))


def test_a_sound_model_passes(build):
    check_onnx(_model(build), PATH, SPEC)


def test_wrong_name_shape_and_type_are_found(build):
    for change, message in (
        (lambda m: _rename(m, "logits", "scores"), "'scores' should be named 'logits'"),
        (lambda m: _set_dim(m.graph.input[0], 2, 17), r"'images' float32 \[\?, 4, 17, .*the spec says"),
        (lambda m: _retype(m), "float16"),
    ):
        model = _model(build)
        change(model)
        with pytest.raises(CheckError, match=message):
            check_interface(model, PATH, SPEC)


def test_foreign_arch_may_have_other_names(build):
    model = _model(build)
    _rename(model, "logits", "scores")
    check_onnx(model, PATH, SPEC.model_copy(update={"arch": "foreign"}))


def test_wrong_number_of_classes_is_found(build):
    with pytest.raises(CheckError, match=r"'logits'.*spec says \[N, 2\]"):
        check_onnx(_model(build), PATH, SPEC.model_copy(update={"labels": ("a", "b")}))


def test_foreign_domain_is_found_by_node(build):
    model = _model(build)
    model.graph.node[0].domain = "com.microsoft"
    with pytest.raises(CheckError, match=r"conv_1.*com\.microsoft\.Conv"):
        check_onnx(model, PATH, SPEC)


def test_broken_graph_is_refused(build):
    model = _model(build)
    model.graph.node[1].input[0] = "nowhere"
    with pytest.raises(CheckError, match="nowhere"):
        check_onnx(model, PATH, SPEC)


def test_int8_share_and_float_operators(build):
    metrics = check_int8_onnx(_model(build, quantized=True), PATH)
    assert metrics == {"int8_weight_pct": 100.0, "float_ops": 0, "float_op_names": ""}
    b = build((1, 4, 16, 16), quantized=True)
    made = b.q(b.node("HardSwish", [b.q(b.conv(b.q("images"), 3))]))
    assert check_int8_onnx(b.model(made), PATH)["float_op_names"].startswith("hardswish")


def test_a_float_file_is_not_int8(build):
    with pytest.raises(CheckError, match=r"0\.0 %.*conv_1"):
        check_int8_onnx(_model(build), PATH)


def _parity(source, exported, **changes):
    options = {
        "path": PATH, "precision": Precision.FP32, "max_abs_logit_diff": None, "min_agreement_pct": 99.0,
        "images": True,
    }  # fmt: skip
    return check_parity(np.float32(source), np.float32(exported), **(options | changes))


def test_small_logits_may_differ_as_much_as_those_of_size_one():
    small = np.array([[0.01, 0.02]])
    assert _parity(small, small + 0.9e-3)["parity_max_abs_logit_diff"] == pytest.approx(0.9e-3, rel=1e-3)
    with pytest.raises(CheckError, match=r"allowed 0\.001 "):
        _parity(small, small + 1.1e-3)
    large = np.array([[10.0, 20.0]])
    assert _parity(large, large + 0.019)["parity_max_abs_logit_diff"] == pytest.approx(0.019, rel=1e-3)


def test_parity_of_equal_logits():
    metrics = _parity([[1, 2], [3, 0]], [[1, 2], [3, 0]])
    assert metrics["parity_max_abs_logit_diff"] == 0
    assert metrics["parity_agreement_pct"] == 100


def test_parity_fails_on_difference_agreement_and_nan():
    with pytest.raises(CheckError, match=r"by 0\.5"):
        _parity([[1, 2]], [[1, 2.5]])
    with pytest.raises(CheckError, match=r"50\.00 % of 2 images"):
        _parity([[1, 2], [3, 0]], [[1, 2], [0, 3]], precision=Precision.INT8)
    with pytest.raises(CheckError):
        _parity([[1, 2]], [[1, float("nan")]])
    with pytest.raises(CheckError, match=r"allowed 0\.5"):
        _parity([[1, 2]], [[1, 3]], precision=Precision.INT8, max_abs_logit_diff=0.5)


def test_difference_in_steps_of_the_output():
    assert "parity_max_lsb" not in _parity([[1, 2]], [[1, 2]])
    metrics = _parity([[1, 2]], [[1, 2.75]], precision=Precision.INT8, output_scale=0.25)
    assert metrics["parity_max_lsb"] == 3


def test_output_scale(build):
    b = build((1, 4, 16, 16), quantized=True)
    pooled = b.q(b.node("GlobalAveragePool", [b.q(b.conv(b.q("images"), 3))]), -1, 1)
    assert output_scale(b.model(b.node("Flatten", [pooled]))) == np.float32(2 / 255)
    assert output_scale(_model(build)) is None
    b = build((1, 4, 16, 16), quantized=True)
    scale, zero = np.float32(0.5), np.int8(0)
    values = [b.node("Constant", [], value=numpy_helper.from_array(value)) for value in (scale, zero)]
    made = b.node("QuantizeLinear", [b.conv(b.q("images"), 3), *values])
    assert output_scale(b.model(b.node("DequantizeLinear", [made, *values]))) == 0.5


@pytest.mark.parametrize(("precision", "advised"), [(Precision.INT8, True), (Precision.FP16, False)])
def test_only_who_ships_int8_is_told_of_the_stem(precision, advised):
    with pytest.raises(CheckError, match="same top-1 answer") as caught:
        _parity([[1, 1.01]], [[1.01, 1]], precision=precision)
    assert ("imgc quantize --set stem=int8" in caught.value.hint) == advised
    assert "imgc export --set parity.min_agreement_pct=0`" in caught.value.hint


def test_near_ties_of_a_weak_model_do_not_count():
    rng = np.random.default_rng(0)
    source = np.concatenate([rng.normal(0, 3, (190, 5)), np.full((10, 5), 1.0) + rng.normal(0, 0.001, (10, 5))])
    exported = source + rng.uniform(-0.05, 0.05, source.shape)
    metrics = _parity(source, exported, precision=Precision.INT8)
    assert metrics["parity_agreement_pct"] < 99
    assert metrics["parity_near_ties"] == round(200 - 2 * metrics["parity_agreement_pct"])


def test_a_file_that_differs_as_much_as_its_answers_do_has_no_near_ties():
    rng = np.random.default_rng(0)
    source = rng.normal(0, 3, (200, 5))
    with pytest.raises(CheckError, match="are no near ties"):
        _parity(source, source + rng.normal(0, 3, source.shape), precision=Precision.INT8)
    some = source.copy()
    some[:10] = some[:10, ::-1]
    with pytest.raises(CheckError, match="8 of the 8 other answers are no near ties"):
        _parity(source, some, precision=Precision.INT8)


def test_agreement_is_not_held_against_noise():
    assert _parity([[1, 2]], [[2, 1]], precision=Precision.INT8, images=False)["parity_on"] == "noise"


def _rename(model, old, new):
    for node in model.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
    for value in model.graph.output:
        value.name = new


def _set_dim(value, axis, size):
    value.type.tensor_type.shape.dim[axis].dim_value = size


def _retype(model):
    model.graph.input[0].type.tensor_type.elem_type = 10
