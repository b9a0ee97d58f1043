"""Activations and rearrangements of other tools, through the importer, in ONNX Runtime, our torch graph and LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from compress.graph.importer import canonical
from compress.lower.walk import lower
from compress.quantize.qdq.torch_graph import TorchGraph
from tests.graphs import run_onnx, run_tflite

NODE = helper.make_node
IMAGES = np.random.default_rng(0).normal(0, 6, (1, 8, 6, 6)).astype(np.float32)


def classifier(nodes, constants=(), channels=8, opset=18):
    """Return a graph of nodes between images [1, 8, 6, 6] and a pooled answer; they make `y`."""
    tail = [NODE("GlobalAveragePool", ["y"], ["pooled"]), NODE("Flatten", ["pooled"], ["logits"])]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    graph = helper.make_graph(
        [*nodes, *tail],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(IMAGES.shape))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, channels])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


CASES = {
    "mish": classifier([NODE("Mish", ["images"], ["y"])]),
    "mish in nodes": classifier(
        [
            NODE("Softplus", ["images"], ["s"]),
            NODE("Tanh", ["s"], ["t"]),
            NODE("Mul", ["images", "t"], ["y"]),
        ]
    ),
    "elu": classifier([NODE("Elu", ["images"], ["y"], alpha=0.4)]),
    "pixel shuffle": classifier([NODE("DepthToSpace", ["images"], ["y"], blocksize=2, mode="CRD")], channels=2),
    "response norm": classifier([NODE("LRN", ["images"], ["y"], size=5, alpha=0.02, beta=0.7, bias=1.5)]),
    "expanded map": classifier(
        [NODE("GlobalAveragePool", ["images"], ["p"]), NODE("Expand", ["p", "shape"], ["y"])],
        {"shape": np.array([1, 8, 3, 3], np.int64)},
    ),
    "expanded for two": classifier(
        [
            NODE("GlobalAveragePool", ["images"], ["p"]),
            NODE("Expand", ["p", "shape"], ["e"]),
            NODE("Concat", ["e", "images"], ["y"], axis=1),
        ],
        {"shape": np.array([1, 8, 6, 6], np.int64)},
        channels=16,
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_every_reader_answers_alike(case):
    model = CASES[case]
    wanted = run_onnx(model, IMAGES)
    plain = canonical(model, Path("m.onnx"))
    assert canonical(plain, Path("m.onnx")) == plain
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(run_onnx(plain, IMAGES), wanted, atol=2e-5 * scale)
    with torch.no_grad():
        np.testing.assert_allclose(TorchGraph(plain)(torch.from_numpy(IMAGES)).numpy(), wanted, atol=2e-5 * scale)
    np.testing.assert_allclose(run_tflite(lower(plain).data, IMAGES)[0], wanted, atol=1e-4 * scale)


def test_mish_does_not_overflow():
    images = np.linspace(-120, 120, IMAGES.size, dtype=np.float32).reshape(IMAGES.shape)
    wanted = run_onnx(CASES["mish"], images)
    found = run_tflite(lower(canonical(CASES["mish"], Path("m.onnx"))).data, images)[0]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


def test_another_tanh_stays():
    model = classifier([NODE("Tanh", ["images"], ["y"])])
    assert "Tanh" in [node.op_type for node in canonical(model, Path("m.onnx")).graph.node]
