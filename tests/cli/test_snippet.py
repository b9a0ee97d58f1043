from __future__ import annotations

from tests.serve.conftest import colours_onnx


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
