"""What exporters write in many nodes, and every reader of ours in few: held against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from compress.graph.importer import canonical
from compress.graph.versions import with_fixed_batch, with_free_batch
from compress.lower.walk import lower
from compress.quantize.qdq.torch_graph import TorchGraph
from tests.graphs import run_onnx, run_tflite

NODE = helper.make_node
IMAGES = np.random.default_rng(3).normal(size=(1, 4, 8, 8)).astype(np.float32)


def model_of(nodes, constants, opset=18, batch: int | str = 1):
    """Return a graph of images [N, 4, 8, 8] whose tensor `m` [N, 4, ...] is pooled and flattened to [N, K]."""
    tail = [NODE("GlobalAveragePool", ["m"], ["p"]), NODE("Flatten", ["p"], ["y"])]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(
        [*nodes, *tail],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def held_alike(model, expected, *, free=False):
    plain = canonical(model, Path("m.onnx"))
    found = [node.op_type for node in plain.graph.node]
    assert found == [*expected, "GlobalAveragePool", "Flatten"]
    wanted = run_onnx(model, IMAGES)
    np.testing.assert_allclose(run_onnx(plain, IMAGES), wanted, atol=1e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(TorchGraph(plain)(torch.from_numpy(IMAGES)).numpy(), wanted, atol=1e-5)
    np.testing.assert_allclose(run_tflite(lower(with_fixed_batch(plain)).data, IMAGES)[0], wanted, atol=1e-5)
    if free:
        two = np.concatenate([IMAGES, -IMAGES])
        assert run_onnx(with_free_batch(plain), two).shape[0] == 2


@pytest.mark.parametrize("opset", [17, 18])
def test_a_sum_is_a_mean_times_its_terms(opset):
    nodes = [NODE("ReduceSum", ["images", "axes"], ["m"], keepdims=1)]
    held_alike(model_of(nodes, {"axes": np.array([3])}, opset), ["ReduceMean", "Mul"])


def test_a_length_is_a_root_of_a_sum_of_squares():
    nodes = [NODE("ReduceL2", ["images"], ["n"], axes=[3], keepdims=1), NODE("Div", ["images", "n"], ["m"])]
    held_alike(model_of(nodes, {}, 17), ["Mul", "ReduceMean", "Mul", "Sqrt", "Div"])


def test_what_is_expanded_for_a_product_is_broadcast_by_it():
    nodes = [
        NODE("GlobalAveragePool", ["images"], ["g"]),
        NODE("Expand", ["g", "shape"], ["e"]),
        NODE("Mul", ["e", "images"], ["m"]),
    ]
    held_alike(model_of(nodes, {"shape": np.array([1, 4, 8, 8])}), ["GlobalAveragePool", "Mul"])


def test_one_place_of_an_axis_is_a_slice():
    nodes = [
        NODE("Gather", ["images", "place"], ["row"], axis=2),
        NODE("Unsqueeze", ["row", "axis"], ["m"]),
    ]
    held_alike(model_of(nodes, {"place": np.array(-1), "axis": np.array([2])}), ["Slice", "Squeeze", "Unsqueeze"])


def test_all_elements_in_their_order_are_a_reshape_of_any_batch():
    nodes = [
        NODE("Reshape", ["images", "flat"], ["all"]),
        NODE("Gather", ["all", "order"], ["m"]),
    ]
    order = np.arange(256).reshape(1, 4, 4, 16)
    held_alike(model_of(nodes, {"flat": np.array([-1]), "order": order}), ["Reshape"], free=True)


def test_a_reshape_for_which_zero_means_nothing_keeps_its_batch():
    nodes = [NODE("Reshape", ["images", "shape"], ["m"], allowzero=1)]
    held_alike(model_of(nodes, {"shape": np.array([1, 16, 4, 4])}), ["Reshape"], free=True)


def test_rows_of_tokens_and_back_are_reshapes_of_any_batch():
    nodes = [
        NODE("Reshape", ["images", "rows"], ["r"]),
        NODE("Mul", ["r", "r"], ["s"]),
        NODE("Reshape", ["s", "back"], ["m"]),
    ]
    constants = {"rows": np.array([32, 8]), "back": np.array([1, 4, 8, 8])}
    held_alike(model_of(nodes, constants), ["Reshape", "Mul", "Reshape"], free=True)


def test_pads_that_follow_from_pads_are_all_constants():
    """TensorFlow's SAME as the script exporter writes it: each pad is computed from the shape behind the last one."""
    nodes = []
    value = "images"
    for step in range(2):
        nodes += [
            NODE("Shape", [value], [f"shape{step}"]),
            NODE("Gather", [f"shape{step}", "two"], [f"height{step}"]),
            NODE("Cast", [f"height{step}"], [f"real{step}"], to=TensorProto.FLOAT),
            NODE("Div", [f"real{step}", "by"], [f"share{step}"]),
            NODE("Ceil", [f"share{step}"], [f"up{step}"]),
            NODE("Cast", [f"up{step}"], [f"pad{step}"], to=TensorProto.INT64),
            NODE("Mul", [f"pad{step}", "sides"], [f"pads{step}"]),
            NODE("Pad", [value, f"pads{step}"], [f"padded{step}"]),
        ]
        value = f"padded{step}"
    nodes.append(NODE("Identity", [value], ["m"]))
    sides = np.array([0, 0, 1, 1, 0, 0, 0, 0])
    constants = {"two": np.array(2), "by": np.float32(4), "sides": sides}
    held_alike(model_of(nodes, constants), ["Pad", "Pad"])


@pytest.mark.parametrize("order", ["x first", "half first", "by division"])
def test_gelu_in_nodes_is_the_operator(order):
    half, root = np.float32(0.5), np.float32(np.sqrt(2))
    inside = NODE("Div", ["images", "root"], ["d"])
    forms = {
        "x first": [NODE("Mul", ["images", "e1"], ["a"]), NODE("Mul", ["a", "half"], ["m"])],
        "half first": [NODE("Mul", ["images", "half"], ["a"]), NODE("Mul", ["a", "e1"], ["m"])],
        "by division": [NODE("Mul", ["e1", "images"], ["a"]), NODE("Div", ["a", "two"], ["m"])],
    }
    nodes = [inside, NODE("Erf", ["d"], ["e"]), NODE("Add", ["e", "one"], ["e1"]), *forms[order]]
    constants = {"half": half, "root": root, "one": np.float32(1), "two": np.float32(2)}
    held_alike(model_of(nodes, constants, 17), ["Gelu"])


@pytest.mark.parametrize("opset", [17, 18])
def test_a_norm_of_each_map_is_its_parts(opset):
    nodes = [NODE("InstanceNormalization", ["images", "s", "b"], ["m"], epsilon=1e-3)]
    constants = {"s": np.linspace(0.5, 2, 4, dtype=np.float32), "b": np.linspace(-1, 1, 4, dtype=np.float32)}
    found = ["GlobalAveragePool", "Sub", "Mul", "GlobalAveragePool", "Add", "Sqrt", "Div", "Mul", "Add"]
    held_alike(model_of(nodes, constants, opset), found)
