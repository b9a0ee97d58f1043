from __future__ import annotations

from evals.sentences.int8 import int8_sentences, pairs
from tests.evals.blocks import block

ROWS = [
    {"model": "fp32", "runtime": "torch", "top1_pct": 90.0},
    {"model": "imgc ptq", "runtime": "onnxruntime 1", "top1_pct": 87.0, "of_float": (0.5, 0.4, 0.6)},
    {"model": "imgc ptq-tflite", "runtime": "litert 2", "top1_pct": 87.0, "of_float": (0.5, 0.4, 0.6)},
    {"model": "imgc qat", "runtime": "onnxruntime 1", "top1_pct": 89.0, "of_float": (0.5, 0.4, 0.6)},
    {"model": "torchao", "runtime": "onnxruntime 1", "top1_pct": 88.0, "of_float": (0.9, 0.8, 1.0)},
    {"model": "converter", "runtime": "litert 2", "top1_pct": 86.0, "of_float": (0.4, 0.3, 0.6)},
]


def test_only_files_of_one_runtime_made_without_training_are_compared():
    assert [(own["model"], other["model"]) for own, other in pairs(ROWS)] == [
        ("imgc ptq", "torchao"),
        ("imgc ptq-tflite", "converter"),
    ]


def test_tools_that_are_ahead_are_named():
    (text,) = int8_sentences(block(ROWS, texts=("model", "runtime")))
    assert 'In "top1_pct": imgc ptq 87.00 against torchao 88.00.' in text
    assert 'In "of_float": imgc ptq-tflite 0.50 (0.40-0.60) against converter 0.40 (0.30-0.60).' in text


def test_a_table_of_speeds_alone_has_no_sentence():
    assert int8_sentences(block([{"network": "a", "ms": 1.0}], texts=("network",))) == []
