"""Spelled-out operators are recognised, and what only looks like one is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from compress.graph.cleanup import drop_dead_nodes
from compress.graph.spelled import recognise_spelled
from tests.graph.test_one_way_in import Dialect


def ops(b: Dialect, x: str) -> list[str]:
    graph = b.model(x, 1).graph
    recognise_spelled(graph)
    drop_dead_nodes(graph)
    return [node.op_type for node in graph.node]


@pytest.mark.parametrize("kind", ["hard-swish by div", "hard-swish by mul", "hard-swish of hard-sigmoid"])
def test_hard_swish_is_recognised(kind: str):
    b = Dialect(13, 0)
    assert ops(b, b.act("data", kind)) == ["HardSwish"]


def test_hard_sigmoid_is_recognised():
    b = Dialect(13, 0)
    clipped = b.clip(b.node("Add", ["data", b.number(3)]), 0.0, 6.0)
    assert ops(b, b.node("Div", [clipped, b.number(6)])) == ["HardSigmoid"]
    b = Dialect(13, 0)
    scaled = b.node("Mul", ["data", b.number(1 / 6)])
    assert ops(b, b.clip(b.node("Add", [scaled, b.number(0.5)]), 0.0, 1.0)) == ["HardSigmoid"]


@pytest.mark.parametrize(("shift", "top", "by"), [(2.9, 6.0, 6.0), (3.0, 5.0, 6.0), (3.0, 6.0, 5.0)])
def test_other_numbers_are_another_function(shift: float, top: float, by: float):
    b = Dialect(13, 0)
    clipped = b.clip(b.node("Add", ["data", b.number(shift)]), 0.0, top)
    assert ops(b, b.node("Div", [b.node("Mul", ["data", clipped]), b.number(by)])) == ["Add", "Clip", "Mul", "Div"]


def test_a_constant_that_broadcasts_is_no_number():
    b = Dialect(13, 0)
    threes = b.const(np.full((1, 3, 1, 1), 3, np.float32))
    clipped = b.clip(b.node("Add", ["data", threes]), 0.0, 6.0)
    assert ops(b, b.node("Div", [clipped, b.number(6)])) == ["Add", "Clip", "Div"]
