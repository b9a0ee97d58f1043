"""Operators as cells: summed by type, and the slowest."""

from __future__ import annotations

from compress.benchmark.schema import OpTime, Row
from compress.core.formats import Format
from compress.report.ops_table import node_cells, sum_text, type_cells

OPS = (
    OpTime(name="a", op="CONV_2D", ms=1.0, share_pct=25.0, delegated=True),
    OpTime(name="b", op="CUSTOM", ms=2.5, share_pct=62.5, delegated=False),
    OpTime(name="c", op="CONV_2D", ms=0.5, share_pct=12.5, delegated=True),
)


def test_types_are_summed_the_dearest_first():
    assert type_cells(OPS) == [("CUSTOM", "1", "2.500", "62.5", "1"), ("CONV_2D", "2", "1.500", "37.5", "0")]


def test_the_slowest_nodes_say_whether_they_are_delegated():
    assert node_cells(OPS, 2) == [("b", "CUSTOM", "2.500", "62.5", "NO"), ("a", "CONV_2D", "1.000", "25.0", "yes")]


def test_the_sum_is_said_beside_the_call():
    values = {"stage": "a", "precision": None, "path": "a", "sha256": "0", "size_bytes": 1, "params": None}
    row = Row.model_validate({**values, "macs": None, "format": "tflite", "latency_p50_ms": 3.5, "ops": OPS})
    assert sum_text(row).startswith("the operators add up to 4.000 ms, a call takes 3.500 ms; differences of cut")
    onnx = row.model_copy(update={"format": Format.ONNX, "latency_p50_ms": None})
    assert sum_text(onnx) == "the operators add up to 4.000 ms"


def test_a_runtime_that_does_not_delegate_says_nothing_of_it():
    plain = [one.model_copy(update={"delegated": None}) for one in OPS]
    assert type_cells(plain)[0][-1] == node_cells(plain, 1)[0][-1] == "-"
