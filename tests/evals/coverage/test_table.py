from __future__ import annotations

from datetime import date

from evals.coverage.architectures import NAMES
from evals.coverage.table import table
from evals.results.schema import Measured
from evals.sentences.coverage import coverage_sentences

MEASURED = Measured(date=date(2026, 1, 1), commit="abc", host={})
THROUGH = {"name": "timm:a", "exporter": "script", "params": 10, "float": True, "onnx_int8": True, "tflite_int8": True}
ROWS = [
    {**THROUGH, "stopped": ""},
    {
        **THROUGH,
        "exporter": "dynamo",
        "tflite_int8": False,
        "stopped": "int8: model.onnx: node 'x' (Y): no; allowed: Z",
    },
    {**THROUGH, "name": "timm:b", "float": False, "onnx_int8": False, "tflite_int8": False, "stopped": "TRACEBACK x|y"},
    {
        **THROUGH,
        "name": "timm:c",
        "exported": False,
        "float": False,
        "onnx_int8": False,
        "stopped": "exporter: z",
    },
    {**THROUGH, "name": "timm:d", "float": False, "stopped": "too large"},
]


def test_rows_say_what_came_through_and_what_stopped_the_rest():
    block = table(ROWS, MEASURED)
    assert [(row["float"], row["int8"], row["stopped"]) for row in block.rows] == [
        ("yes", "both", ""),
        ("yes", "ONNX alone", "int8: node 'x' (Y): no"),
        ("no", "no", "TRACEBACK x/y"),
        ("not exported", "not exported", "exporter: z"),
    ]
    assert block.n == {"files": 4, "architectures": 3}


def test_the_verdict_counts_what_was_exported_and_what_ended_badly():
    (sentence,) = coverage_sentences(table(ROWS, MEASURED))
    assert "float TFLite: 2 of 3 files, 66.7 % (goal 95 %, missed)" in sentence
    assert "int8 in both runtimes: 1 of 3 files, 33.3 % (goal 85 %, missed)" in sentence
    assert "1 ended in a traceback" in sentence


def test_the_list_has_eighty_architectures_and_none_twice():
    assert len(set(NAMES)) == len(NAMES) >= 80
