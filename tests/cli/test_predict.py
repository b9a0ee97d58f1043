"""`imgc predict` on several images, of which some are bad."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from tests.serve.conftest import colours_onnx


@pytest.fixture
def files(folder):
    (folder / "m.onnx").write_bytes(colours_onnx())
    for name, colour in (("red", (250, 0, 0)), ("blue", (0, 0, 250))):
        Image.new("RGB", (40, 40), colour).save(folder / f"{name}.png")
    (folder / "bad.png").write_bytes(b"no image")
    return folder


def test_a_bad_image_does_not_cost_the_answers_to_the_others(imgc, files):
    result = imgc("predict", "red.png", "bad.png", "blue.png", "absent.png", "--model", "m.onnx", "--top-k", "1")
    assert result.exit_code == 2
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["red.png:", "red"], ["blue.png:", "blue"]]
    assert "2 of 4 images were not answered" in result.stderr
    assert "bad.png: not an image" in result.stderr
    assert "absent.png: cannot be read" in result.stderr


def test_in_json_each_image_has_answers_or_an_error(imgc, files):
    result = imgc("predict", "red.png", "bad.png", "--model", "m.onnx", "--json")
    assert result.exit_code == 2
    red, bad = json.loads(result.stdout)["images"]
    assert red["predictions"][0]["label"] == "red"
    assert bad["image"] == "bad.png"
    assert "not an image" in bad["error"]


def test_one_bad_image_is_the_error_itself(imgc, files):
    result = imgc("predict", "bad.png", "--model", "m.onnx")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "error: bad.png: not an image" in result.stderr


def test_a_preprocessing_for_a_file_that_has_its_own_is_said_to_be_unused(imgc, files):
    result = imgc("predict", "red.png", "--model", "m.onnx", "--preprocess", "tf:32")
    assert result.exit_code == 0
    assert "--preprocess is not used" in result.stderr
