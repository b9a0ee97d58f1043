"""The table on the measuring itself: what is silent, what is off, and the runtimes' own tools."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.formats import Format
from compress.errors import StageError
from evals.benchmark import goals as module
from evals.benchmark.goals import (
    Beside,
    Repeated,
    call_block,
    own_tool_ms,
    repeat_block,
    silent_spread_pct,
    tools_block,
)
from evals.sentences.measuring import BUSY, QUIET
from tests.evals.blocks import MEASURED

SILENT = [Repeated(False, 1.0, ()), Repeated(False, 1.02, ())]


def test_the_spread_is_of_those_that_say_nothing():
    assert silent_spread_pct([*SILENT, Repeated(True, 1.5, ("busy: other programs",))]) == pytest.approx(2)
    assert silent_spread_pct([*SILENT, Repeated(True, 1.5, ())]) == pytest.approx(50)
    assert silent_spread_pct([*SILENT, Repeated(False, 0.5, ())]) == pytest.approx(104)
    assert silent_spread_pct([Repeated(False, 0.5, ("unstable",))]) is None


def test_the_range_of_the_medians_and_the_warnings_are_told_quiet_and_busy_apart():
    found = repeat_block([*SILENT, Repeated(True, 1.5, ("busy",))], "m.tflite", MEASURED)
    assert [row["condition"] for row in found.rows] == [QUIET, BUSY]
    assert found.rows[0] == {"condition": QUIET, "benchmarks": 2, "p50_ms": (1.0, 1.02), "said": 0}
    assert found.rows[1] == {"condition": BUSY, "benchmarks": 1, "p50_ms": (1.5, 1.5), "said": 1}
    assert found.number("silent_spread_pct") == pytest.approx(2)


def test_a_call_of_known_length_and_the_tools():
    assert call_block(0.05, MEASURED).rows[0]["p50_ms"] == pytest.approx(1.0005)
    tools = tools_block([Beside("m.tflite", (1.1, 1.2, 1.3), (1.0, 1.0, 1.0))], MEASURED)
    assert tools.n == {"rounds": 3}
    assert tools.rows[0] == {"file": "m.tflite", "ours_ms": 1.2, "theirs_ms": 1.0, "ratio": 1.2}


@pytest.mark.slow
def test_the_runtimes_own_tool_is_asked_and_its_failure_told(tmp_path):
    node = helper.make_node("Gemm", ["images", "weight"], ["logits"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.ones((4, 2), np.float32), "weight")],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    assert 0 < own_tool_ms(path, Format.ONNX) < 1000
    with pytest.raises(StageError, match="own benchmark failed"):
        own_tool_ms(tmp_path / "gone.onnx", Format.ONNX)


def test_the_busy_programs_are_gone_afterwards():
    with module._noise(1):
        pass
    with pytest.raises(ZeroDivisionError), module._noise(1):
        1 / 0  # noqa: B018
