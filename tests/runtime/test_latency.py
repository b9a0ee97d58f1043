"""Timing with a clock that only the models move: every figure is known beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compress.core.stage import SilentReporter
from compress.runtime.latency import MIN_CALLS, Timing, measure_latency

MS = 1_000_000


class Bench:
    """A clock in nanoseconds, and models that each take a known time on it."""

    def __init__(self, **durations_ms: list[float]) -> None:
        self.now = 0
        self.calls: list[str] = []
        self.predictors: dict[str, Any] = {name: Model(self, name, times) for name, times in durations_ms.items()}

    def clock(self) -> int:
        return self.now

    def measure(self, timing: Timing, batch: int = 1) -> dict[str, Any]:
        images = {name: np.zeros((batch, 3, 4, 4), np.float32) for name in self.predictors}
        return measure_latency(self.predictors, images, timing, SilentReporter(), clock=self.clock)


class Model:
    def __init__(self, bench: Bench, name: str, times_ms: list[float]) -> None:
        self.bench, self.name, self.times_ms, self.count = bench, name, times_ms, 0

    def predict(self, images_NCHW: np.ndarray) -> np.ndarray:
        self.bench.calls.append(self.name)
        self.bench.now += int(self.times_ms[self.count % len(self.times_ms)] * MS)
        self.count += 1
        return np.zeros((len(images_NCHW), 2), np.float32)


def test_percentiles_and_throughput_of_constant_models() -> None:
    found = Bench(a=[2.0], b=[8.0]).measure(Timing(warmup=3, repeats=20, budget_s=10), batch=4)
    assert found["a"].calls == found["b"].calls == 20
    assert (found["a"].p50_ms, found["a"].p95_ms) == (2.0, 2.0)
    assert found["b"].p50_ms == 8.0
    assert found["a"].throughput_ips == pytest.approx(4 / 0.002)
    assert found["b"].throughput_ips == pytest.approx(4 / 0.008)


def test_p95_sees_the_slow_calls_and_the_median_does_not() -> None:
    found = Bench(a=[1.0] * 9 + [11.0]).measure(Timing(warmup=1, repeats=100, budget_s=10))
    assert found["a"].p50_ms == 1.0
    assert found["a"].p95_ms > 5.0


def test_warm_up_is_not_counted() -> None:
    found = Bench(a=[50.0] * 5 + [1.0] * 1000).measure(Timing(warmup=5, repeats=10, budget_s=10))
    assert found["a"].p95_ms == 1.0


def test_models_take_turns_and_the_order_turns_round() -> None:
    bench = Bench(a=[1.0], b=[1.0], c=[1.0])
    bench.measure(Timing(warmup=1, repeats=30, budget_s=10))
    timed = bench.calls[3:]
    turns = [name for at, name in enumerate(timed) if at == 0 or timed[at - 1] != name]
    assert "".join(turns) == "abcbabc"  # a b c, c b a, a b c; neighbours that are the same model run on
    assert {name: timed.count(name) for name in "abc"} == dict.fromkeys("abc", 33)  # 3 untimed first calls


def test_a_slow_model_stops_at_its_budget_and_a_fast_one_goes_on() -> None:
    found = Bench(slow=[300.0], fast=[1.0]).measure(Timing(warmup=1, repeats=100, budget_s=1.0))
    assert MIN_CALLS <= found["slow"].calls <= 10
    assert found["fast"].calls == 100
