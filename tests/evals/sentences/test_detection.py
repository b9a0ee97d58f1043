from __future__ import annotations

from evals.sentences.detection import INT8, detection_sentences
from tests.evals.blocks import block

ROWS = [
    {"file": "float, ONNX", "drop": 0.0, "agreement": 100.0, "ratio": 1.0},
    {"file": "calibrated, ONNX", "drop": (0.4, -1.0, 1.5), "agreement": 98.6, "ratio": 0.9},
    {"file": "calibrated, TFLite", "drop": (1.2, -1.0, 1.5), "agreement": 98.0, "ratio": 0.6, "runtimes": 99.6},
    {"file": "half the MACs: pruned, distilled, ONNX", "drop": (1.5, 0.0, 3.0), "ratio": 0.6},
    {"file": "half the MACs: stock, as narrow, distilled, ONNX", "drop": (1.0, 0.0, 3.0), "ratio": 0.6},
    {"file": "pruned, distilled, calibrated, ONNX", "drop": (1.75, 0.0, 3.0), "agreement": 97.0, "ratio": 0.5},
    {"file": "NNCF `quantize`, ONNX", "drop": (2.25, 0.0, 3.0), "agreement": 91.0, "ratio": 1.0},
]


def said() -> list[str]:
    return detection_sentences(block(ROWS, texts=("file",)).model_copy(update={"key": INT8}))


def test_each_goal_is_met_or_missed_by_its_number():
    onnx, tflite, *_ = said()
    assert onnx == (
        "calibrated, ONNX: drop 0.40 points (goal 1, met), 98.6 % of the boxes (goal 98.5, met), "
        "0.90 of the float file's time (goal 0.8, missed)."
    )
    assert tflite == (
        "calibrated, TFLite: drop 1.20 points (goal 1, missed), 98.0 % of the boxes (goal 98.5, missed), "
        "99.6 % as in ONNX Runtime (goal 99.5, met), 0.60 of the float file's time (goal 0.61, met)."
    )


def test_a_stock_network_that_is_better_is_said():
    pruned = next(line for line in said() if line.startswith("half the MACs"))
    assert "drop 1.50 points (goal 2.5, met)" in pruned
    assert "by the same teacher: 1.00 (goal: more, missed)" in pruned


def test_other_tools_are_named_with_what_they_lose():
    assert said()[-1] == "NNCF `quantize`, ONNX: drop 2.25 points, 91.0 % of the boxes."


def test_another_table_has_no_sentence():
    assert detection_sentences(block(ROWS, texts=("file",))) == []
