"""Offline: all images are at hand, and only images per second count; threads and batch are chosen by trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from time import perf_counter

from compress.benchmark.scenario_schema import OFFLINE, Scenario
from compress.benchmark.single_stream import answer
from compress.core.stage import Reporter
from compress.runtime.predictor import Predictor

BATCHES = (1, 8, 32)
_TRIAL_SHARE = 0.1  # of the seconds, for each setting that is tried


def measure_offline(
    open_one: Callable[[], Predictor], bodies: Sequence[bytes], seconds: float, cores: int, reporter: Reporter
) -> Scenario:
    """Return the throughput of the best setting, from bytes to answers.

    Every thread has a runtime of one thread for itself, and decodes and infers batch after batch: for small models
    several calls at once do more than one call over several cores.

    Args:
        open_one: opens the model, for one thread.
        bodies: JPEG files.
        seconds: of the measurement; each setting is tried for a tenth of it before.
        cores: most threads.
        reporter: shows progress.
    """
    predictors = [open_one() for _ in range(cores)]
    settings = list(product(_thread_counts(cores), BATCHES))
    rates = {}
    with reporter.progress(OFFLINE, len(settings) + 1) as advance:
        for threads, batch in settings:
            n, took_s = _throughput(predictors[:threads], bodies, batch, seconds * _TRIAL_SHARE)
            rates[threads, batch] = n / took_s
            advance(1, f"{threads} threads, batch {batch}: {n / took_s:.0f} images/s")
        threads, batch = max(rates, key=lambda setting: rates[setting])
        n, took_s = _throughput(predictors[:threads], bodies, batch, seconds)
        advance(1)
    return Scenario(
        scenario=OFFLINE,
        model=str(predictors[0].path),
        images=len(bodies),
        n=n,
        seconds=took_s,
        threads=threads,
        batch=batch,
        throughput_ips=n / took_s,
    )


def _thread_counts(cores: int) -> list[int]:
    """Return 1, 2, 4, ... and the number of cores."""
    powers = [1 << power for power in range(cores.bit_length())]
    return sorted({*powers, cores})


def _throughput(
    predictors: Sequence[Predictor], bodies: Sequence[bytes], batch: int, seconds: float
) -> tuple[int, float]:
    """Return how many images were answered, and in how many seconds."""
    for predictor in predictors:
        answer(predictor, [bodies[0]] * batch)
    begun = perf_counter()

    def work(predictor: Predictor, at: int) -> int:
        done = 0
        while not done or perf_counter() - begun < seconds:
            answer(predictor, [bodies[(at + done + index) % len(bodies)] for index in range(batch)])
            done += batch
        return done

    with ThreadPoolExecutor(len(predictors)) as threads:
        starts = [index * len(bodies) // len(predictors) for index in range(len(predictors))]
        n = sum(threads.map(work, predictors, starts))
    return n, perf_counter() - begun
