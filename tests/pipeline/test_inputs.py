from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper
from toy_stages import SPEC

from compress.core.digest import sha256_file
from compress.errors import ModelFileError
from compress.graph.metadata import embed_spec
from compress.pipeline.inputs import file_artifact


@pytest.fixture
def model():
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("images", "logits")]
    graph = helper.make_graph([helper.make_node("Relu", ["images"], ["logits"])], "g", tensors[:1], tensors[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_an_onnx_file_says_what_it_is(tmp_path, model):
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    assert file_artifact(path).spec is None, "made by another tool"
    embed_spec(model, SPEC)
    onnx.save(model, path)
    artifact = file_artifact(path)
    assert (artifact.spec, artifact.format, artifact.kind) == (SPEC, "onnx", "file")
    assert artifact.sha256 == sha256_file(path)
    assert artifact.size_bytes == path.stat().st_size


@pytest.mark.parametrize("name", ["m.onnx", "m.safetensors", "m.tflite", "m.txt"])
def test_a_damaged_file_is_an_expected_failure(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match="m\\."):
        file_artifact(path)
