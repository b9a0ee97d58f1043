"""The table on the measuring itself: what is silent, what is off, and the runtimes' own tools."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.formats import Format
from compress.errors import StageError
from evals.benchmark import goals as module
from evals.benchmark.goals import Beside, Repeated, as_markdown, own_tool_ms, silent_spread_pct

QUIET = [Repeated(False, 1.0, ()), Repeated(False, 1.02, ())]


def test_the_spread_is_of_those_that_say_nothing():
    assert silent_spread_pct([*QUIET, Repeated(True, 1.5, ("busy: other programs",))]) == pytest.approx(2)
    assert silent_spread_pct([*QUIET, Repeated(True, 1.5, ())]) == pytest.approx(50)
    assert silent_spread_pct([*QUIET, Repeated(False, 0.5, ())]) == pytest.approx(104)
    assert silent_spread_pct([Repeated(False, 0.5, ("unstable",))]) is None


def test_the_table_says_all_three():
    tools = [Beside("m.tflite", (1.1, 1.2, 1.3), (1.0, 1.0, 1.0))]
    block = as_markdown([*QUIET, Repeated(True, 1.5, ("busy",))], 0.05, tools, "m.tflite")
    assert block.startswith(module.BEGIN)
    assert "quiet: p50 1.000 to 1.020 ms, 0 of 2 said unstable or busy" in block
    assert "interfered: p50 1.500 to 1.500 ms, 1 of 1 said unstable or busy" in block
    assert "spread of those that said nothing: 2.0 %" in block
    assert "0.05 % longer" in block
    assert "ratio 1.200" in block


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
