"""Timing with a clock that only the models move: every figure is known beforehand."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest

from compress.core.stage import SilentReporter
from compress.measure import latency as module
from compress.measure.latency import MIN_CALLS, Latency, Timing, measure_latency, unstable_text
from compress.measure.machine_speed import MachineSpeed

MS = 1_000_000


class Bench:
    """A clock in nanoseconds, and models that each take a known time on it."""

    def __init__(self, **durations_ms: list[float]) -> None:
        self.now = 0
        self.known_ms = 0.15
        self.calls: list[str] = []
        self.slow_ms = (0.0, 0.0)  # from when until when the machine takes twice as long
        self.predictors: dict[str, Any] = {name: Model(self, name, times) for name, times in durations_ms.items()}

    def clock(self) -> int:
        return self.now

    def speed_ms(self) -> float:
        return 0.3 if self.is_slow() else 0.15

    def is_slow(self) -> bool:
        since, until = self.slow_ms
        return since * MS <= self.now < until * MS

    def cpu_clock(self) -> int:
        return 2 * self.now  # two threads, always busy

    def measure(self, timing: Timing, batch: int = 1) -> dict[str, Any]:
        images = {name: np.zeros((batch, 3, 4, 4), np.float32) for name in self.predictors}
        return measure_latency(
            *(self.predictors, images, timing, SilentReporter()),
            clock=self.clock,
            cpu_clock=self.cpu_clock,
            speed=MachineSpeed(self.speed_ms, known_ms=self.known_ms),
        )


class Model:
    def __init__(self, bench: Bench, name: str, times_ms: list[float]) -> None:
        self.bench, self.name, self.times_ms, self.count = bench, name, times_ms, 0

    def prepared(self, images_NCHW: np.ndarray) -> Any:
        return self.call

    def call(self) -> None:
        self.bench.calls.append(self.name)
        factor = 2 if self.bench.is_slow() else 1
        self.bench.now += factor * int(self.times_ms[self.count % len(self.times_ms)] * MS)
        self.count += 1


def test_percentiles_and_throughput_of_constant_models() -> None:
    found = Bench(a=[2.0], b=[8.0]).measure(Timing(warmup=3, repeats=20, budget_s=10), batch=4)
    assert found["a"].calls == found["b"].calls == 20
    assert set(found["a"].percentiles_ms.values()) == {2.0}
    assert found["b"].p50_ms == 8.0
    assert found["a"].throughput_ips == pytest.approx(4 / 0.002)
    assert found["b"].throughput_ips == pytest.approx(4 / 0.008)


def test_p95_sees_the_slow_calls_and_the_median_does_not() -> None:
    found = Bench(a=[1.0] * 9 + [11.0]).measure(Timing(warmup=1, repeats=100, budget_s=10))
    assert found["a"].p50_ms == 1.0
    assert found["a"].percentiles_ms[95] > 5.0


def test_warm_up_is_not_counted() -> None:
    found = Bench(a=[50.0] * 5 + [1.0] * 1000).measure(Timing(warmup=5, repeats=10, budget_s=10))
    assert found["a"].percentiles_ms[95] == 1.0


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


def test_calls_of_moments_in_which_the_machine_is_slow_do_not_count() -> None:
    bench = Bench(a=[1.0], b=[3.0])
    bench.slow_ms = (100.0, 700.0)
    found = bench.measure(Timing(warmup=1, repeats=100, budget_s=10))
    for name, ms in (("a", 1.0), ("b", 3.0)):
        assert (found[name].calls, found[name].slowdown, found[name].stable) == (100, 1.0, True)
        assert set(found[name].percentiles_ms.values()) == {ms}
        assert found[name].cpu_ms == pytest.approx(2 * ms)
        assert found[name].left_out > 20


def test_a_machine_that_is_slow_all_the_time_is_said_and_all_calls_count() -> None:
    bench = Bench(a=[1.0])
    bench.slow_ms = (0.0, 1e9)
    found = bench.measure(Timing(warmup=1, repeats=20, budget_s=10))["a"]
    assert (found.calls, found.left_out, found.p50_ms) == (100, 0, 2.0), "five times as many calls, then no more"
    assert found.slowdown == pytest.approx(2.0)
    assert not found.stable
    assert "2.00 times as long" in unstable_text(found)


def test_without_another_one_the_pace_is_this_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, readings_ms = Bench(a=[1.0]), iter([0.5] * 3 + [1.0] * 100)
    monkeypatch.setattr(module, "speed_of_this_machine", lambda: MachineSpeed(lambda: next(readings_ms)))
    images = {"a": np.zeros((1, 3, 4, 4), np.float32)}
    found = measure_latency(bench.predictors, images, Timing(1, 20, 10), SilentReporter(), clock=bench.clock)
    assert found["a"].slowdown == 1.0
    assert next(readings_ms) == 1.0, "a reading before, between and behind two blocks"


def test_a_lucky_first_reading_is_forgotten_and_what_it_left_out_counts_again() -> None:
    bench = Bench(a=[1.0], b=[2.0])
    readings_ms = iter([0.1] + [0.15] * 100)
    bench.known_ms = inf
    bench.speed_ms = lambda: next(readings_ms)  # type: ignore[method-assign]
    found = bench.measure(Timing(warmup=1, repeats=20, budget_s=10))
    assert [(one.p50_ms, one.left_out, one.slowdown) for one in found.values()] == [(1.0, 0, 1.0), (2.0, 0, 1.0)]


def test_the_time_budget_holds_on_a_slow_machine_too() -> None:
    bench = Bench(a=[10.0])
    bench.slow_ms = (0.0, 1e9)
    assert bench.measure(Timing(warmup=1, repeats=20, budget_s=0.1))["a"].calls == 10


def test_a_slow_start_is_seen_when_the_machine_gets_faster() -> None:
    bench = Bench(a=[1.0])
    bench.known_ms, bench.slow_ms = inf, (0.0, 100.0)
    found = bench.measure(Timing(warmup=1, repeats=200, budget_s=10))["a"]
    assert (found.calls, found.p50_ms, found.percentiles_ms[99]) == (200, 1.0, 1.0)
    assert found.left_out > 20


def test_the_warm_up_goes_on_while_calls_get_quicker() -> None:
    bench = Bench(a=[50.0] * 6 + [9.0] * 8 + [1.0] * 1000)
    found = bench.measure(Timing(warmup=10, repeats=20, budget_s=10))
    assert found["a"].percentiles_ms[99] == 1.0
    never = Bench(a=[0.5**at for at in range(12)] * 50)
    never.measure(Timing(warmup=4, repeats=5, budget_s=10))
    assert len(never.calls) <= 4 * 10 + 6


def test_processor_time_is_of_the_timed_calls_alone() -> None:
    found = Bench(a=[3.0]).measure(Timing(warmup=1, repeats=25, budget_s=10))
    assert found["a"].cpu_ms == pytest.approx(6.0)


def test_intervals_hold_their_percentile_and_come_again() -> None:
    times = np.random.default_rng(1).gamma(4.0, 1.0, 300).tolist()
    first, second = (Bench(a=times).measure(Timing(warmup=2, repeats=200, budget_s=10))["a"] for _ in range(2))
    assert first == second
    for rank, (low, high) in first.ci95_ms.items():
        assert low <= first.percentiles_ms[rank] <= high
        assert low < high
    assert list(first.ci95_ms) == [50, 90, 95, 99]


def test_calls_that_share_their_moment_give_a_wider_interval_than_lone_ones() -> None:
    """The same times, in blocks of one moment each or shuffled."""
    moments = np.repeat(np.random.default_rng(2).gamma(4.0, 1.0, 20), 11)
    shuffled = np.random.default_rng(3).permutation(moments)
    widths = []
    for times in (moments, shuffled):
        low, high = _timed(times.tolist()).ci95_ms[50]
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1]


def _timed(times_ms: list[float]) -> Latency:
    bench = Bench(a=[1.0])
    bench.predictors["a"].call()  # the warm-up is one call
    bench.predictors["a"].times_ms, bench.predictors["a"].count = times_ms, -1
    return bench.measure(Timing(warmup=1, repeats=200, budget_s=100))["a"]


def test_few_blocks_have_no_interval() -> None:
    assert Bench(a=[1.0]).measure(Timing(warmup=1, repeats=40, budget_s=10))["a"].ci95_ms == {}


def test_a_drift_is_unstable_and_is_timed_anew_with_its_neighbours() -> None:
    rising = [1.0] * 17 + [2.0] * 1000
    timing = Timing(warmup=1, repeats=30, budget_s=10)
    once = Bench(a=rising, b=[1.0]).measure(timing)
    assert (once["a"].stable, once["b"].stable) == (False, True)
    assert once["a"].windows_ms == (1.0, 2.0, 2.0)
    assert "1, 2, 2 ms" in unstable_text(once["a"])
    bench = Bench(a=rising, b=[1.0])
    again = bench.measure(Timing(warmup=1, repeats=30, budget_s=10, retakes=5))
    assert again["a"].stable
    assert again["a"].p50_ms == 2.0
    assert bench.calls.count("b") == bench.calls.count("a") == 1 + 2 * 33


def test_retakes_end() -> None:
    bench = Bench(a=[1.03**at for at in range(300)])
    found = bench.measure(Timing(warmup=1, repeats=30, budget_s=1e9, retakes=2))
    assert not found["a"].stable
    assert len(bench.calls) == 1 + 3 * 33
