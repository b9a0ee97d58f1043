"""How long one call takes. Models take turns in short blocks, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter_ns, process_time_ns

import numpy as np
from numpy.typing import NDArray

from compress.core.stage import Reporter
from compress.runtime.predictor import Call, Floats, Predictor

MIN_CALLS = 5
RANKS = (50, 90, 95, 99)  # the percentiles that are given
STABLE_RATIO = 1.10  # between the slowest and the fastest window
_WINDOWS = 3
_BLOCK = 10  # calls before the next model takes its turn
_MIN_BLOCKS = 5  # fewer say nothing of how blocks differ
_RESAMPLES = 1000
_WARM_RATIO = 0.95  # a second half of the warm-up quicker than this share of the first one: not warm yet
_MAX_WARMUPS = 10
_NS_PER_MS = 1e6
_NS_PER_S = 1e9

Clock = Callable[[], int]


@dataclass(frozen=True)
class Latency:
    """Times of one model; one call handles a whole batch.

    Attributes:
        calls: number of timed calls.
        percentiles_ms: rank -> percentile, for each of `RANKS`.
        ci95_ms: rank -> 95 % interval of that percentile; empty with fewer than 5 blocks of calls.
        windows_ms: medians of the first, second and last third of the calls.
        cpu_ms: processor time of one call, over all threads.
        throughput_ips: images per second of pure call time.
    """

    calls: int
    percentiles_ms: Mapping[int, float]
    ci95_ms: Mapping[int, tuple[float, float]]
    windows_ms: tuple[float, ...]
    cpu_ms: float
    throughput_ips: float

    @property
    def p50_ms(self) -> float:
        """Return the median."""
        return self.percentiles_ms[50]

    @property
    def stable(self) -> bool:
        """Tell whether the windows are within 10 % of each other."""
        return max(self.windows_ms) <= STABLE_RATIO * min(self.windows_ms)


@dataclass(frozen=True)
class Timing:
    """How to time.

    Attributes:
        warmup: untimed calls of each model first; as many again, up to 10 times, while they still get quicker.
        repeats: timed calls of each model.
        budget_s: a model stops when its timed calls took so long, but not before `MIN_CALLS`.
        retakes: how often all models are timed anew while one of them is not `stable`; the last take counts.
    """

    warmup: int
    repeats: int
    budget_s: float
    retakes: int = 0


@dataclass
class _Times:
    """The calls of one model so far: room for all of them is there before the first, so that none waits for memory."""

    all_ns: NDArray[np.int64]
    count: int = 0
    cpu_ns: int = 0
    block_ends: list[int] = field(default_factory=list)


def measure_latency(
    predictors: Mapping[str, Predictor],
    images: Mapping[str, Floats],
    timing: Timing,
    reporter: Reporter,
    clock: Clock = perf_counter_ns,
    cpu_clock: Clock = process_time_ns,
) -> dict[str, Latency]:
    """Return name -> latency of the runtime's call (`Predictor.prepared`) on images_NCHW.

    Each round times a block of calls of every model in turn; every other round goes backwards (A B C, C B A), so that
    a slow drift of the machine favours nobody. A retake times all of them, since only neighbours in time compare.

    Args:
        predictors: name -> model.
        images: name -> one batch, float32 NCHW.
        timing: warm-up, repeats and time budget.
        reporter: shows progress.
        clock: gives nanoseconds; tests bring their own.
        cpu_clock: gives nanoseconds of processor time of this process, all threads.
    """
    calls = {name: predictor.prepared(images[name]) for name, predictor in predictors.items()}
    batches = {name: len(images[name]) for name in calls}
    for call in calls.values():
        _warm_up(call, timing.warmup, clock)
    found = _take(calls, batches, timing, reporter, clock, cpu_clock)
    for _ in range(timing.retakes):
        if all(latency.stable for latency in found.values()):
            break
        found = _take(calls, batches, timing, reporter, clock, cpu_clock)
    return found


def unstable_text(latency: Latency) -> str:
    """Return one sentence on a model whose windows differ."""
    windows = ", ".join(f"{value:.3g}" for value in latency.windows_ms)
    limit = f"{100 * (STABLE_RATIO - 1):.0f} %"
    return f"unstable: the medians of the three thirds of its calls, {windows} ms, differ by more than {limit}"


def _warm_up(call: Call, warmup: int, clock: Clock) -> None:
    """Call until the second half of `warmup` calls is no longer quicker than the first one."""
    for _ in range(_MAX_WARMUPS):
        times_ns = np.zeros(warmup, np.int64)
        _repeat(call, times_ns, clock)
        first, second = times_ns[: warmup // 2].tolist(), times_ns[warmup // 2 :].tolist()
        if not first or median(second) >= _WARM_RATIO * median(first):
            return


def _take(
    calls: Mapping[str, Call],
    batches: Mapping[str, int],
    timing: Timing,
    reporter: Reporter,
    clock: Clock,
    cpu_clock: Clock,
) -> dict[str, Latency]:
    times = {name: _Times(np.zeros(timing.repeats, np.int64)) for name in calls}
    waiting = list(calls)
    with reporter.progress("latency", timing.repeats * len(calls)) as advance:
        while waiting:
            for name in waiting:
                count = _time_block(calls[name], times[name], clock, cpu_clock)
                advance(count, name)
            waiting = [name for name in reversed(waiting) if not _done(times[name], timing)]
    return {name: _summary(times[name], batches[name]) for name in calls}


def _time_block(call: Call, times: _Times, clock: Clock, cpu_clock: Clock) -> int:
    """Time the next block and return its calls; one untimed call first brings the model back into the caches."""
    call()
    block_ns = times.all_ns[times.count : times.count + _BLOCK]  # a view; the last one may be shorter
    began = cpu_clock()  # around the block: reading it is a system call, too dear for each call
    _repeat(call, block_ns, clock)
    times.cpu_ns += cpu_clock() - began
    times.count += len(block_ns)
    times.block_ends.append(times.count)
    return len(block_ns)


def _repeat(call: Call, times_ns: NDArray[np.int64], clock: Clock) -> None:
    """Fill times_ns with the nanoseconds of one call each."""
    for at in range(len(times_ns)):
        start = clock()
        call()
        times_ns[at] = clock() - start


def _done(times: _Times, timing: Timing) -> bool:
    taken_ns = times.all_ns[: times.count].sum()
    enough = times.count >= MIN_CALLS and taken_ns >= timing.budget_s * _NS_PER_S
    return bool(enough) or times.count >= timing.repeats


def _summary(times: _Times, batch: int) -> Latency:
    times_ms = times.all_ns[: times.count] / _NS_PER_MS
    blocks = np.split(times_ms, times.block_ends[:-1])
    windows = [part for part in np.array_split(times_ms, _WINDOWS) if len(part)]
    return Latency(
        calls=times.count,
        percentiles_ms=dict(zip(RANKS, np.percentile(times_ms, RANKS).tolist(), strict=True)),
        ci95_ms=_intervals(blocks),
        windows_ms=tuple(float(np.median(part)) for part in windows),
        cpu_ms=times.cpu_ns / times.count / _NS_PER_MS,
        throughput_ips=batch * times.count / max(float(times_ms.sum()), 1.0 / _NS_PER_MS) * 1000,
    )


def _intervals(blocks: Sequence[NDArray[np.float64]]) -> dict[int, tuple[float, float]]:
    """Return rank -> 95 % interval, by resampling whole blocks; empty where there are too few of them.

    Calls that follow each other share what the machine does at the moment, so single calls would be resampled as if
    there were more evidence than there is (Carlstein 1986, blocks; Efron 1979, the bootstrap). Seeded: same times,
    same interval.
    """
    if len(blocks) < _MIN_BLOCKS:
        return {}
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(blocks), (_RESAMPLES, len(blocks)))
    found = np.array([np.percentile(np.concatenate([blocks[at] for at in one]), RANKS) for one in drawn])
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    return {rank: (float(low[at]), float(high[at])) for at, rank in enumerate(RANKS)}
