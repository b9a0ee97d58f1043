"""The spec inside a TFLite file."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import ModelFileError
from compress.lower.walk import lower
from compress.runtime.tflite_meta import embed_spec, read_spec, unpack

SPEC = ModelSpec(
    arch="tiny",
    labels=("blå", "green", "red"),
    input_chw=(3, 16, 16),
    preprocess=Preprocess(resize_px=20, crop_px=16),
    layout="NHWC",
)


@pytest.fixture(scope="module")
def tflite() -> bytes:
    weight = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    nodes = [helper.make_node("Conv", ["images", "w"], ["y"]), helper.make_node("GlobalAveragePool", ["y"], ["logits"])]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 16, 16])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3, 1, 1])
    graph = helper.make_graph(nodes, "g", [images], [logits], [weight])
    return lower(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])).data


def _answer(data: bytes) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ones((1, 16, 16, 3), np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_a_file_without_spec_says_none(tflite):
    assert read_spec(tflite) is None


def test_spec_goes_in_and_comes_out_and_the_model_still_runs(tflite):
    data = embed_spec(tflite, SPEC)
    assert read_spec(data) == SPEC
    assert np.array_equal(_answer(data), _answer(tflite))


def test_embedding_again_replaces(tflite):
    other = SPEC.model_copy(update={"arch": "other"})
    data = embed_spec(embed_spec(tflite, SPEC), other)
    assert read_spec(data) == other
    assert len(unpack(data).metadata) == 1


def test_other_texts_go_in_beside_the_spec(tflite):
    model = unpack(embed_spec(embed_spec(tflite, SPEC, {"imgc.calibration": "old"}), SPEC, {"imgc.calibration": "new"}))
    texts = {entry.name.decode(): bytes(model.buffers[entry.buffer].data).decode() for entry in model.metadata}
    assert texts == {"imgc.spec": SPEC.model_dump_json(), "imgc.calibration": "new"}


def test_labels_come_out_with_unzip(tflite):
    with zipfile.ZipFile(io.BytesIO(embed_spec(tflite, SPEC))) as archive:
        assert archive.read("labels.txt").decode() == "blå\ngreen\nred\n"


def test_equal_specs_give_equal_bytes(tflite):
    assert embed_spec(tflite, SPEC) == embed_spec(tflite, SPEC)


@pytest.mark.parametrize("data", [b"", b"not a model at all", b"\xff\xff\xff\x00TFL3"])
def test_a_file_that_is_none(data):
    with pytest.raises(ModelFileError, match=r"broken\.tflite"):
        read_spec(data, "broken.tflite")


def test_a_truncated_file(tflite):
    with pytest.raises(ModelFileError, match=r"broken\.tflite"):
        unpack(tflite[: len(tflite) // 2], "broken.tflite")


def test_a_spec_that_cannot_be_read(tflite):
    data = embed_spec(tflite, SPEC).replace(b'"schema_version":1', b'"schema_version":9')
    with pytest.raises(ModelFileError, match=r"broken\.tflite"):
        read_spec(data, "broken.tflite")
