"""Every format through one door, and a clear refusal of what is no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.core.preprocess import Preprocess
from compress.errors import ModelFileError, UsageError
from compress.runtime.open import open_predictor

KINDS = ["onnx", "onnx batch 2", "tflite", "tflite batch 2", "tflite int8"]
UNEQUAL = Preprocess(resize_px=16, crop_px=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))  # from channel to channel


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "model.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 64, b"not a model at all, but long enough to be one", b"PK\x03\x04"]
)
def test_files_that_are_no_models_are_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        open_predictor(path)
    assert str(path) in caught.value.message
    if path.suffix != ".safetensors":
        assert caught.value.hint


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.7])
def test_truncated_files_are_refused(tiny: Any, kind: str, share: float) -> None:
    path = tiny.of_kind(kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match=path.name):
        open_predictor(path)


def test_a_file_of_the_wrong_format_is_refused(tiny: Any) -> None:
    path = tiny.onnx(spec=tiny.spec())
    wrong = path.with_suffix(".tflite")
    wrong.write_bytes(path.read_bytes())
    with pytest.raises(ModelFileError, match="TFL3"):
        open_predictor(wrong)


@pytest.mark.parametrize("name", ["missing.onnx", "missing.tflite", "missing.safetensors"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelFileError, match="no such model file"):
        open_predictor(tmp_path / name)


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"allowed \.safetensors, \.onnx, \.tflite"):
        open_predictor(tmp_path / "model.pkl")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(ModelFileError, match="a folder"):
        open_predictor(tmp_path / "model.onnx")


def test_threads_below_one(tiny: Any) -> None:
    with pytest.raises(UsageError, match="threads"):
        open_predictor(tiny.onnx(spec=tiny.spec()), threads=0)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_a_file_without_a_spec_needs_its_preprocessing(tiny: Any, kind: str) -> None:
    path = getattr(tiny, kind)()
    with pytest.raises(ModelFileError, match="made by another tool") as caught:
        open_predictor(path)
    assert "--preprocess" in caught.value.hint
    predictor = open_predictor(path, preprocess=tiny.spec().preprocess)
    assert predictor.spec.arch == "foreign"
    assert predictor.spec.labels == ("0", "1", "2", "3")
    assert predictor.spec.input_chw == (3, 16, 16)
    images = tiny.images(3)
    np.testing.assert_allclose(predictor.predict(images), tiny.expected(images), atol=2e-6)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_a_given_spec_wins(tiny: Any, kind: str) -> None:
    given = tiny.spec(labels=tuple("wxyz"))
    assert open_predictor(getattr(tiny, kind)(), spec=given).spec == given
    assert open_predictor(getattr(tiny, kind)(spec=tiny.spec()), spec=given).spec == given


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
@pytest.mark.parametrize("lie", [{"labels": ("a", "b")}, {"input_chw": (3, 32, 32)}])
def test_a_spec_that_contradicts_the_graph_is_refused(tiny: Any, kind: str, lie: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match="its spec says"):
        open_predictor(getattr(tiny, kind)(spec=tiny.spec(**lie)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["overwritten in place", "cut to nothing", "deleted"])
def test_bytes_that_were_read_already_need_their_file_no_more(tiny: Any, kind: str, change: str) -> None:
    path = tiny.of_kind(kind, preprocess=UNEQUAL)
    content = path.read_bytes()
    images = tiny.images(5)
    wanted = open_predictor(path).predict(images)
    predictors = [open_predictor(path, content=content)]
    if change == "deleted":
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.write(bytes(len(content)))
            file.truncate(0 if change == "cut to nothing" else len(content))
    predictors.append(open_predictor(path, content=content))
    del content
    for predictor in predictors:
        assert predictor.spec.preprocess.mean == (0.4, 0.5, 0.6)
        np.testing.assert_array_equal(predictor.predict(images), wanted)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_bytes_of_another_tool_s_file_are_read_like_the_file(tiny: Any, kind: str) -> None:
    path, preprocess = getattr(tiny, kind)(), tiny.spec().preprocess
    wanted = open_predictor(path, preprocess=preprocess).spec
    content = path.read_bytes()
    path.unlink()
    assert open_predictor(path, preprocess=preprocess, content=content).spec == wanted


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
@pytest.mark.parametrize("content", [b"", b"no model", b"1234TFL3 and no more"])
@pytest.mark.parametrize("there", [True, False])
def test_bytes_that_are_no_model_are_refused_by_the_file_s_name(
    tiny: Any, kind: str, content: bytes, there: bool
) -> None:
    path = tiny.of_kind(kind)
    if not there:
        path.unlink()
    with pytest.raises(ModelFileError, match=path.name):
        open_predictor(path, content=content)
