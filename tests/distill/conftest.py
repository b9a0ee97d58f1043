"""A teacher as an ONNX file, made without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.artifact import Artifact
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.graph.metadata import embed_spec
from compress.pipeline.inputs import file_artifact

LABELS = ("blue", "green", "red")


@pytest.fixture
def colour_onnx() -> Callable[..., Artifact]:
    """Return a function that writes a net which knows the classes by their mean colour, with ImageNet's mean and std.

    Without labels it is a file of another tool.
    """

    def write(path: Path, labels: tuple[str, ...] = LABELS, px: int = 40) -> Artifact:
        model = _model(px)
        if labels:
            preprocess = Preprocess(resize_px=px, crop_px=px)
            embed_spec(model, ModelSpec(arch="foreign", labels=labels, input_chw=(3, px, px), preprocess=preprocess))
        onnx.save(model, path)
        return file_artifact(path)

    return write


def _model(px: int) -> onnx.ModelProto:
    weight = 10.0 * np.eye(3, dtype=np.float32)[[2, 1, 0]]  # blue, green, red
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, px, px])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
