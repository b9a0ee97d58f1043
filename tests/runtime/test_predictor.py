"""Every format, one interface: the same answers, and a clear refusal of images that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.data.transforms import normalize
from compress.errors import StageError
from compress.runtime.open import open_predictor

KINDS = ["onnx", "onnx batch 2", "tflite", "tflite batch 2", "tflite int8"]
UNEQUAL = Preprocess(resize_px=16, crop_px=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))  # from channel to channel

of_every_kind = pytest.mark.parametrize("kind", ["onnx", "onnx batch 2", "tflite", "tflite batch 2"])
of_any_batch = pytest.mark.parametrize("count", [1, 2, 5])


@of_every_kind
@of_any_batch
def test_all_formats_give_the_known_answers_for_any_batch(tiny: Any, kind: str, count: int) -> None:
    predictor = open_predictor(tiny.of_kind(kind))
    images = tiny.images(count)
    logits = predictor.predict(images)
    assert logits.dtype == np.float32
    assert logits.shape == (count, 4)
    np.testing.assert_allclose(logits, tiny.expected(images), atol=2e-6)


@of_every_kind
@of_any_batch
def test_a_prepared_call_computes_the_same_answers_again_and_again(tiny: Any, kind: str, count: int) -> None:
    predictor = open_predictor(tiny.of_kind(kind))
    images = tiny.images(count)
    call = predictor.prepared(images)
    predictor.predict(tiny.images(1, seed=7))  # another call between leaves what was prepared alone
    for _ in range(2):
        np.testing.assert_array_equal(np.asarray(call())[:count], predictor.predict(images))


def test_a_prepared_call_refuses_what_predict_refuses(tiny: Any) -> None:
    for kind in KINDS:
        with pytest.raises(StageError, match="takes float32 images"):
            open_predictor(tiny.of_kind(kind)).prepared(tiny.images(1)[:, :, 1:])


def test_predictor_says_what_it_is(tiny: Any) -> None:
    predictor = open_predictor(tiny.onnx(spec=tiny.spec()), threads=2)
    assert predictor.format is Format.ONNX
    assert predictor.threads == 2
    assert predictor.runtime.startswith("onnxruntime 1.")
    assert predictor.spec == tiny.spec()


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
    path = tiny.of_kind(kind)
    with pytest.raises(StageError, match=rf"{path.name}: takes float32 images of shape \[N, 3, 16, 16\]"):
        open_predictor(path).predict(images)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_get_the_answers_of_their_normalized_images_bit_for_bit(tiny: Any, kind: str) -> None:
    predictor = open_predictor(tiny.of_kind(kind, preprocess=UNEQUAL))
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
    path = tiny.of_kind(kind)
    with pytest.raises(StageError, match=rf"{path.name}: takes uint8 pixels of shape \[N, 16, 16, 3\]"):
        open_predictor(path).predict_pixels(pixels)
