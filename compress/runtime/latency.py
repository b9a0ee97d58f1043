"""How long one call takes. Models take turns in short blocks, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np

from compress.core.stage import Reporter
from compress.runtime.predictor import Floats, Predictor

MIN_CALLS = 5
_BLOCK = 10  # calls before the next model takes its turn
_NS_PER_MS = 1e6
_NS_PER_S = 1e9

Clock = Callable[[], int]


@dataclass(frozen=True)
class Latency:
    """Times of one model; one call handles a whole batch.

    Attributes:
        calls: number of timed calls.
        p50_ms: median.
        p95_ms: 95th percentile.
        throughput_ips: images per second of pure call time.
    """

    calls: int
    p50_ms: float
    p95_ms: float
    throughput_ips: float


@dataclass(frozen=True)
class Timing:
    """How to time.

    Attributes:
        warmup: untimed calls of each model first.
        repeats: timed calls of each model.
        budget_s: a model stops when its timed calls took so long, but not before `MIN_CALLS`.
    """

    warmup: int
    repeats: int
    budget_s: float


def measure_latency(
    predictors: Mapping[str, Predictor],
    images: Mapping[str, Floats],
    timing: Timing,
    reporter: Reporter,
    clock: Clock = perf_counter_ns,
) -> dict[str, Latency]:
    """Return name -> latency of `predict` on images_NCHW that are already prepared.

    Each round times a block of calls of every model in turn; every other round goes backwards (A B C, C B A), so that
    a slow drift of the machine favours nobody.

    Args:
        predictors: name -> model.
        images: name -> one batch, float32 NCHW.
        timing: warm-up, repeats and time budget.
        reporter: shows progress.
        clock: gives nanoseconds; tests bring their own.
    """
    for name, predictor in predictors.items():
        for _ in range(timing.warmup):
            predictor.predict(images[name])
    times_ns: dict[str, list[int]] = {name: [] for name in predictors}
    waiting = list(predictors)
    with reporter.progress("latency", timing.repeats * len(predictors)) as advance:
        while waiting:
            for name in waiting:
                count = min(_BLOCK, timing.repeats - len(times_ns[name]))
                times_ns[name] += _time_block(predictors[name], images[name], count, clock)
                advance(count, name)
            waiting = [name for name in reversed(waiting) if not _done(times_ns[name], timing)]
    return {name: _summary(times_ns[name], len(images[name])) for name in predictors}


def _time_block(predictor: Predictor, images_NCHW: Floats, count: int, clock: Clock) -> list[int]:
    """Return the nanoseconds of each call; one untimed call first brings the model back into the caches."""
    predictor.predict(images_NCHW)
    times_ns = []
    for _ in range(count):
        start = clock()
        predictor.predict(images_NCHW)
        times_ns.append(clock() - start)
    return times_ns


def _done(times_ns: list[int], timing: Timing) -> bool:
    enough = len(times_ns) >= MIN_CALLS and sum(times_ns) >= timing.budget_s * _NS_PER_S
    return enough or len(times_ns) >= timing.repeats


def _summary(times_ns: list[int], batch: int) -> Latency:
    times = np.asarray(times_ns, dtype=np.float64)
    p50, p95 = np.percentile(times, [50, 95])
    return Latency(
        calls=len(times_ns),
        p50_ms=float(p50) / _NS_PER_MS,
        p95_ms=float(p95) / _NS_PER_MS,
        throughput_ips=batch * len(times_ns) / max(float(times.sum()), 1.0) * _NS_PER_S,
    )
