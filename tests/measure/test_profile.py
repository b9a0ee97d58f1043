"""What each operator takes: every one of them is there, in order, and a torch model has none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from compress.core.formats import Format
from compress.measure import profile as module
from compress.measure.op_cost import CALLS, WARMUP
from compress.measure.profile import profile
from compress.runtime.open import open_predictor


def test_onnx_runtime_tells_every_node_in_the_order_of_the_graph(tiny):
    costs = profile(open_predictor(tiny.onnx(spec=tiny.spec())))
    assert costs is not None
    assert [one.op for one in costs] == ["GlobalAveragePool", "Flatten", "Gemm"]
    assert all(one.ms > 0 and one.delegated is None for one in costs)


def test_a_graph_of_half_floats_and_a_fixed_batch_is_profiled(tiny):
    costs = profile(open_predictor(tiny.onnx(spec=tiny.spec(), batch=4)))
    assert costs is not None
    assert len(costs) == 3


def test_the_first_calls_do_not_count():
    events = [
        {"cat": "Node", "name": "a_kernel_time", "dur": 9000.0 if call < WARMUP else 20.0, "args": {"op_name": "Conv"}}
        for call in range(WARMUP + CALLS)
    ]
    events += [{"cat": "Session", "name": "model_run", "dur": 1.0}, {"cat": "Node", "name": "a_fence_before", "dur": 7}]
    (cost,) = module._costs_of(events)
    assert (cost.name, cost.op) == ("a", "Conv")
    assert cost.ms == pytest.approx(0.02)


def test_a_torch_model_has_none():
    assert profile(SimpleNamespace(format=Format.TORCH)) is None
