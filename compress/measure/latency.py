"""How long one call takes. Models take turns in short blocks, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter_ns, process_time_ns
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compress.core.stage import Reporter
from compress.measure.machine_speed import FULL_RATIO, MachineSpeed, speed_of_this_machine
from compress.runtime.predictor import Call, Floats

MIN_CALLS = 5
RANKS = (50, 90, 95, 99)  # the percentiles that are given
STABLE_RATIO = 1.10  # between the slowest and the fastest window
_WINDOWS = 3
_BLOCK = 10  # calls before the next model takes its turn
_MIN_BLOCKS = 5  # fewer say nothing of how blocks differ
_LEAST_FULL = 50  # calls at full speed, or half of all: enough to leave the others out
_PATIENCE = 5  # times as many calls as were asked for, until so many were at full speed
_RESAMPLES = 1000
_WARM_RATIO = 0.95  # a second half of the warm-up quicker than this share of the first one: not warm yet
_MAX_WARMUPS = 10
_NS_PER_MS = 1e6
_NS_PER_S = 1e9

Clock = Callable[[], int]


@dataclass(frozen=True)
class Latency:
    """Times of one model at the machine's full speed, where there were enough; one call handles a whole batch.

    Attributes:
        calls: number of timed calls that count.
        percentiles_ms: rank -> percentile, for each of `RANKS`.
        ci95_ms: rank -> 95 % interval of that percentile; empty with fewer than 5 blocks of calls.
        windows_ms: medians of the first, second and last third of the calls.
        cpu_ms: processor time of one call, over all threads.
        throughput_ips: images per second of pure call time.
        left_out: number of timed calls that do not count, since the machine was slower beside them.
        slowdown: how many times its best the machine's fixed computation took beside the calls that count, median.
    """

    calls: int
    percentiles_ms: Mapping[int, float]
    ci95_ms: Mapping[int, tuple[float, float]]
    windows_ms: tuple[float, ...]
    cpu_ms: float
    throughput_ips: float
    left_out: int = 0
    slowdown: float = 1.0

    @property
    def p50_ms(self) -> float:
        """Return the median."""
        return self.percentiles_ms[50]

    @property
    def stable(self) -> bool:
        """Tell whether the windows are within 10 % of each other, and the machine was at its full speed."""
        return max(self.windows_ms) <= STABLE_RATIO * min(self.windows_ms) and self.slowdown <= FULL_RATIO


@dataclass(frozen=True)
class Timing:
    """How to time.

    Attributes:
        warmup: untimed calls of each model first; as many again, up to 10 times, while they still get quicker.
        repeats: timed calls of each model at the machine's full speed; up to five times as many are made for them.
        budget_s: a model stops when its timed calls took so long, but not before `MIN_CALLS`.
        retakes: how often all models are timed anew while one of them is not `stable`; the last take counts.
        quick: whether who asked wants numbers in seconds and does without what takes longer than the calls.
    """

    warmup: int
    repeats: int
    budget_s: float
    retakes: int = 0
    quick: bool = False


@dataclass(frozen=True)
class _Block:
    """Calls in a row, the processor time of all of them, and the slower of the paces just before and behind them."""

    times_ns: NDArray[np.int64]
    cpu_ns: int
    speed_ms: float


@dataclass
class _Series:
    """The blocks of one model so far, with the number of their calls and the time of these."""

    blocks: list[_Block] = field(default_factory=list)
    made: int = 0
    taken_ns: int = 0

    def add(self, block: _Block) -> None:
        self.blocks.append(block)
        self.made += len(block.times_ns)
        self.taken_ns += int(block.times_ns.sum())

    def full(self, speed: MachineSpeed) -> list[_Block]:
        """Return the blocks at full speed, as far as is known by now: a later reading may be faster than all before."""
        limit_ms = speed.limit_ms
        return [block for block in self.blocks if block.speed_ms <= limit_ms]


@dataclass(frozen=True)
class _Clocks:
    wall: Clock
    cpu: Clock
    speed: MachineSpeed


class Timed(Protocol):
    """What can be timed: an opened file of a classifier or of a detector."""

    def prepared(self, images_NCHW: Floats) -> Call:
        """Return what runs the model on these images; see `Predictor.prepared`."""


def measure_latency(
    predictors: Mapping[str, Timed],
    images: Mapping[str, Floats],
    timing: Timing,
    reporter: Reporter,
    clock: Clock = perf_counter_ns,
    cpu_clock: Clock = process_time_ns,
    speed: MachineSpeed | None = None,
) -> dict[str, Latency]:
    """Return name -> latency of the runtime's call (`Predictor.prepared`) on images_NCHW.

    Each round times a block of calls of every model in turn; every other round goes backwards (A B C, C B A), so that
    a slow drift of the machine favours nobody. A retake times all of them, since only neighbours in time compare.

    Between the blocks the speed of the machine is read. Blocks beside which it was below its best do not count,
    unless too few are left. What is left out is chosen by another clock than the calls', so that it favours nobody.

    Args:
        predictors: name -> model.
        images: name -> one batch, float32 NCHW.
        timing: warm-up, repeats and time budget.
        reporter: shows progress.
        clock: gives nanoseconds; tests bring their own.
        cpu_clock: gives nanoseconds of processor time of this process, all threads.
        speed: of this machine; tests bring their own.
    """
    speed = speed or speed_of_this_machine()
    calls = {name: predictor.prepared(images[name]) for name, predictor in predictors.items()}
    batches = {name: len(images[name]) for name in calls}
    for call in calls.values():
        _warm_up(call, timing.warmup, clock)
    found = _take(calls, batches, timing, reporter, _Clocks(clock, cpu_clock, speed))
    for _ in range(timing.retakes):
        if all(latency.stable for latency in found.values()):
            break
        found = _take(calls, batches, timing, reporter, _Clocks(clock, cpu_clock, speed))
    speed.remember()
    return found


def unstable_text(latency: Latency) -> str:
    """Return one sentence on a model that is not `stable`."""
    if latency.slowdown > FULL_RATIO:
        return (
            f"unstable: this machine was slower than at its best, as when others share its cores: a fixed computation"
            f" took {latency.slowdown:.2f} times as long beside the calls"
        )
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
    clocks: _Clocks,
) -> dict[str, Latency]:
    series = {name: _Series() for name in calls}
    waiting = list(calls)
    before_ms = clocks.speed.read()
    with reporter.progress("latency", timing.repeats * len(calls)) as advance:
        while waiting:
            for name in waiting:
                missing = timing.repeats - _count(series[name].full(clocks.speed))
                size = max(1, min(_BLOCK, missing))  # none is missing where the best reading turned out to be luck
                times_ns, cpu_ns = _time_block(calls[name], size, clocks)
                after_ms = clocks.speed.read()
                speed_ms, before_ms = max(before_ms, after_ms), after_ms
                series[name].add(_Block(times_ns, cpu_ns, speed_ms))
                advance(size if speed_ms <= clocks.speed.limit_ms else 0, name)
            waiting = [name for name in reversed(waiting) if not _done(series[name], timing, clocks.speed)]
    return {name: _summary(series[name], batches[name], timing, clocks.speed) for name in calls}


def _time_block(call: Call, size: int, clocks: _Clocks) -> tuple[NDArray[np.int64], int]:
    """Return the times of the next calls and their processor time; an untimed one first fills the caches again."""
    call()
    times_ns = np.zeros(size, np.int64)
    began = clocks.cpu()  # around the block: reading it is a system call, too dear for each call
    _repeat(call, times_ns, clocks.wall)
    return times_ns, clocks.cpu() - began


def _count(blocks: Sequence[_Block]) -> int:
    return sum(len(block.times_ns) for block in blocks)


def _repeat(call: Call, times_ns: NDArray[np.int64], clock: Clock) -> None:
    """Fill times_ns with the nanoseconds of one call each."""
    for at in range(len(times_ns)):
        start = clock()
        call()
        times_ns[at] = clock() - start


def _done(series: _Series, timing: Timing, speed: MachineSpeed) -> bool:
    if series.made >= MIN_CALLS and series.taken_ns >= timing.budget_s * _NS_PER_S:
        return True
    return series.made >= _PATIENCE * timing.repeats or _count(series.full(speed)) >= timing.repeats


def _summary(series: _Series, batch: int, timing: Timing, speed: MachineSpeed) -> Latency:
    full = series.full(speed)
    used = full if _count(full) >= min(_LEAST_FULL, timing.repeats, series.made / 2) else series.blocks
    count = _count(used)
    parts_ms = [block.times_ns / _NS_PER_MS for block in used]
    times_ms = np.concatenate(parts_ms)
    windows = [part for part in np.array_split(times_ms, _WINDOWS) if len(part)]
    return Latency(
        calls=count,
        percentiles_ms=dict(zip(RANKS, np.percentile(times_ms, RANKS).tolist(), strict=True)),
        ci95_ms=_intervals(parts_ms),
        windows_ms=tuple(float(np.median(part)) for part in windows),
        cpu_ms=sum(block.cpu_ns for block in used) / count / _NS_PER_MS,
        throughput_ips=batch * count / max(float(times_ms.sum()), 1.0 / _NS_PER_MS) * 1000,
        left_out=series.made - count,
        slowdown=median(block.speed_ms for block in used) / speed.best_ms,
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
