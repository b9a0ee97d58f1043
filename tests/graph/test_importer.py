"""Graphs as other tools write them, held against ONNX Runtime before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from compress.errors import CheckError, ModelFileError
from compress.graph.importer import canonical, classifier_sizes
from compress.graph.versions import with_free_batch
from compress.quantize.qdq.torch_graph import TorchGraph

FILE = Path("foreign.onnx")
node = helper.make_node


def graph(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], batch: int | str = 1) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 5])],
        tensors,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def answers(model: onnx.ModelProto, n: int = 1) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": floats(n, 3, 8, 8, seed=9)})[0]


def ops(model: onnx.ModelProto) -> list[str]:
    return [one.op_type for one in model.graph.node]


NORM = {"g": floats(4), "be": floats(4, seed=1), "m": floats(4, seed=2), "v": np.abs(floats(4, seed=3)) + 0.1}


@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_is_folded_and_the_head_becomes_a_gemm(bias: bool):
    conv = ["x", "w", "b"] if bias else ["x", "w"]
    nodes = [
        node("Conv", conv, ["c"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", "g", "be", "m", "v"], ["n"], epsilon=1e-3),
        node("Relu", ["n"], ["r"]),
        node("GlobalAveragePool", ["r"], ["p"]),
        node("Squeeze", ["p", "axes"], ["s"]),
        node("MatMul", ["s", "h"], ["mm"]),
        node("Add", ["mm", "hb"], ["y"]),
    ]
    axes = np.array([2, 3], np.int64)
    constants = {"w": floats(4, 3, 3, 3), **NORM, "h": floats(4, 5), "hb": floats(5), "axes": axes}
    model = graph(nodes, constants | ({"b": floats(4, seed=5)} if bias else {}))
    cleaned = canonical(model, FILE)
    assert ops(cleaned) == ["Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]
    assert answers(cleaned) == pytest.approx(answers(model), abs=1e-5)
    assert answers(with_free_batch(cleaned), 3).shape == (3, 5), "the batch can be freed"
    assert ops(model)[1] == "BatchNormalization", "the model given is not changed"


def test_a_batch_norm_that_cannot_be_folded_is_a_layer_of_its_own():
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("BatchNormalization", ["c", "g", "be", "m", "v"], ["n"]),
        node("Add", ["n", "c"], ["a"]),  # the convolution has another reader
        node("GlobalAveragePool", ["a"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "h"], ["y"]),
    ]
    model = graph(nodes, {"w": floats(4, 3, 3, 3), **NORM, "h": floats(4, 5)})
    cleaned = canonical(model, FILE)
    assert ops(cleaned)[:3] == ["Conv", "Conv", "Add"]
    assert answers(cleaned) == pytest.approx(answers(model), abs=1e-5)


def test_a_shape_that_the_graph_computes_and_a_weight_it_transposes():
    nodes = [
        node("Transpose", ["wt"], ["w"], perm=[3, 2, 0, 1]),
        node("Conv", ["x", "w", "b"], ["c"], strides=[4, 4]),
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "zeros"], ["n1"]),
        node("Concat", ["n1", "rest"], ["to"], axis=0),
        node("Reshape", ["c", "to"], ["f"]),
        node("Gemm", ["f", "h", "hb"], ["y"], transB=1),
    ]
    index = {"zero": np.array(0), "zeros": np.array([0]), "rest": np.array([-1])}
    constants = {"wt": floats(3, 3, 3, 4), "b": floats(4), "h": floats(5, 16), "hb": floats(5), **index}
    model = graph(nodes, constants, batch="n")
    cleaned = canonical(model, FILE)
    assert ops(cleaned) == ["Conv", "Flatten", "Gemm"]
    assert answers(cleaned, 2) == pytest.approx(answers(model, 2), abs=1e-5)


def test_layers_that_share_a_weight_or_its_name_with_a_tensor_keep_their_own():
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Conv", ["c", "w2", "b"], ["d"]),
        node("Conv", ["d", "w2", "b"], ["e"]),
        node("GlobalAveragePool", ["e"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "h", "hb"], ["y"], transB=1),
    ]
    constants = {"w": floats(4, 3, 1, 1), "w2": floats(4, 4, 1, 1), "b": floats(4), "h": floats(5, 4), "hb": floats(5)}
    model = graph(nodes, constants)
    cleaned = canonical(model, FILE)
    assert len({one.name for one in cleaned.graph.node}) == 6
    assert answers(cleaned) == pytest.approx(answers(model), abs=1e-5)


def test_weights_that_are_listed_as_inputs_and_an_old_opset():
    nodes = [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "h"], ["y"])]
    nodes[-1].input.append("hb")
    model = graph(nodes, {"h": floats(3, 5), "hb": floats(5)})
    model.opset_import[0].version, model.ir_version = 10, 3
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, TensorProto.FLOAT, list(t.dims)) for t in model.graph.initializer
    )
    assert classifier_sizes(model, FILE) == ((3, 8, 8), 5)
    cleaned = canonical(model, FILE)
    assert [value.name for value in cleaned.graph.input] == ["x"]
    assert answers(cleaned) == pytest.approx(answers(model), abs=1e-5)


def test_a_graph_that_is_not_valid_names_the_file():
    model = graph([node("Conv", ["x", "absent"], ["y"])], {})
    with pytest.raises(ModelFileError, match=r"foreign.onnx: ") as caught:
        canonical(model, FILE)
    assert caught.value.hint


@pytest.mark.parametrize("shape", [["n", 3, "h", "w"], ["n", 3, 8]])
def test_sizes_that_are_free_or_no_image_are_refused(shape: list[int | str]):
    model = graph([node("Flatten", ["x"], ["y"])], {})
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    with pytest.raises(ModelFileError, match=r"'x' float32 \[\?, 3, "):
        classifier_sizes(model, FILE)


@pytest.mark.parametrize(
    ("auto_pad", "stride", "pads"),
    [
        ("SAME_UPPER", 2, [0, 0, 1, 1]),
        ("SAME_LOWER", 2, [1, 1, 0, 0]),
        ("SAME_UPPER", 1, [1, 1, 1, 1]),
        ("VALID", 1, [0, 0, 0, 0]),
    ],
)
def test_automatic_pads_are_written_out(auto_pad: str, stride: int, pads: list[int]):
    window = {"auto_pad": auto_pad, "strides": [stride, stride]}
    nodes = [
        node("Conv", ["x", "w"], ["c"], **window),
        node("MaxPool", ["c"], ["m"], auto_pad="SAME_UPPER", kernel_shape=[3, 3], strides=[2, 2]),
        node("AveragePool", ["m"], ["a"], auto_pad="SAME_LOWER", kernel_shape=[2, 2], strides=[1, 1]),
        node("GlobalAveragePool", ["a"], ["p"]),
        node("Flatten", ["p"], ["y"]),
    ]
    model = graph(nodes, {"w": floats(5, 3, 3, 3)})
    cleaned = canonical(model, FILE)
    found = {entry.name: helper.get_attribute_value(entry) for entry in cleaned.graph.node[0].attribute}
    assert found["pads"] == pads
    assert "auto_pad" not in {entry.name for one in cleaned.graph.node for entry in one.attribute}
    ours = TorchGraph(cleaned)(torch.from_numpy(floats(1, 3, 8, 8, seed=9))).detach().numpy()
    assert ours == pytest.approx(answers(model), abs=1e-5)


def test_automatic_pads_of_an_image_of_unknown_size_are_refused():
    nodes = [
        node("Resize", ["x", "", "scales"], ["r"]),
        node("Conv", ["r", "w"], ["c"], "first", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("GlobalAveragePool", ["c"], ["p"]),
        node("Flatten", ["p"], ["y"]),
    ]
    model = graph(nodes, {"w": floats(5, 3, 3, 3), "scales": np.array([1, 1, 1, 1], np.float32)})
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"
    with pytest.raises(CheckError, match="node 'first': auto_pad needs an image of known size"):
        canonical(model, FILE)
