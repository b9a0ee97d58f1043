"""`imgc export --format tflite any_qdq_model.onnx --out m.tflite`, as a user types it in a folder of his own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from compress.lower.walk import lower

ROOT = Path(__file__).parents[2]


def _imgc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "IMGC_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "compress", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


class _Reader(CalibrationDataReader):
    def __init__(self, images):
        self._left = iter(images)

    def get_next(self):
        return next(({"images": image[None]} for image in self._left), None)


def _float_model(b) -> onnx.ModelProto:
    """Return a classifier one of whose channels is dead: all its weights are zero."""
    weight = b.rng.normal(0, 0.2, (8, 3, 3, 3)).astype(np.float32)
    weight[5] = 0
    made = b.node("Conv", ["images", b.const(weight), b.const(np.zeros(8, np.float32))], strides=[2, 2])
    made = b.node("HardSwish", [made])
    made = b.node("Relu", [b.conv(made, 8, in_channels=8, groups=8, pads=[1, 1, 1, 1])])
    flat = b.node("Flatten", [b.node("GlobalAveragePool", [made])])
    return b.model(b.node("Gemm", [flat, b.weight((5, 8), size=2.0)[0], b.bias(5, None)], transB=1))


@pytest.fixture
def foreign(build, images, tmp_path) -> Path:
    """Return a QDQ model made by ONNX Runtime's quantizer, which knows nothing of imgc."""
    source, target = tmp_path / "float.onnx", tmp_path / "their int8.onnx"
    onnx.save(_float_model(build((1, 3, 32, 32))), source)
    quantize_static(source, target, _Reader(images((3, 32, 32))), quant_format=QuantFormat.QDQ, per_channel=True)
    return target


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # onnxruntime's quantizer recommends pre-processing through the root logger
def test_qdq_model_of_another_tool(foreign, images, runs, tmp_path):
    run_onnx, run_tflite = runs
    done = _imgc(tmp_path, "export", "--format", "tflite", str(foreign), "--out", "m.tflite")
    assert done.returncode == 0, done.stderr
    pixels = images((3, 32, 32))
    wanted, (found, scale) = (
        run_onnx(onnx.load(foreign), pixels),
        run_tflite((tmp_path / "m.tflite").read_bytes(), pixels),
    )
    assert scale > 0
    assert np.abs(found - wanted).max() <= 2.001 * scale
    assert (tmp_path / "m.tflite").read_bytes() == lower(onnx.load(foreign)).data
    assert "1 XNNPACK partition" in done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_bad_model_leaves_nothing(foreign, tmp_path):
    model = onnx.load(foreign)
    for node in model.graph.node:
        if node.op_type == "HardSwish":
            node.op_type = "Mish"
    foreign.write_bytes(model.SerializeToString())
    done = _imgc(tmp_path, "export", "--format", "tflite", str(foreign), "--out", "m.tflite")
    assert done.returncode == 4
    assert "their int8.onnx" in done.stderr
    assert "(Mish)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.tflite"))
