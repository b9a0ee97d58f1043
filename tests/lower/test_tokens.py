"""What transformers compute, against ONNX Runtime: norms, GELU, products, layers on tokens; no transpose too many."""

from __future__ import annotations

import numpy as np
import pytest

from compress.errors import CheckError
from compress.lower.walk import lower

RNG = np.random.default_rng(5)
both = pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])


def floats(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def test_a_norm_over_channels_between_two_transposes_needs_none(build, images, same, ops):
    b = build()
    last = b.node("Transpose", ["images"], perm=[0, 2, 3, 1])
    norm = b.node("LayerNormalization", [last, b.const(floats(4)), b.const(floats(4))], axis=-1, epsilon=1e-6)
    lowered = same(b.model(b.node("Transpose", [norm], perm=[0, 3, 1, 2])), images())
    assert "TRANSPOSE" not in ops(lowered.data)
    assert ops(lowered.data).count("RSQRT") == 1


@pytest.mark.parametrize("shape", [(1, 6, 4), (1, 4, 8, 8)], ids=str)
def test_a_norm_over_the_last_axis(build, images, same, shape):
    b = build(shape)
    norm = b.node("LayerNormalization", ["images", b.const(floats(shape[-1]))], axis=-1)
    made = b.node("Mul", [norm, "images"])
    if len(shape) == 3:
        rows = np.random.default_rng(7).normal(size=(2, *shape[1:])).astype(np.float32)
        assert lower(b.model(made)).operators > 5
        assert_rows_alike(b.model(made), rows)
    else:
        same(b.model(made), images())


def assert_rows_alike(model, rows):
    """Hold rank-3 inputs together: the helper of images is for four axes."""
    from ai_edge_litert.interpreter import Interpreter

    from tests.graphs import run_onnx

    interpreter = Interpreter(model_content=lower(model).data, num_threads=1)
    interpreter.allocate_tensors()
    for row in rows:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(found, run_onnx(model, row[None]), atol=1e-5)


def test_a_norm_over_several_axes_is_refused(build):
    b = build()
    made = b.node("LayerNormalization", ["images", b.const(floats(4, 8, 8))], axis=1)
    with pytest.raises(CheckError, match=r"axis 1 of 4, allowed the last"):
        lower(b.model(made))


@both
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(build, images, same, ops, int8, approximate):
    b = build(quantized=int8)
    model = b.model(b.q(b.node("Gelu", [b.q("images")], approximate=approximate)), opset=20)
    assert "GELU" in ops(same(model, images()).data)


def test_a_layer_on_tokens(build, images, same, ops):
    b = build()
    last = b.node("Transpose", ["images"], perm=[0, 2, 3, 1])
    made = b.node("MatMul", [last, b.const(floats(4, 6))])
    lowered = same(b.model(b.node("Transpose", [made], perm=[0, 3, 1, 2])), images())
    assert ops(lowered.data) == ["FULLY_CONNECTED"]


def test_attention(build, images, same, ops):
    """softmax(q k^T) v over [N, heads, tokens, features], as tokens of an image's rows."""
    b = build()
    keys = b.node("Transpose", ["images"], perm=[0, 1, 3, 2])
    weights = b.node("Softmax", [b.node("MatMul", ["images", keys])], axis=-1)
    lowered = same(b.model(b.node("MatMul", [weights, "images"])), images(spread=0.3))
    assert ops(lowered.data).count("BATCH_MATMUL") == 2


def test_a_product_with_a_constant_stack_of_matrices(build, images, same):
    b = build()
    same(b.model(b.node("MatMul", ["images", b.const(floats(1, 4, 8, 3))])), images())


def test_square_roots(build, images, same, ops):
    b = build()
    square = b.node("Mul", ["images", "images"])
    assert ops(same(b.model(b.node("Sqrt", [square])), images()).data) == ["MUL", "SQRT"]
