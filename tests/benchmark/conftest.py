"""Models that tell the colours of the `photos` fixture apart, right or wrong on purpose, and their artifacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.artifact import Artifact
from compress.core.digest import sha256_file
from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.core.spec import SPEC_KEY, ModelSpec

SIDE = 32
RIGHT_KC = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], np.float32)  # blue, green, red from R, G, B
LABELS = ("blue", "green", "red")

MakeArtifact = Callable[..., Artifact]


@pytest.fixture
def make_artifact(tmp_path: Path) -> MakeArtifact:
    """Return `make(stage_id, weight_KC=RIGHT_KC, labels=LABELS, folder=None) -> Artifact` of an ONNX file."""

    def make(
        stage_id: str,
        weight_KC: np.ndarray = RIGHT_KC,
        labels: tuple[str, ...] = LABELS,
        folder: Path | None = None,
    ) -> Artifact:
        spec = ModelSpec(
            arch="colour",
            labels=labels,
            input_chw=(3, SIDE, SIDE),
            preprocess=Preprocess(resize_px=SIDE, crop_px=SIDE),
            params=9,
            macs=9,
        )
        path = (folder or tmp_path / f"01-{stage_id}") / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(_colour_model(weight_KC, spec), str(path))
        return Artifact(
            stage_id=stage_id,
            kind="export",
            format=Format.ONNX,
            path=path,
            sha256=sha256_file(path),
            size_bytes=path.stat().st_size,
            spec=spec,
            metrics={},
        )

    return make


def _colour_model(weight_KC: np.ndarray, spec: ModelSpec) -> onnx.ModelProto:
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(weight_KC)])],
        [numpy_helper.from_array(weight_KC.astype(np.float32), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key=SPEC_KEY, value=spec.model_dump_json())
    return model
