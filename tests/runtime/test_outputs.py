"""Files of other tools that end in Softmax or Sigmoid: every reader shows the graph's own shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import compress
from compress.core.artifact import Artifact
from compress.core.formats import Format
from compress.core.outputs import shares
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.data.transforms import read_pixels
from compress.engine.losses import kl_divergence
from compress.export.config import ExportConfig
from compress.export.source import read_source
from compress.graph.importer import canonical
from compress.graph.metadata import embed_spec
from compress.graph.versions import with_fixed_batch
from compress.lower.walk import lower
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.quantize.source import float_graph
from compress.runtime.evaluate import evaluate
from compress.runtime.open import open_predictor
from compress.runtime.tflite_meta import embed_spec as embed_in_tflite
from compress.serve.app import create_app
from compress.serve.config import ServeConfig

PREPROCESS = Preprocess(resize_px=32, crop_px=32)
SPEC = ModelSpec(arch="foreign", labels=("r", "g", "b"), input_chw=(3, 32, 32), preprocess=PREPROCESS)
KINDS = {"Softmax": "probabilities", "Sigmoid": "scores", "Identity": "logits"}


def colours(last: str) -> onnx.ModelProto:
    """Return a classifier of three flat colours that ends in an operator, with a spec that says nothing of it."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"], axis=1),
        helper.make_node(last, ["f"], ["y"]),
    ]
    weights = {"w": np.eye(3).reshape(3, 3, 1, 1) * 4, "b": np.zeros(3)}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    embed_spec(model, SPEC)
    return model


def written(folder: Path, last: str, suffix: str = ".onnx") -> Path:
    """Write that classifier as ONNX or TFLite."""
    path = folder / f"{last}{suffix}"
    if suffix == ".onnx":
        onnx.save(colours(last), path)
    else:
        plain = with_fixed_batch(canonical(colours(last), path))
        path.write_bytes(embed_in_tflite(lower(plain).data, SPEC.model_copy(update={"layout": "NHWC"})))
    return path


@pytest.fixture
def red(tmp_path: Path) -> Path:
    Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / "red.png")
    return tmp_path / "red.png"


def own_shares(red: Path, last: str) -> np.ndarray:
    """Return what the graph's own mathematics give, f64 [3]."""
    pixels = read_pixels(red, PREPROCESS)[0, 0].astype(np.float64) / 255
    logits = 4 * (pixels - np.array(PREPROCESS.mean)) / np.array(PREPROCESS.std)
    return 1 / (1 + np.exp(-logits)) if last == "Sigmoid" else np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
@pytest.mark.parametrize("last", list(KINDS))
def test_every_reader_shows_the_graphs_own_shares(tmp_path: Path, red: Path, last: str, suffix: str) -> None:
    path, wanted = written(tmp_path, last, suffix), own_shares(red, last)
    predictor = open_predictor(path)
    assert predictor.spec.outputs == KINDS[last]
    found = compress.load(path).predict(red, top_k=3)
    assert [one.score for one in found.predictions] == pytest.approx(sorted(wanted, reverse=True), abs=1e-5)
    evaluation = evaluate(predictor, read_pixels(red, PREPROCESS)[None], [0])
    assert shares(evaluation.logits_NK, evaluation.outputs)[0] == pytest.approx(wanted, abs=1e-5)
    with TestClient(create_app(ServeConfig(models=[path], threads=1)), base_url="http://localhost") as client:
        reply = client.post("/v1/classify?top_k=1", content=red.read_bytes()).json()
        assert reply["predictions"][0]["score"] == pytest.approx(wanted.max(), abs=1e-5)


def test_the_spec_of_another_tools_file_says_what_its_answers_are(tmp_path: Path) -> None:
    model = colours("Softmax")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "m.onnx")
    assert open_predictor(tmp_path / "m.onnx", preprocess=PREPROCESS).spec.outputs == "probabilities"


@pytest.mark.parametrize("last", ["Softmax", "Sigmoid"])
def test_losses_see_logits_that_mean_the_same(last: str) -> None:
    images = torch.rand(4, 3, 32, 32)
    ended, bare = (TorchGraph(canonical(colours(one), Path("m.onnx"))) for one in (last, "Identity"))
    with torch.no_grad():
        found, wanted = ended.as_logits(ended(images)), bare(images)
    assert float(kl_divergence(found, wanted)) == pytest.approx(0.0, abs=1e-6)
    if last == "Sigmoid":
        assert found.numpy() == pytest.approx(wanted.numpy(), abs=1e-4)


@pytest.mark.parametrize("last", ["Softmax", "Sigmoid"])
def test_the_spec_that_quantize_and_export_write_says_it(tmp_path: Path, last: str) -> None:
    model = colours(last)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "m.onnx")
    facts = {"stage_id": "s", "kind": "file", "sha256": "0" * 64, "size_bytes": 1, "spec": None, "metrics": {}}
    artifact = Artifact.model_validate({**facts, "format": Format.ONNX, "path": tmp_path / "m.onnx"})
    exported = read_source(artifact, ExportConfig(format="tflite", preprocess=PREPROCESS)).spec
    assert exported is not None
    assert {exported.outputs, float_graph(artifact, PREPROCESS)[1].outputs} == {KINDS[last]}
