from __future__ import annotations

import pytest

from evals.serve import calm
from evals.serve.calm import STARTS, Start, measure_large, measure_start, measure_steady
from evals.serve.rounds import Setting
from tests.evals.serve.tiny import tiny_setting, tiny_target


@pytest.fixture
def setting(tmp_path, monkeypatch):
    found = tiny_setting(tmp_path, steady_s=0.6, idle_s=0.2, connections=2)
    broken = tiny_target("import sys\nsys.exit(1)", name="broken")
    monkeypatch.setattr(Setting, "ours", lambda self: [tiny_target(model=found.onnx)])
    monkeypatch.setattr(calm, "baselines", lambda model, environment: [broken])
    monkeypatch.setattr(calm, "LARGE_REQUESTS", 3)
    monkeypatch.setattr(calm, "RSS_REQUESTS", 20)
    return found


def test_the_steady_rate_finds_cpu_latency_and_size(setting):
    said = []
    (row,) = measure_steady(setting, said.append)
    assert (row.name, row.errors, row.model_bytes) == ("tiny", 0, len(b"model"))
    assert 0 < row.p50_ms <= row.p99_ms < 1000
    assert row.cpu_pct < 100
    assert said[1].startswith("steady: broken: ended with exit code 1")


def test_the_large_image_is_compared_with_the_work_alone(setting, monkeypatch):
    class Alone:
        def __init__(self, model):
            assert model == setting.onnx

        def cpu_ms(self, bodies, passes):
            assert (bodies, passes) == ([b"hat"], 3)
            return 20.0

    monkeypatch.setattr(calm, "Alone", Alone)
    (row,) = measure_large(setting, lambda line: None)
    assert (row.alone_ms, row.errors) == (20.0, 0)
    assert row.p50_ms > 0


def test_starts_memory_and_idling(setting):
    (row,) = measure_start(setting, lambda line: None)
    assert len(row.ready_s) == STARTS
    assert row.rss_bytes > 1 << 20
    assert 0 <= row.idle_cpu_pct < 100


def test_the_median_start_counts():
    assert Start("imgc", [9.0, 0.5, 0.7], 1, 0.0).median_s == 0.7
