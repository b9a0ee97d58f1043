"""ONNX files whose weights lie in files beside them: one rule for every reader."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import external_data_helper, helper, numpy_helper

from compress.core.onnx_file import has_external_data, metadata_of, onnx_bytes, sha256_model
from compress.errors import ModelFileError
from compress.graph.proto import load
from compress.runtime.open import open_predictor
from compress.serve.core.inference import Inference
from tests.tiny_files import Tiny


@pytest.fixture
def beside(tiny: Tiny, tmp_path: Path) -> Path:
    """Return a file whose weights lie in weights.bin."""
    model = onnx.load(tiny.onnx("whole.onnx", spec=tiny.spec()))
    path = tmp_path / "model" / "beside.onnx"
    path.parent.mkdir()
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def located(path: Path, location: str) -> None:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = location
    path.write_bytes(model.SerializeToString())


def test_a_model_in_one_file_is_left_as_it_is(tiny: Tiny):
    path = tiny.onnx()
    assert onnx_bytes(path) == path.read_bytes()
    assert not has_external_data(path.read_bytes())
    assert not has_external_data(b"no message at all")


def test_every_reader_takes_the_weights_beside_it_from_any_folder(
    beside: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("weights.bin").write_bytes(bytes(48))  # must not be taken
    images_NCHW = tiny.images(3)
    expected_NK = tiny.expected(images_NCHW)
    np.testing.assert_allclose(open_predictor(beside).predict(images_NCHW), expected_NK, atol=1e-5)
    np.testing.assert_allclose(Inference(beside, 1).predict(images_NCHW)[0], expected_NK, atol=1e-5)
    assert len(numpy_helper.to_array(load(beside).graph.initializer[0])) == 4


def test_the_hash_covers_the_weights(beside: Path):
    before = sha256_model(beside), Inference(beside, 1).sha256
    assert before[0] == before[1]
    weights = beside.with_name("weights.bin")
    data = bytearray(weights.read_bytes())
    data[3] ^= 1
    weights.write_bytes(data)
    assert sha256_model(beside) != before[0]
    assert Inference(beside, 1).sha256 != before[0]


def test_weights_in_a_graph_inside_an_operator_are_found():
    inner = helper.make_graph([], "inner", [], [], [numpy_helper.from_array(np.zeros(3, np.float32), "w")])
    outer = helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)], "g", [], [])
    model = helper.make_model(outer)
    assert not has_external_data(model.SerializeToString())
    external_data_helper.set_external_data(model.graph.node[0].attribute[1].g.initializer[0], "w.bin")
    assert has_external_data(model.SerializeToString())


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "a/../../outside.bin"])
def test_weights_outside_the_folder_are_refused(beside: Path, tmp_path: Path, location: str):
    (tmp_path / "outside.bin").write_bytes(bytes(48))
    located(beside, location)
    for read in (onnx_bytes, load, open_predictor, sha256_model):
        with pytest.raises(ModelFileError, match="outside its folder") as caught:
            read(beside)
        assert location in str(caught.value)


def test_a_link_does_not_lead_outside(beside: Path, tmp_path: Path):
    (tmp_path / "outside.bin").write_bytes(bytes(48))
    beside.with_name("weights.bin").unlink()
    beside.with_name("weights.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(ModelFileError, match="outside its folder"):
        onnx_bytes(beside)


def test_weights_that_are_not_there_or_too_short_are_told(beside: Path):
    weights = beside.with_name("weights.bin")
    weights.write_bytes(weights.read_bytes()[:10])
    with pytest.raises(ModelFileError, match=r"beside\.onnx: (its external data cannot be read|tensor)"):
        load(beside)
    weights.unlink()
    with pytest.raises(ModelFileError, match=r"'weights\.bin', which holds its weights, is not beside it") as caught:
        onnx_bytes(beside)
    assert "copy the files" in caught.value.hint


def test_what_is_no_file_is_not_waited_for(beside: Path):
    weights = beside.with_name("weights.bin")
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(ModelFileError, match="is not beside it"):
        onnx_bytes(beside)


@pytest.mark.parametrize(
    "hidden",
    [
        b"\x70\x81\x80\x80\x80\x10",  # data_location 2**32 + 1, of which protobuf takes 32 bits
        b"\xfb\x07\xfc\x07\x70\x01",  # behind a group that nobody knows
    ],
)
def test_external_data_cannot_be_hidden(hidden: bytes):
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    data = field(7, field(5, hidden))
    assert onnx.ModelProto.FromString(data).graph.initializer[0].data_location == onnx.TensorProto.EXTERNAL
    assert has_external_data(data)


def test_metadata_are_read_without_onnx(tiny: Tiny):
    data = tiny.onnx(spec=tiny.spec()).read_bytes()
    assert metadata_of(data) == {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
    assert metadata_of(data)["imgc.spec"]


@pytest.mark.parametrize("data", [b"", b"no model", b"\x72\xff\xff", b"\x70\x05"])
def test_what_is_no_model_has_no_metadata(data: bytes):
    assert metadata_of(data) == {}
