from __future__ import annotations

import pytest

from tests.serve.conftest import colours_onnx
from tests.snippets.patches import CODING, PREPROCESS, write_detector


def test_it_is_printed_or_written(imgc, folder):
    (folder / "m.onnx").write_bytes(colours_onnx())
    printed = imgc("snippet", "m.onnx")
    assert printed.exit_code == 0, printed.output
    assert 'InferenceSession("m.onnx"' in printed.stdout
    written = imgc("snippet", "m.onnx", "--for", "node", "--out", "classify.mjs")
    assert written.exit_code == 0, written.output
    assert "onnxruntime-node" in (folder / "classify.mjs").read_text()


def test_an_unknown_language_names_those_there_are(imgc, folder):
    (folder / "m.onnx").write_bytes(colours_onnx())
    result = imgc("snippet", "m.onnx", "--for", "cobol")
    assert result.exit_code == 2
    assert "raspberry-pi" in result.stderr


@pytest.mark.parametrize(("name", "language"), [("d.onnx", "node"), ("d.tflite", "raspberry-pi")])
def test_a_detector_has_a_program_that_finds_boxes(imgc, folder, name, language):
    write_detector(folder / name, CODING, PREPROCESS)
    printed = imgc("snippet", name, "--for", language)
    assert printed.exit_code == 0, printed.output
    assert "Find boxes in an image" in printed.stdout
    assert "bolt" in printed.stdout


def test_a_detector_is_refused_where_its_format_does_not_run(imgc, folder):
    write_detector(folder / "d.onnx", CODING, PREPROCESS)
    result = imgc("snippet", "d.onnx", "--for", "android")
    assert result.exit_code == 2
    assert "this one is for python, c++, node, browser" in result.stderr
