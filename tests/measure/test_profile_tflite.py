"""Operators of a TFLite file by pieces of the graph, and which of them a delegate took."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from compress.measure import profile_tflite as module
from compress.measure.profile_tflite import profile_tflite


@pytest.mark.parametrize("int8", [False, True])
def test_every_operator_is_told_with_the_tensor_it_makes(tiny, int8):
    costs = profile_tflite(tiny.tflite(int8=int8), threads=1)
    assert [(one.name, one.op) for one in costs] == [("pooled", "MEAN"), ("logits", "FULLY_CONNECTED")]
    assert all(one.ms >= 0 for one in costs)
    assert all(one.delegated for one in costs), "XNNPACK takes both"


def test_each_operator_says_whether_the_delegate_took_it(tiny, monkeypatch):
    monkeypatch.setattr(module, "_delegated", lambda operators: {1})
    assert [one.delegated for one in profile_tflite(tiny.tflite(), threads=1)] == [False, True]


def test_an_operator_takes_what_the_longer_piece_takes_more(tiny, monkeypatch):
    """The pieces' calls take 5, then 5 and 12 ms: the second operator took 7."""
    lengths = {1: 5_000_000, 2: 12_000_000}
    counts = {}

    def call_ns(interpreter):
        ops = [op for op in interpreter._get_ops_details() if op["op_name"] != "DELEGATE"]
        counts[len(ops)] = counts.get(len(ops), 0) + 1
        return lengths[len(ops)]

    monkeypatch.setattr(module, "_call_ns", call_ns)
    assert [one.ms for one in profile_tflite(tiny.tflite(), threads=1)] == [5.0, 7.0]
    assert counts == {1: 2 * module.CALLS, 2: module.CALLS}, "a piece takes turns with the one before it"


def test_what_comes_out_below_zero_is_noise(tiny, monkeypatch):
    monkeypatch.setattr(module, "_call_ns", lambda interpreter: 9 - len(interpreter._get_ops_details()))
    assert profile_tflite(tiny.tflite(), threads=1)[1].ms == 0


def test_a_piece_gives_out_what_the_rest_needs(tiny):
    """A tensor that only a later operator reads stays an output, or the runtime would skip what makes it."""
    model = flatbuffer_utils.read_model(str(tiny.tflite()))
    piece = flatbuffer_utils.convert_object_to_bytearray(module._cut(model, 0))
    interpreter = Interpreter(model_content=bytes(piece))
    assert [detail["name"] for detail in interpreter.get_output_details()] == ["pooled"]
    assert len(model.subgraphs[0].operators) == 2, "the model itself is not changed"


def test_what_no_delegate_took_is_known():
    def op(name, inputs, outputs):
        return {"op_name": name, "inputs": np.array(inputs), "outputs": np.array(outputs)}

    operators = [op("CONV_2D", [0, 9], [1]), op("CUSTOM", [1], [2]), op("ADD", [2, -1], [3]), op("MUL", [3], [4])]
    delegates = [op("DELEGATE", [0, 9], [1]), op("DELEGATE", [2], [4])]
    assert module._delegated([*operators, *delegates]) == {0, 2, 3}
    assert module._delegated(operators) == set()
