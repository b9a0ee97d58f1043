"""Sweeps over threads, batches and callers: each setting of each model that can be called so."""

from __future__ import annotations

import onnx
import pytest

from compress.benchmark import sweep as module
from compress.benchmark.files import open_models
from compress.benchmark.measure import Setting, measure
from compress.benchmark.sweep import Sweep, with_sweeps
from compress.core.formats import Format
from compress.core.stage import SilentReporter
from compress.measure.latency import Timing

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_fresh_process")]

TIMING = Timing(warmup=1, repeats=5, budget_s=0.1)


@pytest.fixture
def measured(make_artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CALLERS_S", 0.02)
    first, second = make_artifact("one").path, make_artifact("two").path
    graph = onnx.load(str(second))
    for value in (graph.graph.input[0], graph.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, str(second))
    candidates = open_models([str(first), str(second)], tmp_path, threads=1, preprocess=None).candidates
    bench = measure(candidates, candidates[0].name, None, None, Setting(1, TIMING), SilentReporter()).bench
    return candidates, bench


def test_every_pair_of_threads_and_batch_is_measured(measured):
    candidates, bench = measured
    found = with_sweeps(bench, candidates, Sweep(threads=(1, 2), batches=(1, 4)), TIMING, SilentReporter())
    for row in found.rows:
        assert [(one.threads, one.batch) for one in row.sweep] == [(1, 1), (1, 4), (2, 1), (2, 4)]
        assert all(one.latency_p50_ms > 0 and one.throughput_ips > 0 for one in row.sweep)
        assert row.concurrent == ()
    assert found.rows[0].latency_p50_ms == bench.rows[0].latency_p50_ms


def test_callers_at_once_make_more_calls_than_the_time_of_one_allows(measured):
    candidates, bench = measured
    found = with_sweeps(bench, candidates, Sweep(callers=(1, 3)), TIMING, SilentReporter())
    for row in found.rows:
        assert [one.callers for one in row.concurrent] == [1, 3]
        assert all(one.latency_p99_ms >= one.latency_p50_ms > 0 < one.throughput_ips for one in row.concurrent)
        assert row.sweep == ()


def test_throughput_counts_every_caller(measured, monkeypatch):
    candidates, bench = measured
    monkeypatch.setattr(module, "_call_at_once", lambda calls: ([2_000_000] * 10 * len(calls), 20_000_000))
    found = with_sweeps(bench, candidates, Sweep(callers=(1, 4)), TIMING, SilentReporter())
    assert [one.throughput_ips for one in found.rows[0].concurrent] == [500, 2000]
    assert [one.latency_p50_ms for one in found.rows[0].concurrent] == [2, 2]


def test_a_setting_that_a_model_fails_is_left_out_and_told(measured, monkeypatch):
    candidates, bench = measured

    def broken(one, threads):
        if one is candidates[0] and threads == 2:
            return _Broken()
        return reopened(one, threads)

    reopened = module._reopened
    monkeypatch.setattr(module, "_reopened", broken)
    found = with_sweeps(bench, candidates, Sweep(threads=(1, 2), batches=(1,)), TIMING, SilentReporter())
    assert [[one.threads for one in row.sweep] for row in found.rows] == [[1], [1, 2]]
    assert "2 threads, batch 1: no such setting" in found.warnings[-1]


def test_a_caller_that_fails_ends_the_others_and_is_told(measured, monkeypatch):
    candidates, bench = measured
    monkeypatch.setattr(module, "_reopened", lambda one, threads: _Broken())
    monkeypatch.setattr(type(candidates[0].predictor), "format", Format.TFLITE)  # so that each caller opens its own
    found = with_sweeps(bench, candidates, Sweep(callers=(3,)), TIMING, SilentReporter())
    assert all(row.concurrent == () for row in found.rows)
    assert "3 callers: no such setting" in found.warnings[-1]


def test_one_broken_caller_of_many_does_not_hang_the_rest(measured):
    candidates, _ = measured
    works = candidates[0].predictor.prepared(module._noise(candidates[0], 1))
    with pytest.raises(RuntimeError, match="no such setting"):
        module._call_at_once([works, _Broken().call, works])


class _Broken:
    def predict(self, _):
        self.call()

    def prepared(self, _):
        return self.call

    def call(self):
        raise RuntimeError("no such setting")
