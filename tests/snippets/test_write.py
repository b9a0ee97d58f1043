"""Snippets run as a user would run them; what they print equals what we answer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import compress
from compress.core.preprocess import Preprocess
from compress.errors import UsageError
from compress.runtime.open import open_predictor
from compress.snippets.write import LANGUAGES, snippet
from tests.serve.conftest import SPEC, colours_onnx, colours_tflite
from tests.snippets.programs import in_browser, in_node, in_python

IMAGE = "image.jpg"
FLAT = Preprocess(resize_px=40, crop_px=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), interpolation="bicubic")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with models and an odd-sized JPEG that says how it is to be turned."""
    (tmp_path / "model.onnx").write_bytes(colours_onnx(SPEC.model_copy(update={"preprocess": FLAT})))
    (tmp_path / "model.tflite").write_bytes(colours_tflite())
    noise = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((131, 97), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / IMAGE, quality=95, exif=exif)
    return tmp_path


def answers(work: Path, name: str) -> list[str]:
    """Return our own answer as the snippets print it."""
    found = compress.load(work / name).predict(work / IMAGE)
    return [f"{one.label} {one.score:.4f}" for one in found.predictions]


@pytest.fixture
def blue_first(work: Path) -> Path:
    """The same folder with a model of blue first."""
    blue = FLAT.model_copy(update={"channel_order": "BGR"})
    (work / "model.onnx").write_bytes(colours_onnx(SPEC.model_copy(update={"preprocess": blue})))
    return work


@pytest.mark.slow
def test_channels_come_in_the_order_of_the_model(blue_first):
    text = snippet(open_predictor(blue_first / "model.onnx"), "python")
    assert in_python(blue_first, text, IMAGE) == answers(blue_first, "model.onnx")


@pytest.mark.slow
def test_channels_come_in_the_order_of_the_model_in_node(blue_first):
    test_node(blue_first)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "language"), [("model.onnx", "python"), ("model.tflite", "python"), ("model.tflite", "raspberry-pi")]
)
def test_python(work, name, language):
    assert in_python(work, snippet(open_predictor(work / name), language), IMAGE) == answers(work, name)


@pytest.mark.slow
def test_node(work):
    assert in_node(work, snippet(open_predictor(work / "model.onnx"), "node"), IMAGE) == answers(work, "model.onnx")


@pytest.mark.slow
def test_browser(work):
    text = snippet(open_predictor(work / "model.onnx"), "browser")
    assert in_browser(work, text, [IMAGE]) == [answers(work, "model.onnx")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_snippet_is_complete_and_no_longer_than_a_screenful(work, language):
    name = "model.tflite" if language in ("raspberry-pi", "android", "ios") else "model.onnx"
    text = snippet(open_predictor(work / name), language)
    assert not re.search("@[A-Z_]+@", text)
    assert len(text.splitlines()) <= 80
    for said in ("red", "green", "blue", name.partition(".")[0]):
        assert said in text


def test_labels_cannot_break_out_of_their_quotes(tmp_path):
    labels = ('a"b', "</script>", "$x")
    (tmp_path / "m.onnx").write_bytes(colours_onnx(SPEC.model_copy(update={"labels": labels})))
    predictor = open_predictor(tmp_path / "m.onnx")
    assert r'"a\"b"' in snippet(predictor, "node")
    assert "</script>" not in snippet(predictor, "browser").rpartition("</script>")[0].partition("<script>\n")[2]
    namespace: dict[str, object] = {}
    (line,) = [line for line in snippet(predictor, "python").splitlines() if line.startswith("LABELS")]
    exec(line, namespace)
    assert namespace["LABELS"] == list(labels)


@pytest.mark.parametrize(("dtype", "zero"), [(np.int8, -128), (np.uint8, 0)])
def test_integer_ends_are_written_with_their_grids(work, dtype, zero):
    predictor = open_predictor(work / "model.tflite")
    for end in predictor.ends:
        end |= {"dtype": dtype, "quantization": (0.5, zero)}
    kotlin, swift = snippet(predictor, "android"), snippet(predictor, "ios")
    assert f"(round(value / 0.5f).toInt() + {zero})" in kotlin
    assert "ByteArray(LABELS.size)" in kotlin
    assert "allocateDirect(1 * " in kotlin
    assert f"- {zero}) * 0.5f" in kotlin
    assert ("it.toInt() and 255" in kotlin) == (dtype == np.uint8)
    assert f"[{'Int8' if dtype == np.int8 else 'UInt8'}]()" in swift
    assert f"(value / 0.5).rounded(.toNearestOrEven) + {zero}" in swift


@pytest.mark.parametrize(("name", "language"), [("model.onnx", "android"), ("model.tflite", "node")])
def test_another_format_says_what_would_fit(work, name, language):
    with pytest.raises(UsageError, match=f"{language} runs") as caught:
        snippet(open_predictor(work / name), language)
    assert "imgc export --format" in caught.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_a_whole_image_is_prepared_as_in_training(work, fit):
    whole = FLAT.model_copy(update={"resize_px": FLAT.crop_px, "fit": fit})
    (work / "model.onnx").write_bytes(colours_onnx(SPEC.model_copy(update={"preprocess": whole})))
    predictor = open_predictor(work / "model.onnx")
    assert in_python(work, snippet(predictor, "python"), IMAGE) == answers(work, "model.onnx")
    assert in_node(work, snippet(predictor, "node"), IMAGE) == answers(work, "model.onnx")


def test_shares_are_not_made_shares_again(work):
    predictor = open_predictor(work / "model.onnx")
    predictor.spec = predictor.spec.model_copy(update={"outputs": "probabilities"})
    assert "np.exp" not in snippet(predictor, "python")
    assert "Math.exp" not in snippet(predictor, "node")
