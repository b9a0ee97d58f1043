"""Operators of each model in its row, as shares; what cannot be profiled is told."""

from __future__ import annotations

import pytest

from compress.benchmark import profiles as module
from compress.benchmark.files import open_models
from compress.benchmark.measure import Setting, measure
from compress.core.stage import SilentReporter
from compress.measure.latency import Timing
from compress.measure.op_cost import OpCost

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_fresh_process")]


@pytest.fixture
def measured(make_artifact, tmp_path):
    opened = open_models([str(make_artifact("one").path)], tmp_path, threads=1, preprocess=None)
    timing = Timing(warmup=1, repeats=5, budget_s=0.1)
    return opened.candidates, measure(
        opened.candidates, "model.onnx", None, None, Setting(1, timing), SilentReporter()
    ).bench


def test_shares_add_up(measured):
    candidates, bench = measured
    found = module.with_profiles(bench, candidates, SilentReporter())
    (row,) = found.rows
    assert [one.op for one in row.ops] == ["GlobalAveragePool", "Flatten", "Gemm"]
    assert sum(one.share_pct for one in row.ops) == pytest.approx(100)
    assert row.latency_p50_ms == bench.rows[0].latency_p50_ms


def test_no_time_at_all_is_no_division_by_zero(measured, monkeypatch):
    candidates, bench = measured
    monkeypatch.setattr(module, "profile", lambda _: (OpCost("a", "Conv", 0.0, True),))
    assert module.with_profiles(bench, candidates, SilentReporter()).rows[0].ops[0].share_pct == 0


@pytest.mark.parametrize(
    ("answer", "said"), [(lambda _: None, "a torch model is not profiled"), (lambda _: 1 / 0, "could not be timed")]
)
def test_what_cannot_be_profiled_is_told(measured, monkeypatch, answer, said):
    candidates, bench = measured
    monkeypatch.setattr(module, "profile", answer)
    found = module.with_profiles(bench, candidates, SilentReporter())
    assert found.rows[0].ops == ()
    assert said in found.warnings[-1]
