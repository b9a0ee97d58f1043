from __future__ import annotations

import pytest

from compress.benchmark.schema import Row
from compress.report.ship import file_to_ship, float_twin


def row(stage: str, fmt: str, precision: str, **changes) -> Row:
    facts = {
        "path": f"{stage}/model.{fmt}",
        "sha256": "0" * 64,
        "size_bytes": 2**20,
        "threads": 1,
        "batch": 1,
        "params": 10,
        "macs": 10,
    }
    return Row(stage=stage, format=fmt, precision=precision, **{**facts, **changes})


TORCH = row("train", "torch", "fp32", latency_p50_ms=13.8)
FLOAT = row("float-tflite", "tflite", "fp32", latency_p50_ms=1.5)
OTHER = row("float-onnx", "onnx", "fp32", latency_p50_ms=2.5)
INT8 = row("export", "tflite", "int8", latency_p50_ms=0.66, top1_pct=91.5, top1_ci95_pct=(90.0, 93.0), n_images=700)


def test_int8_tflite_comes_first_and_the_newest_of_equals():
    onnx = row("export-onnx", "onnx", "int8")
    assert file_to_ship([TORCH], "r") is None
    assert file_to_ship([TORCH, onnx, FLOAT], "r").stage == "float-tflite"
    found = file_to_ship([INT8, row("again", "tflite", "int8"), OTHER, onnx], "r")
    assert (found.stage, found.path) == ("again", "runs/r/again/model.tflite")
    asked = "imgc snippet runs/r/again/model.tflite --for raspberry-pi --out runs/r/again/classify.py"
    assert asked in found.commands


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([TORCH, FLOAT, OTHER, INT8], "in float (float-tflite), in the same runtime, 1.50 ms."),
        ([TORCH, OTHER, INT8], "no float file of the same runtime was measured beside it."),
        ([TORCH, FLOAT.model_copy(update={"threads": 2}), INT8], "no float file of the same runtime"),
    ],
)
def test_speed_is_compared_within_one_runtime_alone(rows, said):
    facts = file_to_ship(rows, "r").facts
    assert facts[0] == "export: int8 tflite, 1.00 MiB."
    assert facts[1].startswith("Top-1 91.50 % on 700 images (95 % interval 90.0 to 93.0)")
    assert said in facts[2]
    assert "13.8" not in " ".join(facts)


def test_a_float_file_is_no_twin_of_itself():
    assert float_twin(FLOAT, [TORCH, FLOAT]) is None
    assert float_twin(FLOAT, [FLOAT, row("half", "tflite", "fp16", latency_p50_ms=1.0)]).stage == "half"


def test_a_detectors_file_has_its_map_and_a_program_that_detects():
    facts = {"map_pct": 60.0, "map_ci95_pct": (55.0, 65.0), "map_drop_pp": 0.5, "n_images": 67, "task": "detect"}
    found = file_to_ship([FLOAT.model_copy(update=facts)], "r")
    path = "runs/r/float-tflite/model.tflite"
    program = f"imgc snippet {path} --for raspberry-pi --out runs/r/float-tflite/detect.py"
    assert found.commands == (f"imgc predict IMAGE --model {path}", f"imgc serve {path}", program)
    assert "mAP 60.00 % on 67 images (95 % interval 55.0 to 65.0), 0.50 points below the baseline." in found.facts
