"""Operators of other tools against ONNX Runtime and our torch graph, float and, where there are kernels, int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from compress.errors import CheckError
from compress.graph.importer import canonical
from compress.lower.walk import lower
from compress.quantize.qdq.torch_graph import TorchGraph
from tests.graphs import run_onnx, run_tflite

both = pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])


def slice_of(b, name, **bounds):
    constants = [b.const(np.array(bounds[what], np.int64)) for what in ("starts", "ends", "axes", "steps")]
    return b.node("Slice", [name, *constants])


@both
@pytest.mark.parametrize(
    "bounds",
    [
        {"starts": [1], "ends": [3], "axes": [1], "steps": [1]},
        {"starts": [0, 1], "ends": [8, -1], "axes": [2, 3], "steps": [2, 1]},
        {"starts": [-3], "ends": [np.iinfo(np.int64).max], "axes": [-1], "steps": [1]},
    ],
)
def test_slice(build, images, same, ops, int8, bounds):
    b = build(quantized=int8)
    lowered = same(b.model(b.q(slice_of(b, b.q("images"), **bounds))), images(), int8=int8)
    assert ops(lowered.data) == ["STRIDED_SLICE"]


def test_a_slice_backwards_is_refused(build):
    b = build()
    made = slice_of(b, "images", starts=[3], ends=[0], axes=[1], steps=[-1])
    with pytest.raises(CheckError, match="step -1, allowed 1 or more"):
        lower(b.model(made))


@both
def test_depth_to_space(build, images, same, ops, int8):
    b = build(quantized=int8)
    lowered = same(b.model(b.q(b.node("DepthToSpace", [b.q("images")], blocksize=2))), images(), int8=int8)
    assert ops(lowered.data) == ["DEPTH_TO_SPACE"]


def test_depth_to_space_in_the_other_order_is_refused(build):
    b = build()
    with pytest.raises(CheckError, match="mode 'CRD'"):
        lower(b.model(b.node("DepthToSpace", ["images"], blocksize=2, mode="CRD")))


@both
def test_leaky_relu(build, images, same, ops, int8):
    b = build(quantized=int8)
    lowered = same(b.model(b.q(b.node("LeakyRelu", [b.q("images")], alpha=0.1))), images(), int8=int8)
    assert ops(lowered.data) == ["LEAKY_RELU"]


@both
@pytest.mark.parametrize("slope", [(4, 1, 1), (1,), (1, 4, 1, 1)], ids=str)
def test_prelu_computes_in_float(build, images, same, ops, int8, slope):
    b = build(quantized=int8)
    slopes = b.const(np.linspace(0.1, 0.4, int(np.prod(slope)), dtype=np.float32).reshape(slope))
    lowered = same(b.model(b.q(b.node("PRelu", [b.q("images"), slopes]))), images())
    assert "PRELU" in ops(lowered.data)


@both
def test_elu_computes_in_float(build, images, same, ops, int8):
    b = build(quantized=int8)
    assert "ELU" in ops(same(b.model(b.q(b.node("Elu", [b.q("images")]))), images()).data)


@both
@pytest.mark.parametrize(("op", "code"), [("Max", "MAXIMUM"), ("Min", "MINIMUM")])
def test_the_greater_of_several_and_a_constant(build, images, same, ops, int8, op, code):
    b = build(quantized=int8)
    one = b.q("images")
    two = b.q(b.conv(one, 4, pads=[1, 1, 1, 1]))
    bound = b.const(np.linspace(-0.5, 0.5, 4, dtype=np.float32).reshape(4, 1, 1))
    lowered = same(b.model(b.q(b.node(op, [one, two, bound]))), images())
    assert ops(lowered.data).count(code) == 2


@both
@pytest.mark.parametrize("op", ["LeakyRelu", "Elu", "PRelu", "Max", "Min", "Slice", "DepthToSpace"])
def test_xnnpack_takes_it_between_layers(build, int8, op):
    b = build(quantized=int8)
    one = b.q(b.conv(b.q("images"), 4, pads=[1] * 4))
    more = {
        "PRelu": lambda: [b.const(np.full((4, 1, 1), 0.2, np.float32))],
        "Max": lambda: [b.q(b.conv(one, 4, pads=[1] * 4))],
        "Min": lambda: [b.q(b.conv(one, 4, pads=[1] * 4))],
        "Slice": lambda: [b.const(np.array([value], np.int64)) for value in (0, 2, 1)],
    }.get(op, list)()
    made = b.q(b.node(op, [one, *more], **({"blocksize": 2} if op == "DepthToSpace" else {})))
    channels = {"Slice": 2, "DepthToSpace": 1}.get(op, 4)
    assert partitions(lower(b.model(b.q(b.conv(made, 4, in_channels=channels)))).data) == 1


def partitions(data):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    return sum(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details())


def model_of(nodes, constants, output=(2, 8, 8), opset=18):
    """Return a graph of one image [1, 4, 8, 8]."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 4, 8, 8])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, *output])
    graph = helper.make_graph(nodes, "g", [images], [made], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


NODE = helper.make_node
FORMS = {
    "split by sizes": (
        [NODE("Split", ["images", "sizes"], ["a", "b"], axis=1), NODE("Add", ["a", "a"], ["y"])],
        {"sizes": np.array([2, 2])},
        ["Slice", "Add"],
    ),
    "split by number": (
        [NODE("Split", ["images"], ["a", "b"], axis=1, num_outputs=2), NODE("Mul", ["a", "b"], ["y"])],
        {},
        ["Slice", "Slice", "Mul"],
    ),
    "sum of three": (
        [
            NODE("Split", ["images"], ["a", "b"], axis=1, num_outputs=2),
            NODE("Sum", ["a", "b", "a"], ["y"]),
        ],
        {},
        ["Slice", "Slice", "Add", "Add"],
    ),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_what_is_written_as_simpler_operators(form, images):
    nodes, constants, expected = FORMS[form]
    held_alike(model_of(nodes, constants), expected, images(count=1))


@pytest.mark.parametrize("axes", [(2, 3), (-1, -2)])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_the_maximum_of_a_map_is_a_pool(images, axes, keepdims):
    nodes = [NODE("ReduceMax", ["images", "axes"], ["y"], keepdims=keepdims)]
    shape = (4, 1, 1) if keepdims else (4,)
    model = model_of(nodes, {"axes": np.array(axes)}, shape)
    held_alike(model, ["MaxPool", "Flatten"], images(count=1))


def test_a_global_maximum_is_a_pool(images):
    model = model_of([NODE("GlobalMaxPool", ["images"], ["y"])], {}, (4, 1, 1))
    held_alike(model, ["MaxPool", "Flatten"], images(count=1))


def held_alike(model, expected, images_NCHW):
    plain = canonical(model, Path("m.onnx"))
    assert [node.op_type for node in plain.graph.node] == expected
    wanted = run_onnx(model, images_NCHW)
    wanted = wanted.reshape(1, -1) if wanted.shape[2:] in ((), (1, 1)) else wanted
    np.testing.assert_allclose(run_onnx(plain, images_NCHW), wanted, atol=1e-6)
    with torch.inference_mode():
        found = TorchGraph(plain)(torch.from_numpy(images_NCHW)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_allclose(run_tflite(lower(plain).data, images_NCHW)[0], wanted, atol=1e-6)


ASYMMETRIC = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@both
@pytest.mark.parametrize(
    ("scales", "attributes"),
    [
        ((1, 1, 2, 2), {"mode": "nearest", "coordinate_transformation_mode": "half_pixel"}),
        ((1, 1, 2, 3), {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
        (
            (1, 1, 1.5, 0.5),
            {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        ),
        ((1, 1, 2, 2), {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}),
        ((1, 1, 1.5, 2), {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    ],
)
def test_resize(build, images, same, int8, scales, attributes):
    b = build(quantized=int8)
    model = b.model(b.q(b.node("Resize", [b.q("images"), "", b.const(np.array(scales, np.float32))], **attributes)))
    same(model, images())
    if not int8:
        with torch.inference_mode():
            found = TorchGraph(model)(torch.from_numpy(images())).numpy()
        np.testing.assert_allclose(found, run_onnx(model, images()), atol=1e-5)


def test_a_resize_that_tflite_has_not_is_refused(build):
    b = build()
    made = b.node("Resize", ["images", "", b.const(np.array([1, 1, 2, 2], np.float32))], mode="cubic")
    with pytest.raises(CheckError, match="mode 'cubic' at 'half_pixel', allowed nearest"):
        lower(b.model(made))


def test_a_maximum_of_everything_is_no_pool():
    """Without axes it reaches over the images of a batch, too."""
    model = model_of([NODE("ReduceMax", ["images"], ["m"]), NODE("Flatten", ["m"], ["y"])], {}, (1,))
    assert [node.op_type for node in canonical(model, Path("m.onnx")).graph.node] == ["ReduceMax", "Flatten"]
