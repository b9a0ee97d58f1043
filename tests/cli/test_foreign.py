"""Files of other tools at every verb: how images are prepared, by a preset, a file or JSON, and their class names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from PIL import Image
from typer.testing import Result

from tests.runtime.test_outputs import colours

Imgc = Callable[..., Result]
RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture
def foreign(folder: Path) -> Path:
    """Write a classifier of colours that says nothing of itself, its class names, images, and a preprocessing."""
    model = colours("Softmax")
    del model.metadata_props[:]
    onnx.save(model, folder / "m.onnx")
    (folder / "names.txt").write_text("\n".join(RGB) + "\n")
    (folder / "prepare.json").write_text('{"resize_px": 32, "crop_px": 32}')
    for name, colour in RGB.items():
        (folder / "images" / name).mkdir(parents=True)
        for n in range(2):
            Image.new("RGB", (40, 40), colour).save(folder / "images" / name / f"{n}.png")
    return folder


@pytest.mark.parametrize("text", ["imagenet", "imagenet:32", "prepare.json", '{"resize_px": 32, "crop_px": 32}'])
def test_predict_takes_every_form_of_preprocessing(imgc: Imgc, foreign: Path, text: str):
    result = imgc(
        "predict", "--model", "m.onnx", "--preprocess", text, "--labels", "names.txt", "images/red/0.png", "--json"
    )
    assert result.exit_code == 0, result.stderr
    (best, *_) = json.loads(result.stdout)["images"][0]["predictions"]
    assert (best["label"], best["score"] > 0.99) == ("red", True)


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_a_model_of_blue_first_is_shown_blue_first(imgc: Imgc, foreign: Path, suffix: str):
    """Its first answer is for the channel that caffe puts first."""
    if suffix == ".tflite":
        options = ("--preprocess", "caffe", "--labels", "names.txt", "--out", "m.tflite")
        assert imgc("export", "m.onnx", "--format", "tflite", *options).exit_code == 0
    options = ("--preprocess", "caffe", "--labels", "names.txt") if suffix == ".onnx" else ()
    result = imgc("predict", "--model", f"m{suffix}", *options, "images/red/0.png", "images/blue/0.png", "--json")
    assert result.exit_code == 0, result.stderr
    assert [image["predictions"][0]["index"] for image in json.loads(result.stdout)["images"]] == [2, 0]


def test_evaluate_takes_names_and_a_preset(imgc: Imgc, foreign: Path):
    result = imgc(
        "evaluate", "m.onnx", "--data", "images", "--preprocess", "imagenet", "--labels", "names.txt", "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["top1_pct"] == 100.0


def test_export_takes_a_preset_of_the_files_own_size(imgc: Imgc, foreign: Path):
    options = ("--format", "tflite", "--preprocess", "tf", "--labels", "names.txt", "--out", "m.tflite")
    result = imgc("export", "m.onnx", *options)
    assert result.exit_code == 0, result.stderr
    assert "run it elsewhere: imgc snippet runs/m/01-export/model.tflite --for raspberry-pi --out" in result.stdout
    told = imgc("predict", "--model", "m.tflite", "images/blue/0.png", "--json")
    best = json.loads(told.stdout)["images"][0]["predictions"][0]
    assert (best["index"], best["label"]) == (2, "blue")


@pytest.mark.slow
def test_benchmark_takes_names(imgc: Imgc, foreign: Path):
    options = ("--data", "images", "--preprocess", "imagenet:32", "--labels", "names.txt", "--quick", "--json")
    result = imgc("benchmark", "files", "m.onnx", *options)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["rows"][0]["top1_pct"] == 100.0


def test_serve_shows_the_settings_for_such_a_file(imgc: Imgc, foreign: Path):
    result = imgc("serve", "m.onnx", "--preprocess", "unit", "--labels", "names.txt", "--print-config", "--json")
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown["labels"] == {"value": "names.txt", "from": "--labels"}
    assert "'crop_px': 32" in shown["preprocess"]["value"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--preprocess", "darknet"), "no preset is called so; there are imagenet, tf, unit, caffe, raw"),
        (("--preprocess", "gone.json"), "gone.json: cannot be read"),
        (("--preprocess", "imagenet", "--labels", "prepare.json"), "answers for 3 classes, the labels name 1"),
        (("--preprocess", "imagenet", "--labels", "gone.txt"), "gone.txt: cannot be read"),
    ],
)
def test_what_cannot_be_is_told(imgc: Imgc, foreign: Path, options: tuple[str, ...], words: str):
    result = imgc("predict", "--model", "m.onnx", *options, "images/red/0.png")
    assert result.exit_code == 2
    assert words in result.stderr


def test_without_any_the_hint_names_the_option(imgc: Imgc, foreign: Path):
    result = imgc("predict", "--model", "m.onnx", "images/red/0.png")
    assert "--preprocess imagenet" in result.stderr
