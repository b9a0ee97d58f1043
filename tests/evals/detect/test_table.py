from __future__ import annotations

from evals.detect.table import Judged, detection_block
from evals.sentences.detection_rows import FLOAT, onnx_of, tflite_of
from tests.evals.blocks import MEASURED


def judged(name: str, map_pct: float, p50_ms: float, **others: object) -> Judged:
    facts = {
        "seeds": 2,
        "map50_pct": 90.0,
        "drop_ci_pp": (-0.5, 1.5),
        "agreement_pct": 99.0,
        "runtimes_agree_pct": None,
    }
    return Judged(name=name, map_pct=map_pct, p50_ms=p50_ms, **{**facts, "size_bytes": 1, "partitions": None, **others})


def test_drops_are_from_the_float_onnx_file_and_times_from_the_float_file_of_the_runtime():
    rows = [
        judged(onnx_of(FLOAT), 70.0, 4.0),
        judged(tflite_of(FLOAT), 70.0, 2.0, partitions=1),
        judged(onnx_of("calibrated"), 69.5, 3.0),
        judged(tflite_of("calibrated"), 69.0, 1.0, partitions=1, runtimes_agree_pct=99.0),
    ]
    block = detection_block(rows, 112, 2, MEASURED)
    assert block.n == {"images": 112, "seeds": 2}
    onnx, tflite = block.rows[2:]
    assert (onnx["drop"], onnx["ratio"]) == ((0.5, -0.5, 1.5), 0.75)
    assert (tflite["drop"], tflite["ratio"], tflite["partitions"]) == ((1.0, -0.5, 1.5), 0.5, 1)
    assert "partitions" not in onnx
    assert "runtimes" not in onnx
