"""Measuring without images, and with models that fail in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.benchmark import measure as module
from compress.benchmark.config import BenchmarkConfig
from compress.benchmark.measure import OpenedModel, Setting, measure, timing_of
from compress.core.artifact import Artifact
from compress.core.stage import SilentReporter
from compress.measure.latency import RANKS, Latency, Timing
from compress.runtime.open import open_predictor

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_fresh_process")]

QUICK = Setting(batch=2, timing=Timing(warmup=1, repeats=5, budget_s=0.5))


def candidate(artifact: Artifact, predictor: Any = None) -> OpenedModel:
    return OpenedModel(
        name=artifact.stage_id,
        path=artifact.path.name,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        predictor=predictor or open_predictor(artifact.path),
    )


def test_without_images_noise_is_timed_and_nothing_is_said_of_accuracy(make_artifact) -> None:
    measured = measure([candidate(make_artifact("a"))], "a", None, None, QUICK, SilentReporter())
    assert measured.answers is None
    assert measured.bench.split is None
    row = measured.bench.rows[0]
    assert (row.n_images, row.top1_pct, row.error) == (None, None, None)
    assert row.latency_p50_ms is not None
    assert row.peak_rss_bytes is not None
    assert row.steady_rss_bytes is not None
    assert row.cold_start_ms is not None
    assert row.gzip_bytes is not None
    assert 0 < row.gzip_bytes < row.size_bytes + 100


class Cannot:
    """A model whose runtime fails at each call."""

    def __init__(self, path: Path) -> None:
        opened = open_predictor(path)
        self.path, self.spec, self.format, self.runtime = path, opened.spec, opened.format, opened.runtime
        self.threads = 1

    def predict(self, images_NCHW: np.ndarray) -> np.ndarray:
        raise RuntimeError("no kernel for Conv")


def test_a_model_that_never_answers_does_not_take_the_others_with_it(make_artifact) -> None:
    good, bad = make_artifact("good"), make_artifact("bad")
    bad.path.write_bytes(bad.path.read_bytes()[:-1])
    cannot = Cannot(make_artifact("cannot").path)
    measured = measure([candidate(good), candidate(bad, cannot)], "good", None, None, QUICK, SilentReporter())
    first, second = measured.bench.rows
    assert first.error is None
    assert first.latency_p50_ms is not None
    assert second.error is not None
    assert "no kernel for Conv" in second.error
    assert second.latency_p50_ms is None
    assert second.size_bytes == bad.size_bytes
    assert f"bad: {second.error}" in measured.bench.warnings


def test_an_unstable_model_is_said(make_artifact, monkeypatch) -> None:
    def drifting(predictors, images, timing, reporter):
        return {
            name: Latency(3, {50: 2.0}, {50: (1.0, 3.0)}, (1.0, 2.0, 3.0), 4.0, 500.0, 7, 1.05) for name in predictors
        }

    monkeypatch.setattr(module, "measure_latency", drifting)
    bench = measure([candidate(make_artifact("a"))], "a", None, None, QUICK, SilentReporter()).bench
    row = bench.rows[0]
    assert (row.stable, row.cpu_ms, row.latency_calls) == (False, 4.0, 3)
    assert (row.latency_left_out, row.slowdown) == (7, 1.05)
    assert (row.latency_p50_ci95_ms, row.latency_windows_ms) == ((1.0, 3.0), (1.0, 2.0, 3.0))
    assert any("a: unstable" in text for text in bench.warnings)


@pytest.mark.parametrize(("later_ms", "is_said"), [(1.04, False), (1.06, True), (0.94, True)])
def test_a_machine_that_is_slower_a_moment_later_is_said(make_artifact, monkeypatch, later_ms, is_said) -> None:
    medians = [1.0, later_ms]

    def times(predictors, images, timing, reporter):
        median = medians.pop(0)
        return {name: Latency(3, dict.fromkeys(RANKS, median), {}, (median,) * 3, 4.0, 500.0) for name in predictors}

    monkeypatch.setattr(module, "measure_latency", times)
    bench = measure([candidate(make_artifact("a"))], "a", None, None, QUICK, SilentReporter()).bench
    assert any(f"a: drifted: its median was 1 ms, and {later_ms} ms" in text for text in bench.warnings) is is_said
    assert bench.rows[0].latency_p50_ms == 1.0, "the first moment is what is reported"


def test_a_disturbance_is_said_to_the_user_and_kept(make_artifact, monkeypatch) -> None:
    class Collects(SilentReporter):
        said: list[str] = []  # noqa: RUF012 - one test

        def warn(self, text: str) -> None:
            self.said.append(text)

    monkeypatch.setattr(module, "interference", lambda before, after: ["busy: somebody else"])
    bench = measure([candidate(make_artifact("a"))], "a", None, None, QUICK, Collects()).bench
    assert "busy: somebody else" in bench.warnings
    assert "busy: somebody else" in Collects.said


def test_a_quick_benchmark_times_once_and_starts_no_process(make_artifact, monkeypatch) -> None:
    asked = []
    real = module.measure_latency

    def times(predictors, images, timing, reporter):
        asked.append(timing)
        return real(predictors, images, timing, reporter)

    def fresh(*_, **__):
        raise AssertionError("no process of its own")

    monkeypatch.setattr(module, "measure_latency", times)
    monkeypatch.setattr(module, "measure_fresh", fresh)
    quick = timing_of(BenchmarkConfig(quick=True))
    bench = measure([candidate(make_artifact("a"))], "a", None, None, Setting(1, quick), SilentReporter()).bench
    assert [one.retakes for one in asked] == [0]
    assert bench.rows[0].latency_calls <= 5 * quick.repeats
    assert bench.rows[0].peak_rss_bytes is None
    assert bench.rows[0].error is None
    whole = timing_of(BenchmarkConfig())
    assert whole.retakes > 0
    assert whole.repeats > quick.repeats
    assert timing_of(BenchmarkConfig(quick=True, repeats=7, budget_s=0.1)).repeats == 7


def test_models_that_a_slower_machine_made_unstable_share_a_warning(make_artifact, monkeypatch) -> None:
    def slow(predictors, images, timing, reporter):
        return {name: Latency(3, dict.fromkeys(RANKS, 1.0), {}, (1.0,) * 3, 4.0, 500.0, 0, 1.5) for name in predictors}

    monkeypatch.setattr(module, "measure_latency", slow)
    models = [candidate(make_artifact(name)) for name in ("a", "b")]
    warnings = measure(models, "a", None, None, QUICK, SilentReporter()).bench.warnings
    assert len([text for text in warnings if "unstable" in text]) == 1
    assert any(text.startswith("a, b: unstable: this machine was slower") for text in warnings)
