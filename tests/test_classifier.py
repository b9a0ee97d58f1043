from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import compress
from compress.cli.main import app
from compress.core.preprocess import Preprocess
from compress.data.decode import decode
from tests.benchmark.conftest import make_artifact
from tests.tiny_files import Tiny

make_artifact = make_artifact  # the fixture of the benchmark's own tests
PREPROCESS = Preprocess(resize_px=16, crop_px=16)


@pytest.fixture
def model(make_artifact: Callable[..., compress.StageResult]) -> compress.Model:
    return compress.load(make_artifact("model").path)


def images_of(photos: Path) -> list[Path]:
    return sorted((photos / "test").glob("*/*.jpg"))


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_predict_answers_what_the_command_answers(tiny: Tiny, photos: Path, kind: str) -> None:
    layout = {"layout": "NHWC"} if kind == "tflite" else {}
    path = getattr(tiny, kind)(spec=tiny.spec(preprocess=PREPROCESS, **layout))
    images = images_of(photos)[:4]
    done = CliRunner().invoke(app, ["predict", *map(str, images), "--model", str(path), "--json", "--top-k", "3"])
    expected = [one["predictions"] for one in json.loads(done.stdout)["images"]]
    model = compress.load(path)
    found = [model.predict(image, top_k=3) for image in images]
    assert [[dataclasses.asdict(one) for one in answer.predictions] for answer in found] == expected
    assert [answer.label for answer in found] == [rows[0]["label"] for rows in expected]


def test_a_model_says_what_it_is(model: compress.Model) -> None:
    assert model.labels == ("blue", "green", "red")
    assert model.input_chw == (3, 32, 32)
    assert model.runtime.startswith("onnxruntime ")
    assert model.path.name == "model.onnx"
    assert "3 classes" in repr(model)


def test_an_image_is_a_path_bytes_or_pixels(model: compress.Model, photos: Path) -> None:
    path = images_of(photos)[-1]
    answer = model.predict(path)
    assert answer.label == "red"
    assert 1 / 3 < answer.score <= 1
    assert model.predict(str(path)) == model.predict(path.read_bytes()) == answer
    assert model.predict(np.asarray(decode(path))) == answer


def test_a_batch_answers_in_order_beyond_one_call(model: compress.Model, photos: Path) -> None:
    images = images_of(photos) * 6  # 72: two full calls and a rest
    found = model.predict_batch(iter(images), top_k=1)
    assert [answer.label for answer in found] == [image.parent.name for image in images]
    assert all(len(answer.predictions) == 1 for answer in found)
    one = model.predict(images[0], top_k=1)
    assert found[0].score == pytest.approx(one.score, rel=1e-5)
    assert model.predict_batch([]) == []


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32 [4, 4, 3]"),
        (np.zeros((4, 4), np.uint8), "uint8 [4, 4]"),
        (np.zeros((0, 4, 3), np.uint8), "uint8 [0, 4, 3]"),
        (Image.new("RGB", (4, 4)), "Image"),
    ],
)
def test_what_is_no_image_is_refused(model: compress.Model, image: object, found: str) -> None:
    with pytest.raises(compress.UsageError) as error:
        model.predict(image)
    assert error.value.message.endswith(f"found {found}")


def test_faults_of_a_user_are_told(model: compress.Model, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(compress.DataError, match=r"bad\.jpg"):
        model.predict(tmp_path / "bad.jpg")
    with pytest.raises(compress.UsageError, match="top_k must be at least 1"):
        model.predict_batch([], top_k=0)
    with pytest.raises(compress.ModelFileError, match="no such model file"):
        compress.load(tmp_path / "gone.onnx")


def test_a_file_of_another_tool_is_told_how_images_are_prepared(tiny: Tiny, photos: Path) -> None:
    path = tiny.onnx()
    with pytest.raises(compress.ModelFileError, match="made by another tool"):
        compress.load(path)
    found = compress.load(path, preprocess={"resize_px": 16, "crop_px": 16})
    assert found.predict(images_of(photos)[0]).label in found.labels == ("0", "1", "2", "3")
    with pytest.raises(compress.UsageError, match=r"preprocess: resize_px: Field required") as error:
        compress.load(path, preprocess={"crop_px": 16})
    assert "crop_px" in error.value.hint
