"""Every format through one door: the same answers, and a clear refusal of what is no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.data.transforms import normalize
from compress.errors import ModelFileError, StageError, UsageError
from compress.runtime.predictor import open_predictor


def files(tiny: Any) -> dict[str, Path]:
    spec, nhwc = tiny.spec(), tiny.spec(layout="NHWC")
    return {
        "onnx": tiny.onnx(spec=spec),
        "onnx batch 2": tiny.onnx("two.onnx", batch=2, spec=spec),
        "tflite": tiny.tflite(spec=nhwc),
        "tflite batch 2": tiny.tflite("two.tflite", batch=2, spec=nhwc),
    }


of_every_kind = pytest.mark.parametrize("kind", ["onnx", "onnx batch 2", "tflite", "tflite batch 2"])
of_any_batch = pytest.mark.parametrize("count", [1, 2, 5])


@of_every_kind
@of_any_batch
def test_all_formats_give_the_known_answers_for_any_batch(tiny: Any, kind: str, count: int) -> None:
    predictor = open_predictor(files(tiny)[kind])
    images = tiny.images(count)
    logits = predictor.predict(images)
    assert logits.dtype == np.float32
    assert logits.shape == (count, 4)
    np.testing.assert_allclose(logits, tiny.expected(images), atol=2e-6)


@of_every_kind
@of_any_batch
def test_a_prepared_call_computes_the_same_answers_again_and_again(tiny: Any, kind: str, count: int) -> None:
    predictor = open_predictor(files(tiny)[kind])
    images = tiny.images(count)
    call = predictor.prepared(images)
    predictor.predict(tiny.images(1, seed=7))  # another call between leaves what was prepared alone
    for _ in range(2):
        np.testing.assert_array_equal(np.asarray(call())[:count], predictor.predict(images))


def test_a_prepared_call_refuses_what_predict_refuses(tiny: Any) -> None:
    for path in files(tiny).values():
        with pytest.raises(StageError, match="takes float32 images"):
            open_predictor(path).prepared(tiny.images(1)[:, :, 1:])


def test_predictor_says_what_it_is(tiny: Any) -> None:
    predictor = open_predictor(tiny.onnx(spec=tiny.spec()), threads=2)
    assert predictor.format is Format.ONNX
    assert predictor.threads == 2
    assert predictor.runtime.startswith("onnxruntime 1.")
    assert predictor.spec == tiny.spec()


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
    path = files(tiny)[kind]
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
@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 3, 8, 8), np.float32),
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((3, 16, 16), np.float32),
        np.zeros((0, 3, 16, 16), np.float32),
        np.zeros((1, 3, 16, 16), np.float64),
        np.zeros((1, 3, 16, 16), np.uint8),
    ],
)
def test_images_of_another_shape_or_type_are_refused(tiny: Any, kind: str, images: np.ndarray) -> None:
    path = files(tiny)[kind]
    with pytest.raises(StageError, match=rf"{path.name}: takes float32 images of shape \[N, 3, 16, 16\]"):
        open_predictor(path).predict(images)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_a_file_without_a_spec_needs_its_preprocessing(tiny: Any, kind: str) -> None:
    path = getattr(tiny, kind)()
    with pytest.raises(ModelFileError, match="made by another tool") as caught:
        open_predictor(path)
    assert "preprocessing" in caught.value.hint
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


KINDS = ["onnx", "onnx batch 2", "tflite", "tflite batch 2", "tflite int8"]


def unequal_channels(tiny: Any, kind: str) -> Path:
    """Write a file whose preprocessing differs from channel to channel."""
    preprocess = Preprocess(resize_px=16, crop_px=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    batch = 2 if "batch 2" in kind else None
    if kind.startswith("onnx"):
        return tiny.onnx(batch=batch or "N", spec=tiny.spec(preprocess=preprocess))
    spec = tiny.spec(preprocess=preprocess, layout="NHWC")
    return tiny.tflite(int8="int8" in kind, batch=batch or 1, spec=spec)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_get_the_answers_of_their_normalized_images_bit_for_bit(tiny: Any, kind: str) -> None:
    predictor = open_predictor(unequal_channels(tiny, kind))
    rng = np.random.default_rng(0)
    plain = np.stack([rng.permutation(256) for _ in range(3)], axis=1)  # each value once in each channel
    noise = rng.integers(0, 256, (3, 16, 16, 3), np.uint8)
    for pixels_NHWC in (
        np.tile(plain[:, None, None, :], (1, 16, 16, 1)).astype(np.uint8),
        noise,
        noise[:1],
        noise[:, ::-1, :, ::-1],  # not contiguous
    ):
        logits = predictor.predict_pixels(pixels_NHWC)
        assert (logits.dtype, logits.shape) == (np.float32, (len(pixels_NHWC), 4))
        np.testing.assert_array_equal(logits, predictor.predict(normalize(pixels_NHWC, predictor.spec.preprocess)))


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((1, 16, 16, 4), np.uint8),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((0, 16, 16, 3), np.uint8),
        np.zeros((1, 16, 16, 3), np.uint16),
        np.zeros((1, 16, 16, 3), np.float32),
    ],
)
def test_pixels_of_another_shape_or_type_are_refused(tiny: Any, kind: str, pixels: np.ndarray) -> None:
    path = files(tiny)[kind]
    with pytest.raises(StageError, match=rf"{path.name}: takes uint8 pixels of shape \[N, 16, 16, 3\]"):
        open_predictor(path).predict_pixels(pixels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["overwritten in place", "cut to nothing", "deleted"])
def test_bytes_that_were_read_already_need_their_file_no_more(tiny: Any, kind: str, change: str) -> None:
    path = unequal_channels(tiny, kind)
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
    path = files(tiny)[kind]
    if not there:
        path.unlink()
    with pytest.raises(ModelFileError, match=path.name):
        open_predictor(path, content=content)
